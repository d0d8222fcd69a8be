"""The page's part that trains a model, as HTML: the text, the settings, and places for what
`train_page.js` draws there.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from groundup.html_nodes import Node, node
from groundup.lab.live.change_controls import card
from groundup.lab.live.explanation import level_choice

OPENING = (
    "Here a model learns before your eyes: it reads pieces of the text below, guesses each next "
    "token, and every one of its weights, the numbers in it, is moved a little so that the guess "
    "would have been better. Nothing leaves your device."
)
TEXT = "The text it learns from: paste one of your own"
LOSS = (
    "How wrong the guesses are: 0 where the true next token always got 100 %, higher the less it "
    "got. The dashed line is where guessing among the text's tokens would be."
)
MEASURED = "The mean of minus the logarithm of the probability that the true next token got."
UNSEEN = (
    "The last tenth of the text is never trained on. Where that line rises while the other falls, "
    "the model learns the text by heart."
)
SAMPLES = "What it writes after the text's first tokens (grey), at temperature 0.8."
WEIGHT = (
    "One of all the weights. Take one step: the gradient says how much the loss would grow if this "
    "number were larger, so the step moves it the other way. The page also measures the gradient, "
    "by moving this weight alone."
)
MAP = (
    "Each token's row of the embedding table, drawn as a point: tokens that are used alike move "
    "together."
)
INDUCTION = (
    "Random tokens, then the same ones again: a head that looks at what followed the first time can "
    "continue them. Such an induction head forms late, if it does, and then suddenly. It needs two "
    "blocks at least, and a text in which what stood before helps: rows of letters in random "
    "order, each given twice, help more than stories."
)
LETTERS = "Take such rows of letters"
LOSS_FORMULA = "L = −(1/N) Σ_n ln p(x_{n+1} | x_1 … x_n)"
UPDATE_FORMULAS = (
    "g = ∂L/∂w,   measured: (L(w + h) − L(w − h)) / 2h with h = 0.01",
    "m ← 0.9 m + 0.1 g,   v ← 0.99 v + 0.01 g²   (g shortened where all gradients together are "
    "longer than 1)",
    "w ← w − η (m / (1 − 0.9^t)) / (√(v / (1 − 0.99^t)) + 10^{−8}),   and a matrix also shrinks by "
    "0.1 η",
)
COMPONENTS = "Seen from where the rows differ most: their first two principal components."
INDUCTION_FORMULA = "score = mean over t of a_{t, t−n+1}, for a text of n random tokens, repeated"


def train_controls(small: Sequence[Mapping[str, Any]]) -> Node:
    """`small`: the `live_config` of each small model."""
    return node(
        "section",
        node("h2", "Train a model"),
        node("p", OPENING),
        level_choice("train-level", "How deep, of training"),
        node(
            "div",
            node(
                "label",
                TEXT,
                node("textarea", id="train-text", rows=5, spellcheck="false", dir="auto"),
            ),
            _settings(small),
            node("p", id="train-size", class_="quiet"),
            _buttons(),
            node("p", id="train-status", role="status"),
            node("dl", id="train-numbers", class_="train-numbers"),
            class_="card",
        ),
        node("div", _cards(), class_="train-cards"),
        id="train",
        data_level="words",
    )


def _settings(small: Sequence[Mapping[str, Any]]) -> Node:
    own = (
        ("own", "this model, trained on"),
        ("fresh", "this model's shape, from random weights"),
    )
    chosen = len(small) // 2 - 1
    choices = [node("option", words, value=value) for value, words in own]
    choices += [
        node(
            "option",
            f"small: {_shape(each)}",
            value=str(number),
            selected="selected" if number == chosen else None,
        )
        for number, each in enumerate(small)
    ]
    fields = (
        ("train-rate", "Learning rate", 0.003, 0.0001, 0),
        ("train-batch", "Texts in a batch", 8, 1, 1),
        ("train-context", "Context, tokens", 64, 1, 2),
        ("train-seed", "Seed", 0, 1, 0),
    )
    model = node("label", "Model", node("select", choices, id="train-shape"), class_="wide")
    return node("fieldset", model, number_inputs(fields), class_="settings", aria_label="Training")


def number_inputs(fields: Iterable[tuple[str, str, float, float, int]]) -> list[Node]:
    """Of each field: id, label, value, step, minimum."""
    return [
        node(
            "label",
            words,
            node("input", type="number", id=id, value=str(value), step=str(step), min=str(least)),
        )
        for id, words, value, step, least in fields
    ]


def _shape(config: Mapping[str, Any]) -> str:
    blocks = "1 block" if config["num_layers"] == 1 else f"{config['num_layers']} blocks"
    return f"{blocks} of {config['num_heads']} heads, width {config['width']}"


def _buttons() -> Node:
    buttons = (
        ("train-run", "Train", None),
        ("train-step", "One step", None),
        ("train-again", "Start again", "disabled"),
        ("train-save", "Save the model", "disabled"),
    )
    return node(
        "div",
        [
            node("button", words, type="button", id=id, disabled=disabled)
            for id, words, disabled in buttons
        ],
        class_="buttons",
    )


def _cards() -> list[Node]:
    key = node(
        "p",
        node("span", "trained on", class_="key one"),
        node("span", "unseen", class_="key two"),
        class_="quiet",
    )
    return [
        card(
            "The loss",
            LOSS,
            _picture("train-loss"),
            key,
            node("p", UNSEEN, class_="quiet"),
            _numbers(MEASURED),
            _formula(LOSS_FORMULA),
        ),
        card("What it writes", SAMPLES, node("dl", id="train-samples", class_="train-list")),
        card("The embedding", MAP, _picture("train-map"), _numbers(COMPONENTS)),
        card(
            "An induction head",
            INDUCTION,
            _picture("train-induction"),
            node("p", id="induction-key", class_="quiet"),
            node("p", id="induction-said", class_="quiet"),
            node(
                "div", node("button", LETTERS, type="button", id="train-letters"), class_="buttons"
            ),
            _formula(INDUCTION_FORMULA),
        ),
        card("One weight", WEIGHT, _weight(), _formula(*UPDATE_FORMULAS)),
    ]


def _picture(key: str) -> Node:
    return node("svg", id=key, role="img", aria_label="Nothing yet", viewBox="0 0 460 220")


def _numbers(words: str) -> Node:
    return node("p", words, class_="quiet numbers")


def _formula(*lines: str) -> Node:
    return node("div", [node("p", line, class_="formula") for line in lines], class_="mathematics")


def _weight() -> list[Node]:
    numbers = [
        node(
            "label",
            words,
            node("input", type="number", id=id, value="1", step="1", min="1"),
        )
        for id, words in (("train-row", "Row"), ("train-column", "Column"))
    ]
    chosen = node("label", "Of", node("select", id="train-weight"), class_="wide")
    return [
        node("div", chosen, numbers, class_="settings"),
        node("div", id="train-weight-said", aria_live="polite"),
    ]
