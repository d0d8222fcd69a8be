"""The two curves of a label over all thresholds on its probability, each at most MAX_POINTS points:
pure functions.

ROC                   share of the others that it is said of (false positive rate) against the share
                      of its own (recall); the area is the probability that a text with the label
                      has a higher probability than one without (Fawcett 2006)
precision and recall  the average precision is the sum of precision times the step of recall (as
                      scikit-learn has it)
"""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any

MAX_POINTS = 100


def steps_of(probabilities: Sequence[float], positive: Sequence[bool]) -> list[tuple[int, int]]:
    """Return (false positives, true positives) from the highest threshold to the lowest; equal
    probabilities are one step.
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
    """Return at most about MAX_POINTS of the points, the first and the last among them."""
    kept = list(points[:: -(-len(points) // MAX_POINTS)])
    if kept[-1] != points[-1]:
        kept.append(points[-1])
    return [list(point) for point in kept]
