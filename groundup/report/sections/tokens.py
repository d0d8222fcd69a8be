"""Stage 2: texts cut into tokens, each with its id."""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import Chapter, StageCard, facts, figure, more
from groundup.report.formatting import count, fixed
from groundup.report.report_data import ReportData, StageRecord
from groundup.report.values import JsonObject, number, tables, text, texts

TOKENIZER_REPORT = "tokenizer/report.json"
MAX_EXAMPLES = 8
MAX_PIECES = 200
COLOURS = 4


def parts(report: ReportData) -> Sequence[Child] | str:
    """Texts cut into tokens, and the vocabulary."""
    record = report.json(TOKENIZER_REPORT)
    if not record:
        return "no tokenizer has been trained"
    pictures = [_picture(example) for example in tables(record, "examples")[:MAX_EXAMPLES]]
    return [_figures(record, report.stage("tokenizer")), pictures, _vocabulary(record)]


def _figures(record: JsonObject, stage: StageRecord | None) -> Node | None:
    return facts(
        (count(number(record, "vocab_size")), "tokens in the vocabulary"),
        (fixed(number(record, "characters_per_token")), "characters per token, on validation text"),
        (
            count(number(stage.record if stage else {}, "facts", "train_tokens")),
            "tokens to train on",
        ),
    )


def _picture(example: JsonObject) -> Node:
    pieces = tables(example, "pieces")
    shown = [_piece(piece, index) for index, piece in enumerate(pieces[:MAX_PIECES])]
    cut = " (the beginning is shown)" if len(pieces) > MAX_PIECES else ""
    length = len(text(example, "text"))
    caption = (
        f"{count(length)} characters, " if length else ""
    ) + f"{count(len(pieces))} tokens{cut}"
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
    parts = []
    for title, words in lists:
        chips = [node("li", foreign(show_spaces(word))) for word in words[:40]]
        parts += [node("h3", title), node("ul", chips, class_="chips")] if chips else []
    return more("The vocabulary: its first merges and its longest tokens", parts) if parts else None


TOKENS = Chapter(
    "tokens",
    "",
    "Text becomes numbers",
    "A model does not read letters, it reads token ids. A common word is one token; a rare one is several. A raised dot is a space.",
    parts,
    cards=[StageCard("tokenizer", "Tokens", "turns text into token ids")],
)
