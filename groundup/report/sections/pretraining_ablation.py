"""What pretraining is worth, in the chapters on the classifier and on chat: random weights, the own
model and the public one, compared.
"""

from collections.abc import Callable, Sequence

from groundup.html_nodes import Child, Node, foreign
from groundup.language.page_texts import say
from groundup.report.chapter import (
    data_table,
    figure,
    note,
    paired_figure,
    paired_points,
    sentence,
)
from groundup.report.sections.classifier_charts import accuracy_cells
from groundup.report.stored_sentences import as_stored
from groundup.report.values import (
    JsonObject,
    fill,
    measured,
    number,
    numbers,
    parameters,
    signed,
    span,
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
        lambda difference: say("{change} points", change=paired_points(difference)),
        "The same messages, learned by the model of {size} parameters pretrained here, and by one "
        "of that shape from random weights, which knows nothing but the labels; both are trained "
        "whole, in the same way, at a rate that was not tuned.",
    )


def chat_pretraining_parts(found: JsonObject) -> list[Node | None]:
    """The same of a chat model, in bits per byte of the held-out answers."""
    return _parts(
        found,
        ["learned from", "bits per byte of held-out answers", "95 % interval"],
        _loss_cells,
        lambda difference: say("{change} bits per byte", change=_paired_bits(difference)),
        "The same conversations, learned by the model of {size} parameters pretrained here, and by "
        "one of that shape from random weights, which knows nothing but these conversations; both "
        "are trained whole, in the same way, at a rate that was not tuned.",
    )


def _parts(
    found: JsonObject,
    head: Sequence[Child],
    cells: Callable[[JsonObject], list[Child]],
    change: Callable[[JsonObject], str],
    caption: str,
) -> list[Node | None]:
    reason = text(found, "skipped")
    if reason:
        words = "What pretraining is worth was not measured: {reason}."
        return [note(*sentence(words, reason=as_stored(reason)))]
    models = [(text(model, "name"), cells(model)) for model in tables(found, "models")]
    rows = [[foreign(say(name)), *row] for name, row in models if row]
    if not rows:
        return []
    caption = say(caption, size=parameters(found, "parameters"))
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
        bounds = span(three_decimals(loss, "low"), three_decimals(loss, "high"))
        bounds += fill(", n {}", number(loss, "n"))
    return [three_decimals(loss, "value"), bounds]


def _paired_bits(difference: JsonObject) -> str:
    """A paired difference of losses, where more is better."""
    value, low, high = numbers(difference, "value", "low", "high")
    if value is None or low is None or high is None:
        return ""
    gained = {"value": -value, "low": -high, "high": -low}
    return paired_figure(gained, lambda bits: signed(bits, 3))


def _verdict(found: JsonObject, change: Callable[[JsonObject], str]) -> str:
    """What the own pretraining brought, and what the public model brings beyond it, as far as
    the intervals allow.
    """
    own, public = table(found, "own_over_random"), table(found, "public_over_own")
    by_own, by_public = change(own), change(public)
    of_own = {"better": "gained {change}", "worse": "lost {change}"}
    of_public = {"better": "is {change} ahead of it", "worse": "is behind it ({change})"}
    gained = of_own.get(text(own, "verdict"), "makes no clear difference ({change})")
    ahead = of_public.get(text(public, "verdict"), "shows no clear difference from it ({change})")
    return say(
        "Against random weights, pretraining here {gained}; the public model {ahead}.",
        gained=say(gained, change=by_own),
        ahead=say(ahead, change=by_public),
    )
