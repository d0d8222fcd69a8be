"""Stage 2: texts cut into tokens, each with its id."""

from groundup.markup import Node, foreign, node
from groundup.report.chapter import Heading, absent, chapter, facts, figure, more, notes_of
from groundup.report.report_data import ReportData, Stage
from groundup.report.values import JsonObject, count, fixed, number, tables, text, texts

HEADING = Heading(
    "tokens",
    "Stage 2 · tokenizer",
    "Text becomes numbers",
    "A model does not read letters, it reads token ids. A common word is one token; a rare one is several. A raised dot is a space.",
)
MAX_EXAMPLES = 8
MAX_PIECES = 200
COLOURS = 4


def tokens(report: ReportData) -> Node:
    """The chapter on the tokenizer."""
    record = report.tokenizer
    if not record:
        return absent(HEADING, "no tokenizer has been trained")
    stage = report.stage("tokenizer")
    pictures = [_picture(example) for example in tables(record, "examples")[:MAX_EXAMPLES]]
    return chapter(
        HEADING,
        _figures(record, stage),
        pictures,
        _vocabulary(record),
        notes_of(stage.thin if stage else []),
    )


def _figures(record: JsonObject, stage: Stage | None) -> Node | None:
    return facts(
        (count(number(record, "vocab_size")), "tokens in the vocabulary"),
        (fixed(number(record, "characters_per_token")), "characters per token, on held-out text"),
        (count(number(stage.record if stage else {}, "facts", "train_tokens")), "tokens to train on"),
    )


def _picture(example: JsonObject) -> Node:
    pieces = tables(example, "pieces")
    shown = [_piece(piece, index) for index, piece in enumerate(pieces[:MAX_PIECES])]
    cut = " (the beginning is shown)" if len(pieces) > MAX_PIECES else ""
    length = len(text(example, "text"))
    caption = (f"{count(length)} characters, " if length else "") + f"{count(len(pieces))} tokens{cut}"
    return figure(caption, node("p", shown, class_="pieces"), class_="tokens")


def _piece(piece: JsonObject, index: int) -> Node:
    words = foreign(show_spaces(text(piece, "text")), "bdi", "piece-text")
    id_ = node("span", text(piece, "id"), class_="piece-id")
    return node("span", words, id_, class_=f"piece piece-{index % COLOURS}")


def show_spaces(piece: str) -> str:
    """A token's text with visible spaces, line ends and tabs."""
    return piece.replace(" ", "·").replace("\r", "␍").replace("\n", "↵").replace("\t", "⇥") or "∅"


def _vocabulary(record: JsonObject) -> Node | None:
    lists = [
        ("The first merges", texts(record, "merges_first")),
        ("The longest tokens", texts(record, "longest")),
    ]
    parts = [_word_list(title, words) for title, words in lists if words]
    return more("The vocabulary: its first merges and its longest tokens", parts) if parts else None


def _word_list(title: str, words: list[str]) -> list[Node]:
    chips = [node("li", foreign(show_spaces(word))) for word in words[:40]]
    return [node("h3", title), node("ul", chips, class_="chips")]
