"""Stage 1: the sources, what was kept, what was dropped and why, and a first look at the text."""

from groundup.report.chapter import absent, chapter, data_table, facts, more, note, notes_of
from groundup.report.markup import Child, Node, foreign
from groundup.report.story import Story
from groundup.report.values import Table, number, table, tables, text, texts
from groundup.report.words import count, first_letters, percent

KEY, KICKER, TITLE = "data", "Stage 1 · data", "The text, and what was left out"
SEE = "Everything a language model knows comes from its text, so look at the text first: where it is from, what was dropped, and why."
EXCERPT_CHARACTERS = 900
EXAMPLE_CHARACTERS = 160


def data(story: Story) -> Node:
    """The chapter on the texts."""
    card = story.data
    if not card:
        return absent(KEY, KICKER, TITLE, "no text has been prepared")
    stage = story.stage("data")
    return chapter(
        KEY,
        KICKER,
        TITLE,
        SEE,
        _figures(card),
        _sources(card),
        _dropped(card),
        _excerpt(card),
        notes_of(stage.thin if stage else []),
    )


def _figures(card: Table) -> Node | None:
    return facts(
        (count(number(card, "documents")), "documents kept"),
        (count(number(card, "characters")), "characters"),
        (count(number(card, "splits", "train", "documents")), "of them to train on"),
        (count(number(card, "splits", "validation", "documents")), "held out to measure"),
    )


def _sources(card: Table) -> Node | None:
    rows = [_source(source) for source in tables(card, "sources")]
    if not rows:
        return None
    return data_table(
        "Where the text comes from", ["source", "licence", "documents", "characters"], rows, figures=(2, 3)
    )


def _source(source: Table) -> list[Child]:
    name = text(source, "name") or text(source, "source") or text(source, "spec")
    licence = text(source, "licence") or "not stated"
    return [foreign(name), foreign(licence), count(number(source, "documents")), count(number(source, "characters"))]


def _dropped(card: Table) -> Node:
    reasons = [(reason, entry) for reason, entry in table(card, "dropped").items()]
    counted = [(reason, _dropped_count(entry), entry) for reason, entry in reasons]
    kept = number(card, "documents") or 0.0
    rows = [_dropped_row(reason, number_of, entry) for reason, number_of, entry in counted if number_of]
    if not rows:
        return note(
            "Nothing was dropped: no document was empty, and none was the exact repeat of another.", kind="good"
        )
    total = sum(number_of for _, number_of, _ in counted)
    caption = f"{count(total)} of {count(total + kept)} documents were dropped ({percent(total / (total + kept))})"
    return data_table(caption, ["reason", "documents", "for example"], rows, figures=(1,))


def _dropped_count(entry: object) -> float:
    return number(entry, "count") or number(entry) or 0.0


def _dropped_row(reason: str, dropped: float, entry: object) -> list[Child]:
    examples = texts(entry, "examples") or [
        text(example, "name") or text(example, "text") for example in tables(entry, "examples")
    ]
    shown = [
        foreign(first_letters(example, EXAMPLE_CHARACTERS), "div", "sample-line") for example in examples[:2] if example
    ]
    return [foreign(reason), count(dropped), shown]


def _excerpt(card: Table) -> Node | None:
    excerpt = text(card, "excerpt")
    if not excerpt:
        return None
    words = foreign(first_letters(excerpt.strip(), EXCERPT_CHARACTERS), "blockquote", "document")
    return more("How the text begins", words)
