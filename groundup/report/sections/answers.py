"""Answers to held-out questions (the base and the chat model, alone and with documents; what was
refused, what was cited), and summaries beside the first three sentences (ROUGE, key facts)
"""

from collections.abc import Sequence
from functools import partial

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import (
    Chapter,
    StageCard,
    cards,
    data_table,
    expected,
    facts,
    figure,
    more,
    note,
    notes_of,
    paired_points,
    whisker_table,
)
from groundup.report.report_data import ReportData
from groundup.report.stored_sentences import as_stored
from groundup.report.values import (
    JsonObject,
    count,
    fill,
    first_letters,
    fixed,
    interval,
    measured,
    number,
    table,
    tables,
    text,
    texts,
    whole_percent,
)

ITEMS_SHOWN, ANSWER_CHARACTERS = 60, 300
PROMISED_ONLY = " groundup serve --promised answers only these."


def parts(stage: str, report: ReportData) -> Sequence[Child] | str:
    found = report.json(f"{stage}/results.json")
    arms = [arm for arm in tables(found, "arms") if measured(arm, "contains")]
    if not arms:
        return "no questions have been answered"
    indexes = [report.stage(name) for name in report.of_kind("index")]
    thin = [words for index in indexes if index for words in index.thin]
    promises = [text(index.record, "facts", "promise") for index in indexes if index]
    promised = [note(as_stored(words), say(PROMISED_ONLY)) for words in promises if words]
    shown = [_counts(found), _right(arms), _figures(arms), _refusals(arms), _checks(arms)]
    return [*shown, *promised, *notes_of(thin), _items(found, arms)]


def _counts(found: JsonObject) -> Node | None:
    asked = table(found, "questions")
    return facts(
        (count(asked, "answerable"), "held-out questions that a document answers"),
        (count(asked, "unanswerable"), "that none answers"),
    )


def _name(arm: JsonObject) -> Node:
    return foreign(say(text(arm, "name")))


def _speaker(name: str) -> Node:
    return node("span", foreign(say(name)), ": ", class_="quiet")


def _right(arms: Sequence[JsonObject]) -> Node | None:
    """Drawn with intervals, and the paired difference from the base alone."""
    made = arm_whiskers(
        "Questions whose expected answer occurs in the response",
        "contains",
        ["contains the answer", "95 % interval", "difference from the base alone, paired"],
        arms,
        with_count=True,
    )
    caption = (
        "Whether the expected words occur in the response, by a rule. "
        "Quotations are sentences of the documents, found without a model: "
        "the question is what a model adds to them."
    )
    return figure(caption, made)


def arm_whiskers(
    caption: str,
    measure: str,
    columns: Sequence[str],
    arms: Sequence[JsonObject],
    *,
    with_count: bool = False,
) -> Node | None:
    """One measure of several methods, each with the paired difference from the base."""
    rows = []
    for arm in arms:
        shown = measured(arm, measure)
        assert shown is not None
        bounds, change = shown.bounds(whole_percent), ""
        if with_count:
            bounds += fill(", n {}", shown.items)
        if text(arm, "name") != "base":
            change = paired_points(table(arm, measure, "change"))
        rows.append((_name(arm), shown, [whole_percent(shown.value), bounds, change]))
    return whisker_table(caption, columns, rows)


def _figures(arms: Sequence[JsonObject]) -> Node | None:
    rows: list[list[Child]] = []
    for arm in arms:
        f1 = table(arm, "f1")
        low = number(f1, "low")
        if low is not None:
            f1 = {**f1, "low": max(0.0, low)}
        exact = whole_percent(arm, "exact", "value")
        rows.append([_name(arm), exact, fixed(f1, "value"), interval(f1, fixed)])
    head = ["answers", "exact match", "F1 of words", "95 % interval"]
    made = data_table("Exact match and F1, as in SQuAD", head, rows, figures=(1, 2, 3))
    caption = (
        "The expected answers are a few words, which whole sentences can't match exactly; "
        "F1 counts all other words against it."
    )
    return figure(caption, made)


def _refusals(arms: Sequence[JsonObject]) -> Node | None:
    rows: list[list[Child]] = []
    for arm in arms:
        refused, silent = measured(arm, "refused"), measured(arm, "silent")
        if refused and silent:
            bounds = refused.bounds(whole_percent) + fill(", n {}", refused.items)
            rows.append(
                [_name(arm), whole_percent(refused.value), bounds, whole_percent(silent.value)]
            )
    head = ["answers", "unanswerable refused", "95 % interval", "answerable refused, too"]
    made = data_table("Questions that no document answers", head, rows, figures=(1, 2, 3))
    caption = (
        "Refused: the response is empty, no sentence passed the checks, "
        "or it says that there is no answer (found by a rule)."
    )
    return figure(caption, made)


def _checks(arms: Sequence[JsonObject]) -> Node | None:
    """What the checks left out, and how often the right document was cited."""
    said: list[Child] = []
    for arm in arms:
        cited, written = measured(arm, "cited"), number(arm, "written")
        if cited is None:
            continue
        words = say(
            "the right document is cited in {share} ({bounds}) of {count} answers",
            share=whole_percent(cited.value),
            bounds=cited.bounds(whole_percent),
            count=count(cited.items),
        )
        if written:
            words += say(
                "; {left_out} of {count} sentences failed a check and were left out",
                left_out=count(arm, "left_out"),
                count=count(written),
            )
        said.append(node("li", _name(arm), f": {words}."))
    if not said:
        return None
    return node("div", node("p", say("Citations, each checked in code:")), node("ul", said))


def _items(found: JsonObject, arms: Sequence[JsonObject]) -> Node | None:
    names = [text(arm, "name") for arm in arms]
    shown = [_item(item, names) for item in tables(found, "items")[:ITEMS_SHOWN]]
    return answer_cards("Every question with its answers", shown)


def answer_cards(summary: str, shown: Sequence[Node], *, is_open: bool = False) -> Node | None:
    """Cards as closed details; None without any."""
    if not shown:
        return None
    return more(summary, cards(shown), is_open=is_open)


def _item(item: JsonObject, names: Sequence[str]) -> Node:
    wanted: Child = say("that the documents do not say")
    if text(item, "answer"):
        wanted = foreign(text(item, "answer"))
    given = {name: table(item, "answers", name) for name in names}
    answers = [_answer(name, answer) for name, answer in given.items() if answer]
    asked = foreign(text(item, "question"), "p", "input")
    return node("article", asked, expected(wanted), node("ul", answers), class_="answer")


def _answer(name: str, answer: JsonObject) -> Node:
    said: list[Child] = [say("(no answer)")]
    if text(answer, "text"):
        said = [foreign(first_letters(text(answer, "text"), ANSWER_CHARACTERS))]
    cited = ", ".join(dict.fromkeys(texts(answer, "cited")))
    if cited:
        said.append(node("span", " ", foreign(cited), class_="quiet"))
    return node("li", _speaker(name), said)


def answers_chapter(stage: str, report: ReportData) -> Chapter:
    """The chapter of a stage that answers questions, with the cards of the indexes."""
    indexes = [
        StageCard(name, say("Documents: {name}", name=name), "makes the documents searchable")
        for name in report.of_kind("index")
    ]
    own = StageCard(stage, "Answers", "answers held-out questions, with and without documents")
    return Chapter(
        stage,
        "",
        "Answers from documents",
        "The same held-out questions, answered by the public and by the fine-tuned model, "
        "from memory and with passages found by search.",
        partial(parts, stage),
        stages=[stage],
        cards=[*indexes, own],
    )


TEXT_CHARACTERS = 900


def summary_parts(stage: str, report: ReportData) -> Sequence[Child] | str:
    found = report.json(f"{stage}/results.json")
    arms = [arm for arm in tables(found, "arms") if measured(arm, "facts")]
    if not arms:
        return "no texts have been summarised"
    return [_facts(arms), _rouge(arms), _summaries(found, arms)]


def _facts(arms: Sequence[JsonObject]) -> Node | None:
    columns = ["of the key facts", "95 % interval", "difference from the base, paired"]
    made = arm_whiskers("Key facts in the summaries", "facts", columns, arms)
    caption = (
        "Key facts were chosen with the reference summaries; "
        "longer texts have more of them by their length."
    )
    return figure(caption, made)


def _rouge(arms: Sequence[JsonObject]) -> Node | None:
    rows: list[list[Child]] = []
    for arm in arms:
        rouge = table(arm, "rouge_l")
        bounds = interval(rouge, fixed) + fill(", n {}", number(rouge, "n"))
        rows.append([_name(arm), fixed(rouge, "value"), bounds])
    head = ["summaries", "ROUGE-L", "95 % interval"]
    made = data_table("ROUGE-L against the reference", head, rows, figures=(1, 2))
    return figure("The longest common sequence of words with a summary that a person wrote.", made)


def _summaries(found: JsonObject, arms: Sequence[JsonObject]) -> Node | None:
    names = [text(arm, "name") for arm in arms]
    shown = [_summary(item, names) for item in tables(found, "items")]
    return answer_cards("Every text with its summaries", shown)


def _summary(item: JsonObject, names: Sequence[str]) -> Node:
    said = [node("li", _speaker(name), foreign(text(item, "answers", name))) for name in names]
    asked = foreign(first_letters(text(item, "text"), TEXT_CHARACTERS), "p", "input")
    wanted = expected(foreign(text(item, "summary")), "reference")
    return node("article", asked, wanted, node("ul", said), class_="answer")


def summaries_chapter(stage: str) -> Chapter:
    """The chapter of a stage that has texts summarised."""
    return Chapter(
        stage,
        "",
        "Summaries",
        "The first three sentences of a text are a summary that costs nothing. "
        "A model is worth its cost where it is better than they are.",
        partial(summary_parts, stage),
        cards=[StageCard(stage, "Summaries", "summarises held-out texts")],
    )
