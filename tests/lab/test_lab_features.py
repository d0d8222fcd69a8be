"""A transcoder is trained, resumed, kept and looked at; what its card says is what hooks give."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from groundup.cli.main import run
from groundup.device import Compute
from groundup.errors import ConfigError, FormatError, ModelError
from groundup.finetune import transcoder as training
from groundup.finetune.transcoder import TranscoderConfig, train_transcoder
from groundup.lab.circuits import explain
from groundup.lab.circuits import features as looking
from groundup.lab.circuits.features import look_at_run
from groundup.lab.circuits.page import write_features_page
from groundup.lab.circuits.transcoder import Transcoder, load_transcoder, replaced
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.train.monitor.time_budget import StepControl
from groundup.weights.model_io import OpenModel, save_model

CPU = Compute(torch.device("cpu"))
CONFIG = TranscoderConfig(block=2, minutes=0.05, active=4)


def some_rows(opened: OpenModel, count: int, tokens: int, **_: Any) -> list[list[int]]:
    """As a run's texts would be."""
    draw = torch.Generator().manual_seed(count)
    return torch.randint(256, 300, (min(count, 64), tokens), generator=draw).tolist()


@pytest.fixture(scope="module")
def texts() -> Iterator[None]:
    """Rows of ids, and a plan of 8 steps that no clock changes."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (training, looking, explain):
            patch.setattr(module, "run_rows", some_rows)
        patch.setattr(explain, "PASSAGES", 2)
        patch.setattr(explain, "TEXTS", ())
        patch.setattr(training, "StepControl", lambda budget: StepControl())
        patch.setattr(training, "planned_steps", lambda *_: 8)
        yield


@pytest.fixture(scope="module")
def opened(
    model: LanguageModel, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> OpenModel:
    path = tmp_path_factory.mktemp("features") / "tiny"
    save_model(model, path, tokenizer)
    return OpenModel(model, tokenizer, model.config, path, "language")


@pytest.fixture(scope="module")
def trained(opened: OpenModel, texts: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "found"
    train_transcoder(opened, folder, CONFIG, compute=CPU)
    return folder


@torch.no_grad()
def test_at_most_so_many_features_are_active_and_their_directions_have_length_one() -> None:
    torch.manual_seed(0)
    transcoder, x = Transcoder(8, 32, 3), torch.randn(2, 5, 8)
    features, output = transcoder(x)
    assert int((features != 0).sum(dim=-1).max()) <= 3
    assert bool((features >= 0).all())
    assert torch.allclose(transcoder.directions.norm(dim=1), torch.ones(32))
    scores = transcoder.encoder(x).relu()
    assert features.max() == scores.max()
    written = torch.einsum("btm,mc->btc", features, transcoder.directions)
    assert torch.allclose(output, written + transcoder.offset, atol=1e-6)


def test_features_begin_as_tokens_of_a_sample_at_their_scale() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 8)
    y = torch.tanh(x @ torch.randn(8, 8)) + 3
    for size in (1e-3, 40.0):
        transcoder = Transcoder(8, 64, 4)
        transcoder.begin(x, size * y)
        error = (size * y - transcoder(x)[1]).square().sum()
        assert error / (size * (y - y.mean(dim=0))).square().sum() < 0.7


def test_a_card_says_what_the_model_loses_with_the_transcoder(
    opened: OpenModel, model: LanguageModel, trained: Path
) -> None:
    transcoder, card = load_transcoder(trained)
    assert (card.steps, card.block, card.features) == (8, 2, 256)
    assert not (trained / "checkpoints").exists()
    rows = torch.tensor(some_rows(opened, training.HELD_OUT_ROWS, 32))

    @torch.no_grad()
    def loss(change: Any) -> float:
        with replaced(model, 2, change):
            logits = model(rows)[:, :-1]
        return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()))

    def put(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        changed = transcoder(x)[1]
        changed[:, 0] = y[:, 0]
        return changed

    assert card.loss == pytest.approx(loss(lambda x, y: y), abs=1e-4)
    assert card.loss_replaced == pytest.approx(loss(put), abs=1e-4)
    assert train_transcoder(opened, trained, CONFIG, compute=CPU) == card


def test_a_stopped_training_goes_on_to_the_same_weights(
    opened: OpenModel, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, calls = training.transcoder_loss, iter(range(100))

    def stopped(*of: Any) -> Any:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return loss(*of)

    monkeypatch.setattr(training, "transcoder_loss", stopped)
    with pytest.raises(KeyboardInterrupt):
        train_transcoder(opened, tmp_path / "parts", CONFIG, compute=CPU)
    train_transcoder(opened, tmp_path / "parts", CONFIG, compute=CPU)
    whole, parts = (load_transcoder(path)[0].state_dict() for path in (trained, tmp_path / "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@torch.no_grad()
def test_features_have_their_shares_and_top_texts(
    opened: OpenModel, trained: Path, tmp_path: Path
) -> None:
    found = look_at_run(opened, trained)
    transcoder, card = load_transcoder(trained)
    rows = torch.tensor(some_rows(opened, looking.TEXT_ROWS, 32))
    inputs, _ = training.network_values(opened.model, 2, rows)
    features = transcoder.features(inputs)
    assert len(found["features"]) == int((features > 0).any(dim=0).sum())
    first = found["features"][0]
    own = features[:, first["number"] - 1]
    assert first["share"] == pytest.approx(float((own > 0).float().mean()), abs=1e-4)
    assert first["mean"] == pytest.approx(float(own.mean()), rel=1e-4)
    peak = first["texts"][0]
    assert peak["activations"][peak["peak"]] == pytest.approx(float(own.max()), abs=1e-3)
    assert sum(each["writes"] for each in found["features"]) == pytest.approx(1, abs=0.01)
    write_features_page(tmp_path / "page.html", "<b>x</b>", card, found)
    page = (tmp_path / "page.html").read_text()
    assert "<b>x" not in page
    assert "is not explained" in page


def test_a_model_without_graphs_has_features_and_a_reason(
    opened: OpenModel, trained: Path, tokenizer: Tokenizer
) -> None:
    assert explain.why_no_graphs(opened, ["to be"]) == ""
    other = LanguageModel(replace(opened.config, block="output"))
    model = OpenModel(other, tokenizer, other.config, opened.path, "language")
    assert "with a norm after them" in explain.why_no_graphs(model, ["to be"])


def test_what_is_not_the_same_is_refused(
    opened: OpenModel, trained: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="holds another run"):
        train_transcoder(opened, trained, TranscoderConfig(block=1), compute=CPU)
    other = LanguageModel(opened.config)
    with pytest.raises(ModelError, match="of another model"):
        look_at_run(OpenModel(other, tokenizer, other.config, opened.path, "language"), trained)
    shutil.copytree(trained, tmp_path / "damaged")
    card = json.loads((trained / "transcoder.json").read_text())
    (tmp_path / "damaged/transcoder.json").write_text(json.dumps({**card, "features": 8}))
    with pytest.raises(FormatError, match="do not fit its card"):
        load_transcoder(tmp_path / "damaged")


@pytest.mark.usefixtures("texts")
def test_the_verb_trains_and_writes_a_page(
    opened: OpenModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["lab", str(opened.path), "--features", "--block", "1", "--minutes", "0.05"]
    words += ["--text", "To be, or"]
    assert run([*words, "--out", str(tmp_path / "f.html"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["block"] == 1
    assert {"recovered", "unexplained", "never_active"} <= set(said)
    assert (tmp_path / "f-block-1/transcoder.safetensors").is_file()
    page = (tmp_path / "f.html").read_text()
    assert "To be, or</bdi>" in page
    assert "Of 2 held-out passages of 16 tokens" in page
    assert said["graphs"][0]["text"] == "To be, or"


@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--features", "--block", "9"], "no block 9"),
        (["--features", "--minutes", "0"], "0.05 to 1,440"),
        (["--block", "1"], "are for --features"),
        (["--features", "--live"], "makes one page"),
        (["--features"], "are not there or too short"),
        (["--features", "--text", ""], "The text is empty"),
        (["--features", "--text", "to be or " * 9], "A graph is of 1 to 23 tokens"),
    ],
)
def test_bad_input_gets_one_sentence_and_writes_nothing(
    opened: OpenModel,
    options: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(training, "run_rows", lambda *_, **__: [])
    assert run(["lab", str(opened.path), *options, "--out", str(tmp_path / "f.html")]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
