"""Inside the model: where a few heads look, on one sentence."""

from groundup.report.chapter import absent, chapter, figure
from groundup.report.drawing.heatmap import heat_map, heat_scale
from groundup.report.markup import Child, Node, node
from groundup.report.sections.tokens import show_spaces
from groundup.report.story import Story
from groundup.report.values import Table, matrix, number, tables, text
from groundup.report.words import percent

KEY, KICKER, TITLE = "attention", "Stage 3 · pretrain", "Where it looks"
SEE = (
    "Each row is a token, and the squares in it show which earlier tokens it looks at: "
    "the fuller the colour, the more. "
    "It can't look ahead, so the upper half is empty."
)
MAX_HEADS = 4
MAX_TOKENS = 32

# What `lab` looks for in a head -> what that means, in words.
KINDS = {
    "previous": (
        "looks at the token just before",
        "A strong line beside the diagonal: this head passes on what came right before.",
    ),
    "first": (
        "looks back at the first token",
        "A full first column: heads that have nothing to say rest on the first token.",
    ),
    "same": (
        "looks at earlier copies of itself",
        "Squares where a token meets its own earlier copies: the beginning of learning by repetition.",
    ),
}


def attention(story: Story) -> Node:
    """The chapter with the heat maps."""
    record = story.pretrain.attention
    pieces = [show_spaces(text(piece, "text")) for piece in tables(record, "pieces")]
    pictures = [made for head in tables(record, "heads")[:MAX_HEADS] if (made := _picture(head, pieces))]
    if not pictures:
        return absent(KEY, KICKER, TITLE, "attention was not recorded")
    return chapter(KEY, KICKER, TITLE, SEE, node("div", pictures, _remark(record), class_="maps wide"))


def _picture(head: Table, pieces: list[str]) -> Node | None:
    weights = matrix(head, "weights")
    shown = min(len(pieces), MAX_TOKENS)
    if len(weights) != len(pieces) or not weights or len(weights[0]) != len(pieces):
        return None
    short, long = KINDS.get(text(head, "kind"), ("", ""))
    place = f"Block {text(head, 'block')}, head {text(head, 'head')}"
    score = number(head, "score")
    measured = f" ({percent(score, 0)} of its attention)" if score is not None else ""
    drawing = heat_map(
        pieces[:shown],
        [row[:shown] for row in weights[:shown]],
        f"{place} {short}{measured}. Heat map of {shown} by {shown} tokens.",
    )
    caption: list[Child] = [node("b", f"{place} "), f"{short}{measured}. " if short else "", long]
    return figure(caption, drawing, class_="map")


def _remark(record: Table) -> Node:
    heads = number(record, "heads_in_all")
    chosen = (
        f"These heads were chosen out of {heads:.0f} because each shows one habit clearly"
        if heads is not None
        else "Each of these heads shows one habit clearly"
    )
    return figure(
        None,
        heat_scale(),
        node("p", f"{chosen}; most heads mix several. Attention tells where a model looks, not why.", class_="see"),
        class_="map reading",
    )
