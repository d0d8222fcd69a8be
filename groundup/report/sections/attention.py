"""Inside the model: where a few heads look, on one sentence."""

from groundup.markup import Child, Node, node
from groundup.report.chapter import absent, chapter, figure
from groundup.report.drawing.heatmap import heat_map, heat_scale
from groundup.report.report_data import ReportData
from groundup.report.sections.tokens import show_spaces
from groundup.report.values import JsonObject, matrix, number, tables, text
from groundup.report.words import percent

KEY, KICKER, TITLE = "attention", "Stage 3 · pretrain", "Where it looks"
SEE = (
    "Each row is a token, and the squares in it show which earlier tokens it looks at: "
    "the fuller the colour, the more. "
    "It can't look ahead, so the upper half is empty."
)
MAX_HEADS = 4
MAX_TOKENS = 32

# What `lab` looks for in a head: to what it gives its attention, and what that is good for.
KINDS = {
    "previous": (
        "to the token just before",
        "A line beside the diagonal: this head passes on what came right before.",
    ),
    "first": (
        "to the first token of the text",
        "A filled first column: heads that have nothing to say rest on the first token.",
    ),
    "same": (
        "to earlier copies of the same token",
        "Squares where a token meets its own earlier copies: the beginning of learning by repetition.",
    ),
}
# Below this share a habit is a tendency at most: a model that was trained for a minute shows such heads.
CLEAR_HABIT = 0.3


def attention(story: ReportData) -> Node:
    """The chapter with the heat maps."""
    record = story.attention
    pieces = [show_spaces(text(piece, "text")) for piece in tables(record, "pieces")]
    pictures = [made for head in tables(record, "heads")[:MAX_HEADS] if (made := _picture(head, pieces))]
    if not pictures:
        return absent(KEY, KICKER, TITLE, "attention was not recorded")
    return chapter(KEY, KICKER, TITLE, SEE, node("div", pictures, _remark(record), class_="maps wide"))


def _picture(head: JsonObject, pieces: list[str]) -> Node | None:
    weights = matrix(head, "weights")
    shown = min(len(pieces), MAX_TOKENS)
    if len(weights) != len(pieces) or not weights or len(weights[0]) != len(pieces):
        return None
    where, meaning = KINDS.get(text(head, "kind"), ("", ""))
    place, score = f"Block {text(head, 'block')}, head {text(head, 'head')}", number(head, "score")
    said = f" gives {percent(score, 0)} of its attention {where}" if score is not None and where else ""
    drawing = heat_map(pieces[:shown], [row[:shown] for row in weights[:shown]], f"{place}{said}: heat map.")
    learned = (
        meaning if score is None or score >= CLEAR_HABIT else "No clear habit yet: more training would sharpen it."
    )
    caption: list[Child] = [node("b", place), f"{said}. ", learned]
    return figure(caption, drawing, class_="map")


def _remark(record: JsonObject) -> Node:
    heads = number(record, "heads_in_all")
    chosen = f"Of {heads:.0f} heads these" if heads is not None else "These heads"
    return figure(
        None,
        heat_scale(),
        node(
            "p",
            f"{chosen} show a habit most; others mix several. Attention tells where a model looks, not why.",
            class_="see",
        ),
        class_="map reading",
    )
