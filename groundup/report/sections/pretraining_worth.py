"""What pretraining is worth, in the chapter on the classifier: random weights, the model pretrained here and the public one on the same messages."""

from groundup.markup import Child, Node, foreign
from groundup.report.chapter import data_table, figure, note, paired_points
from groundup.report.formatting import count, fixed, parameters, percent
from groundup.report.values import JsonObject, measured, number, table, tables, text

HEAD: tuple[Child, ...] = ("learned from", "accuracy", "95 % interval", "F1")


def pretraining_parts(found: JsonObject) -> list[Node]:
    """The table and what it says; a note where it was not measured; nothing of an older build."""
    if reason := text(found, "skipped"):
        return [note("What pretraining is worth was not measured: ", foreign(reason), ".")]
    rows = [row for model in tables(found, "models") if (row := _row(model))]
    if not rows:
        return []
    size = parameters(number(found, "parameters"))
    caption = (
        f"The same messages, learned by the model of {size} parameters pretrained here, and by one of that shape from random weights, "
        "which knows nothing but the labels; both are trained whole, in the same way, at a rate that was not tuned."
    )
    made = data_table("What pretraining is worth", HEAD, rows, figures=range(1, len(HEAD)))
    return [figure(caption, made), note(_said(found))]


def _row(model: JsonObject) -> list[Child]:
    accuracy = measured(model, "accuracy")
    if accuracy is None:
        return []
    tested = f", n {count(accuracy.items)}" if accuracy.items is not None else ""
    interval = f"{percent(accuracy.low)} to {percent(accuracy.high)}{tested}"
    return [foreign(text(model, "name")), percent(accuracy.value), interval, fixed(number(model, "f1"), 3)]


def _said(found: JsonObject) -> str:
    """One sentence: what the own pretraining brought, and what the public model brings beyond it, as far as the intervals allow."""
    own, public = table(found, "own_over_random"), table(found, "public_over_own")
    points, ahead = paired_points(own), paired_points(public)
    of_own = {
        "better": f"gained {points} points",
        "worse": f"lost {points} points",
    }.get(text(own, "verdict"), f"makes no clear difference ({points} points)")
    of_public = {
        "better": f"is {ahead} points ahead of it",
        "worse": f"is behind it ({ahead} points)",
    }.get(text(public, "verdict"), f"shows no clear difference from it ({ahead} points)")
    return f"Against random weights, pretraining here {of_own}; the public model {of_public}."
