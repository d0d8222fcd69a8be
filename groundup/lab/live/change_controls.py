"""The page's part that changes the model, as HTML: what can be changed, and places for what
`change_page.js` draws there.
"""

from collections.abc import Mapping
from typing import Any

from groundup.html_nodes import Child, Node, node

OPENING = (
    "Pictures show what the model computes, but not what its prediction needs. Change something "
    "and see. The changes hold for this part of the page only: above, the model is as it was."
)
REMOVE = (
    "A head that is switched off hands nothing on. Without a block the stream passes by it. "
    "Without rotation a block's heads do not know how far away a token is."
)
PATCH = (
    "Type a text that differs in a word. Each square puts one vector of that text's residual "
    "stream in place of yours. Filled: it brings that text's answer. So you find the place that "
    "carries it. Choose a square to put it in."
)
STEER = (
    "A word's direction is added to the stream of every token after a block: towards its row of "
    "the embedding table, or away from it. Strength 1 adds as much as the stream's vectors are long."
)
WEIGHT = (
    "What the last token of the text takes from each token before it, in one head. Move one: the "
    "others share what is left."
)

WRITTEN = (
    "What each head and each feed-forward network adds to the most probable token's logit itself, "
    "with the scale of the norms held. Without it something else may be lost, as later parts read "
    "it too: try it."
)
FEATURES = (
    " makes another page: it trains a sparse transcoder of one block for five minutes, and shows "
    "features (directions that neurons write together, with the texts that they answer to) and "
    "graphs of the parts that made a prediction, with the share that they explain."
)
WITHOUT = "Second line: by how much the logit changes when the part hands nothing on."
LEGEND = (
    "Above: the model as it is. Below: as it is changed. How far the prediction has moved: 0 is not "
    "at all (Kullback-Leibler divergence of the second from the first)."
)
WRITE = "The text goes on with the most probable tokens, as the model is and as it is changed."


def change_controls(config: Mapping[str, Any]) -> Node:
    """`config` is that of `live_config`."""
    return node(
        "section",
        node("h2", "Change the model"),
        node("p", OPENING),
        node("p", id="changes-empty", class_="quiet", hidden="hidden"),
        node(
            "div",
            node(
                "div",
                card("Who wrote this prediction", WRITTEN, _written()),
                card("Leave something out", REMOVE, _switches(config)),
                card("Put in an activation of another text", PATCH, _patching()),
                card("More of a word", STEER, _steering(config)),
                card("Set an attention weight by hand", WEIGHT, _weights(config)),
                card("What it writes then", WRITE, _writing()),
                class_="change-cards",
            ),
            _result(),
            class_="change-columns",
            id="change-columns",
        ),
        id="changes",
    )


def card(heading: str, words: str, *parts: Child) -> Node:
    return node("div", node("h3", heading), node("p", words, class_="quiet"), parts, class_="card")


def _switch(words: str, **data: str) -> Node:
    return node("button", words, type="button", aria_pressed="false", class_="switch", **data)


def _switches(config: Mapping[str, Any]) -> Node:
    """A row for each block: its heads, the block itself, its rotation."""
    rows = []
    for layer, rotation in enumerate(config["rotations"]):
        name = f"block {layer + 1}"
        place = {"data_layer": str(layer)}
        heads = [
            _switch(
                str(head + 1),
                data_kind="head",
                data_head=str(head),
                aria_label=f"head {head + 1} of {name}",
                **place,
            )
            for head in range(config["num_heads"])
        ]
        whole = _switch("block", data_kind="block", aria_label=f"the whole {name}", **place)
        parts = [node("span", heads, class_="head-switches"), whole]
        if rotation:
            said = f"the rotation of {name}"
            parts.append(_switch("rotation", data_kind="rotation", aria_label=said, **place))
        rows.append(node("div", node("span", name, class_="row-name"), parts, class_="switch-row"))
    return node("div", rows, id="switches", role="group", aria_label="Parts that are left out")


def _patching() -> Node:
    return node(
        "div",
        node("label", "Another text", node("input", type="text", id="other-text", dir="auto")),
        node("p", id="patch-said", class_="quiet", role="status"),
        node("div", id="patch-grid", class_="scroll"),
    )


def _steering(config: Mapping[str, Any]) -> Node:
    layers = config["num_layers"]
    return node(
        "div",
        node("label", "Word", node("input", type="text", id="steer-word", dir="auto")),
        _chosen("steer-layer", "after block", range(1, layers + 1), chosen=max(1, layers // 2)),
        node(
            "label",
            "Strength ",
            node("output", "0", id="steer-said", for_="steer-strength"),
            node(
                "input",
                type="range",
                id="steer-strength",
                min="-2",
                max="2",
                step="0.05",
                value="0",
            ),
        ),
        node("p", id="steer-note", class_="quiet", role="status"),
        class_="fields",
    )


def _weights(config: Mapping[str, Any]) -> Node:
    return node(
        "div",
        node(
            "div",
            _chosen("weight-layer", "block", range(1, config["num_layers"] + 1), chosen=1),
            _chosen("weight-head", "head", range(1, config["num_heads"] + 1), chosen=1),
            class_="fields",
        ),
        node("div", id="weight-rows"),
    )


def _written() -> Node:
    return node(
        "div",
        node("p", id="written-said", class_="quiet", role="status"),
        node("div", id="written-table", class_="scroll", tabindex=0),
        node("p", WITHOUT, class_="quiet"),
        node("button", "Leave out each in turn", type="button", id="written-remove"),
        node("p", node("code", "groundup lab RUN --features"), FEATURES, class_="quiet"),
    )


def _writing() -> Node:
    button = node("button", "Write on, without and with", type="button", id="change-write")
    return node("div", button, node("div", id="change-written"))


def _chosen(key: str, words: str, numbers: range, chosen: int) -> Node:
    options = [
        node(
            "option",
            str(number),
            value=str(number - 1),
            selected="selected" if number == chosen else None,
        )
        for number in numbers
    ]
    return node("label", words.capitalize(), node("select", options, id=key))


def _result() -> Node:
    """What comes next, before and after, beside the controls."""
    return node(
        "div",
        node("h3", "What comes next", id="change-question"),
        node("div", id="change-list", class_="chips"),
        node("p", id="change-said", role="status"),
        node("div", id="change-bars"),
        node("p", LEGEND, class_="quiet legend"),
        class_="change-result",
    )
