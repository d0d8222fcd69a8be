"""The page's picture of the whole model as HTML: its words, its buttons, and a place for what
`picture.js` draws there with the model's own numbers.
"""

from groundup.html_nodes import Node, node

OPENING = (
    "Each column is a token. The model carries it from top to bottom as a list of numbers: the "
    "blue line, called residual stream, thicker where the numbers are larger. Arcs show attention: "
    "what a token takes over from the tokens before it, the wider the more; orange are those of "
    "the chosen token. At the bottom stands what each column guesses to come next, green where the "
    "text goes on so; the framed token was drawn by chance. Choose a part to open its step below."
)
HELP = (
    "Turn the wheel or pinch to zoom, drag to move; point at a number of the chosen token to see "
    "how it came about. Keys: + and − zoom, arrow keys go from part to part, Enter opens its step, "
    "Home shows the whole model."
)
CUT = "Longer texts are drawn in part: 128 tokens."
# Of each button: its words, the zoom, what is shown there.
ZOOMS = (("Whole model", "0", "words"), ("Heads", "1", "heads"), ("Numbers", "2", "numbers"))


def picture() -> Node:
    """The picture, which `picture.js` fills, and its text alternative."""
    levels = [
        node("button", words, type="button", data_zoom=zoom, data_level=level)
        for words, zoom, level in ZOOMS
    ]
    steps = [
        node("button", sign, type="button", data_by=by, aria_label=words)
        for sign, by, words in (("−", "-0.5", "farther away"), ("+", "0.5", "nearer"))
    ]
    bar = node(
        "div",
        node("div", levels, role="group", aria_label="What the picture shows"),
        node("div", steps, role="group", aria_label="Zoom"),
        class_="picture-bar",
        id="picture-bar",
    )
    room = node(
        "div",
        node("svg", id="picture-canvas", role="group", aria_label="The model, token by token"),
        id="picture-room",
        tabindex=0,
        role="application",
        aria_label="The whole model in one picture",
        aria_describedby="picture-help",
    )
    words = node("details", node("summary", "The picture in words"), node("ul", id="picture-words"))
    return node(
        "div",
        node("h3", "The whole model in one picture", id="picture-heading"),
        node("p", OPENING),
        bar,
        node("p", id="picture-said", role="status"),
        room,
        node("p", HELP, id="picture-help", class_="quiet"),
        node("p", CUT, id="picture-cut", class_="quiet", hidden="hidden"),
        words,
        id="picture",
    )
