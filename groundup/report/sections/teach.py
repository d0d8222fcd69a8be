"""The optional stage before chat: what the public model gained and forgot when its training was
continued on the texts, and how it went.
"""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import Chapter, StageCard, data_table, figure, note, paired_change
from groundup.report.formatting import fixed
from groundup.report.report_data import CONTINUED, ReportData
from groundup.report.sections.pretrain import sample_parts, training_parts
from groundup.report.values import JsonObject, number, table, text


def parts(report: ReportData) -> Sequence[Child] | str:
    """What was gained and forgotten, the curves, and what the model writes."""
    run = report.run(CONTINUED)
    if not run.results and not run.evaluations:
        return "the training of no model was continued"
    changes = table(run.results, "forgetting")
    written = sample_parts(run)
    head = node("h3", "What it writes, before and after") if written else None
    measured = [_changes(report, run.results), *_verdicts(report, changes)]
    return [_began(report, run.run), *measured, *training_parts(run, None, {}), head, *written]


def _changes(report: ReportData, results: JsonObject) -> Node | None:
    """Bits per byte before and after, of each text that was measured on."""
    compared = ((f"test text, of {report.texts}", "texts"), ("general text", "general"))
    rows = [
        row for what, name in compared if (row := _change(what, table(results, "forgetting", name)))
    ]
    chosen = number(results, "start", "before", "bits_per_byte"), number(results, "bits_per_byte")
    rows += (
        [["validation text, by which the weights were chosen", *map(_bits, chosen), ""]]
        if None not in chosen
        else []
    )
    head: list[Child] = [
        "bits per byte of",
        "before",
        "after",
        "difference, paired, with its 95 % interval",
    ]
    return (
        figure(None, data_table("Before and after", head, rows, figures=(1, 2))) if rows else None
    )


def _change(what: str, found: JsonObject) -> list[Child]:
    before, after = number(found, "before"), number(found, "after")
    if before is None or after is None:
        return []
    return [what, _bits(before), _bits(after), paired_change(table(found, "difference"), digits=3)]


def _bits(value: float | None) -> str:
    return fixed(value, 3)


def _began(report: ReportData, record: JsonObject) -> Node:
    name = (
        report.base_name
        if report.is_build
        else text(record, "inputs", "start", "model").rpartition("/")[2]
    )
    after = " The chat model below is made from it." if report.is_build else ""
    return note(
        foreign(name or "A model"),
        f" went on with {report.texts}, all of its weights trained.{after}",
    )


def _verdicts(report: ReportData, changes: JsonObject) -> list[Node]:
    """One sentence on the gain and one on the loss, as far as the paired intervals allow."""
    gained, lost = (text(changes, name, "difference", "verdict") for name in ("texts", "general"))
    gains = {
        "better": (
            f"It predicts unseen text of the kind of {report.texts} better than before.",
            "good",
        ),
        "worse": (
            f"It predicts unseen text of the kind of {report.texts} worse than before.",
            "warning",
        ),
        "unclear": (
            f"Whether it predicts {report.texts} better than before is not certain from so little test text.",
            "note",
        ),
    }
    losses = {
        "worse": (
            "It has forgotten some of what it knew: general text is predicted worse.",
            "warning",
        ),
        "unclear": ("What it has forgotten of general text is too little to be measured.", "note"),
        "better": (
            "General text is predicted better than before: nothing of it was forgotten.",
            "note",
        ),
    }
    found = [gains.get(gained), losses.get(lost)]
    return [note(sentence, kind=kind) for sentence, kind in (each for each in found if each)]


TEACH = Chapter(
    "teach",
    "Optional · teach",
    "A public model reads {texts}",
    "The training of a model that knows general language is continued on the texts, with a little general text beside them. "
    "A difference is one only where its interval, of the same pieces of text before and after, excludes 0.",
    parts,
    cards=[StageCard(CONTINUED, "Taught model", "the public model reads the texts")],
    runs=[CONTINUED],
)
