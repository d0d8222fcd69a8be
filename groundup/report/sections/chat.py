"""Stages 6 and 7: answers before and after instruction fine-tuning, side by side, and the measured figures."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import Heading, absent, chapter, data_table, facts, figure, more, note, notes_of
from groundup.report.drawing.lines import LineChart, Series, line_chart
from groundup.report.drawing.rows import scale_cell, whisker
from groundup.report.report_data import ReportData
from groundup.report.sections.opening import base_name
from groundup.report.sections.pretrain import VALIDATION_NAMES, evaluation_points
from groundup.report.values import JsonObject, count, first_letters, fixed, number, percent, tables, text

HEADING = Heading(
    "chat",
    "Stages 6 and 7 · chat, evaluate",
    "Answers before and after",
    "The same held-out instructions, given to the model before and after fine-tuning. "
    "Read the answers first, then the figures: a few checked answers prove little. Answers are cut off after some dozens of tokens.",
)
CARDS_SHOWN = 6
MAX_CARDS = 24
ANSWER_CHARACTERS = 700
PERCENT_TICKS = [0.0, 0.25, 0.5, 0.75, 1.0]


def chat(report: ReportData) -> Node:
    """The chapter on the chat model."""
    if not report.chat.results and not report.evaluate:
        return absent(HEADING, "no chat model has been trained")
    stages = [stage for name in ("chat", "evaluate") if (stage := report.stage(name))]
    thin = [sentence for stage in stages for sentence in stage.thin]
    return chapter(
        HEADING,
        _before(report),
        _figures(report),
        _cards(report),
        _checked(report),
        _curve(report),
        notes_of(thin),
    )


def _before(report: ReportData) -> Node:
    return note(
        foreign(base_name(report)),
        " was instruction-tuned by its authors. “Before” is therefore already a chat model; ",
        "“after” is the same model fine-tuned on our instructions with LoRA.",
    )


def _figures(report: ReportData) -> Node | None:
    results = report.chat.results
    before, after = (number(report.evaluate, "loss", key) for key in ("before", "after"))
    if before is None and after is None:
        before, after = (number(results, "held_out_loss", key) for key in ("before", "after"))
    return facts(
        (fixed(before), "loss on held-out answers before"),
        (fixed(after), "and after, in nats per token"),
        (percent(number(results, "supervised_share"), 0), "of the tokens count in the loss (answers only)"),
        (count(number(report.chat.last_step, "step")), "steps"),
    )


def _checked(report: ReportData) -> Node | None:
    rows = [row for name in ("before", "after") if (row := _checked_row(report.evaluate, name))]
    if not rows:
        return None
    scale = scale_cell((0.0, 1.0), PERCENT_TICKS, [percent(tick, 0) for tick in PERCENT_TICKS])
    head: list[Child] = ["model", node("div", scale, class_="drawn"), "right", "95 % interval"]
    chance = number(report.evaluate, "checked", "after", "chance")
    dotted = f" Dotted: chance level ({percent(chance)})." if chance is not None else ""
    caption = f"Held-out instructions with an answer that code can check: a number, a label, a word.{dotted}"
    return figure(caption, data_table("Checked answers", head, rows, figures=(2, 3), class_="bars whiskers"))


def _checked_row(evaluate: JsonObject, name: str) -> list[Child]:
    keys = ("value", "low", "high", "n", "chance")
    value, low, high, tested, chance = (number(evaluate, "checked", name, key) for key in keys)
    if value is None:
        return []
    low, high = value if low is None else low, value if high is None else high
    right = f"{count(value * tested)} of {count(tested)}" if tested is not None else percent(value)
    drawing = node("div", whisker(value, low, high, chance, (0.0, 1.0)), class_="drawn")
    return [name, drawing, right, f"{percent(low, 0)} to {percent(high, 0)}"]


def _cards(report: ReportData) -> list[Node]:
    first, others = one_of_each_kind(tables(report.evaluate, "answers")[:MAX_CARDS])
    shown, hidden = (node("div", [_card(each) for each in answers], class_="answers") for answers in (first, others))
    return [*([shown] if first else []), *([more(f"{count(len(others))} more", hidden)] if others else [])]


def one_of_each_kind(answers: list[JsonObject]) -> tuple[list[JsonObject], list[JsonObject]]:
    """Return the first answer of each kind, at most CARDS_SHOWN of them, and all others."""
    kinds = {text(answer, "kind"): answer for answer in reversed(answers)}
    firsts = [answer for answer in answers if kinds[text(answer, "kind")] is answer][:CARDS_SHOWN]
    return firsts, [answer for answer in answers if not any(answer is first for first in firsts)]


def _card(answer: JsonObject) -> Node:
    given, reference = text(answer, "input"), text(answer, "reference")
    kind = node("p", foreign(text(answer, "kind")), class_="step")
    question = [
        foreign(text(answer, "instruction"), "h3", "instruction"),
        foreign(given, "p", "input") if given else None,
    ]
    sides = [_side(answer, name) for name in ("before", "after")]
    label = node("span", "expected ", class_="quiet")
    wanted = node("p", label, foreign(reference), class_="expected") if reference else None
    return node("article", kind, question, node("div", sides, class_="sides"), wanted, class_="answer")


def _side(answer: JsonObject, name: str) -> Node:
    words = text(answer, name)
    shown = node("p", "(empty)", class_="said quiet")
    if words.strip():
        shown = foreign(first_letters(words, ANSWER_CHARACTERS), "p", "said")
    return node("div", node("h4", name, _verdict(answer, name)), shown, class_=f"side {name}")


def _verdict(answer: JsonObject, name: str) -> Child:
    """The result of an answer that code can check."""
    right = answer.get(f"{name}_right")
    if not isinstance(right, bool):
        return None
    return [" · ", node("span", "✓ right", class_="yes") if right else node("span", "✗ wrong", class_="no")]


def _curve(report: ReportData) -> Node | None:
    run = report.chat
    series = [Series("training", run.losses), Series("held out", evaluation_points(run, *VALIDATION_NAMES), "marked")]
    chart = LineChart(
        "Loss on answers over training steps", "training step", "loss, nats per token of the answer", series
    )
    drawn = line_chart(chart)
    return (
        more("Loss curve of the chat model", figure("Loss on the tokens of the answers only.", drawn))
        if drawn
        else None
    )
