"""The optional stage before chat: what the public model gained and forgot when its training was
continued on the texts, and how it went.
"""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign
from groundup.language.page_texts import say
from groundup.report.chapter import (
    Chapter,
    StageCard,
    data_table,
    figure,
    note,
    paired_change,
    sentence,
)
from groundup.report.report_data import CONTINUED, ReportData
from groundup.report.sections.pretrain import training_parts
from groundup.report.values import JsonObject, number, numbers, table, text, three_decimals


def parts(report: ReportData) -> Sequence[Child] | str:
    run = report.run(CONTINUED)
    if not run.results and not run.evaluations:
        return "the training of no model was continued"
    shown: list[Child] = [_began(report, run.run), _changes(report, run.results)]
    shown += _verdicts(report, table(run.results, "forgetting"))
    return [*shown, *training_parts(run, None, {})]


def _changes(report: ReportData, results: JsonObject) -> Node | None:
    """Bits per byte before and after, of each text that was measured on."""
    texts = {
        say("test text, of {texts}", texts=report.texts): "texts",
        say("general text"): "general",
    }
    rows = [
        [what, *cells]
        for what, name in texts.items()
        if (cells := _change(table(results, "forgetting", name)))
    ]
    chosen = {
        "before": number(results, "start", "before", "bits_per_byte"),
        "after": number(results, "bits_per_byte"),
    }
    if None not in chosen.values():
        rows.append([say("validation text, by which the weights were chosen"), *_change(chosen)])
    head = ["bits per byte of", "before", "after", "difference, paired, with its 95 % interval"]
    return figure(None, data_table("Before and after", head, rows, figures=(1, 2)))


def _change(found: JsonObject) -> list[str]:
    if None in numbers(found, "before", "after"):
        return []
    change = paired_change(table(found, "difference"), digits=3)
    return [three_decimals(found, "before"), three_decimals(found, "after"), change]


def _began(report: ReportData, record: JsonObject) -> Node:
    name, after = text(record, "inputs", "start", "model").rpartition("/")[2], ""
    if report.is_build:
        name, after = report.base_name, say(" The chat model below is made from it.")
    words = sentence(
        "{model} went on with {texts}, all of its weights trained.",
        model=foreign(name or say("A model")),
        texts=report.texts,
    )
    return note(*words, after)


def _verdicts(report: ReportData, changes: JsonObject) -> list[Node]:
    """One sentence on the gain and one on the loss, as far as the paired intervals allow."""
    gained, lost = (text(changes, name, "difference", "verdict") for name in ("texts", "general"))
    gains = {
        "better": ("It predicts unseen text of the kind of {texts} better than before.", "good"),
        "worse": ("It predicts unseen text of the kind of {texts} worse than before.", "warning"),
        "unclear": (
            "Whether it predicts {texts} better than before is not certain from so little "
            "test text.",
            "note",
        ),
    }
    losses = {
        "better": (
            "General text is predicted better than before: nothing of it was forgotten.",
            "note",
        ),
        "worse": (
            "It has forgotten some of what it knew: general text is predicted worse.",
            "warning",
        ),
        "unclear": ("What it has forgotten of general text is too little to be measured.", "note"),
    }
    found = [gains.get(gained), losses.get(lost)]
    return [note(say(words, texts=report.texts), kind=kind) for words, kind in filter(None, found)]


TEACH = Chapter(
    "teach",
    "Optional · teach",
    "A public model reads {texts}",
    "The training of a model that knows general language is continued on the texts, with a little "
    "general text beside them. A difference is one only where its interval, "
    "of the same pieces of text before and after, excludes 0.",
    parts,
    cards=[StageCard(CONTINUED, "Taught model", "the public model reads the texts")],
    runs=[CONTINUED],
)
