"""Stage 2: texts cut into the pieces of the vocabulary, each piece with its number."""

from groundup.markup import Node, foreign, node
from groundup.report.chapter import absent, chapter, facts, figure, more, notes_of
from groundup.report.report_data import ReportData, Stage
from groundup.report.values import JsonObject, number, tables, text, texts
from groundup.report.words import count, fixed

KEY, KICKER, TITLE = "tokens", "Stage 2 · tokenizer", "Text becomes numbers"
SEE = "A model reads no letters. Common words are one piece with one number; rare ones are put together from several. A raised dot is a space."
MAX_EXAMPLES = 8
MAX_PIECES = 200
COLOURS = 4


def tokens(story: ReportData) -> Node:
    """The chapter with the token pictures."""
    report = story.tokenizer
    if not report:
        return absent(KEY, KICKER, TITLE, "no tokenizer has been trained")
    stage = story.stage("tokenizer")
    pictures = [_picture(example) for example in tables(report, "examples")[:MAX_EXAMPLES]]
    return chapter(
        KEY,
        KICKER,
        TITLE,
        SEE,
        _figures(report, stage),
        pictures,
        _vocabulary(report),
        notes_of(stage.thin if stage else []),
    )


def _figures(report: JsonObject, stage: Stage | None) -> Node | None:
    return facts(
        (count(number(report, "vocab_size")), "pieces in the vocabulary"),
        (fixed(number(report, "characters_per_token")), "characters a token, on held-out text"),
        (count(number(stage.record if stage else {}, "facts", "train_tokens")), "tokens to train on"),
    )


def _picture(example: JsonObject) -> Node:
    pieces = tables(example, "pieces")
    shown = [_piece(piece, index) for index, piece in enumerate(pieces[:MAX_PIECES])]
    cut = " (the beginning is shown)" if len(pieces) > MAX_PIECES else ""
    length = len(text(example, "text"))
    caption = (
        f"{count(length)} characters, {count(len(pieces))} tokens{cut}"
        if length
        else f"{count(len(pieces))} tokens{cut}"
    )
    return figure(caption, node("p", shown, class_="pieces"), class_="tokens")


def _piece(piece: JsonObject, index: int) -> Node:
    words = foreign(show_spaces(text(piece, "text")), "bdi", "piece-text")
    return node(
        "span", words, node("span", text(piece, "id"), class_="piece-id"), class_=f"piece piece-{index % COLOURS}"
    )


def show_spaces(piece: str) -> str:
    """A piece with its spaces, line ends and tabs made visible."""
    return piece.replace(" ", "·").replace("\r", "␍").replace("\n", "↵").replace("\t", "⇥") or "∅"


def _vocabulary(report: JsonObject) -> Node | None:
    lists = [
        ("The first pairs it learned to join", texts(report, "merges_first")),
        ("The longest pieces it learned", texts(report, "longest")),
    ]
    parts = [_word_list(title, words) for title, words in lists if words]
    return more("The vocabulary itself: its first and its longest pieces", parts) if parts else None


def _word_list(title: str, words: list[str]) -> list[Node]:
    chips = [node("li", foreign(show_spaces(word))) for word in words[:40]]
    return [node("h3", title), node("ul", chips, class_="chips")]
