"""Figures of texts with several labels against scikit-learn, thresholds, and the questions to a base model."""

import random
from collections.abc import Sequence

import numpy as np
import pytest

from groundup.data.documents import Example, MultiLabelExample
from groundup.errors import ConfigError
from groundup.evaluate.calibration import fit_temperature
from groundup.evaluate.tasks.classification import ZeroShot
from groundup.evaluate.tasks.label_baselines import binary_cross_entropy, predict_tfidf
from groundup.evaluate.tasks.label_figures import (
    best_threshold,
    choose_thresholds,
    compare,
    indicators,
    judge,
    labels_of_texts,
    said_sets,
    sigmoid,
)

LABELS = ("a", "b", "c", "never")
Sets = list[tuple[str, ...]]


def drawn(seed: int, n: int = 80) -> Sets:
    draw = random.Random(seed)
    return [tuple(label for label in LABELS[:3] if draw.random() < 0.4) for _ in range(n)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_figures_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

    actual, predicted = drawn(seed), drawn(seed + 10)
    true, said = indicators(actual, LABELS), indicators(predicted, LABELS)
    found = judge(actual, predicted, LABELS)
    value = {measure.metric: measure.value for measure in found.measures}
    assert value["exact_match"] == pytest.approx(accuracy_score(true, said))
    assert value["micro_f1"] == pytest.approx(
        f1_score(true, said, average="micro", zero_division=0)
    )
    assert value["macro_f1"] == pytest.approx(
        f1_score(true[:, :3], said[:, :3], average="macro", zero_division=0)
    )
    theirs = precision_recall_fscore_support(true, said, zero_division=0)
    for place, row in enumerate(found.details["by_label"]):
        ours = (row["precision"] or 0.0, row["recall"] or 0.0, row["f1"], row["n"])
        assert ours == pytest.approx([float(column[place]) for column in theirs])
    for measure in found.measures:
        assert (
            measure.low is not None
            and measure.high is not None
            and measure.low <= measure.value <= measure.high
        )


def test_the_chosen_threshold_is_the_best_of_all_and_half_where_few_have_the_label() -> None:
    from sklearn.metrics import f1_score

    draw = random.Random(3)
    present = [draw.random() < 0.3 for _ in range(200)]
    probabilities = [min(1.0, max(0.0, draw.gauss(0.6 if each else 0.3, 0.2))) for each in present]
    chosen = best_threshold(probabilities, present)

    def f1_from(threshold: float) -> float:
        return float(f1_score(present, [p >= threshold for p in probabilities], zero_division=0))

    assert f1_from(chosen) == pytest.approx(max(f1_from(p) for p in probabilities))
    assert best_threshold(probabilities[:9], [True] * 9) == 0.5
    assert (
        best_threshold([0.2] * 30, [True] * 20 + [False] * 10) < 0.2
    )  # all or none: all is better


def test_probabilities_and_losses_are_those_of_each_label_alone() -> None:
    from sklearn.metrics import log_loss

    scores = np.random.default_rng(0).normal(size=(50, 3)) * 3
    present = (np.random.default_rng(1).random((50, 3)) < 1 / (1 + np.exp(-scores))).astype(int)
    assert sigmoid(scores, 2.0) == pytest.approx(1 / (1 + np.exp(-scores / 2)))
    each = [log_loss(present[:, i], sigmoid(scores)[:, i]) for i in range(3)]
    assert binary_cross_entropy(sigmoid(scores), present) == pytest.approx(sum(each))
    pairs = np.stack([np.zeros(150), scores.ravel()], axis=1)
    fitted = fit_temperature(pairs, present.ravel().tolist())
    near = [
        binary_cross_entropy(sigmoid(scores, t), present)
        for t in (fitted / 1.3, fitted, fitted * 1.3)
    ]
    assert near[1] == min(near)


def test_the_paired_lead_is_the_difference_of_the_figures() -> None:
    actual, ours, theirs = drawn(0), drawn(0)[:70] + drawn(5)[:10], drawn(9)[:60]
    (first, other), _ = compare({"ours": ours, "theirs": theirs}, actual, LABELS)
    assert "lead" not in first and other["exact_match"]["n"] == 60
    same = judge(actual[:60], ours[:60], LABELS).measures
    for place, name in enumerate(("exact_match", "micro_f1")):
        assert other["lead"][name]["value"] == pytest.approx(
            same[place].value - other[name]["value"]
        )
        assert other["lead"][name]["verdict"] == "better"


def messages(n: int, seed: int) -> list[Example]:
    draw, words = (
        random.Random(seed),
        ["see", "you", "at", "the", "station", "when", "it", "is", "over"],
    )
    made: list[Example] = []
    for _ in range(n):
        labels = [label for label in ("prize", "parcel") if draw.random() < 0.4]
        said = [*draw.choices(words, k=5), *labels]
        draw.shuffle(said)
        made.append(MultiLabelExample.of(" ".join(said), labels))
    return made


def test_a_regression_for_each_label_learns_its_word() -> None:
    train, validation, test = messages(120, 1), messages(60, 2), messages(60, 3)
    found = predict_tfidf(train, validation, test, ("parcel", "prize"), characters=False)
    assert found.predicted == labels_of_texts(test)
    assert found.settings["thresholds"].keys() == {"parcel", "prize"}
    known = [MultiLabelExample.of(each.text, ["always", *each.labels]) for each in train]  # type: ignore[attr-defined]
    found = predict_tfidf(known, validation, test, ("always", "parcel", "prize"), characters=False)
    assert all("always" in each for each in found.predicted)


def test_a_question_without_a_place_for_the_label_is_refused() -> None:
    with pytest.raises(ConfigError, match="has {label} in it"):
        ZeroShot(messages(3, 0), ("parcel", "prize"), question="Which?")


def test_labels_are_said_from_their_thresholds() -> None:
    thresholds = {"a": 0.3, "b": 0.8}
    said: Sequence[tuple[str, ...]] = said_sets(
        np.array([[0.3, 0.79], [0.1, 0.8], [0.0, 0.0]]), thresholds
    )
    assert said == [("a",), ("b",), ()]


def test_labels_that_too_few_texts_have_share_a_threshold() -> None:
    draw = np.random.default_rng(0)
    present = np.zeros((40, 4), dtype=int)
    for label, count in enumerate((15, 6, 5, 4)):
        present[draw.choice(40, count, replace=False), label] = 1
    probabilities = np.where(present, 0.3, 0.1) + draw.uniform(0, 0.05, (40, 4))
    probabilities[:, 0] += 0.4
    found = choose_thresholds(probabilities, present, ("common", "a", "b", "c"))
    assert 0.55 < found["common"] < 0.7 and found["common"] == best_threshold(
        probabilities[:, 0].tolist(), present[:, 0].tolist()
    )
    assert len({found[label] for label in "abc"}) == 1 and 0.15 < found["a"] < 0.3
    assert said_sets(probabilities, found) == [
        tuple(label for label, has in zip(found, row, strict=True) if has) for row in present
    ]
    rare = choose_thresholds(probabilities[:, 3:], present[:, 3:], ("c",))
    assert rare == {"c": 0.5}, "four texts are too few for any"
