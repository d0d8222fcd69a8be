"""Confident learning: thresholds by hand, flipped labels at the head of the list, and a run that learns nothing from it."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from groundup.data.documents import Example
from groundup.device import Compute
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.config import ClassifierConfig
from groundup.finetune.further_trainings import (
    FOLDS,
    FOLDS_FOLDER,
    confident_labels,
    folds_of,
    out_of_fold,
    rank_labels,
)
from groundup.runs import RunFolder
from groundup.weights.model_io import OpenModel


def test_a_label_is_said_where_it_reaches_the_mean_of_its_own_texts() -> None:
    """Thresholds: class 0 (0.9 + 0.7 + 0.2) / 3 = 0.6, class 1 (0.9 + 0.5) / 2 = 0.7."""
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.5, 0.5]])
    classes = [0, 0, 0, 1, 1]
    assert confident_labels(probabilities, classes) == [0, 0, 1, 1, None]
    order, suspected = rank_labels(probabilities, classes)
    assert suspected == {2} and order == [2, 4, 1, 0, 3]


def test_folds_are_disjoint_with_the_shares_of_the_whole() -> None:
    classes = [int(row % 10 == 0) for row in range(203)]
    folds = folds_of(range(203), classes)
    assert sorted(row for fold in folds for row in fold) == list(range(203)) and len(folds) == FOLDS
    assert {Counter(classes[row] for row in fold)[1] for fold in folds} <= {4, 5, 6}


def test_of_five_percent_flipped_labels_ninety_stand_in_the_first_tenth(tmp_path: Path) -> None:
    """1,000 points of three separable classes, a linear classifier by least squares on the other folds."""
    draw = np.random.default_rng(4)
    truth = draw.integers(0, 3, 1000)
    points = np.eye(3)[truth] * 4 + draw.normal(size=(1000, 3))
    flipped = set(draw.choice(1000, 50, replace=False).tolist())
    classes = [
        int((c + draw.integers(1, 3)) % 3) if row in flipped else int(c)
        for row, c in enumerate(truth)
    ]
    given, inputs = np.array(classes), np.c_[points, np.ones(1000)]

    def scores_of(rows: Sequence[int], held_out: Sequence[int], folder: RunFolder) -> torch.Tensor:
        assert not set(rows) & set(held_out)
        weights = np.linalg.lstsq(inputs[list(rows)], np.eye(3)[given[list(rows)]], rcond=None)[0]
        return torch.tensor(8 * inputs[list(held_out)] @ weights)

    order, suspected = rank_labels(out_of_fold(scores_of, classes, RunFolder(tmp_path)), classes)
    assert len(flipped & set(order[:100])) >= 45
    assert len(flipped & suspected) >= 45 and len(suspected) < 100


@pytest.mark.slow
def test_a_run_lists_flipped_labels_and_is_the_same_classifier(
    open_base: Callable[[], OpenModel],
    splits: dict[str, list[Example]],
    compute: Compute,
    tmp_path: Path,
) -> None:
    draw, other = random.Random(2), {"ham": "spam", "spam": "ham"}
    flipped = {
        example.text for example in draw.sample([e for split in splits.values() for e in split], 15)
    }
    noisy = {
        name: [Example(e.text, other[e.label] if e.text in flipped else e.label) for e in examples]
        for name, examples in splits.items()
    }
    results = {}
    for wanted in (False, True):
        config = ClassifierConfig(
            train="last-block",
            epochs=8,
            learning_rate=5e-3,
            max_tokens=48,
            precision="float32",
            find_wrong_labels=wanted,
        )
        results[wanted] = fit_classifier(
            open_base(), noisy, RunFolder(tmp_path / str(wanted)), config, compute=compute
        )
    found = results[True].wrong_labels
    first = [each.text for each in found.list[:30]]
    assert len(flipped & set(first)) >= 10, (
        "1.5 by chance; the tiny model is wrong of some 8 % of the true labels too"
    )
    assert found.n == 300 and len(found.list) >= 30
    top = found.list[0]
    assert top.suspected and top.suggested == other[top.label] and top.suggested_probability > 0.5
    assert {each.split for each in found.list} == {"train", "validation", "test"}
    assert f"{found.suspected} of 300 labels" in found.line()
    assert results[True].test == results[False].test and results[False].wrong_labels is None
    assert not (tmp_path / "True" / FOLDS_FOLDER).exists()
