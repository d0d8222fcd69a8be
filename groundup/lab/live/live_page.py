"""`write_live_page`: a language model in one HTML file that runs it in the browser, offline.

    contents -> nodes, the program, the weights -> the file

The content security policy allows the page's own program, by its hash, and no requests. Names,
texts and the tables of the tokenizer are inserted as text or as JSON without any `<`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup import __version__
from groundup.engine.sampling import Sampling
from groundup.files import write_text
from groundup.html_nodes import Node, foreign, node, read_asset, to_html, verbatim
from groundup.lab.html_head import html_head
from groundup.lab.live.change_controls import change_controls
from groundup.lab.live.contents import PageContents, page_contents
from groundup.lab.live.explanation import explanation
from groundup.lab.live.train_controls import number_inputs, train_controls
from groundup.lab.page import safe_json
from groundup.palette import page_style
from groundup.weights.model_format import OpenModel, model_name

PACKAGE = "groundup.lab.live"
# What computes, which a worker runs too, and what draws.
ENGINE = (
    "tokenizer.js",
    "model.js",
    "trace.js",
    "sampler.js",
    "gradients.js",
    "training.js",
    "training_session.js",
)
PROGRAM = (
    *ENGINE,
    "formulas.js",
    "draw.js",
    "stages.js",
    "picture_layout.js",
    "picture_values.js",
    "picture_draw.js",
    "picture.js",
    "explain.js",
    "changes.js",
    "contributions.js",
    "contribution_card.js",
    "change_page.js",
    "model_file.js",
    "train_page.js",
    "alone.js",
    "page.js",
    "contained.js",
)
STYLES = (
    "live.css",
    "explain.css",
    "picture.css",
    "changes.css",
    "train.css",
    "alone.css",
    "print.css",
)
START = "Once upon a time"
# To choose from, of kinds that heads treat differently: a story, names that come again, a line that
# repeats itself, a row that goes on.
TEXTS = (
    START,
    "The king spoke to the queen, and the queen spoke to the",
    "red, blue, green, red, blue, green, red,",
    "Monday, Tuesday, Wednesday,",
)
WRITTEN_TOKENS = 40
# Continuations that are shown of those that the model repeats.
SHOWN = 20


def write_live_page(
    opened: OpenModel,
    path: Path,
    *,
    text: str = START,
    memorised: Mapping[str, Any] | None = None,
    contents: PageContents | None = None,
) -> PageContents:
    """Write the page; return what it holds (`contents`: that, where it is there already).

    `text`: what stands in its text box at first. `memorised`: `MemorisationResults.to_plain()`,
    what the model repeats of its training text; None: the page says that this was not measured.
    Raises ModelError for a model that the page can't run, DiskError.

    >>> contents = write_live_page(opened, folder / "model.html")
    >>> contents.parameters < 20_000_000
    True
    """
    contents = contents or page_contents(opened)
    write_text(path, render_live(contents, model_name(opened), text, memorised))
    return contents


def render_live(
    contents: PageContents, name: str, text: str, memorised: Mapping[str, Any] | None
) -> str:
    engine, script = (
        "\n".join(read_asset(PACKAGE, file) for file in files)
        for files in (ENGINE, PROGRAM[len(ENGINE) :])
    )
    held = {
        "config": contents.config,
        "tokenizer": contents.tokenizer,
        "tensors": contents.tensors,
        "rounded": contents.rounded,
        "checksum": contents.checksum,
        "training": contents.training,
    }
    training = train_controls([each["config"] for each in contents.training["small"]])
    parts = controls(text, contents.config, training, choice=_text_choice(text))
    main = node("main", parts, _repeats(memorised))
    body = node(
        "body",
        _opening(contents, name),
        main,
        node(
            "footer",
            node(
                "p",
                f"Made by groundup {__version__}. No part of this page is loaded from elsewhere.",
            ),
        ),
        verbatim("script", safe_json(held), type="application/json", id="contents"),
        verbatim("script", contents.weights, type="text/plain", id="weights"),
        verbatim("script", engine, id="engine"),
        verbatim("script", script),
    )
    style = page_style() + "\n".join(read_asset(PACKAGE, file) for file in STYLES)
    title = f"{name}: a language model in a page"
    head = html_head(title, style, [engine, script], own_workers=True)
    return to_html(node("html", head, body, lang="en"))


def _opening(contents: PageContents, name: str) -> Node:
    config = contents.config
    context = f"context {config['context_tokens']:,} tokens."
    shape = f"{shape_words(contents.parameters, config)}, {context}"
    what = (
        "A language model guesses which piece of a text comes next, adds it, and guesses again. "
        "This file contains the model itself: press Write on and it runs here, in your browser, "
        "without a network."
    )
    inside = node("a", "Every step of a guess", href="#inside")
    train = node("a", "Train a model", href="#train")
    share = node("a", "Before you share it: what it repeats of its texts", href="#repeats")
    return node(
        "header",
        node("h1", foreign(name)),
        node("p", what),
        node("p", shape, class_="quiet"),
        node("nav", inside, " · ", train, " · ", share, class_="quiet", aria_label="On this page"),
    )


def shape_words(parameters: int, config: Mapping[str, Any]) -> str:
    return (
        f"{parameters:,} parameters: {config['num_layers']} blocks of {config['num_heads']} heads, "
        f"width {config['width']:,}, vocabulary {config['vocab_size']:,}"
    )


def controls(
    text: str,
    config: Mapping[str, Any],
    training: Node,
    *,
    label: str = "Your text, which the model continues",
    choice: Node | None = None,
) -> list[Node]:
    """What the page's program is used by; `config` is that of `live_config`, `training` the part
    that trains, `choice` what stands below the text box.
    """
    box = node("textarea", text, id="text", rows=4, spellcheck="false", dir="auto")
    text_box = node("label", label, box)
    buttons = [
        node("button", words, type="button", id=id, disabled=disabled)
        for id, words, disabled in (
            ("write", "Write on", None),
            ("next", "One token", None),
            ("stop", "Stop", "disabled"),
            ("again", "Back to the text", None),
        )
    ]
    written = node(
        "div",
        node("section", text_box, choice, class_="text"),
        node("div", buttons, class_="buttons"),
        node("p", role="status", id="status"),
        node("p", id="written-text", dir="auto", hidden="hidden"),
        _settings(),
        node(
            "section",
            node("h2", "The text in tokens", id="tokens-heading"),
            node("p", TOKENS, class_="quiet"),
            node(
                "div",
                id="tokens",
                class_="tokens",
                role="toolbar",
                aria_labelledby="tokens-heading",
            ),
            class_="text-tokens",
        ),
        node(
            "section",
            node("h2", "What could come next", id="question"),
            node("p", DISTRIBUTION, class_="quiet"),
            node("div", _table(), class_="scroll"),
        ),
        explanation(config),
        change_controls(config),
        training,
        id="controls",
    )
    needs = node("noscript", node("p", "The model runs as JavaScript, which is switched off here."))
    return [needs, node("p", id="failure", hidden="hidden", role="alert"), written]


def _text_choice(text: str) -> Node:
    """One of TEXTS or the page's own in place of what stands in the box."""
    options = [node("option", each, value=each) for each in dict.fromkeys((text, *TEXTS))]
    typed = node("option", "one of your own, typed", value="")
    chosen = node("select", options, typed, id="choose-text")
    return node("label", "or choose one ", chosen)


TOKENS = (
    "A token is a word or a piece of one; · is a space, ↵ a new line. Below each: the probability "
    "that the model gave it after the tokens before it. Choose one to see what else could stand "
    "there; the arrow keys move among them."
)
DISTRIBUTION = (
    "The model draws one of these by chance. A temperature below 1 makes the probable ones more "
    "probable; top-k keeps so many of them, top-p those that together have this probability. "
    "Choose a token to put it there: what followed it is removed."
)


def _settings() -> Node:
    standard = Sampling()
    fields = (
        ("temperature", "Temperature (0: best)", standard.temperature, 0.1, 0),
        ("top-k", "Top-k (0: all)", standard.top_k, 1, 0),
        ("top-p", "Top-p (1: all)", standard.top_p, 0.05, 0),
        ("seed", "Seed", 0, 1, 0),
        ("tokens-to-write", "Tokens to write", WRITTEN_TOKENS, 1, 1),
    )
    return node(
        "fieldset", number_inputs(fields), id="sampling", class_="settings", aria_label="Sampling"
    )


def _table() -> Node:
    return node(
        "table",
        node("thead", node("tr", id="heads")),
        node("tbody", id="distribution"),
        aria_labelledby="question",
    )


def _repeats(memorised: Mapping[str, Any] | None) -> Node:
    """What the model repeats word for word: read before the page is given to others."""
    parts = [node("h2", "Before you share this page")]
    if memorised is None:
        unmeasured = (
            "What this model repeats of its texts word for word was not measured. The command "
            "groundup lab MODEL --live measures it where the texts that it was trained on are at "
            "hand. Share the page only where the texts could be shared too."
        )
        return node("section", parts, node("p", unmeasured, class_="care"), id="repeats")
    rows = [row for row in memorised["rows"] if row["split"] == "train"]
    parts.append(node("p", WHAT_IS_REPEATED))
    parts.append(node("ul", [node("li", _share_line(row)) for row in rows]))
    repeated = memorised["repeated"]
    if repeated:
        shown = [_repeated(text) for text in repeated[:SHOWN]]
        count = (
            f"The {len(shown)} of {len(repeated)} that tell most"
            if len(repeated) > SHOWN
            else "All"
        )
        summary = node("summary", f"{count}: beginning, and what the model writes after it")
        parts.append(node("details", summary, node("dl", shown, class_="repeated")))
    return node("section", parts, id="repeats")


WHAT_IS_REPEATED = (
    "Who has this file has the weights, and can make them write what they hold. Given a passage's "
    "beginning, so many of its texts' passages does the model write on word for word, always "
    "taking the most probable token; sampling and other beginnings may bring out more."
)


def _share_line(row: Mapping[str, Any]) -> str:
    kind = "passages" if row["kind"] == "passages" else f"personal data ({row['kind']})"
    interval = f"95 % interval {100 * row['low']:.1f} to {100 * row['high']:.1f} %"
    return f"{kind}: {row['repeated']:,} of {row['tried']:,} repeated ({interval})"


def _repeated(text: Mapping[str, Any]) -> Sequence[Node]:
    return [
        node("dt", foreign(text["document"]), f", {text['kind']}, {text['tokens']} tokens"),
        node("dd", foreign(text["prompt"]), " ", foreign(text["text"], "mark")),
    ]
