"""A run of preference tuning: how far the chosen answers gained on the rejected ones, what was
forgotten, and pairs to read.
"""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import (
    Chapter,
    before_and_after,
    facts,
    figure,
    more,
    note,
    paired_change,
    paired_points,
)
from groundup.report.drawing import Series, line_chart
from groundup.report.formatting import count, first_letters, fixed, percent
from groundup.report.report_data import ReportData, RunRecord
from groundup.report.sections.pretrain import evaluation_points
from groundup.report.values import JsonObject, number, table, tables, text

PROMPT_CHARACTERS, ANSWER_CHARACTERS = 400, 700
PAIRS_SHOWN = 6


def parts(report: ReportData) -> Sequence[Child] | str:
    """The figures, the verdict, the curves and the pairs."""
    run = report.run("preference")
    if not run.results and not run.evaluations:
        return "no model was tuned on preferences"
    return [_figures(run), _verdict(run.results), *_curves(run), *_pairs(run.results)]


def _figures(run: RunRecord) -> Node | None:
    results = run.results
    accuracy, likes = table(results, "accuracy"), table(results, "prefers")
    before, after = number(likes, "before"), number(likes, "after")
    preferred = (
        f"{percent(before)} to {percent(after)}" if before is not None and after is not None else ""
    )
    points = paired_points(table(likes, "difference"))
    low, high = percent(number(accuracy, "low"), 0), percent(number(accuracy, "high"), 0)
    return facts(
        (paired_change(table(results, "margins", "difference")), "reward margin gained, with its 95 % interval; 0 before"),
        (percent(number(accuracy, "value")), f"of {count(number(accuracy, 'n'))} held-out pairs: the chosen answer gained more ({low} to {high})"),
        (f"{preferred}: {points} points" if preferred and points else preferred, "of the pairs: the chosen answer is the likelier per token"),
        (before_and_after(table(results, "forgetting", "general")), "general text before and after, bits per byte: what was forgotten"),
        (count(number(results, "examples", "train")), "pairs learned from"),
        (count(number(results, "steps")), "steps"),
        (fixed(number(results, "beta")), "beta: how strongly the model is held to the base"),
    )  # fmt: skip


def _verdict(results: JsonObject) -> Node | None:
    said = {
        "better": (
            "On pairs that it was not trained on, the chosen answers gained on the rejected ones.",
            "good",
        ),
        "worse": (
            "On pairs that it was not trained on, the rejected answers gained on the chosen ones.",
            "warning",
        ),
        "unclear": (
            "Whether the chosen answers gained on held-out pairs is not clear: the interval contains 0.",
            "note",
        ),
    }
    found = said.get(text(results, "margins", "difference", "verdict"))
    return note(found[0], kind=found[1]) if found else None


def _curves(run: RunRecord) -> list[Node]:
    drawn = (
        ("Loss over training steps", "loss of a pair, nats", [Series("training", run.losses), _points(run, "held_out_loss", "held out")]),
        ("Reward margin over training steps", "mean margin of held-out pairs", [_points(run, "margin", "held out")]),
    )  # fmt: skip
    captions = (
        "The loss of a pair before the first step is ln 2 = 0.693: the model makes no difference yet.",
        "How much more the chosen answers gained than the rejected ones, times beta.",
    )
    charts = [line_chart(*each) for each in drawn]
    return [
        figure(caption, chart) for caption, chart in zip(captions, charts, strict=True) if chart
    ]


def _points(run: RunRecord, name: str, label: str) -> Series:
    return Series(label, evaluation_points(run, name), "marked")


def _pairs(results: JsonObject) -> list[Node]:
    """The pairs that went wrong most, then those that gained most."""
    found = tables(results, "pairs")
    if not found:
        return []
    first, others = found[:PAIRS_SHOWN], found[PAIRS_SHOWN:]
    shown = [node("h3", "Held-out pairs, those with the least margin first"), _cards(first)]
    return [
        *shown,
        *([more(f"{count(len(others))} that gained most", _cards(others))] if others else []),
    ]


def _cards(pairs: Sequence[JsonObject]) -> Node:
    return node("div", [_card(each) for each in pairs], class_="answers")


def _card(pair: JsonObject) -> Node:
    margin = number(pair, "margin")
    mark = (
        node("span", "✓ gained", class_="yes")
        if margin and margin > 0
        else node("span", "✗ lost", class_="no")
    )
    lead = f"lead of the chosen answer, nats per token: {fixed(number(pair, 'before'))} to {fixed(number(pair, 'after'))}"
    sides = [_side(pair, name) for name in ("chosen", "rejected")]
    head = node("p", f"margin {fixed(margin)} · ", mark, class_="step")
    asked = foreign(first_letters(text(pair, "prompt"), PROMPT_CHARACTERS), "h3", "instruction")
    return node(
        "article",
        head,
        asked,
        node("div", sides, class_="sides"),
        node("p", lead, class_="expected"),
        class_="answer",
    )


def _side(pair: JsonObject, name: str) -> Node:
    said = foreign(first_letters(text(pair, name), ANSWER_CHARACTERS), "p", "said")
    return node(
        "div", node("h4", name), said, class_=f"side {'after' if name == 'chosen' else 'before'}"
    )


PREFERENCE = Chapter(
    "preference",
    "Fine-tuning · preference",
    "Of two answers the better one",
    "Of two answers to a prompt, the chosen one is made more probable than the rejected one, measured from the model as it was (DPO). "
    "The margin is that gain on pairs that were not trained on; it is one only where its interval excludes 0.",
    parts,
    runs=["preference"],
    stages=["preference"],
)
