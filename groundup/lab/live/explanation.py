"""The page's picture from text to next token as HTML: the steps of `explained_steps.py`, those of a
head within those of a block, a place in each for what `explain.js` draws there with the model's own
numbers, and the panel that says where a number came from.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.html_nodes import Node, node
from groundup.lab.live.explained_steps import ExplainedStep, explained_steps
from groundup.lab.live.picture import picture

LEVELS = {
    "words": "What happens",
    "numbers": "The numbers",
    "mathematics": "The mathematics",
}


def explanation(config: Mapping[str, Any]) -> Node:
    """The part of the page that explains a prediction; `config` is that of `live_config`."""
    groups = explained_steps(config)
    before, norm, in_head, after_head, after = groups
    stages = [stage for group in groups for stage in group]
    numbers = {stage.key: number for number, stage in enumerate(stages, 1)}

    def drawn(those: Sequence[ExplainedStep]) -> list[Node]:
        return [_stage(stage, numbers[stage.key]) for stage in those]

    block = node(
        "div",
        _chooser("block", "Block", config["num_layers"], BLOCKS),
        drawn(norm),
        node(
            "div",
            _chooser("head", "Head", config["num_heads"], "All heads of a block do these steps."),
            drawn(in_head),
            class_="inner",
        ),
        drawn(after_head),
        class_="outer",
    )
    return node(
        "section",
        node("h2", "From your text to the next token"),
        node("p", OPENING),
        _bar(),
        node("p", id="inside-empty", class_="quiet", hidden="hidden"),
        picture(),
        _map(groups, numbers),
        node("div", drawn(before), block, drawn(after), id="stages"),
        _inspector(),
        id="inside",
        data_level="words",
    )


BLOCKS = (
    "All blocks do the same steps. Shown first is where a head looks most clearly at one token "
    "before."
)
OPENING = (
    "Here is every step that the model takes to guess one token, with its own numbers for the text "
    "in the box. Point at a square or a number, or tap it, to see how it came about and from what."
)


def _bar() -> Node:
    """What stays in sight: the level, and the token that is read."""
    return node(
        "div",
        level_choice("level", "How deep"),
        node(
            "div",
            _step("token", "-1", "‹", "the token before"),
            node("label", "after ", node("select", id="choose-token"), class_="chosen-token"),
            _step("token", "1", "›", "the token after"),
            class_="token-chooser",
        ),
        class_="inside-bar",
    )


def level_choice(name: str, label: str) -> Node:
    labels = [
        node(
            "label",
            node(
                "input",
                type="radio",
                name=name,
                value=level,
                checked="checked" if level == "words" else None,
            ),
            node("span", words),
        )
        for level, words in LEVELS.items()
    ]
    return node("fieldset", labels, class_="levels", aria_label=label)


def _step(what: str, by: str, sign: str, words: str) -> Node:
    return node("button", sign, type="button", data_step=what, data_by=by, aria_label=words)


def _chooser(key: str, name: str, count: int, words: str) -> Node:
    options = [node("option", str(number + 1), value=str(number)) for number in range(count)]
    chosen = node("select", options, id=f"choose-{key}")
    return node(
        "div",
        node("label", f"{name} ", chosen, f" of {count}"),
        node("span", words, class_="quiet"),
        class_="chooser",
    )


def _map(groups: Sequence[Sequence[ExplainedStep]], numbers: Mapping[str, int]) -> Node:
    """The steps at a glance: those of a head within those of a block."""
    before, norm, in_head, after_head, after = (
        [
            node(
                "li",
                node(
                    "a",
                    node("span", str(numbers[stage.key])),
                    f" {stage.name}",
                    href=f"#at-{stage.key}",
                    title=stage.question,
                ),
            )
            for stage in group
        ]
        for group in groups
    )
    head = node("li", node("span", "each head"), node("ol", in_head), class_="within")
    block = node("ol", norm, head, after_head)
    within = node("li", node("span", "each block"), block, class_="within")
    return node("nav", node("ol", before, within, after), class_="steps", aria_label="All steps")


def _stage(stage: ExplainedStep, number: int) -> Node:
    formulas = [node("p", formula, class_="formula") for formula in stage.formulas]
    shown = node(
        "button",
        "Show in the picture",
        type="button",
        class_="show-in-picture",
        data_show=stage.key,
        aria_label=f"Show {stage.name} in the picture",
    )
    return node(
        "section",
        node("p", node("span", str(number), class_="place"), stage.name, shown, class_="step"),
        node("h3", stage.question, id=f"at-{stage.key}", tabindex="-1"),
        [node("p", words) for words in stage.words],
        [node("p", words, class_="numbers") for words in stage.numbers],
        node("div", formulas, class_="mathematics"),
        node("div", class_="picture"),
        class_="stage",
        data_stage=stage.key,
        aria_labelledby=f"at-{stage.key}",
    )


def _inspector() -> Node:
    close = node("button", "×", type="button", id="inspector-close", aria_label="close")
    return node(
        "aside",
        close,
        node("div", id="inspector-said", aria_live="polite"),
        node("div", id="inspector-from"),
        id="inspector",
        aria_label="Where a number came from",
        hidden="hidden",
    )
