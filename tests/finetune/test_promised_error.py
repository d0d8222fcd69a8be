"""`max_error`: of the labels that a classifier says at most a promised share is wrong."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from groundup.data.documents import Example
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.errors import ConfigError
from groundup.evaluate.calibration import softmax
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.classifier_results import (
    DecisionTarget,
    card_figures,
    choose_decision,
)
from groundup.finetune.config import ClassifierConfig
from groundup.finetune.messages import CALIBRATION, Messages, Splits, with_calibration
from groundup.packs.pack import packaged_packs
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.weights.decision_rule import DecisionRule
from groundup.weights.model_io import OpenModel, open_model

ERROR, CONFIDENCE = 0.1, 0.95
DRAWS = 100
# At the level exactly, 95 % of draws hold; two standard errors fewer are noise.
LEAST_HELD = CONFIDENCE * DRAWS - 2 * math.sqrt(DRAWS * CONFIDENCE * (1 - CONFIDENCE))


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def messages_of(classes: dict[str, list[int]], labels: int) -> Messages:
    examples: list[Example] = []
    rows: dict[str, range] = {}
    for split, of_split in classes.items():
        begin = len(examples)
        examples += [Example(f"{split} {i}", f"{c}") for i, c in enumerate(of_split)]
        rows[split] = range(begin, len(examples))
    return Messages(tuple(examples), tuple(map(str, range(labels))), "0", rows)


def decided(
    scores: dict[str, np.ndarray], classes: dict[str, list[int]], labels: int, error: float = ERROR
) -> tuple[DecisionRule, list[str]]:
    heard = Heard()
    tensors = {split: torch.from_numpy(each) for split, each in scores.items()}
    target = DecisionTarget(error=error)
    return choose_decision(tensors, messages_of(classes, labels), target, 1, heard), heard.lines


def held_in(
    scores: np.ndarray, classes: np.ndarray, sizes: dict[str, int], seed: int
) -> tuple[int, list[float]]:
    """In how many of DRAWS draws from a population the promise holds there, and what is promised."""
    drawn, held, promised = np.random.default_rng(seed), 0, []
    for _ in range(DRAWS):
        rows = {split: drawn.integers(len(classes), size=n) for split, n in sizes.items()}
        decision, _ = decided(
            {split: scores[each] for split, each in rows.items()},
            {split: classes[each].tolist() for split, each in rows.items()},
            scores.shape[1],
        )
        said = softmax(scores, decision.temperature).max(axis=1) >= decision.abstain_below
        wrong = (scores.argmax(axis=1) != classes)[said].mean() if said.any() else 0.0
        held += decision.promise is None or wrong <= decision.promise.error
        promised += [decision.promise.error] if decision.promise else []
    return held, promised


@pytest.mark.parametrize("calibration", [60, 240])
def test_the_promise_holds_in_95_of_100_draws_of_an_overconfident_classifier(
    calibration: int,
) -> None:
    drawn, n, labels = np.random.default_rng(1), 4000, 4
    classes = drawn.integers(labels, size=n)
    scores = drawn.normal(size=(n, labels))
    scores[np.arange(n), classes] += drawn.choice([0.5, 4.0], p=[0.3, 0.7], size=n)
    held, promised = held_in(3 * scores, classes, {"validation": 60, CALIBRATION: calibration}, 2)
    assert held >= LEAST_HELD
    if calibration == 240:
        assert promised.count(ERROR) > 0.8 * DRAWS


def test_the_promise_holds_on_messages_of_the_packs() -> None:
    """Which firm's customer wrote it, by its words and a regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    found = []
    for name in ("airline", "restaurant"):
        lines = (packaged_packs()[name] / "messages.jsonl").read_text().splitlines()
        found += [(json.loads(line)["text"], name) for line in lines]
    order = np.random.default_rng(0).permutation(len(found))
    texts, labels = [found[i][0] for i in order], [found[i][1] for i in order]
    names, few = sorted(set(labels)), 200
    vectors = TfidfVectorizer(ngram_range=(1, 1), sublinear_tf=True).fit_transform(texts)
    fitted = LogisticRegression(C=30.0).fit(vectors[:few], labels[:few])
    classes = np.array([names.index(label) for label in labels[few:]])
    odds = np.asarray(fitted.decision_function(vectors[few:]))
    scores = np.stack([0 * odds, odds], axis=1)
    assert 0.7 < (scores.argmax(1) == classes).mean() < 0.9
    held, promised = held_in(scores, classes, {"validation": 60, CALIBRATION: 150}, 3)
    assert held >= LEAST_HELD
    assert len(promised) == DRAWS and ERROR <= max(promised) < 0.3


def test_few_messages_say_what_they_support() -> None:
    scores = np.array([[4.0, 0.0], [0.0, 4.0]] * 10)
    classes = [0, 1] * 10
    both = {"validation": scores, CALIBRATION: scores}
    of_both = {"validation": classes, CALIBRATION: classes}
    decision, said = decided(both, of_both, 2, error=0.05)
    assert decision.promise is not None
    # equal scores stand together: all 20 are labelled, none is wrong; 1 - 0.05 ** (1 / 20)
    assert decision.promise.error == pytest.approx(1 - 0.05 ** (1 / 20))
    assert (
        "20 held-out messages, 0 of the surest 20 of them wrong, support no promise of 5 %"
        in (said[0])
    )
    assert "14 % is promised. 79 held-out messages support it" in said[0]
    of_both[CALIBRATION] = [1, 0] * 10
    decision, said = decided(both, of_both, 2, error=0.05)
    assert (decision.promise, decision.abstain_below) == (None, 1.0)
    assert "no error rate can be promised" in said[0]


def test_half_of_the_validation_messages_are_kept_for_the_promise(splits: Splits) -> None:
    found = with_calibration(splits, seed=0)
    assert {len(found["validation"]), len(found[CALIBRATION])} == {25}
    counts = Messages.of(found).counts()
    assert abs(counts["validation"]["spam"] - counts[CALIBRATION]["spam"]) <= 1
    texts = {each.text for split in ("validation", CALIBRATION) for each in found[split]}
    assert texts == {each.text for each in splits["validation"]}


def test_what_is_promised_stands_in_the_folder_the_card_and_each_label(
    open_base: Callable[[], OpenModel], splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    config = ClassifierConfig(
        train="last-block",
        epochs=8,
        learning_rate=5e-3,
        max_tokens=48,
        precision="float32",
        max_error=0.2,
    )
    run = RunFolder(tmp_path / "run")
    results = fit_classifier(open_base(), splits, run, config, compute=compute)
    assert sum(results.splits[CALIBRATION].values()) == 25
    opened = open_model(run.path, compute)
    promise = opened.decision.promise
    assert promise is not None and promise.questions == 25
    assert promise.least == opened.decision.abstain_below == results.decision["abstain_below"]
    assert card_figures(results)["promise"] == promise.of_labels
    told = [opened.decision.decide(p) for p in Engine(opened, compute).classify(["see you"] * 2)]
    assert all(("promised_error" in each) is (each["label"] != "unsure") for each in told)
    assert (
        json.loads((run.path / "classifier.json").read_text())["promise"]["wrong"] == promise.wrong
    )


@pytest.mark.parametrize("given", [{"max_error": 0.0}, {"max_error": 0.6}, {"max_error": -1.0}])
def test_a_share_that_is_none_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="max_error"):
        ClassifierConfig(**given)
    with pytest.raises(ConfigError, match="both say where the classifier abstains"):
        ClassifierConfig(max_error=0.05, abstain=0.9)
