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
    mark,
    note,
    paired_change,
    paired_points,
)
from groundup.report.drawing import Series, line_chart
from groundup.report.formatting import (
    count,
    first_letters,
    fixed,
    interval,
    percent,
    whole_percent,
)
from groundup.report.report_data import ReportData, RunRecord
from groundup.report.sections.answers import answer_cards
from groundup.report.sections.pretrain import evaluation_points
from groundup.report.values import JsonObject, number, numbers, table, tables, text

PROMPT_CHARACTERS, ANSWER_CHARACTERS = 400, 700
PAIRS_SHOWN = 6
# What the interval of the margin says, and the kind of the remark.
VERDICTS = {
    "better": (
        "On pairs that it was not trained on, the chosen answers gained on the rejected ones.",
        "good",
    ),
    "worse": (
        "On pairs that it was not trained on, the rejected answers gained on the chosen ones.",
        "warning",
    ),
    "unclear": (
        "Whether the chosen answers gained on held-out pairs is not clear: "
        "the interval contains 0.",
        "note",
    ),
}


def parts(report: ReportData) -> Sequence[Child] | str:
    """The figures, the verdict, the curves and the pairs."""
    run = report.run("preference")
    if not run.results and not run.evaluations:
        return "no model was tuned on preferences"
    return [_figures(run), _verdict(run.results), *_curves(run), *_pairs(run.results)]


def _figures(run: RunRecord) -> Node | None:
    results = run.results
    accuracy, likes = table(results, "accuracy"), table(results, "prefers")
    before, after = numbers(likes, "before", "after")
    preferred, points = interval(before, after, percent), paired_points(table(likes, "difference"))
    if preferred and points:
        preferred += f": {points} points"
    low, high = map(whole_percent, numbers(accuracy, "low", "high"))
    pairs = f"of {count(number(accuracy, 'n'))} held-out pairs"
    return facts(
        (
            paired_change(table(results, "margins", "difference")),
            "reward margin gained, with its 95 % interval; 0 before",
        ),
        (
            percent(number(accuracy, "value")),
            f"{pairs}: the chosen answer gained more ({low} to {high})",
        ),
        (preferred, "of the pairs: the chosen answer is the likelier per token"),
        (
            before_and_after(table(results, "forgetting", "general")),
            "general text before and after, bits per byte: what was forgotten",
        ),
        (count(number(results, "examples", "train")), "pairs learned from"),
        (count(number(results, "steps")), "steps"),
        (fixed(number(results, "beta")), "beta: how strongly the model is held to the base"),
    )


def _verdict(results: JsonObject) -> Node | None:
    verdict = text(results, "margins", "difference", "verdict")
    if verdict not in VERDICTS:
        return None
    sentence, kind = VERDICTS[verdict]
    return note(sentence, kind=kind)


def _curves(run: RunRecord) -> list[Node | None]:
    losses = [Series("training", run.losses), _points(run, "held_out_loss")]
    loss = line_chart("Loss over training steps", "loss of a pair, nats", losses)
    margin = line_chart(
        "Reward margin over training steps",
        "mean margin of held-out pairs",
        [_points(run, "margin")],
    )
    about_loss = (
        "The loss of a pair before the first step is ln 2 = 0.693: "
        "the model makes no difference yet."
    )
    about_margin = "How much more the chosen answers gained than the rejected ones, times beta."
    return [figure(about_loss, loss), figure(about_margin, margin)]


def _points(run: RunRecord, name: str) -> Series:
    return Series("held out", evaluation_points(run, name), "marked")


def _pairs(results: JsonObject) -> list[Node | None]:
    """The pairs that went wrong most, then those that gained most."""
    cards = [_card(pair) for pair in tables(results, "pairs")]
    if not cards:
        return []
    first, others = cards[:PAIRS_SHOWN], cards[PAIRS_SHOWN:]
    return [
        node("h3", "Held-out pairs, those with the least margin first"),
        node("div", first, class_="answers"),
        answer_cards(f"{count(len(others))} that gained most", others),
    ]


def _card(pair: JsonObject) -> Node:
    margin, before, after = numbers(pair, "margin", "before", "after")
    gained = mark((margin or 0.0) > 0, "gained", "lost")
    lead = f"lead of the chosen answer, nats per token: {fixed(before)} to {fixed(after)}"
    sides = [_side(pair, "chosen", "after"), _side(pair, "rejected", "before")]
    parts = [
        node("p", f"margin {fixed(margin)} · ", gained, class_="step"),
        foreign(first_letters(text(pair, "prompt"), PROMPT_CHARACTERS), "h3", "instruction"),
        node("div", sides, class_="sides"),
        node("p", lead, class_="expected"),
    ]
    return node("article", parts, class_="answer")


def _side(pair: JsonObject, name: str, look: str) -> Node:
    said = foreign(first_letters(text(pair, name), ANSWER_CHARACTERS), "p", "said")
    return node("div", node("h4", name), said, class_=f"side {look}")


PREFERENCE = Chapter(
    "preference",
    "Fine-tuning · preference",
    "Of two answers the better one",
    "Of two answers to a prompt, the chosen one is made more probable than the rejected one, "
    "measured from the model as it was (DPO). The margin is that gain on pairs that were not "
    "trained on; it is one only where its interval excludes 0.",
    parts,
    runs=["preference"],
    stages=["preference"],
)
