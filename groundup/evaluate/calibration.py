"""Probabilities that mean what they say, and decisions from them: temperature, calibration error,
coverage against accuracy, costs.

temperature     scores / T, one number fitted on validation texts (Guo et al. 2017,
                arXiv:1706.04599); it changes no most probable label
expected calibration error     the mean distance of confidence from accuracy over 15 bins of equal
                               width, weighted by their texts (the same paper)
coverage        the share of texts that are answered where a classifier abstains below some
                confidence
threshold       the probability from which a false alarm is expected to cost less than a miss (Elkan
                2001)
"""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np

BINS = 15
MAX_POINTS = 50
CHANCE_DRAWS = 200
# Between them lies every temperature that is fitted.
LOWEST, HIGHEST = 0.05, 20.0


def softmax(scores: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities of scores [n, N]."""
    scaled = scores / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def cross_entropy(
    scores: np.ndarray, classes: Sequence[int], temperature: float = 1.0, unsure: float = 0.0
) -> float:
    """`unsure` of the truth is spread over the other classes."""
    scaled = scores / temperature
    high = scaled.max(axis=1)
    logs = high + np.log(np.exp(scaled - high[:, None]).sum(axis=1))
    true = scaled[np.arange(len(scores)), list(classes)]
    others = (scaled.sum(axis=1) - true) / (scores.shape[1] - 1)
    return float(np.mean(logs - (1 - unsure) * true - unsure * others))


def fit_temperature(scores: np.ndarray, classes: Sequence[int]) -> float:
    """The lowest cross-entropy is convex in 1 / T.

    The truth counts as 1 - 1 / (n + 2), as in Platt scaling (1999): else n texts that are all right
    would make every probability 1.
    """
    low, high, unsure = math.log(LOWEST), math.log(HIGHEST), 1 / (len(classes) + 2)
    for _ in range(60):  # ternary search
        third = (high - low) / 3
        left, right = (
            cross_entropy(scores, classes, math.exp(t), unsure) for t in (low + third, high - third)
        )
        if left < right:
            high -= third
        else:
            low += third
    return math.exp((low + high) / 2)


def label_temperature(scores: np.ndarray, classes: np.ndarray) -> float:
    """Of scores [n, N] and classes [n], or of several labels their 0 and 1: [n, N]."""
    if classes.ndim == 1:
        return fit_temperature(scores, classes.tolist())
    return fit_temperature(_pairs(scores), classes.ravel().tolist())


def label_loss(scores: np.ndarray, classes: np.ndarray, temperature: float = 1.0) -> float:
    """Nats a text, of several labels summed over them; as `label_temperature`."""
    if classes.ndim == 1:
        return cross_entropy(scores, classes.tolist(), temperature)
    of_a_pair = cross_entropy(_pairs(scores), classes.ravel().tolist(), temperature)
    return scores.shape[1] * of_a_pair


def _pairs(scores: np.ndarray) -> np.ndarray:
    """Two classes with the scores 0 and s have the probabilities 1 - sigmoid(s) and sigmoid(s)."""
    return np.stack([np.zeros(scores.size), scores.ravel()], axis=1)


def calibration_bins(confidence: Sequence[float], right: Sequence[bool]) -> list[dict[str, float]]:
    """Number, mean confidence and accuracy of each bin that has texts."""
    found = []
    places = [min(BINS - 1, int(each * BINS)) for each in confidence]
    for place in range(BINS):
        chosen = [i for i, each in enumerate(places) if each == place]
        if chosen:
            mean_confidence = math.fsum(confidence[i] for i in chosen) / len(chosen)
            accuracy = sum(right[i] for i in chosen) / len(chosen)
            found.append({"n": len(chosen), "confidence": mean_confidence, "accuracy": accuracy})
    return found


def calibration_error(bins: Sequence[dict[str, float]]) -> float:
    n = sum(each["n"] for each in bins)
    return math.fsum(each["n"] * abs(each["confidence"] - each["accuracy"]) for each in bins) / n


def error_by_chance(confidence: Sequence[float]) -> float:
    """Mean calibration error of a perfectly calibrated classifier on these confidences, over
    CHANCE_DRAWS draws.

    Each text is right with the probability of its confidence. Of 500 texts with confidences spread
    from 0.4 to 1 that alone makes an error of 0.044.
    """
    sure = np.asarray(confidence)
    places = np.minimum(BINS - 1, (sure * BINS).astype(int))
    right = np.random.default_rng(0).random((CHANCE_DRAWS, len(sure))) < sure
    in_bin = places[:, None] == np.arange(BINS)  # [n, bins]
    return float(np.abs((right - sure) @ in_bin).sum(axis=1).mean() / len(sure))


def coverage_curve(confidence: Sequence[float], right: Sequence[bool]) -> list[dict[str, float]]:
    """(confidence from which a text is answered, coverage, accuracy of the answered), at most
    MAX_POINTS points.
    """
    order = sorted(range(len(confidence)), key=lambda i: confidence[i])
    hits, points = sum(right), []
    for skipped, index in enumerate(order):
        sure, left = confidence[index], len(order) - skipped
        if skipped == 0 or sure > confidence[order[skipped - 1]]:  # equal ones together
            point = {"confidence": sure, "coverage": left / len(order), "accuracy": hits / left}
            points.append(point)
        hits -= right[index]
    step = -(-len(points) // MAX_POINTS)
    return points[::step]


def abstain_below(
    confidence: Sequence[float], right: Sequence[bool], accuracy: float
) -> float | None:
    """Return the lowest confidence from which on the answered texts have the wanted accuracy; None:
    no part of them has it.

    >>> abstain_below([0.5, 0.6, 0.9, 0.95], [False, True, True, True], accuracy=0.99)
    0.6
    """
    pairs = sorted(zip(confidence, right, strict=True), key=lambda pair: -pair[0])
    hits, found = 0, None
    for answered, (sure, is_right) in enumerate(pairs, 1):
        hits += is_right
        same = answered < len(pairs) and pairs[answered][0] == sure
        if not same and hits / answered >= accuracy:
            found = sure
    return found


def cost_threshold(cost_false_alarm: float, cost_miss: float) -> float:
    """Return the probability of the positive label from which it is cheaper to say it: p C_miss =
    (1 - p) C_false_alarm.

    >>> round(cost_threshold(5, 1), 3)
    0.833
    """
    return cost_false_alarm / (cost_false_alarm + cost_miss)


def costs(
    actual: Sequence[str], predicted: Sequence[str], positive: str, false_alarm: float, miss: float
) -> dict[str, float]:
    pairs = list(zip(actual, predicted, strict=True))
    alarms = sum(p == positive != a for a, p in pairs)
    misses = sum(a == positive != p for a, p in pairs)
    cost = (alarms * false_alarm + misses * miss) / len(pairs)
    return {"false_alarms": alarms, "misses": misses, "cost": cost}


LABEL_CURVE_POINTS = 100


def steps_of(probabilities: Sequence[float], positive: Sequence[bool]) -> list[tuple[int, int]]:
    """(false positives, true positives) from the highest threshold down; equal probabilities are
    one step.
    """
    pairs = sorted(zip(probabilities, positive, strict=True), key=lambda pair: -pair[0])
    found, false, true = [(0, 0)], 0, 0
    for _, group in groupby(pairs, key=lambda pair: pair[0]):
        for _, is_positive in group:
            true, false = true + is_positive, false + (not is_positive)
        found.append((false, true))
    return found


def label_curves(probabilities: Sequence[float], positive: Sequence[bool]) -> dict[str, Any] | None:
    """Return both curves with their areas, as in results.json; None where all texts have the label,
    or none.

    >>> label_curves([0.9, 0.8, 0.3], [True, False, True])["roc_area"]
    0.5
    """
    steps = steps_of(probabilities, positive)
    others, own = steps[-1]
    if not others or not own:
        return None
    roc = [(false / others, true / own) for false, true in steps]
    recall = [(true / own, true / (true + false)) for false, true in steps[1:]]
    area = math.fsum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(roc))
    average = math.fsum(
        (b[0] - a[0]) * b[1] for a, b in zip([(0.0, 1.0), *recall], recall, strict=False)
    )
    return {
        "roc": thin_points(roc),
        "roc_area": area,
        "precision_recall": thin_points([(0.0, recall[0][1]), *recall]),
        "average_precision": average,
        "n": len(positive),
        "of_label": own,
    }


def thin_points(points: Sequence[tuple[float, float]]) -> list[list[float]]:
    kept = list(points[:: -(-len(points) // LABEL_CURVE_POINTS)])
    if kept[-1] != points[-1]:
        kept.append(points[-1])
    return [list(point) for point in kept]
