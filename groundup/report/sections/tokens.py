"""Stage 2: texts cut into tokens, each with its id."""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import Chapter, StageCard, facts, figure, more
from groundup.report.report_data import ReportData
from groundup.report.values import JsonObject, count, fixed, tables, text, texts

MAX_EXAMPLES = 8
MAX_PIECES = 200
COLOURS = 4


def parts(report: ReportData) -> Sequence[Child] | str:
    record = report.tokenizer
    if not record:
        return "no tokenizer has been trained"
    figures = facts(
        (count(record, "vocab_size"), "tokens in the vocabulary"),
        (fixed(record, "characters_per_token"), "characters per token, on validation text"),
        (count(report.facts("tokenizer"), "train_tokens"), "tokens to train on"),
    )
    pictures = [_picture(example) for example in tables(record, "examples")[:MAX_EXAMPLES]]
    return [figures, pictures, _vocabulary(record)]


def _picture(example: JsonObject) -> Node | None:
    pieces = tables(example, "pieces")
    shown = []
    for index, piece in enumerate(pieces[:MAX_PIECES]):
        words = foreign(show_spaces(text(piece, "text")), "bdi", "piece-text")
        id_ = node("span", text(piece, "id"), class_="piece-id")
        shown.append(node("span", words, id_, class_=f"piece piece-{index % COLOURS}"))
    caption = say("{count} tokens", count=count(len(pieces)))
    length = len(text(example, "text"))
    if length:
        caption = f"{say('{count} characters', count=count(length))}, {caption}"
    if len(pieces) > MAX_PIECES:
        caption += say(" (the beginning is shown)")
    return figure(caption, node("p", shown, class_="pieces"), class_="tokens")


def show_spaces(piece: str) -> str:
    """A token's text with visible spaces, line ends and tabs."""
    return piece.replace(" ", "·").replace("\r", "␍").replace("\n", "↵").replace("\t", "⇥") or "∅"


def _vocabulary(record: JsonObject) -> Node | None:
    parts = []
    for title, key in {"The first merges": "merges_first", "The longest tokens": "longest"}.items():
        chips = [node("li", foreign(show_spaces(word))) for word in texts(record, key)[:40]]
        if chips:
            parts += [node("h3", say(title)), node("ul", chips, class_="chips")]
    return more("The vocabulary: its first merges and its longest tokens", parts)


TOKENS = Chapter(
    "tokens",
    "",
    "Text becomes numbers",
    "A model does not read letters, it reads token ids. "
    "A common word is one token; a rare one is several. A raised dot is a space.",
    parts,
    cards=[StageCard("tokenizer", "Tokens", "turns text into token ids")],
)
