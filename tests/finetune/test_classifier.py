"""A language model becomes a classifier: what learns, what stays, what is kept, and what comes back from disk."""

import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from groundup.cache import entries
from groundup.data.documents import Example
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.padded_batch import (
    class_scores,
    classifier_ids,
    classifier_windows,
    pad_right,
)
from groundup.errors import ConfigError, DataError, FormatError, ModelError
from groundup.files import verify_folder
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.classifier_baselines import add_baselines
from groundup.finetune.classifier_results import OURS
from groundup.finetune.classifier_training import LEARNING_RATES, classifier_from
from groundup.finetune.config import ClassifierConfig
from groundup.finetune.features import FeatureStore, FrozenBlocks, keep_features
from groundup.finetune.further_trainings import RATES_FOLDER
from groundup.finetune.messages import Messages
from groundup.finetune.trainable_parts import IdInputs, LastBlock, WholeModel, scores_of
from groundup.model.heads import Classifier, LanguageModel
from groundup.progress import Advance, Silent
from groundup.runs import RunFolder, read_lines
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import ModelCard, OpenModel, open_model

Splits = dict[str, list[Example]]
OpenBase = Callable[[], OpenModel]
CONFIG = ClassifierConfig(
    train="last-block", epochs=16, learning_rate=5e-3, max_tokens=48, precision="float32"
)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    base_model: Classifier,
    tokenizer: Tokenizer,
    splits: Splits,
) -> Path:
    folder = tmp_path_factory.mktemp("run") / "spam"
    opened = OpenModel(base_model, tokenizer, base_model.config, Path("base"), "language")  # type: ignore[arg-type]
    card = ModelCard("tiny spam", data=(("toy messages", "none"),))
    fit_classifier(
        opened, splits, RunFolder(folder), CONFIG, compute=Compute(torch.device("cpu")), card=card
    )
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


def test_everything_below_the_last_block_stays_bit_for_bit(
    finished: Path, base_model: Classifier
) -> None:
    saved = open_model(finished, Compute(torch.device("cpu"))).model.state_dict()
    for name, tensor in base_model.state_dict().items():
        learns = ".blocks.1." in name or "final_norm" in name
        assert torch.equal(saved[name], tensor) is not learns, name


def test_the_saved_folder_classifies_as_it_was_measured(
    finished: Path, splits: Splits, compute: Compute
) -> None:
    opened = open_model(finished, compute)
    assert (opened.kind, opened.labels, opened.config.context_tokens) == (
        "classifier",
        ("ham", "spam"),
        48,
    )
    found = Engine(opened, compute).classify([example.text for example in splits["test"]])
    results = RunFolder(finished).read_results()
    assert [next(iter(each)) for each in found] == results["predictions"][OURS]
    by_text = {example.text: each for example, each in zip(splits["test"], found, strict=True)}
    for shown in results["examples"]:
        assert by_text[shown["text"]][shown["predicted"]] == pytest.approx(
            shown["probability"], abs=1e-4
        )


def test_transformers_reads_the_same_scores(
    finished: Path, splits: Splits, compute: Compute
) -> None:
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
    assert (
        "toy messages" in card and "test accuracy (n = 70)" in card and "Labels: ham, spam." in card
    )


def test_cached_features_give_the_scores_of_the_whole_model(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    opened = open_base()
    model = classifier_from(opened, ("ham", "spam"), CONFIG, 48)
    ids = [
        classifier_ids(opened.require_tokenizer(), example.text, 48)
        for example in splits["test"][:20]
    ]
    frozen = FrozenBlocks(model.transformer, 1, compute)
    [features] = keep_features(
        [frozen], [[row] for row in ids], precision="float32", progress=Silent()
    )
    hidden, mask, texts = features.padded(range(20))
    whole_ids, whole_mask = pad_right(ids, compute.device)
    with torch.no_grad():
        assert torch.equal(mask, whole_mask)
        expected = model(whole_ids, mask=whole_mask)
        assert torch.allclose(LastBlock(model)(hidden, mask, texts), expected, atol=1e-5)
        alone = [model(torch.tensor([row])) for row in ids]
        assert torch.allclose(torch.cat(alone), expected, atol=1e-5)


def test_bf16_features_are_those_of_float32_but_for_rounding(
    open_base: OpenBase, compute: Compute
) -> None:
    transformer = classifier_from(open_base(), ("ham", "spam"), CONFIG, 48).transformer
    exact, rough = (
        FrozenBlocks(transformer, 1, compute).run([[1, 2, 3], [4]], bf16=bf16)
        for bf16 in (False, True)
    )
    assert not torch.equal(exact, rough) and torch.allclose(exact, rough, atol=0.05, rtol=0.05)
    assert exact.dtype == rough.dtype == torch.float32


def segments(frozen: FrozenBlocks) -> list[Path]:
    return sorted(FeatureStore.of(frozen.key, "float32").folder.glob("segment-*"))


def test_features_belong_to_their_weights_and_ids(
    open_base: OpenBase, compute: Compute, cache: Path
) -> None:
    model = classifier_from(open_base(), ("ham", "spam"), CONFIG, 48)
    texts = [[[1, 2, 3]], [[4]], [[1, 2, 3], [4]]]
    frozen = FrozenBlocks(model.transformer, 1, compute)
    [first] = keep_features([frozen], texts, precision="float32", progress=Silent())
    [again] = keep_features([frozen], texts[::-1], precision="auto", progress=Silent())
    assert (first.cached, again.cached, again.elapsed_s, again.precision) == (0, 2, 0.0, "float32")
    assert torch.equal(first.texts[0][0], again.texts[2][0]) and torch.equal(
        first.texts[2][1], again.texts[1][0]
    )
    assert first.lengths == (3, 1, 4) and first.plain()["bytes"] == 8 * 32 * 4
    assert frozen.fingerprint([[[1, 2, 3], [5]]]) != frozen.fingerprint([[[1, 2, 3]], [[5]]])
    [more] = keep_features([frozen], [[[5, 6], [4]]], precision="float32", progress=Silent())
    assert more.cached == 1 and len(segments(frozen)) == 2
    with torch.no_grad():
        model.transformer.embedding.weight[0, 0] += 1
    assert FrozenBlocks(model.transformer, 1, compute).key != frozen.key
    assert FrozenBlocks(model.transformer, 2, compute).key != frozen.key


@pytest.mark.parametrize(
    "damage", [lambda data: data[:50], lambda data: data[:-1] + bytes([data[-1] ^ 1])]
)
def test_a_damaged_segment_is_computed_anew_to_the_same_bits(
    damage: Callable[[bytes], bytes], open_base: OpenBase, compute: Compute, cache: Path
) -> None:
    frozen, rows = (
        FrozenBlocks(classifier_from(open_base(), ("a", "b"), CONFIG, 48).transformer, 1, compute),
        [[[1, 2], [4]]],
    )
    first = [
        row.clone()
        for row in keep_features([frozen], rows, precision="float32", progress=Silent())[0].texts[0]
    ]
    (file,) = segments(frozen)
    file.write_bytes(damage(file.read_bytes()))
    [again] = keep_features([frozen], rows, precision="float32", progress=Silent())
    assert again.cached == 0 and all(
        torch.equal(a, b) for a, b in zip(first, again.texts[0], strict=True)
    )


def test_what_a_killed_run_had_computed_is_not_computed_again(
    open_base: OpenBase, compute: Compute, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.finetune.features.SEGMENT_TOKENS", 8)
    frozen = FrozenBlocks(
        classifier_from(open_base(), ("a", "b"), CONFIG, 48).transformer, 1, compute
    )
    rows = [[[place, *range(place % 4)] for place in range(12)]]
    whole = [
        row.clone()
        for row in keep_features([frozen], rows, precision="float32", progress=Silent())[0].texts[0]
    ]
    files = segments(frozen)
    assert len(files) > 3
    for file in files[1:]:
        file.unlink()
    [again] = keep_features([frozen], rows, precision="float32", progress=Silent())
    assert 0 < again.cached < 12 and all(
        torch.equal(a, b) for a, b in zip(whole, again.texts[0], strict=True)
    )
    assert segments(frozen) == files


def test_kept_features_are_listed_and_pruned(
    open_base: OpenBase, compute: Compute, cache: Path
) -> None:
    frozen = FrozenBlocks(
        classifier_from(open_base(), ("a", "b"), CONFIG, 48).transformer, 1, compute
    )
    keep_features([frozen], [[[1, 2]]], precision="float32", progress=Silent())
    (entry,) = (each for each in entries() if each.kind == "features")
    assert entry.num_bytes > 256 and entry.in_use in (True, False)


def test_the_learning_rate_is_chosen_on_validation_alone(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path, cache: Path
) -> None:
    run, config = RunFolder(tmp_path / "run"), replace(CONFIG, epochs=2, learning_rate=None)
    results = fit_classifier(open_base(), splits, run, config, compute=compute)
    tried = results.learning_rates
    assert {each["learning_rate"] for each in tried} == set(LEARNING_RATES["last-block"])
    assert (
        results.learning_rate
        == min(tried, key=lambda each: each["validation_loss"])["learning_rate"]
    )
    assert not (run.path / RATES_FOLDER).exists()
    turned = {
        **splits,
        "test": [Example(e.text, "ham" if e.label == "spam" else "spam") for e in splits["test"]],
    }
    other = fit_classifier(
        open_base(), turned, RunFolder(tmp_path / "other"), config, compute=compute
    )
    assert other.learning_rates == tried and other.validation == results.validation
    assert other.features["cached"] == len(
        {tuple(e.text.split()) for s in splits.values() for e in s}
    )


def test_the_untrained_head_is_never_kept_and_it_is_said_where_no_epoch_is_better(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    said: list[str] = []
    progress = Silent()
    progress.say = said.append  # type: ignore[method-assign]
    spam = {split: [each for each in splits[split] if each.label == "spam"] for split in splits}
    ham = {split: [each for each in splits[split] if each.label == "ham"] for split in splits}
    unlike = {
        **splits,
        "train": ham["train"] + spam["train"][:4],
        "validation": ham["validation"][:1] + spam["validation"],
    }
    run, config = RunFolder(tmp_path / "run"), replace(CONFIG, epochs=2)
    results = fit_classifier(open_base(), unlike, run, config, compute=compute, progress=progress)
    first, *others = (
        line for line in read_lines(run.metrics_file) if line.get("event") == "evaluation"
    )
    assert first["step"] == 0 and first["validation_loss"] < min(
        each["validation_loss"] for each in others
    )
    assert results.best_step > 0
    (told,) = [line for line in said if "untrained classifier" in line]
    assert f"({first['validation_loss']:.3f})" in told and f"step {results.best_step} (" in told

    said.clear()
    usual = RunFolder(tmp_path / "usual")
    fit_classifier(open_base(), splits, usual, config, compute=compute, progress=progress)
    assert not any("untrained classifier" in line for line in said)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


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


def test_a_stopped_run_goes_on_to_the_same_weights_with_the_kept_features(
    finished: Path, open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "spam")
    with pytest.raises(KeyboardInterrupt):
        fit_classifier(open_base(), splits, run, CONFIG, compute=compute, progress=StopsTraining())
    said: list[str] = []
    progress = Silent()
    progress.say = said.append  # type: ignore[method-assign]
    fit_classifier(open_base(), splits, run, CONFIG, compute=compute, progress=progress)
    assert any("windows read from the cache" in line for line in said)
    verify_folder(run.path)
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (run.path, finished))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_a_choice_of_the_rate_that_was_stopped_ends_as_one_that_was_not(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    config, runs = (
        replace(CONFIG, epochs=3, learning_rate=None),
        [RunFolder(tmp_path / name) for name in ("a", "b")],
    )
    whole = fit_classifier(open_base(), splits, runs[0], config, compute=compute)
    with pytest.raises(KeyboardInterrupt):
        fit_classifier(
            open_base(), splits, runs[1], config, compute=compute, progress=StopsTraining()
        )
    assert (runs[1].path / RATES_FOLDER).exists()
    again = fit_classifier(open_base(), splits, runs[1], config, compute=compute)
    assert (again.learning_rates, again.test) == (whole.learning_rates, whole.test)


def test_a_finished_run_is_only_read_and_another_one_refused(
    finished: Path, open_base: OpenBase, splits: Splits, compute: Compute
) -> None:
    run = RunFolder(finished)
    changed = (finished / "model.safetensors").stat().st_mtime_ns
    assert (
        fit_classifier(open_base(), splits, run, CONFIG, compute=compute).plain()
        == run.read_results()
    )
    assert (finished / "model.safetensors").stat().st_mtime_ns == changed
    with pytest.raises(ConfigError, match="epochs was 16 and is 3"):
        fit_classifier(
            open_base(),
            splits,
            run,
            ClassifierConfig(train="last-block", epochs=3),
            compute=compute,
        )
    fewer = {**splits, "train": splits["train"][:90]}
    with pytest.raises(ConfigError, match="inputs"):
        fit_classifier(open_base(), fewer, run, CONFIG, compute=compute)


def test_the_base_model_is_left_as_it_was(
    open_base: OpenBase, splits: Splits, compute: Compute, base_model: Classifier, tmp_path: Path
) -> None:
    opened = open_base()
    config = ClassifierConfig(train="last-block", epochs=1, learning_rate=1e-2)
    fit_classifier(opened, splits, RunFolder(tmp_path / "run"), config, compute=compute)
    for name, tensor in base_model.state_dict().items():
        assert torch.equal(opened.model.state_dict()[name], tensor), name


def test_baselines_stand_beside_it(
    finished: Path, open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    config = ClassifierConfig(train="last-block", epochs=1, learning_rate=5e-4)
    results = fit_classifier(open_base(), splits, run, config, compute=compute)
    whole = add_baselines(results, open_base(), splits, run, config, items=30, compute=compute)
    assert whole.models[0]["name"] == OURS and len(whole.models) == 5
    assert [row["accuracy"]["n"] for row in whole.models] == [70, 70, 70, 70, 30]
    assert {row["accuracy"]["n"] for row in whole.same_messages} == {30}
    assert (whole.zero_shot["asked"], whole.zero_shot["of"]) == (30, 70)
    verify_folder(run.path)
    assert run.read_results() == json.loads(json.dumps(whole.plain()))


def test_a_base_model_that_can_not_be_asked_is_left_out(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    run, opened = RunFolder(tmp_path / "run"), open_base()
    short = replace(opened.config, context_tokens=40)
    narrow = LanguageModel(short)
    narrow.load_state_dict(opened.model.state_dict())
    opened = OpenModel(narrow.eval(), opened.tokenizer, short, Path("narrow"), "language")
    config = ClassifierConfig(train="last-block", epochs=1, learning_rate=5e-4)
    results = fit_classifier(opened, splits, run, config, compute=compute)
    said: list[str] = []
    progress = Silent()
    progress.say = said.append  # type: ignore[method-assign]
    whole = add_baselines(results, opened, splits, run, config, compute=compute, progress=progress)
    assert len(whole.models) == 4 and "context of 40" in said[0]


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
        fit_classifier(
            open_base(), {**splits, "test": [Example("a", "eggs")]}, run, CONFIG, compute=compute
        )
    with pytest.raises(ConfigError, match="positive"):
        fit_classifier(
            open_base(),
            splits,
            run,
            ClassifierConfig(train="last-block", positive="eggs"),
            compute=compute,
        )
    with pytest.raises(
        ModelError, match="is a classifier; a classifier is made of a language model"
    ):
        fit_classifier(open_model(finished, compute), splits, run, CONFIG, compute=compute)
    with pytest.raises(ConfigError, match="epochs"):
        ClassifierConfig(train="last-block", epochs=0)
    with pytest.raises(ConfigError, match="'next_token' is not known for a classifier"):
        ClassifierConfig(loss="next_token")
    assert not run.path.exists()


def test_an_altered_finished_run_is_refused(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    run, config = (
        RunFolder(tmp_path / "run"),
        ClassifierConfig(train="last-block", epochs=1, learning_rate=5e-4),
    )
    fit_classifier(open_base(), splits, run, config, compute=compute)
    file = run.path / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(FormatError, match="sha256"):
        fit_classifier(open_base(), splits, run, config, compute=compute)


LONG: dict[str, Any] = {"epochs": 6, "learning_rate": 5e-3, "max_tokens": 8, "precision": "float32"}


def test_a_signal_behind_the_first_window_is_learned_and_read_the_same_from_disk(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    """The word that makes spam stands at the end of messages that are longer than a window."""
    late = {
        split: [
            Example(
                f"{e.text.replace('prize', 'call')} {'prize' if e.label == 'spam' else 'over'}",
                e.label,
            )
            for e in each
        ]
        for split, each in splits.items()
    }
    results = {}
    for windows in (1, 8):
        run = RunFolder(tmp_path / str(windows))
        results[windows] = fit_classifier(
            open_base(),
            late,
            run,
            ClassifierConfig(train="last-block", windows=windows, **LONG),
            compute=compute,
        )
    assert results[8].test["accuracy"]["value"] > 0.9 > results[1].test["accuracy"]["value"]
    assert (
        results[1].lengths["cut"] > 200
        and results[8].lengths["cut"] == 0 < results[8].lengths["several"]
    )
    opened = open_model(tmp_path / "8", compute)
    assert opened.decision.windows == 8 and opened.config.context_tokens == 8
    found = Engine(opened, compute).classify([example.text for example in late["test"]])
    assert [next(iter(each)) for each in found] == results[8].predictions[OURS]


@pytest.mark.slow
@pytest.mark.parametrize("train", ["head", "lora", "all"])
def test_more_or_less_than_the_last_block_learns(
    train: str,
    open_base: OpenBase,
    splits: Splits,
    compute: Compute,
    tmp_path: Path,
    base_model: LanguageModel,
) -> None:
    opened, run = open_base(), RunFolder(tmp_path / "run")
    config = replace(CONFIG, train=train, epochs=2, learning_rate=3e-3)  # type: ignore[arg-type]
    results = fit_classifier(opened, splits, run, config, compute=compute)
    saved, before = open_model(run.path, compute).model.state_dict(), base_model.state_dict()
    changed = {name for name in before if not torch.equal(saved[name], before[name])}
    blocks = {name for name in changed if ".blocks.0." in name}
    assert bool(blocks) is (train != "head") and ("transformer.embedding.weight" in changed) is (
        train == "all"
    )
    assert all(
        torch.equal(tensor, before[name]) for name, tensor in opened.model.state_dict().items()
    )
    assert results.trained == train and (results.features is None) is (train != "head")
    labels = [
        next(iter(e))
        for e in Engine(open_model(run.path, compute), compute).classify(
            [e.text for e in splits["test"]]
        )
    ]
    same = sum(a == b for a, b in zip(labels, results.predictions[OURS], strict=True))
    assert same >= 69, "adapters are merged: the last bits may differ"


def test_the_whole_model_and_the_cached_last_block_have_the_same_scores(
    open_base: OpenBase, splits: Splits, compute: Compute
) -> None:
    opened = open_base()
    model = classifier_from(opened, ("ham", "spam"), CONFIG, 6)
    texts = [
        classifier_windows(opened.require_tokenizer(), e.text, 6, 8) for e in splits["test"][:20]
    ]
    assert max(map(len, texts)) > 1 and all(len(row) <= 6 for windows in texts for row in windows)
    [features] = keep_features(
        [FrozenBlocks(model.transformer, 1, compute)], texts, precision="float32", progress=Silent()
    )
    cached = scores_of(LastBlock(model), features, range(20), device=compute.device)
    whole = scores_of(WholeModel(model), IdInputs("key", texts), range(20), device=compute.device)
    assert torch.allclose(cached, whole, atol=1e-5)
    assert torch.allclose(class_scores(model, texts, compute=compute), whole, atol=1e-5)


def test_a_rare_label_weighs_as_much_as_a_common_one_where_that_is_asked_for(
    splits: Splits,
) -> None:
    messages = Messages.of(splits, None)
    assert messages.class_weights(balanced=False) == [1.0, 1.0]
    ham, spam = messages.class_weights(balanced=True)
    assert (ham, spam) == (0.75, 1.5) and (120 * ham + 60 * spam) / 180 == 1.0


def test_costs_and_an_accuracy_make_a_decision_that_the_folder_keeps(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    config = replace(CONFIG, epochs=4, cost_false_alarm=5, cost_miss=1, abstain=0.95)
    results = fit_classifier(open_base(), splits, run, config, compute=compute)
    decision = open_model(run.path, compute).decision
    assert decision.positive == "spam" and decision.threshold == pytest.approx(5 / 6)
    assert (
        json.loads((run.path / "classifier.json").read_text())["temperature"]
        == decision.temperature
    )
    assert results.decision["abstain_below"] == decision.abstain_below
    assert (
        0 <= results.calibration["error"] <= 1
        and sum(each["n"] for each in results.calibration["bins"]) == 70
    )
    assert results.costs["cost"] == pytest.approx(
        (5 * results.costs["false_alarms"] + results.costs["misses"]) / 70
    )
    assert results.coverage["curve"][0]["coverage"] == 1.0
    found = Engine(open_model(run.path, compute), compute).classify(
        [e.text for e in splits["test"]]
    )
    assert [decision.label(each) for each in found] == results.predictions[OURS]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cost_miss": 0.0}, "cost_miss"),
        ({"abstain": 1.0}, "abstain"),
        ({"train": "tail"}, "train"),
        ({"windows": 0}, "windows"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ClassifierConfig(**settings)
