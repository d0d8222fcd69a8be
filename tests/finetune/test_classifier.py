"""A language model becomes a classifier: what learns, what stays, what is kept, and what comes back from disk."""

import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from groundup.data.documents import Example
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.padded_batch import classifier_ids, right_padded
from groundup.errors import ConfigError, DataError, FormatError, ModelError
from groundup.files import verify_folder
from groundup.finetune.classifier import OURS, ClassifierConfig, add_baselines, classifier_from, fit_classifier
from groundup.finetune.features import FEATURES_FILE, FrozenBlocks, LastBlock, keep_features, read_features
from groundup.model.heads import Classifier, LanguageModel
from groundup.progress import Advance, Silent
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import ModelCard, OpenModel, open_model

Splits = dict[str, list[Example]]
OpenBase = Callable[[], OpenModel]
CONFIG = ClassifierConfig(epochs=16, learning_rate=5e-3, max_tokens=48, precision="float32")


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, base_model: Classifier, tokenizer: Tokenizer, splits: Splits
) -> Path:
    folder = tmp_path_factory.mktemp("run") / "spam"
    opened = OpenModel(base_model, tokenizer, base_model.config, Path("base"), "language")  # type: ignore[arg-type]
    card = ModelCard("tiny spam", data=(("toy messages", "none"),))
    fit_classifier(opened, splits, RunFolder(folder), CONFIG, compute=Compute(torch.device("cpu")), card=card)
    return folder


def test_a_planted_signal_is_learned(finished: Path, splits: Splits) -> None:
    results = RunFolder(finished).read_results()
    ours = results["models"][0]
    assert ours["accuracy"]["value"] > 0.9 > results["majority"]["value"]
    assert ours["accuracy"]["n"] == 70 and ours["accuracy"]["low"] < ours["accuracy"]["value"]
    assert ours["f1"] > 0.8 and results["positive"] == "spam"
    assert sum(map(sum, ours["confusion"])) == 70
    assert results["splits"]["train"] == {"ham": 120, "spam": 60}
    json.dumps(results, allow_nan=False)


def test_everything_below_the_last_block_stays_bit_for_bit(finished: Path, base_model: Classifier) -> None:
    saved = open_model(finished, Compute(torch.device("cpu"))).model.state_dict()
    for name, tensor in base_model.state_dict().items():
        learns = ".blocks.1." in name or "final_norm" in name
        assert torch.equal(saved[name], tensor) is not learns, name


def test_the_saved_folder_classifies_as_it_was_measured(finished: Path, splits: Splits, compute: Compute) -> None:
    opened = open_model(finished, compute)
    assert (opened.kind, opened.labels, opened.config.context_tokens) == ("classifier", ("ham", "spam"), 48)
    found = Engine(opened, compute).classify([example.text for example in splits["test"]])
    results = RunFolder(finished).read_results()
    assert [next(iter(each)) for each in found] == results["predictions"][OURS]
    by_text = {example.text: each for example, each in zip(splits["test"], found, strict=True)}
    for shown in results["examples"]:
        assert by_text[shown["text"]][shown["predicted"]] == pytest.approx(shown["probability"], abs=1e-4)


def test_transformers_reads_the_same_scores(finished: Path, splits: Splits, compute: Compute) -> None:
    from transformers import AutoModelForSequenceClassification

    theirs = AutoModelForSequenceClassification.from_pretrained(finished).eval()
    opened = open_model(finished, compute)
    assert isinstance(opened.model, Classifier) and theirs.config.id2label == {0: "ham", 1: "spam"}
    for example in splits["test"][:5]:
        ids = torch.tensor([classifier_ids(opened.require_tokenizer(), example.text, 48)])
        with torch.no_grad():
            assert torch.allclose(theirs(ids).logits, opened.model(ids), atol=1e-4)


def test_the_card_names_data_and_figures(finished: Path) -> None:
    card = (finished / "README.md").read_text()
    assert "toy messages" in card and "test accuracy (n = 70)" in card and "Labels: ham, spam." in card


def test_cached_features_give_the_scores_of_the_whole_model(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    opened = open_base()
    model = classifier_from(opened, ("ham", "spam"), CONFIG)
    ids = [classifier_ids(opened.require_tokenizer(), example.text, 48) for example in splits["test"][:20]]
    file = tmp_path / "features"
    frozen = FrozenBlocks(model.transformer, 1, compute)
    features = keep_features(file, frozen, ids, precision="float32", progress=Silent())
    hidden, mask = features.padded(range(20))
    whole_ids, whole_mask = right_padded(ids, compute.device)
    with torch.no_grad():
        assert torch.equal(mask, whole_mask)
        expected = model(whole_ids, mask=whole_mask)
        assert torch.allclose(LastBlock(model)(hidden, mask), expected, atol=1e-5)
        alone = [model(torch.tensor([row])) for row in ids]
        assert torch.allclose(torch.cat(alone), expected, atol=1e-5)


def test_bf16_features_are_those_of_float32_but_for_rounding(open_base: OpenBase, compute: Compute) -> None:
    transformer = classifier_from(open_base(), ("ham", "spam"), CONFIG).transformer
    exact, rough = (FrozenBlocks(transformer, 1, compute).run([[1, 2, 3], [4]], bf16=bf16) for bf16 in (False, True))
    assert not torch.equal(exact, rough) and torch.allclose(exact, rough, atol=0.05, rtol=0.05)
    assert exact.dtype == rough.dtype == torch.float32


def test_features_belong_to_their_weights_and_ids(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    model = classifier_from(open_base(), ("ham", "spam"), CONFIG)
    rows, lengths, file = [[1, 2, 3], [4]], [3, 1], tmp_path / "features"
    frozen = FrozenBlocks(model.transformer, 1, compute)
    features = keep_features(file, frozen, rows, precision="auto", progress=Silent())
    again = read_features(file, features.fingerprint, lengths)
    assert again is not None and torch.equal(again.hidden, features.hidden)
    assert frozen.fingerprint([[1, 2, 3], [5]]) != features.fingerprint
    with torch.no_grad():
        model.transformer.embedding.weight[0, 0] += 1
    assert frozen.fingerprint(rows) != features.fingerprint
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert read_features(file, features.fingerprint, lengths) is None  # altered: computed anew
    file.write_bytes(data[:50])
    assert read_features(file, features.fingerprint, lengths) is None


class StopsTraining(Silent):
    """A Progress whose reader presses Ctrl-C when the first training steps are done."""

    @contextmanager
    def track(self, what: str, total: float, unit: str = ""):  # type: ignore[no-untyped-def]
        done, third = 0.0, total / 3

        def advance(amount: float = 1, note: str = "", total: float | None = None) -> None:
            nonlocal done
            done += amount
            if what == "training" and done >= third:
                raise KeyboardInterrupt

        shown: Advance = advance
        yield shown


def test_features_that_memory_would_not_hold_are_refused_before_they_are_computed(
    base_model: Classifier, compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base_model.requires_grad_(False)
    frozen, rows = FrozenBlocks(base_model.transformer, 1, compute), [[1, 2, 3]] * 50
    needed = 150 * base_model.transformer.config.width * 4
    monkeypatch.setattr("groundup.finetune.features.machine_memory_bytes", lambda: 2 * needed - 2)
    monkeypatch.setattr("groundup.finetune.features.compute_features", None)
    with pytest.raises(DataError, match="hidden states of 50 texts .150 tokens"):
        keep_features(tmp_path / "f", frozen, rows, precision="float32", progress=Silent())


def test_a_stopped_run_goes_on_to_the_same_weights_with_the_kept_features(
    finished: Path, open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "spam")
    with pytest.raises(KeyboardInterrupt):
        fit_classifier(open_base(), splits, run, CONFIG, compute=compute, progress=StopsTraining())
    features = run.path / FEATURES_FILE
    before = features.stat().st_mtime_ns
    said: list[str] = []
    progress = Silent()
    progress.say = said.append  # type: ignore[method-assign]
    fit_classifier(open_base(), splits, run, CONFIG, compute=compute, progress=progress)
    assert any("read from features.safetensors" in line for line in said) and before
    assert not features.exists()
    verify_folder(run.path)
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (run.path, finished))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_finished_run_is_only_read_and_another_one_refused(
    finished: Path, open_base: OpenBase, splits: Splits, compute: Compute
) -> None:
    run = RunFolder(finished)
    changed = (finished / "model.safetensors").stat().st_mtime_ns
    assert fit_classifier(open_base(), splits, run, CONFIG, compute=compute) == run.read_results()
    assert (finished / "model.safetensors").stat().st_mtime_ns == changed
    with pytest.raises(ConfigError, match="epochs was 16 and is 3"):
        fit_classifier(open_base(), splits, run, ClassifierConfig(epochs=3), compute=compute)
    fewer = {**splits, "train": splits["train"][:90]}
    with pytest.raises(ConfigError, match="inputs"):
        fit_classifier(open_base(), fewer, run, CONFIG, compute=compute)


def test_the_base_model_is_left_as_it_was(
    open_base: OpenBase, splits: Splits, compute: Compute, base_model: Classifier, tmp_path: Path
) -> None:
    opened = open_base()
    config = ClassifierConfig(epochs=1, learning_rate=1e-2)
    fit_classifier(opened, splits, RunFolder(tmp_path / "run"), config, compute=compute)
    for name, tensor in base_model.state_dict().items():
        assert torch.equal(opened.model.state_dict()[name], tensor), name


def test_baselines_stand_beside_it(
    finished: Path, open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    results = fit_classifier(open_base(), splits, run, ClassifierConfig(epochs=1), compute=compute)
    whole = add_baselines(results, open_base(), splits, run, zero_shot_items=30, compute=compute)
    assert whole["models"][0]["name"] == OURS and len(whole["models"]) == 5
    assert [row["accuracy"]["n"] for row in whole["models"]] == [70, 70, 70, 70, 30]
    assert {row["accuracy"]["n"] for row in whole["same_messages"]} == {30}
    assert (whole["zero_shot"]["asked"], whole["zero_shot"]["of"]) == (30, 70)
    verify_folder(run.path)
    assert run.read_results() == json.loads(json.dumps(whole))


def test_a_base_model_that_can_not_be_asked_is_left_out(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    run, opened = RunFolder(tmp_path / "run"), open_base()
    short = replace(opened.config, context_tokens=40)
    narrow = LanguageModel(short)
    narrow.load_state_dict(opened.model.state_dict())
    opened = OpenModel(narrow.eval(), opened.tokenizer, short, Path("narrow"), "language")
    results = fit_classifier(opened, splits, run, ClassifierConfig(epochs=1), compute=compute)
    said: list[str] = []
    progress = Silent()
    progress.say = said.append  # type: ignore[method-assign]
    whole = add_baselines(results, opened, splits, run, compute=compute, progress=progress)
    assert len(whole["models"]) == 4 and "context of 40" in said[0]


def test_what_can_not_be_learned_is_refused_before_any_work(
    open_base: OpenBase, splits: Splits, compute: Compute, finished: Path, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    ham_only = {name: [e for e in split if e.label == "ham"] for name, split in splits.items()}
    with pytest.raises(DataError, match="'ham'"):
        fit_classifier(open_base(), ham_only, run, CONFIG, compute=compute)
    with pytest.raises(DataError, match="no test"):
        fit_classifier(open_base(), {**splits, "test": []}, run, CONFIG, compute=compute)
    with pytest.raises(DataError, match="'eggs'"):
        fit_classifier(open_base(), {**splits, "test": [Example("a", "eggs")]}, run, CONFIG, compute=compute)
    with pytest.raises(ConfigError, match="positive"):
        fit_classifier(open_base(), splits, run, ClassifierConfig(positive="eggs"), compute=compute)
    with pytest.raises(ModelError, match="classifier already"):
        fit_classifier(open_model(finished, compute), splits, run, CONFIG, compute=compute)
    with pytest.raises(ConfigError, match="epochs"):
        ClassifierConfig(epochs=0)
    with pytest.raises(ConfigError, match="'next_token' is not known for a classifier"):
        ClassifierConfig(loss="next_token")
    assert not run.path.exists()


def test_an_altered_finished_run_is_refused(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    run, config = RunFolder(tmp_path / "run"), ClassifierConfig(epochs=1)
    fit_classifier(open_base(), splits, run, config, compute=compute)
    file = run.path / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(FormatError, match="sha256"):
        fit_classifier(open_base(), splits, run, config, compute=compute)
