"""A classifier of several labels a text: what it learns, what the folder says, and who reads it."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import groundup
from groundup.cli.main import run
from groundup.data.documents import Example, MultiLabelExample
from groundup.data.reading.data import Data
from groundup.data.reading.example_splits import iterative_split
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.padded_batch import classifier_ids
from groundup.errors import ConfigError, DataError, FormatError, ModelError
from groundup.evaluate.comparison.run import evaluate_on, kind_of
from groundup.evaluate.task import HeldOut
from groundup.finetune.classifier import fit_classifier, messages_of
from groundup.finetune.classifier_baselines import ASKED, add_baselines
from groundup.finetune.classifier_results import OURS
from groundup.finetune.config import ClassifierConfig
from groundup.finetune.messages import Messages
from groundup.finetune.stacked import fit_linear
from groundup.finetune.trainable_parts import weights_of
from groundup.model.heads import Classifier, LanguageModel
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.steps.losses import label_set_loss
from groundup.weights.decision_rule import DECISION_FILE
from groundup.weights.model_io import ModelCard, OpenModel, open_model

WORDS = [
    "see",
    "you",
    "at",
    "the",
    "station",
    "call",
    "me",
    "when",
    "it",
    "is",
    "over",
    "we",
    "can",
    "meet",
    "later",
]
CONFIG = ClassifierConfig(
    train="last-block", epochs=20, learning_rate=5e-3, max_tokens=48, precision="float32"
)
Splits = dict[str, list[Example]]


def examples_of(n: int) -> list[Example]:
    """Texts of which a third has "prize" and a third "left", independent of each other."""
    draw, made = random.Random(2), []
    for _ in range(n):
        labels = [label for label in ("left", "prize") if draw.random() < 0.35]
        said = [*draw.choices(WORDS, k=draw.randint(4, 9)), *labels]
        draw.shuffle(said)
        made.append(MultiLabelExample.of(" ".join(said), labels))
    return list(made)


@pytest.fixture(scope="module")
def label_splits() -> Splits:
    return iterative_split(examples_of(330), {"train": 180, "validation": 60, "test": 80}, 0)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    base_model: LanguageModel,
    tokenizer: Tokenizer,
    label_splits: Splits,
) -> Path:
    folder = tmp_path_factory.mktemp("run") / "labels"
    opened = OpenModel(base_model, tokenizer, base_model.config, Path("base"), "language")
    compute = Compute(torch.device("cpu"))
    results = fit_classifier(
        opened, label_splits, RunFolder(folder), CONFIG, compute=compute, card=ModelCard("labels")
    )
    add_baselines(
        results, opened, label_splits, RunFolder(folder), CONFIG, items=30, compute=compute
    )
    return folder


def test_each_planted_signal_is_learned_by_itself(finished: Path, label_splits: Splits) -> None:
    results = RunFolder(finished).read_results()
    ours, *others = results["models"]
    assert ours["micro_f1"]["value"] > 0.9 and ours["exact_match"]["value"] > 0.85
    assert [row["label"] for row in ours["by_label"]] == ["left", "prize"]
    assert any(found == [] for found in results["predictions"][OURS])
    assert any(len(found) == 2 for found in results["predictions"][OURS])
    assert results["sizes"] == {"train": 180, "validation": 60, "test": 80}
    names = {row["name"] for row in others}
    assert {ASKED, "always the commonest labels"} < names and len(names) == 4
    assert (results["zero_shot"]["asked"], results["zero_shot"]["of"]) == (30, 80)
    assert all("lead" in row for row in others)
    json.dumps(results, allow_nan=False)


def test_the_folder_says_what_was_measured(
    finished: Path, label_splits: Splits, compute: Compute
) -> None:
    opened = open_model(finished, compute)
    assert opened.decision.multi_label and opened.labels == ("left", "prize")
    found = Engine(opened, compute).classify([example.text for example in label_splits["test"]])
    said = [sorted(opened.decision.labels(each)) for each in found]
    assert said == RunFolder(finished).read_results()["predictions"][OURS]


def test_transformers_opens_it_as_multi_label_with_the_same_logits(
    finished: Path, label_splits: Splits, compute: Compute
) -> None:
    from transformers import AutoModelForSequenceClassification

    theirs = AutoModelForSequenceClassification.from_pretrained(finished).eval()
    opened = open_model(finished, compute)
    assert isinstance(opened.model, Classifier)
    assert theirs.config.problem_type == "multi_label_classification"
    assert theirs.config.id2label == {0: "left", 1: "prize"}
    for example in label_splits["test"][:5]:
        ids = torch.tensor([classifier_ids(opened.require_tokenizer(), example.text, 48)])
        with torch.no_grad():
            logits = theirs(ids, labels=torch.tensor([[1.0, 0.0]])).logits
            assert torch.allclose(logits, opened.model(ids), atol=1e-4)


def test_a_decision_that_does_not_fit_the_config_is_refused(
    finished: Path, compute: Compute, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    (folder / "manifest.json").unlink()
    file = folder / DECISION_FILE
    values = json.loads(file.read_text())
    for wrong in (
        {"version": 1},
        {"thresholds": {"left": 0.5}},
        {"thresholds": {"left": 2, "prize": 0.5}},
    ):
        file.write_text(json.dumps({**values, **wrong}))
        with pytest.raises(FormatError):
            open_model(folder, compute)
    file.unlink()
    assert open_model(folder, compute).decision.thresholds == {"left": 0.5, "prize": 0.5}


def test_the_loss_is_binary_cross_entropy_with_the_weights_of_each_label() -> None:
    scores = torch.tensor([[2.0, -1.0], [0.5, 0.0]])

    class Batch:
        inputs = (scores,)
        labels = torch.tensor([[1, 0], [0, 1]])
        weights = weights_of(torch.tensor([[1.0, 3.0], [2.0, 5.0]]), labels)

    assert Batch.weights.tolist() == [[3.0, 2.0], [1.0, 5.0]]
    found = label_set_loss(torch.nn.Identity(), Batch)
    expected = F.binary_cross_entropy_with_logits(
        scores, Batch.labels.float(), weight=Batch.weights, reduction="sum"
    )
    assert found.count == 2 and torch.allclose(found.total, expected)


def test_balanced_weights_are_those_of_scikit_learn(label_splits: Splits) -> None:
    from sklearn.utils.class_weight import compute_class_weight

    messages = Messages.of(label_splits)
    truth = np.array([row[0] for row in messages.classes[:180]])
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=truth)
    assert messages.class_weights(balanced=True)[0] == pytest.approx(expected)
    assert messages.class_weights(balanced=False) == [(1.0, 1.0)] * 2


@pytest.mark.parametrize(
    "option",
    ["positive", "cost_miss", "abstain", "max_error", "learning_curve", "find_wrong_labels"],
)
def test_what_means_nothing_for_several_labels_is_refused_in_a_sentence(
    option: str, label_splits: Splits
) -> None:
    value: Any = {"positive": "left", "cost_miss": 3.0, "abstain": 0.9, "max_error": 0.1}.get(
        option, True
    )
    with pytest.raises(ConfigError, match=f"{option} does not apply to texts with several labels"):
        messages_of(label_splits, ClassifierConfig(**{option: value}))


def test_regressions_of_each_label_are_those_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(0)
    rows = draw.normal(size=(80, 5))
    present = (rows[:, :3] + draw.normal(size=(80, 3)) > 0.3).astype(int)
    present = np.hstack([present, np.ones((80, 1), int), np.zeros((80, 1), int)])
    classes = present[:60].tolist(), present[60:].tolist()
    weights = [(1.0, 1.0), (0.7, 2.0), (1.0, 1.0), (1.0, 1.0), (1.0, 1.0)]
    found = fit_linear((rows[:60], rows[60:]), classes, weights, (0.1, 1.0))
    scores = found.scores(rows[60:])
    for label in range(3):
        theirs = LogisticRegression(
            C=found.strength, max_iter=1000, class_weight=dict(enumerate(weights[label]))
        ).fit(rows[:60], present[:60, label])
        assert np.allclose(theirs.decision_function(rows[60:]), scores[:, label])
    assert (scores[:, 3] > 20).all() and (scores[:, 4] < -20).all()
    naive = -np.where(
        present[60:], np.log(1 / (1 + np.exp(-scores))), np.log(1 / (1 + np.exp(scores)))
    )
    assert found.loss == pytest.approx(naive.sum(axis=1).mean())


def test_a_stacked_classifier_of_several_labels_says_what_was_measured(
    base_model: LanguageModel,
    tokenizer: Tokenizer,
    label_splits: Splits,
    tmp_path: Path,
    compute: Compute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    opened = OpenModel(base_model, tokenizer, base_model.config, Path("base"), "language")
    run = RunFolder(tmp_path / "run")
    config = dataclasses.replace(CONFIG, train="auto", encoder="none", epochs=1)
    results = fit_classifier(
        opened, label_splits, run, config, compute=compute, card=ModelCard("labels")
    )
    assert results.tried is not None
    assert [each["train"] for each in results.tried] == ["last-block", "stacked"]
    assert results.trained == "stacked", "one epoch teaches the last block too little"
    assert results.test["micro_f1"]["value"] > 0.9 and results.plain_head is not None
    again = open_model(run.path, compute)
    assert again.stacked is not None and again.decision.multi_label
    found = groundup.open_model(run.path).classify([each.text for each in label_splits["test"]])
    assert [sorted(each["labels"]) for each in found] == results.predictions[OURS]
    assert "tried on the validation texts" in (run.path / "README.md").read_text()


def test_labels_that_no_training_text_has_are_refused(label_splits: Splits) -> None:
    strange: list[Example] = [MultiLabelExample.of("new", ["strange"])]
    with pytest.raises(DataError, match="No training message has the label 'strange'"):
        Messages.of({**label_splits, "test": strange})


def test_classify_and_evaluate_give_the_set_of_labels(
    finished: Path,
    label_splits: Splits,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    compute: Compute,
) -> None:
    predicted = RunFolder(finished).read_results()["predictions"][OURS]
    texts = {
        len(said): example.text
        for example, said in zip(label_splits["test"], predicted, strict=True)
    }
    assert run(["classify", str(finished), texts[2]]) == 0
    assert set(capsys.readouterr().out.splitlines()[-1].removeprefix("-> ").split(", ")) == {
        "left",
        "prize",
    }
    assert run(["classify", str(finished), texts[0], "--json", "--why"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (
        found["labels"] == []
        and set(found["probabilities"]) == {"left", "prize"}
        and found["why"]["words"]
    )
    del found["why"], found["text"]
    assert groundup.open_model(finished).classify(texts[0]) == found
    data = tmp_path / "new.jsonl"
    rows = [{"text": f"{e.text} now", "labels": list(e.labels)} for e in label_splits["test"]]  # type: ignore[attr-defined]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    held_out = HeldOut(Data(data), 50)
    results = evaluate_on(
        kind_of(held_out.data),
        held_out,
        {"m": open_model(finished, compute)},
        compute=compute,
        progress=Silent(),
    )
    assert [row.metric for row in results.rows] == ["exact_match", "micro_f1", "macro_f1"]
    assert results.rows[1].value > 0.9 and results.rows[0].n == 50


def test_one_label_a_text_is_not_measured_with_a_classifier_of_several(
    finished: Path, tmp_path: Path, compute: Compute
) -> None:
    data = tmp_path / "one.jsonl"
    rows = [{"text": f"text {i}", "label": "left" if i % 2 else "prize"} for i in range(40)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    held_out = HeldOut(Data(data), 20)
    with pytest.raises(
        ModelError, match="gives a text several labels, and these texts have one each"
    ):
        evaluate_on(
            kind_of(held_out.data),
            held_out,
            {"m": open_model(finished, compute)},
            compute=compute,
            progress=Silent(),
        )


def test_what_the_base_model_cannot_be_asked_is_refused_before_the_training(
    label_splits: Splits,
) -> None:
    with pytest.raises(ConfigError, match="has {label} in it"):
        messages_of(label_splits, ClassifierConfig(question="Which?"))
    with pytest.raises(ConfigError, match="few_shot does not apply to texts with several labels"):
        messages_of(label_splits, ClassifierConfig(few_shot=2))
    messages_of(label_splits, ClassifierConfig(question="Is it {label}?", few_shot=0))
