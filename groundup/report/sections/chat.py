"""Stages 6 and 7: answers before and after instruction fine-tuning, side by side, and what could be counted."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import absent, chapter, data_table, facts, figure, more, note, notes_of
from groundup.report.drawing.lines import LineChart, Series, line_chart
from groundup.report.drawing.rows import scale_cell, whisker
from groundup.report.report_data import ReportData
from groundup.report.sections.opening import base_name
from groundup.report.sections.pretrain import VALIDATION_NAMES, evaluation_points
from groundup.report.values import JsonObject, number, tables, text
from groundup.report.words import count, first_letters, fixed, percent

KEY, KICKER, TITLE = "chat", "Stages 6 and 7 · chat, evaluate", "Answers before and after"
SEE = (
    "The same held-out instructions, put to the model before fine-tuning and after it. "
    "Read the answers first, then the figures: "
    "a few checked answers prove little. Answers are cut after some dozens of tokens."
)
CARDS_SHOWN = 6
MAX_CARDS = 24
ANSWER_CHARACTERS = 700
PERCENT_TICKS = [0.0, 0.25, 0.5, 0.75, 1.0]


def chat(story: ReportData) -> Node:
    """The chapter on the chat model."""
    if not story.chat.results and not story.evaluate:
        return absent(KEY, KICKER, TITLE, "no chat model has been trained")
    stages = [stage for name in ("chat", "evaluate") if (stage := story.stage(name))]
    thin = [sentence for stage in stages for sentence in stage.thin]
    return chapter(
        KEY,
        KICKER,
        TITLE,
        SEE,
        _before(story),
        _figures(story),
        _cards(story),
        _checked(story),
        _curve(story),
        notes_of(thin),
    )


def _before(story: ReportData) -> Node:
    return note(
        foreign(base_name(story)),
        " had been instruction-tuned by its makers before it came here. What stands under “before” is already ",
        "a chat model; “after” is what our instructions added to it, by LoRA.",
    )


def _figures(story: ReportData) -> Node | None:
    results = story.chat.results
    before, after = (number(story.evaluate, "loss", key) for key in ("before", "after"))
    if before is None and after is None:
        before, after = (number(results, "held_out_loss", key) for key in ("before", "after"))
    return facts(
        (fixed(before), "loss on held-out answers before"),
        (fixed(after), "and after, nats a token"),
        (percent(number(results, "supervised_share"), 0), "of the tokens were learned from (answers, never questions)"),
        (count(number(story.chat.last_step, "step")), "steps"),
    )


def _checked(story: ReportData) -> Node | None:
    rows = [row for name in ("before", "after") if (row := _checked_row(story.evaluate, name))]
    if not rows:
        return None
    scale = scale_cell((0.0, 1.0), PERCENT_TICKS, [percent(tick, 0) for tick in PERCENT_TICKS])
    head: list[Child] = ["model", node("div", scale, class_="drawn"), "right", "95 % interval"]
    chance = number(story.evaluate, "checked", "after", "chance")
    dotted = f" Dotted: what guessing would give ({percent(chance)})." if chance is not None else ""
    caption = f"Held-out instructions whose answer code can check: a number, a label, a word.{dotted}"
    return figure(caption, data_table("Checked answers", head, rows, figures=(2, 3), class_="bars whiskers"))


def _checked_row(evaluate: JsonObject, name: str) -> list[Child]:
    value, low, high, tested, chance = (
        number(evaluate, "checked", name, key) for key in ("value", "low", "high", "n", "chance")
    )
    if value is None:
        return []
    low, high = value if low is None else low, value if high is None else high
    right = f"{count(value * tested)} of {count(tested)}" if tested is not None else percent(value)
    drawing = node("div", whisker(value, low, high, chance, (0.0, 1.0)), class_="drawn")
    return [name, drawing, right, f"{percent(low, 0)} to {percent(high, 0)}"]


def _cards(story: ReportData) -> list[Node]:
    first, others = one_of_each_kind(tables(story.evaluate, "answers")[:MAX_CARDS])
    shown = [node("div", [_card(answer) for answer in first], class_="answers")] if first else []
    if not others:
        return shown
    return [
        *shown,
        more(f"{count(len(others))} more", node("div", [_card(answer) for answer in others], class_="answers")),
    ]


def one_of_each_kind(answers: list[JsonObject]) -> tuple[list[JsonObject], list[JsonObject]]:
    """The first answer of each kind, at most CARDS_SHOWN of them; and all others."""
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
    said = foreign(first_letters(words, ANSWER_CHARACTERS), "p", "said")
    nothing = node("p", "(nothing)", class_="said quiet")
    return node(
        "div", node("h4", name, _verdict(answer, name)), said if words.strip() else nothing, class_=f"side {name}"
    )


def _verdict(answer: JsonObject, name: str) -> Child:
    """Whether an answer that code can check passed."""
    right = answer.get(f"{name}_right")
    if not isinstance(right, bool):
        return None
    return [" · ", node("span", "✓ right", class_="yes") if right else node("span", "✗ wrong", class_="no")]


def _curve(story: ReportData) -> Node | None:
    run = story.chat
    series = [Series("training", run.losses), Series("held out", evaluation_points(run, *VALIDATION_NAMES), "marked")]
    drawn = line_chart(
        LineChart("Loss on answers over training steps", "training step", "loss, nats a token of the answer", series)
    )
    return (
        more("The training curve of the chat model", figure("Loss on the answers' tokens only.", drawn))
        if drawn
        else None
    )
