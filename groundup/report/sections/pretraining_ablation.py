"""What pretraining is worth, in the chapters on the classifier and on chat: random weights, the own
model and the public one, compared.
"""

from collections.abc import Callable, Sequence

from groundup.html_nodes import Child, Node, foreign
from groundup.report.chapter import data_table, figure, note, paired_figure, paired_points
from groundup.report.sections.classifier_charts import accuracy_cells
from groundup.report.values import (
    JsonObject,
    count,
    measured,
    number,
    numbers,
    parameters,
    table,
    tables,
    text,
    three_decimals,
)


def pretraining_parts(found: JsonObject) -> list[Node | None]:
    """Of a classifier: the table and what it says; a note where it was not measured."""
    return _parts(
        found,
        ["learned from", "accuracy", "95 % interval", "F1"],
        _accuracy_cells,
        lambda difference: f"{paired_points(difference)} points",
        "The same messages",
        "which knows nothing but the labels",
    )


def chat_pretraining_parts(found: JsonObject) -> list[Node | None]:
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
) -> list[Node | None]:
    reason = text(found, "skipped")
    if reason:
        return [note("What pretraining is worth was not measured: ", foreign(reason), ".")]
    models = [(text(model, "name"), cells(model)) for model in tables(found, "models")]
    rows = [[foreign(name), *row] for name, row in models if row]
    if not rows:
        return []
    size = parameters(found, "parameters")
    caption = (
        f"{same}, learned by the model of {size} parameters pretrained here, and by one of that "
        f"shape from random weights, {knows}; both are trained whole, in the same way, "
        "at a rate that was not tuned."
    )
    made = data_table("What pretraining is worth", head, rows, figures=range(1, len(head)))
    return [figure(caption, made), note(_verdict(found, change))]


def _accuracy_cells(model: JsonObject) -> list[Child]:
    accuracy = measured(model, "accuracy")
    if accuracy is None:
        return []
    return accuracy_cells(model, accuracy)


def _loss_cells(model: JsonObject) -> list[Child]:
    loss = table(model, "loss")
    if number(loss, "value") is None:
        return []
    bounds = ""
    if number(loss, "low") is not None:
        bounds = f"{three_decimals(loss, 'low')} to {three_decimals(loss, 'high')}, "
        bounds += f"n {count(loss, 'n')}"
    return [three_decimals(loss, "value"), bounds]


def _paired_bits(difference: JsonObject) -> str:
    """A paired difference of losses, where more is better."""
    value, low, high = numbers(difference, "value", "low", "high")
    if value is None or low is None or high is None:
        return ""
    gained = {"value": -value, "low": -high, "high": -low}
    return paired_figure(gained, lambda bits: f"{bits:+.3f}")


def _verdict(found: JsonObject, change: Callable[[JsonObject], str]) -> str:
    """What the own pretraining brought, and what the public model brings beyond it, as far as
    the intervals allow.
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
