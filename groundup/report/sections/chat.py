"""A chat model: answers before and after instruction fine-tuning, side by side, and the measured
figures.
"""

from collections.abc import Sequence
from functools import partial

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import (
    Chapter,
    StageCard,
    before_and_after,
    facts,
    figure,
    meaning,
    more,
    note,
    paired_change,
    paired_points,
    whisker_table,
)
from groundup.report.drawing import Series, line_chart
from groundup.report.formatting import count, first_letters, fixed, percent
from groundup.report.report_data import CONTINUED, ReportData, RunRecord
from groundup.report.sections.pretrain import VALIDATION_NAMES, evaluation_points
from groundup.report.sections.pretraining_ablation import chat_pretraining_parts
from groundup.report.values import JsonObject, measured, number, table, tables, text

CARDS_SHOWN = 6
MAX_CARDS = 24
ANSWER_CHARACTERS = 700
EVALUATION = StageCard("evaluate", "Evaluation", "measures before and after, on the same data")
MASK_KINDS, MASKS_SHOWN = ("trained", "read only", "template"), 3
PERCENT_TICKS = [0.0, 0.25, 0.5, 0.75, 1.0]


def parts(stage: str, report: ReportData) -> Sequence[Child] | str:
    """Answers before and after, checked answers, and the loss curve."""
    run, found = report.run(stage), report.json("evaluate/results.json")
    evaluated = found if report.of_kind("chat")[:1] == [stage] else table(found, "chats", stage)
    if not run.results and not evaluated:
        return "no chat model has been trained"
    taught = f"first trained further on {report.texts}, then " if report.stage(CONTINUED) else ""
    before = note(
        foreign(report.base_name),
        " was instruction-tuned by its authors. “Before” is therefore already a chat model; ",
        f"“after” is the same model, {taught}fine-tuned on our instructions with LoRA.",
    )
    return [
        before,
        _figures(run, evaluated),
        _cards(evaluated),
        _checked(evaluated),
        *_worth(run),
        _mask(run),
        _curve(run),
    ]


def _figures(run: RunRecord, evaluated: JsonObject) -> Node | None:
    losses = table(evaluated, "loss") or table(run.results, "held_out_loss")
    return facts(
        (fixed(number(losses, "before")), "loss on held-out answers before"),
        (fixed(number(losses, "after")), "and after, in nats per token"),
        (
            paired_change(table(evaluated, "changes", "answers")),
            "change in that loss, paired, with its 95 % interval",
        ),
        (
            before_and_after(table(run.results, "forgetting", "general")),
            "general text before and after, bits per byte, with the paired difference: what was forgotten",
        ),
        (_unlearned(run), "questions right before and after, with the paired difference in points"),
        (
            percent(number(run.results, "supervised_share"), 0),
            "of the tokens count in the loss (answers only)",
        ),
        (count(number(run.last_step, "step")), "steps"),
    )


def _unlearned(run: RunRecord) -> str:
    """The accuracy in multiple choice before and after; "" of older runs, which did not measure
    it.
    """
    found = table(run.results, "forgetting", "multiple_choice")
    change = table(found, "difference")
    if not (points := paired_points(change)):
        return ""
    return f"{percent(number(found, 'before'))} to {percent(number(found, 'after'))}: {points}, {meaning(change)}"


def _worth(run: RunRecord) -> list[Node]:
    return chat_pretraining_parts(table(run.results, "pretraining"))


def _checked(evaluated: JsonObject) -> Node | None:
    scores = {
        name: found
        for name in ("before", "after")
        if (found := measured(evaluated, "checked", name))
    }
    if not scores:
        return None
    rows = []
    for name, found in scores.items():
        right = percent(found.value)
        if found.items is not None:
            right = f"{count(found.value * found.items)} of {count(found.items)}"
        rows.append((name, found, [right, f"{percent(found.low, 0)} to {percent(found.high, 0)}"]))
    made = whisker_table(
        "Checked answers", ["right", "95 % interval"], rows, low=0.0, levels=PERCENT_TICKS
    )
    chance = number(evaluated, "checked", "after", "chance")
    dotted = f" Dotted: chance level ({percent(chance)})." if chance is not None else ""
    change = table(evaluated, "changes", "checked answers")
    verdict = (
        f" After minus before, paired: {paired_points(change)} points, {meaning(change)}."
        if change
        else ""
    )
    caption = f"Held-out instructions with an answer that code can check: a number, a label, a word.{dotted}{verdict}"
    return figure(caption, made)


def _cards(evaluated: JsonObject) -> list[Node]:
    first, others = one_of_each_kind(tables(evaluated, "answers")[:MAX_CARDS])
    shown, hidden = (
        node("div", [_card(each) for each in answers], class_="answers")
        for answers in (first, others)
    )
    return [
        *([shown] if first else []),
        *([more(f"{count(len(others))} more", hidden)] if others else []),
    ]


def one_of_each_kind(answers: list[JsonObject]) -> tuple[list[JsonObject], list[JsonObject]]:
    """Return the first answer of each kind, at most CARDS_SHOWN of them, and all others."""
    kinds = {text(answer, "kind"): answer for answer in reversed(answers)}
    firsts = [answer for answer in answers if kinds[text(answer, "kind")] is answer][:CARDS_SHOWN]
    return firsts, [answer for answer in answers if not any(answer is first for first in firsts)]


def _card(answer: JsonObject) -> Node:
    given, reference = text(answer, "input"), text(answer, "reference")
    kind = node("p", foreign(text(answer, "kind")), class_="step")
    question = (
        foreign(text(answer, "instruction"), "h3", "instruction"),
        foreign(given, "p", "input") if given else None,
    )
    sides = [_side(answer, name) for name in ("before", "after")]
    label = node("span", "expected ", class_="quiet")
    wanted = node("p", label, foreign(reference), class_="expected") if reference else None
    return node(
        "article", kind, question, node("div", sides, class_="sides"), wanted, class_="answer"
    )


def _side(answer: JsonObject, name: str) -> Node:
    words = text(answer, name)
    shown = node("p", "(empty)", class_="said quiet")
    if words.strip():
        shown = foreign(first_letters(words, ANSWER_CHARACTERS), "p", "said")
    right, verdict = answer.get(f"{name}_right"), None  # a boolean, where code can check the answer
    if isinstance(right, bool):
        verdict = (
            " · ",
            node("span", "✓ right", class_="yes")
            if right
            else node("span", "✗ wrong", class_="no"),
        )
    return node("div", node("h4", name, verdict), shown, class_=f"side {name}")


def _mask(run: RunRecord) -> Node | None:
    """The first training examples with what of them was trained."""
    mask = table(run.results, "mask")
    examples = [
        _masked(tables(example, "pieces")) for example in tables(mask, "shown")[:MASKS_SHOWN]
    ]
    if not examples:
        return None
    turns, trained = (
        number(mask, "turns") or 0,
        (number(mask, "turns") or 0) - (number(mask, "dropped") or 0),
    )
    cut, endless = number(mask, "cut") or 0, number(mask, "endless") or 0
    line = (
        f"Of {count(turns)} turns of the assistant {count(trained)} are trained; {count(cut)} are cut at the limit of tokens, "
        f"{count(endless)} have no end token. "
    )
    names = node(
        "p", [(node("span", name, class_=f"mask {name.split()[0]}"), " ") for name in MASK_KINDS]
    )
    return more("Loss mask of the first training examples", figure(line, [names, *examples]))


def _masked(pieces: list[JsonObject]) -> Node:
    """Return one example, each piece in the colour of its kind."""
    known = [
        (text(each, "kind"), text(each, "text"))
        for each in pieces
        if text(each, "kind") in MASK_KINDS
    ]
    return node(
        "pre",
        [foreign(said, "span", f"mask {kind.split()[0]}") for kind, said in known],
        class_="masked",
    )


def _curve(run: RunRecord) -> Node | None:
    series = [
        Series("training", run.losses),
        Series("held out", evaluation_points(run, *VALIDATION_NAMES), "marked"),
    ]
    drawn = line_chart(
        "Loss on answers over training steps", "loss, nats per token of the answer", series
    )
    shown = figure("Loss on the tokens of the answers only.", drawn)
    return more("Loss curve of the chat model", shown) if drawn else None


def chat_chapter(stage: str, report: ReportData) -> Chapter:
    """The chapter of a chat model; that of the first has the card of the evaluation, too."""
    is_first = report.of_kind("chat")[0] == stage
    title = f"Chat model {stage}" if stage != "chat" else "Chat model"
    return Chapter(
        stage,
        "",
        "Answers before and after",
        "The same held-out instructions, given to the model before and after fine-tuning. "
        "Read the answers first, then the figures: a few checked answers prove little. Answers are cut off after some dozens of tokens.",
        partial(parts, stage),
        cards=[
            StageCard(stage, title, "fine-tunes the pulled model to follow instructions"),
            *([EVALUATION] if is_first else []),
        ],
        runs=["chat"],
    )
