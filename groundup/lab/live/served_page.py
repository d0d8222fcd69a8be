"""The page of a served model: the same program as `live_page`, without training, around weights
that the browser fetches in parts (`parts.py`). What that takes is said first.

The policy of the server lets it run files of the server alone, so program and style are files
(`program_files`), and nothing stands inside the page but names and numbers.
"""

import base64
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple
from urllib.parse import quote

from groundup import __version__
from groundup.html_nodes import Node, foreign, node, read_asset, to_html, verbatim
from groundup.lab.live.live_page import (
    PACKAGE,
    PROGRAM,
    START,
    STYLES,
    controls,
    shape_words,
)
from groundup.lab.live.parts import (
    CONTEXT_TOKENS,
    PART_BYTES,
    memory_bytes,
    page_config,
    parts_digest,
    weight_bytes,
)
from groundup.lab.live.tables import live_config
from groundup.lab.page import safe_json
from groundup.model.config import ModelConfig

SCRIPT, STYLE = "live.js", "live.css"
# What only a page that contains its model has.
_CONTAINED = {
    *("gradients.js", "training.js", "training_session.js", "model_file.js", "train_page.js"),
    *("alone.js", "contained.js"),
}
SERVED_PROGRAM = (
    *(file for file in PROGRAM if file not in _CONTAINED),
    *("int8.js", "sha256.js", "kept_parts.js", "load_page.js"),
)
KERNEL = "int8.wasm"
# Of program and style, from the page's own.
PROGRAM_ADDRESS = "../groundup/live-program"
# Connections for which the time is told, in Mbit/s.
FAST, SLOW = 50, 10
TEXT_LABEL = "Your text, which the model continues, or your question"
NO_TRAINING = (
    "A model of this size does not train in a page: with gradients and the optimizer's state it "
    "takes sixteen times the memory of its weights in 8 bits. The page of a small model of your "
    "own does: groundup lab RUN --live."
)


def program_files() -> Mapping[str, bytes]:
    """Program and style, by the names under which the page asks for them."""
    style = (read_asset(PACKAGE, file) for file in STYLES if file not in ("train.css", "alone.css"))
    script = (read_asset(PACKAGE, file) for file in SERVED_PROGRAM)
    return {SCRIPT: "\n".join(script).encode(), STYLE: "\n".join(style).encode()}


def kernel() -> bytes:
    """int8.wasm."""
    return resources.files(PACKAGE).joinpath(KERNEL).read_bytes()


class ServedModel(NamedTuple):
    name: str
    config: ModelConfig
    parameters: int
    digest: str
    """Changes when the model does."""


def render_served(served: ServedModel, fault: str = "") -> str:
    """Return the page. `fault`: why it can't run the model, after the model's name; "" where it
    can.
    """
    config = live_config(page_config(served.config))
    shape = shape_words(served.parameters, config)
    header = node(
        "header",
        node("h1", foreign(served.name)),
        node("p", WHAT),
        node("p", f"{shape}. ", _context(served.config), class_="quiet"),
    )
    if fault:
        why = node("p", f"No page runs this model: it {fault}.", id="failure", role="alert")
        talk = node("a", "Ask it in the server's page", href="../#chat")
        return _page(served.name, header, [why, node("p", talk)], "")
    size = weight_bytes(served.config, served.parameters)
    memory = memory_bytes(served.config, served.parameters)
    held = {
        "name": served.name,
        "digest": parts_digest(served.digest),
        "address": f"../groundup/live-model/{quote(served.name, safe='')}",
        "bytes": size,
        "memory": memory,
        "program": base64.b64encode(kernel()).decode(),
    }
    needs, failure, written = controls(
        START, config, _no_training(), label=TEXT_LABEL, choice=_question_choice()
    )
    written.set("hidden", "hidden")
    parts = [needs, failure, _loader(size, memory), written]
    return _page(served.name, header, parts, safe_json(held))


WHAT = (
    "This page runs the whole model in your browser: once it is here, nothing that you type is "
    "sent anywhere. It continues a text or answers, explains each step, and can be changed."
)


def _context(config: ModelConfig) -> str:
    if config.context_tokens <= CONTEXT_TOKENS:
        return f"Context {config.context_tokens:,} tokens."
    return f"The page reads {CONTEXT_TOKENS:,} tokens of its context of {config.context_tokens:,}."


def _page(name: str, header: Node, parts: list[Node], held: str) -> str:
    made = node("footer", node("p", f"Made by groundup {__version__}."))
    scripts = []
    if held:
        scripts = [
            verbatim("script", held, type="application/json", id="contents"),
            node("script", src=f"{PROGRAM_ADDRESS}/{SCRIPT}"),
        ]
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("title", f"{name}: a language model in a page"),
        node("link", rel="icon", href="../page/icon.svg", type="image/svg+xml"),
        node("link", rel="stylesheet", href="../page/colours.css"),
        node("link", rel="stylesheet", href=f"{PROGRAM_ADDRESS}/{STYLE}"),
    )
    body = node("body", header, node("main", parts), made, scripts)
    return to_html(node("html", head, body, lang="en"))


def _loader(size: int, memory: int) -> Node:
    """What loading takes, and the buttons for it."""
    seconds = {rate: round(size * 8e-6 / rate) for rate in (FAST, SLOW)}
    takes = (
        f"To be fetched once: about {size / 1e6:,.0f} MB, weights in 8 bits, in parts of "
        f"{PART_BYTES // 2**20} MB, which this browser keeps. In memory: about {memory / 1e6:,.0f} "
        f"MB. It takes some seconds from a server on this computer, about {seconds[FAST]:,} s at "
        f"{FAST} Mbit/s, {seconds[SLOW]:,} s at {SLOW} Mbit/s; the server prepares a model that "
        "nobody has asked for yet for some seconds more. What is here stays here when the "
        "connection breaks."
    )
    buttons = [
        node("button", words, type="button", id=id, disabled="disabled", hidden=hidden)
        for id, words, hidden in (
            ("load", "Load the model", None),
            ("load-stop", "Stop loading", None),
            ("forget", "Remove it from this browser", "hidden"),
        )
    ]
    return node(
        "section",
        node("h2", "The model", id="load-heading"),
        node("p", takes, id="load-takes"),
        node("div", id="load-notes"),
        node("div", buttons, class_="buttons"),
        node("progress", id="load-progress", hidden="hidden", aria_label="loaded", max="1"),
        node("p", id="load-status", role="status"),
        id="loader",
    )


def _no_training() -> Node:
    return node("section", node("h2", "Train a model"), node("p", NO_TRAINING), id="train")


def _question_choice() -> Node:
    box = node("input", type="checkbox", id="as-question")
    return node("label", box, " a question: put into the model's chat template", hidden="hidden")
