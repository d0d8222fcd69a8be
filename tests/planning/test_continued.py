"""Continued pretraining: from a model's weights, with its shape and tokenizer; replay has its share; what can't be meant is one sentence."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

import groundup
from groundup.cli.main import main
from groundup.cli.pretrain import summarise
from groundup.data.batches.mixture_config import MixtureConfig
from groundup.data.preparation.trained_on import read_trained_on
from groundup.device import Compute
from groundup.errors import ConfigError, GroundupError, ModelError
from groundup.model.heads import Classifier, LanguageModel
from groundup.model.lora import add_lora, lora_parameters, lora_weights, merge_lora
from groundup.planning.pretrain_options import replay_shares
from groundup.planning.reproduce import reproduce
from groundup.progress import Advance, Silent
from groundup.runs import RunFolder
from groundup.weights.adapter import Adapter, base_hashes, write_adapter
from groundup.weights.formats import export
from groundup.weights.model_io import open_model, save_model

CPU = Compute(torch.device("cpu"))
SMALL = {
    "model.width": 16,
    "model.num_layers": 1,
    "model.num_heads": 2,
    "model.num_kv_heads": 1,
    "model.context_tokens": 32,
    "model.vocab_size": 280,
    "fit.precision": "float32",
    "fit.batch_size": 2,
}
SHORT = {"fit.precision": "float32", "fit.batch_size": 2, "model.context_tokens": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of text, and a model of the first in `base`."""
    root = tmp_path_factory.mktemp("continued")
    for kind, line in (
        ("general", "The fox and the hen sang of the sea. "),
        ("own", "Invoice 47: nine crates of rope. "),
    ):
        (root / kind).mkdir()
        for number in range(40):
            (root / kind / f"{number}.txt").write_text(f"{kind} {number}. " + line * 20)
    groundup.pretrain(
        root / "general",
        root / "base",
        groundup.PretrainConfig(steps=20, settings=SMALL),
        device="cpu",
    )
    return root


def config_of(given: dict[str, Any]) -> groundup.PretrainConfig:
    """The config with these fields, those of its parts among them."""
    parts = {
        "model": (groundup.ModelShape, ("size", "depth", "preset")),
        "start": (groundup.ContinuedTraining, ("init_from", "replay", "general")),
        "texts": (groundup.TextPreparation, ("tokenizer",)),
        "mixture": (groundup.SourceShares, ("mixture", "max_epochs_per_source")),
    }
    given = dict(given)
    made = {
        part: kind(**{name: given.pop(name) for name in names if name in given})
        for part, (kind, names) in parts.items()
    }
    return groundup.PretrainConfig(**given, **made)


def go_on(folder: Path, out: Path, **changes: Any) -> groundup.PretrainResults:
    given = {"init_from": folder / "base", "steps": 6, "settings": SHORT, **changes}
    fresh, progress = given.pop("fresh", False), given.pop("progress", None)
    config = config_of(given)
    return groundup.pretrain(
        folder / "own", out, config, device="cpu", fresh=fresh, progress=progress
    )


def test_training_goes_on_from_the_weights_shape_and_tokenizer_of_the_model(
    folder: Path, tmp_path: Path
) -> None:
    results = go_on(folder, tmp_path / "run")
    before, after = (open_model(path, CPU) for path in (folder / "base", tmp_path / "run"))
    assert after.config == before.config, (
        "the rows were of 16 tokens, the model's context is its own"
    )
    assert after.require_tokenizer().fingerprint == before.require_tokenizer().fingerprint
    start = results.start
    assert start["model"] == str(folder / "base") and len(start["weights"]) == 64
    assert results.bits_per_byte < start["before"]["bits_per_byte"]
    fit = RunFolder(tmp_path / "run").read_run()["config"]["fit"]
    assert (fit["optimizer"]["name"], fit["optimizer"]["learning_rate"]) == ("adamw", 2e-4)
    assert fit["initial_weights"] == start["weights"]
    card = (tmp_path / "run/README.md").read_text()
    assert (
        "Continued training of" in card
        and f"base_model: {json.dumps(str(folder / 'base'))}" in card
    )
    known = read_trained_on(tmp_path / "run"), read_trained_on(folder / "base")
    assert known[0] and known[1] and known[0].hashes > known[1].hashes, (
        "the texts of both are known"
    )
    general = results.forgetting["general"]
    assert general["difference"]["value"] == pytest.approx(general["after"] - general["before"])
    assert any(line.startswith("general text: ") for line in summarise(results, tmp_path / "run"))
    assert go_on(folder, tmp_path / "run") == results, "the same command only reads it"


@pytest.mark.slow
def test_training_goes_on_from_a_gguf_file(folder: Path, tmp_path: Path) -> None:
    file = export(
        open_model(folder / "base", CPU), "gguf", tmp_path / "base.gguf", quantization="f32"
    )
    found, expected = (
        go_on(folder, tmp_path / name, init_from=start, steps=3)
        for name, start in (("a", file), ("b", folder / "base"))
    )
    assert found.start["model"] == str(file)
    assert found.start["before"] == pytest.approx(expected.start["before"], abs=1e-5)
    assert found.bits_per_byte == pytest.approx(expected.bits_per_byte, abs=1e-4)
    assert open_model(tmp_path / "a", CPU).require_tokenizer().encode("Invoice 47") == open_model(
        folder / "base", CPU
    ).require_tokenizer().encode("Invoice 47")


@pytest.mark.slow
def test_training_goes_on_from_an_adapter_as_from_its_merged_model(
    folder: Path, tmp_path: Path
) -> None:
    opened = open_model(folder / "base", CPU)
    assert isinstance(opened.model, LanguageModel)
    hashes = base_hashes(opened.model)
    add_lora(opened.model, rank=2, alpha=4.0, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for place, parameter in enumerate(lora_parameters(opened.model)):
            parameter.normal_(0, 0.1, generator=torch.Generator().manual_seed(place))
    adapter = Adapter(lora_weights(opened.model), str(folder / "base"), hashes)
    write_adapter(adapter, opened.model.config, tmp_path / "adapter", opened.require_tokenizer())
    merge_lora(opened.model)
    save_model(opened.model, tmp_path / "merged", opened.require_tokenizer())
    found, expected = (
        go_on(folder, tmp_path / f"from-{name}", init_from=tmp_path / name, steps=3)
        for name in ("adapter", "merged")
    )
    assert found.start["before"] == pytest.approx(expected.start["before"], abs=1e-5)
    assert found.bits_per_byte == pytest.approx(expected.bits_per_byte, abs=1e-4)
    assert (tmp_path / "from-adapter/model.safetensors").is_file(), (
        "the whole model was trained, and is written"
    )


def test_a_run_at_a_rate_of_nearly_nothing_keeps_the_weights(folder: Path, tmp_path: Path) -> None:
    go_on(
        folder, tmp_path / "run", steps=1, settings={**SHORT, "fit.optimizer.learning_rate": 1e-9}
    )
    models = [open_model(path, CPU).model for path in (folder / "base", tmp_path / "run")]
    for (name, first), second in zip(
        models[0].named_parameters(), models[1].parameters(), strict=True
    ):
        assert torch.allclose(first, second, atol=1e-6), name


@pytest.mark.slow
def test_another_starting_model_is_another_run(folder: Path, tmp_path: Path) -> None:
    go_on(folder, tmp_path / "one", steps=2)
    with pytest.raises(ConfigError, match="initial_weights was .* and is "):
        go_on(folder, tmp_path / "one", steps=2, init_from=_other(folder, tmp_path))


def _other(folder: Path, tmp_path: Path) -> Path:
    go_on(folder, tmp_path / "other", steps=3)
    return tmp_path / "other"


def test_replayed_text_has_its_share_and_weights_are_chosen_by_the_own_text(
    folder: Path, tmp_path: Path
) -> None:
    results = go_on(folder, tmp_path / "run", steps=8, replay=[f"{folder / 'general'}=0.25"])
    read = {each["name"]: each["wanted"] for each in results.sources}
    assert read == {"own": 0.75, "general": 0.25}
    own = results.figures.get(f"bits_per_byte:{folder / 'own'}")
    assert own is None or own == pytest.approx(results.bits_per_byte)
    assert results.start["before"]["bits_per_byte"] > results.bits_per_byte


@pytest.mark.slow
def test_a_continued_run_is_reproduced_from_its_folder(folder: Path, tmp_path: Path) -> None:
    go_on(folder, tmp_path / "run", replay={str(folder / "general"): 0.25})
    again = reproduce(
        RunFolder(tmp_path / "run"), RunFolder(tmp_path / "again"), CPU, Silent(), fresh=False
    )
    assert again.same_weights is True


def test_the_plan_names_the_model_and_expects_nothing_of_the_law(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [part for name, value in SHORT.items() for part in ("--set", f"{name}={value}")]
    model = str(folder / "base")
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "plan",
                str(folder / "own"),
                "--from",
                model,
                "--epochs",
                "1",
                "--device",
                "cpu",
                "--json",
                *sets,
            ]
        )
    plan = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0 and plan["start"] == model and plan["expected"] is None
    assert (plan["width"], plan["context_tokens"], plan["learning_rate"]) == (16, 16, 2e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": "1M"}, "`size` can't be given beside `init_from`"),
        ({"tokenizer": "tok"}, "`tokenizer` can't be given beside `init_from`"),
        ({"law": "law"}, "`law` can't be given beside `init_from`"),
        ({"settings": {"model.width": 32}}, "model.width can't be given beside `init_from`"),
        ({"settings": {"model.context_tokens": 64}}, "context_tokens must be 1 to 32"),
        ({"settings": {"fit.initial_weights": "x"}}, "fit.initial_weights is not the hash"),
        (
            {"init_from": None, "replay": "general.txt"},
            "Replay is for a model whose training is continued",
        ),
        ({"replay": "general.txt=2"}, "must be above 0 and below 1 .got 2"),
        ({"replay": ["a=0.6", "b=0.6"]}, "the shares of the replay must be below 1 together"),
        (
            {"init_from": None, "general": "general.txt"},
            "Forgetting is measured of a model whose training is continued",
        ),
        ({"general": "no-such-file.txt"}, "no-such-file.txt"),
        ({"init_from": "no-such-model"}, "There is no model 'no-such-model'"),
    ],
)
def test_what_can_not_be_meant_is_refused_in_one_sentence(
    folder: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(GroundupError, match=said):
        go_on(folder, tmp_path / "run", **options)


def test_a_classifier_and_tokens_of_another_tokenizer_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    opened = open_model(folder / "base", CPU)
    classifier = Classifier(opened.config, num_labels=2)
    save_model(classifier, tmp_path / "spam", opened.require_tokenizer(), labels=("ham", "spam"))
    with pytest.raises(ModelError, match="is a classifier; this needs a language model"):
        go_on(folder, tmp_path / "run", init_from=tmp_path / "spam")
    changed = {"model.vocab_size": 300, "fit.precision": "float32"}
    groundup.pretrain(
        folder / "own",
        tmp_path / "else",
        groundup.PretrainConfig(steps=1, settings={**SMALL, **changed}),
        device="cpu",
    )
    with pytest.raises(ConfigError, match="made with another tokenizer than that of"):
        groundup.pretrain(
            tmp_path / "else/shards",
            tmp_path / "run",
            groundup.PretrainConfig(
                steps=1, start=groundup.ContinuedTraining(init_from=folder / "base")
            ),
            device="cpu",
        )


class StopsAtTest(Silent):
    """Interrupts the run when test is measured."""

    def track(self, what: str, total: float, unit: str = "") -> AbstractContextManager[Advance]:
        if what == "measuring on test":
            raise KeyboardInterrupt
        return super().track(what, total, unit)


@pytest.mark.slow
def test_a_stopped_run_ends_as_one_that_was_not(folder: Path, tmp_path: Path) -> None:
    expected = go_on(folder, tmp_path / "whole", steps=4)
    with pytest.raises(KeyboardInterrupt):
        go_on(folder, tmp_path / "run", steps=4, progress=StopsAtTest())
    found = go_on(folder, tmp_path / "run", steps=4)
    assert (found.test, found.start) == (expected.test, expected.start)


def test_a_run_is_not_its_own_start(folder: Path) -> None:
    with pytest.raises(ConfigError, match="is the model that the training starts from"):
        go_on(folder, folder / "base", fresh=True)
    assert (folder / "base/config.json").is_file()


def test_a_share_is_the_number_behind_the_last_sign() -> None:
    assert replay_shares(["a=b=0.2", "https://x/?q=books"]) == {
        "a=b": 0.2,
        "https://x/?q=books": 0.05,
    }
    with pytest.raises(ConfigError, match="replayed twice"):
        replay_shares(["a=0.2", "a"])


def test_shares_of_the_others_stay_as_the_mixture_has_them() -> None:
    tokens = {"letters": 300, "books": 100, "general": 10**6}
    assert MixtureConfig(replay={"general": 0.2}).shares(tokens) == pytest.approx(
        {"letters": 0.6, "books": 0.2, "general": 0.2}
    )
    assert (
        MixtureConfig(replay={"my/general.txt": 0.2}).describe()
        == "as they come, with a replay of 20 % general"
    )
    weighted = MixtureConfig({"letters": 1, "books": 1}, replay={"general": 0.5}).shares(tokens)
    assert weighted == {"letters": 0.25, "books": 0.25, "general": 0.5}
    with pytest.raises(ConfigError, match="other has no training text to be replayed"):
        MixtureConfig(replay={"other": 0.2}).shares(tokens)
