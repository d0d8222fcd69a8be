"""A chat model: answers before and after instruction fine-tuning, side by side, and the measured
figures; and one tuned on preferences: how far the chosen answers gained on the rejected ones
"""

from collections.abc import Sequence
from functools import partial

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import (
    Chapter,
    StageCard,
    before_and_after,
    cards,
    expected,
    facts,
    figure,
    mark,
    meaning,
    more,
    note,
    paired_change,
    paired_points,
    sentence,
    side,
    whisker_table,
    with_colon,
)
from groundup.report.drawing import Series, line_chart
from groundup.report.report_data import CONTINUED, ReportData, RunRecord
from groundup.report.sections.answers import answer_cards
from groundup.report.sections.pretrain import VALIDATION_NAMES, evaluation_points
from groundup.report.sections.pretraining_ablation import chat_pretraining_parts
from groundup.report.values import (
    JsonObject,
    count,
    fill,
    first_letters,
    fixed,
    interval,
    measured,
    number,
    numbers,
    percent,
    span,
    table,
    tables,
    text,
    whole_percent,
)

CARDS_SHOWN = 4
MAX_CARDS = 24
ANSWER_CHARACTERS = 700
EVALUATION = StageCard("evaluate", "Evaluation", "measures before and after, on the same data")
MASK_KINDS, MASKS_SHOWN = ("trained", "read only", "template"), 3


def parts(stage: str, report: ReportData) -> Sequence[Child] | str:
    run, evaluated = report.run(stage), report.chat_evaluation(stage)
    if not run.results and not evaluated:
        return "no chat model has been trained"
    return [
        _what_was_done(report),
        _kept(run),
        _same_answer(run.results),
        _cards(evaluated)
        or _cards(run.results)
        or note("No answers before and after were stored."),
        _checked(evaluated),
        _figures(run, evaluated),
        more(
            "What pretraining is worth",
            chat_pretraining_parts(table(run.results, "pretraining")),
        ),
        _mask(run),
        _curve(run),
    ]


def _what_was_done(report: ReportData) -> Node:
    """What before and after are; of a single run nobody knows what its model was."""
    if not report.is_build:
        return note(
            "“Before” is the model that training began with, “after” the same model, trained on "
            "the examples. They teach form and tone: names, prices and dates in the answers are "
            "made up where they are not in the question."
        )
    was = (
        "{model} was instruction-tuned by its authors. “Before” is therefore already a chat model; "
    )
    after = "“after” is the same model, fine-tuned on our instructions with LoRA."
    if report.stage(CONTINUED):
        after = (
            "“after” is the same model, first trained further on {texts}, "
            "then fine-tuned on our instructions with LoRA."
        )
    return note(*sentence(was, model=foreign(report.base_name)), say(after, texts=report.texts))


def _kept(run: RunRecord) -> Node | None:
    if number(run.results, "best_step") != 0:
        return None
    return note(
        "Nothing was learned: no evaluation has a lower held-out loss than the model that training "
        "began with, which is kept as it was.",
        kind="warning",
    )


def _same_answer(results: JsonObject) -> Node | None:
    same = table(results, "same_answer")
    if not same:
        return None
    learned = sentence(
        "{count} of {whole} held-out prompts are answered {answer}, which {wanted} should be: that "
        "answer was learned, and not when to give it.",
        count=count(same, "after"),
        whole=count(len(tables(results, "answers"))),
        answer=foreign(text(same, "text"), "q"),
        wanted=count(same, "reference"),
    )
    return note(*learned, kind="warning")


def _figures(run: RunRecord, evaluated: JsonObject) -> Node | None:
    losses = table(evaluated, "loss") or table(run.results, "held_out_loss")
    forgotten = (
        "general text before and after, bits per byte, with the paired difference: "
        "what was forgotten"
    )
    return facts(
        (fixed(losses, "before"), "loss on held-out answers before"),
        (fixed(losses, "after"), "and after, in nats per token"),
        (
            paired_change(table(evaluated, "changes", "answers")),
            "change in that loss, paired, with its 95 % interval",
        ),
        (before_and_after(table(run.results, "forgetting", "general")), forgotten),
        *_unlearned(run),
        (
            whole_percent(run.results, "supervised_share"),
            "of the tokens count in the loss (answers only)",
        ),
        (count(run.last_step, "step"), "steps"),
    )


def _unlearned(run: RunRecord) -> list[tuple[str, str]]:
    """The accuracy on questions before and after; of other text the bits per byte."""
    rows = []
    for name, found in table(run.results, "forgetting").items():
        points = paired_points(table(found, "difference"))
        if name == "general" or not points:
            continue
        said = with_colon(span(percent(found, "before"), percent(found, "after")), points)
        said += f", {meaning(table(found, 'difference'))}"
        what = "{name}: questions right before and after, with the paired difference in points"
        if text(found, "metric") == "bits_per_byte":
            said = before_and_after(found)
            what = "{name}: bits per byte before and after, with the paired difference"
        rows.append((said, say(what, name=say(name.replace("_", " ")))))
    return rows


def _checked(evaluated: JsonObject) -> Node | None:
    rows = []
    for name in ("before", "after"):
        found = measured(evaluated, "checked", name)
        if found is None:
            continue
        right = percent(found.value)
        if found.items is not None:
            right = say(
                "{part} of {whole}",
                part=count(found.value * found.items),
                whole=count(found.items),
            )
        rows.append((say(name), found, [right, found.bounds(whole_percent)]))
    made = whisker_table("Checked answers", ["right", "95 % interval"], rows)
    caption = say(
        "Held-out instructions with an answer that code can check: a number, a label, a word."
    )
    chance = number(evaluated, "checked", "after", "chance")
    caption += fill(" Dotted: chance level ({}).", chance, percent)
    change = table(evaluated, "changes", "checked answers")
    if change:
        caption += " " + say(
            "After minus before, paired: {change} points, {verdict}.",
            change=paired_points(change),
            verdict=meaning(change),
        )
    return figure(caption, made)


def _cards(evaluated: JsonObject) -> list[Child]:
    first, others = one_of_each_kind(tables(evaluated, "answers")[:MAX_CARDS])
    if not first:
        return []
    hidden = answer_cards(
        say("{count} more", count=count(len(others))), [_card(each) for each in others]
    )
    return [cards(map(_card, first)), hidden]


def one_of_each_kind(answers: list[JsonObject]) -> tuple[list[JsonObject], list[JsonObject]]:
    """The first answer of each kind, at most CARDS_SHOWN of them, and all others; of one kind the
    first ones.
    """
    kinds = {text(answer, "kind"): answer for answer in reversed(answers)}
    if len(kinds) == 1:
        return answers[:CARDS_SHOWN], answers[CARDS_SHOWN:]
    firsts = [answer for answer in answers if kinds[text(answer, "kind")] is answer][:CARDS_SHOWN]
    return firsts, [answer for answer in answers if not any(answer is first for first in firsts)]


def _card(answer: JsonObject) -> Node:
    given, reference = text(answer, "input"), text(answer, "reference")
    parts: list[Child] = [
        node("p", foreign(text(answer, "kind")), class_="step"),
        foreign(text(answer, "instruction"), "h3", "instruction"),
    ]
    if given:
        parts.append(foreign(given, "p", "input"))
    parts.append(node("div", [_side(answer, name) for name in ("before", "after")], class_="sides"))
    if reference:
        parts.append(expected(foreign(reference)))
    return node("article", parts, class_="answer")


def _side(answer: JsonObject, name: str) -> Node:
    words = text(answer, name)
    shown = node("p", say("(empty)"), class_="said quiet")
    if words.strip():
        shown = _said(words)
    head: list[Child] = [say(name)]
    right = answer.get(f"{name}_right")  # a boolean, where code can check the answer
    if isinstance(right, bool):
        head += [" · ", mark(right, "right", "wrong")]
    return side(head, shown, name)


def _said(words: str) -> Node:
    return foreign(first_letters(words, ANSWER_CHARACTERS), "p", "said")


def _mask(run: RunRecord) -> Node | None:
    """The first training examples with what of them was trained, each piece in the colour of its
    kind.
    """
    mask = table(run.results, "mask")
    examples = [
        node(
            "pre",
            [
                foreign(text(piece, "text"), "span", f"mask {text(piece, 'kind').split()[0]}")
                for piece in tables(example, "pieces")
                if text(piece, "kind") in MASK_KINDS
            ],
            class_="masked",
        )
        for example in tables(mask, "shown")[:MASKS_SHOWN]
    ]
    if not examples:
        return None
    turns, dropped, cut, endless = (
        found or 0 for found in numbers(mask, "turns", "dropped", "cut", "endless")
    )
    line = say(
        "Of {turns} turns of the assistant {trained} are trained; {cut} are cut at the limit of "
        "tokens, {endless} have no end token. ",
        turns=count(turns),
        trained=count(turns - dropped),
        cut=count(cut),
        endless=count(endless),
    )
    names = node(
        "p",
        [(node("span", say(name), class_=f"mask {name.split()[0]}"), " ") for name in MASK_KINDS],
    )
    return more("Loss mask of the first training examples", figure(line, names, examples))


def _curve(run: RunRecord) -> Node | None:
    drawn = line_chart(
        "Loss on answers over training steps",
        "loss, nats per token of the answer",
        [Series("training", run.losses), _held_out(run, *VALIDATION_NAMES)],
    )
    shown = figure("Loss on the tokens of the answers only.", drawn)
    return more("Loss curve of the chat model", shown)


def chat_chapter(stage: str, report: ReportData) -> Chapter:
    """The chapter of a chat model; that of the first has the card of the evaluation, too."""
    title = say("Chat model")
    if stage != "chat":
        title += f" {stage}"
    shown = [StageCard(stage, title, "fine-tunes the pulled model to follow instructions")]
    if report.of_kind("chat")[0] == stage:
        shown.append(EVALUATION)
    return Chapter(
        stage,
        "",
        "Answers before and after",
        "The same held-out instructions, given to the model before and after fine-tuning. "
        "Read the answers first, then the figures: a few checked answers prove little. "
        "Answers are cut off after some dozens of tokens.",
        partial(parts, stage),
        cards=shown,
        runs=["chat"],
    )


PROMPT_CHARACTERS = 400
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


def preference_parts(report: ReportData) -> Sequence[Child] | str:
    run = report.run("preference")
    if not run.results and not run.evaluations:
        return "no model was tuned on preferences"
    sentence, kind = VERDICTS.get(text(run.results, "margins", "difference", "verdict"), ("", ""))
    verdict = None
    if sentence:
        verdict = note(sentence, kind=kind)
    return [
        _preference_figures(run),
        verdict,
        _kept(run),
        _same_answer(run.results),
        _cards(run.results),
        *_preference_curves(run),
        *_pairs(run.results),
    ]


def _preference_figures(run: RunRecord) -> Node | None:
    results = run.results
    accuracy, likes = table(results, "accuracy"), table(results, "prefers")
    before, after = numbers(likes, "before", "after")
    preferred, points = "", paired_points(table(likes, "difference"))
    if before is not None and after is not None:
        preferred = span(percent(before), percent(after))
    if preferred and points:
        preferred += ": " + say("{change} points", change=points)
    bounds = interval(accuracy, whole_percent)
    held_out = count(accuracy, "n")
    right = "of {count} held-out pairs: the chosen answer gained more ({bounds})"
    gains = table(results, "gains")
    if gains:
        right = "of {count} held-out answers gained where rated up, or lost where down ({bounds})"
    learned = "rated answers" if gains else "pairs learned from"
    return facts(
        (
            paired_change(table(results, "margins", "difference")),
            "reward margin gained, with its 95 % interval; 0 before",
        ),
        (percent(accuracy, "value"), say(right, count=held_out, bounds=bounds)),
        (fixed(gains, "good"), "mean gain of held-out answers rated up, beyond the drift"),
        (fixed(gains, "bad"), "and of those rated down"),
        (preferred, "of the pairs: the chosen answer is the likelier per token"),
        (
            _sides(results, "chosen_loss", 2),
            "nats per token of the chosen answers before and after",
        ),
        (
            before_and_after(table(results, "forgetting", "general")),
            "general text before and after, bits per byte: what was forgotten",
        ),
        (
            _sides(results, "answer_words", 1),
            "words of an answer to a held-out prompt before and after, in the mean",
        ),
        (count(results, "examples", "train"), learned),
        (count(results, "steps"), "steps"),
        (fixed(results, "beta"), "beta: how strongly the model is held to the base"),
    )


def _sides(results: JsonObject, name: str, decimals: int) -> str:
    before, after = numbers(table(results, name), "before", "after")
    if before is None or after is None:
        return ""
    return span(fixed(before, decimals=decimals), fixed(after, decimals=decimals))


def _preference_curves(run: RunRecord) -> list[Node | None]:
    losses = [Series("training", run.losses), _held_out(run, "held_out_loss")]
    loss = line_chart("Loss over training steps", "loss of a pair, nats", losses)
    margin = line_chart(
        "Reward margin over training steps",
        "mean margin of held-out pairs",
        [_held_out(run, "margin")],
    )
    about_loss = (
        "The loss of a pair is that of DPO, ln 2 = 0.693 before the first step, "
        "and that of its chosen answer."
    )
    about_margin = "How much more the chosen answers gained than the rejected ones, times beta."
    return [figure(about_loss, loss), figure(about_margin, margin)]


def _held_out(run: RunRecord, *names: str) -> Series:
    return Series("held out", evaluation_points(run, *names), "marked")


def _pairs(results: JsonObject) -> list[Node | None]:
    """The pairs that went wrong most, then those that gained most."""
    shown = [_pair_card(pair) for pair in tables(results, "pairs")]
    if not shown:
        return []
    others = shown[PAIRS_SHOWN:]
    return [
        node("h3", say("Held-out pairs, those with the least margin first")),
        cards(shown[:PAIRS_SHOWN]),
        answer_cards(say("{count} that gained most", count=count(len(others))), others),
    ]


def _pair_card(pair: JsonObject) -> Node:
    gained = mark((number(pair, "margin") or 0.0) > 0, "gained", "lost")
    lead = say(
        "lead of the chosen answer, nats per token: {span}",
        span=span(fixed(pair, "before"), fixed(pair, "after")),
    )
    sides = [
        side("chosen", _said(text(pair, "chosen")), "after"),
        side("rejected", _said(text(pair, "rejected")), "before"),
    ]
    parts = [
        node(
            "p", say("margin {margin}", margin=fixed(pair, "margin")), " · ", gained, class_="step"
        ),
        foreign(first_letters(text(pair, "prompt"), PROMPT_CHARACTERS), "h3", "instruction"),
        node("div", sides, class_="sides"),
        node("p", lead, class_="expected"),
    ]
    return node("article", parts, class_="answer")


PREFERENCE = Chapter(
    "preference",
    "Fine-tuning · preference",
    "Of two answers the better one",
    "Of two answers to a prompt, the chosen one is made more probable than the rejected one, "
    "measured from the model as it was (DPO), and is learned itself. The margin is that gain on pairs that were not "
    "trained on; it is one only where its interval excludes 0.",
    preference_parts,
    runs=["preference"],
    stages=["preference"],
)
