"""What pretraining is worth, in the chapters on the classifier and on chat: random weights, the own
model and the public one, compared.
"""

from collections.abc import Callable, Sequence

from groundup.html_nodes import Child, Node, foreign
from groundup.report.chapter import data_table, figure, note, paired_points
from groundup.report.formatting import count, fixed, parameters, percent
from groundup.report.values import JsonObject, measured, number, table, tables, text


def pretraining_parts(found: JsonObject) -> list[Node]:
    """Of a classifier: the table and what it says; a note where it was not measured; nothing of an
    older build.
    """
    return _parts(
        found,
        ["learned from", "accuracy", "95 % interval", "F1"],
        _accuracy_cells,
        lambda difference: f"{paired_points(difference)} points",
        "The same messages",
        "which knows nothing but the labels",
    )


def chat_pretraining_parts(found: JsonObject) -> list[Node]:
    """The same of a chat model, in bits per byte of the held-out answers."""
    return _parts(
        found,
        ["learned from", "bits per byte of held-out answers", "95 % interval"],
        _loss_cells,
        lambda difference: f"{_paired_bits(difference)} bits per byte",
        "The same conversations",
        "which knows nothing but these conversations",
    )


def _parts(
    found: JsonObject,
    head: Sequence[Child],
    cells: Callable[[JsonObject], list[Child]],
    change: Callable[[JsonObject], str],
    same: str,
    knows: str,
) -> list[Node]:
    if reason := text(found, "skipped"):
        return [note("What pretraining is worth was not measured: ", foreign(reason), ".")]
    rows = [
        [foreign(text(model, "name")), *row]
        for model in tables(found, "models")
        if (row := cells(model))
    ]
    if not rows:
        return []
    size = parameters(number(found, "parameters"))
    caption = (
        f"{same}, learned by the model of {size} parameters pretrained here, and by one of that shape from random weights, "
        f"{knows}; both are trained whole, in the same way, at a rate that was not tuned."
    )
    made = data_table("What pretraining is worth", head, rows, figures=range(1, len(head)))
    return [figure(caption, made), note(_said(found, change))]


def _accuracy_cells(model: JsonObject) -> list[Child]:
    accuracy = measured(model, "accuracy")
    if accuracy is None:
        return []
    tested = f", n {count(accuracy.items)}" if accuracy.items is not None else ""
    interval = f"{percent(accuracy.low)} to {percent(accuracy.high)}{tested}"
    return [percent(accuracy.value), interval, fixed(number(model, "f1"), 3)]


def _loss_cells(model: JsonObject) -> list[Child]:
    loss = table(model, "loss")
    value, low, high, n = (number(loss, name) for name in ("value", "low", "high", "n"))
    if value is None:
        return []
    return [
        fixed(value, 3),
        f"{fixed(low, 3)} to {fixed(high, 3)}, n {count(n)}" if low is not None else "",
    ]


def _paired_bits(difference: JsonObject) -> str:
    """A paired difference of losses, where more is better."""
    value, low, high = (number(difference, name) for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return ""
    return f"{-value:+.3f} ({-high:+.3f} to {-low:+.3f})"


def _said(found: JsonObject, change: Callable[[JsonObject], str]) -> str:
    """One sentence: what the own pretraining brought, and what the public model brings beyond it,
    as far as the intervals allow.
    """
    own, public = table(found, "own_over_random"), table(found, "public_over_own")
    by_own, by_public = change(own), change(public)
    of_own = {
        "better": f"gained {by_own}",
        "worse": f"lost {by_own}",
    }.get(text(own, "verdict"), f"makes no clear difference ({by_own})")
    of_public = {
        "better": f"is {by_public} ahead of it",
        "worse": f"is behind it ({by_public})",
    }.get(text(public, "verdict"), f"shows no clear difference from it ({by_public})")
    return f"Against random weights, pretraining here {of_own}; the public model {of_public}."
