"""The lab's page: every view of one model on one text, as pictures to read and charts to point at, in one file that works offline.

    write_lab_page(look_inside(opened, text), Path("inside.html"))

Each view is a section: what to see, a chart where a hand on it helps (Plotly, whose script stands in the page), and the still. The
content security policy lets the page's own two scripts run, named by their hashes, and nothing load; styles may be set from within, as Plotly
does. Texts from the model or the user go in as text; the data of the charts are JSON, in which no `<` stands.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from groundup import __version__
from groundup.errors import MissingExtra
from groundup.files import write_text
from groundup.lab.charts import CHARTS
from groundup.lab.gallery import MOVING, moving_picture, picture
from groundup.lab.internals import VIEWS
from groundup.markup import Node, foreign, node, policy_hash, to_html, verbatim

# name -> (heading, what to see)
WORDS: dict[str, tuple[str, str]] = {
    "tokens": ("The text as the model gets it", "Pieces of words with a number each: the model never sees letters."),
    "embeddings": (
        "A map of the embedding table",
        "Each token is a row of numbers; here the two directions along which these rows differ most. Who stands together?",
    ),
    "neighbours": ("The nearest words", "Which words have nearly the same row: what the model holds to be alike."),
    "kinds": (
        "Are neighbours of one kind?",
        "Days near days, countries near countries: the share of neighbours of a word's own kind, and what chance would give.",
    ),
    "positions": (
        "How places are told apart",
        "What a score keeps of itself as the distance between two tokens grows.",
    ),
    "heads": (
        "Heads that do something nameable",
        "Every head is tried on random tokens given twice: does it look at the token before, the first, its own copies, or (induction) at what "
        "followed its copy last time? Choose a habit; dark squares have it.",
    ),
    "attention": (
        "Where every head looks",
        "Row: the token that looks; column: where. Choose a block and a head, and point at a square.",
    ),
    "last_token": (
        "From the last token, block by block",
        "Where the next word is made from, and in which block.",
    ),
    "reach": (
        "How far back heads look",
        "Some heads look at neighbours only, some at the whole text, many rest on the first token.",
    ),
    "steps": (
        "One head, step by step",
        "Queries and keys give scores; scores are scaled, masked and made shares; the shares mix the values. All numbers are the model's own.",
    ),
    "lens": (
        "The guess after every block",
        "What the model would answer if it stopped there. Upwards the guesses become what it says in the end.",
    ),
    "surprise": (
        "What the model did not expect",
        "High bars are surprises. Point at one to read what was expected instead.",
    ),
    "context": (
        "What context is worth",
        "The farther into the text, the better the next token is known, if the model uses what it has read.",
    ),
    "sentences": ("What earlier sentences are worth", "The same sentence read alone, and after those before it."),
    "ablation": (
        "What each head and each block is worth",
        "One is taken away: how much worse is the text predicted? Dark squares are needed here.",
    ),
    "attribution": ("Which tokens made the decision", "To the right: spoke for it. To the left: against."),
    "attention_forming": (
        "Attention forming",
        "The same heads after more and more steps of training: they begin by looking everywhere alike. Which habit comes first?",
    ),
    "embeddings_forming": (
        "Embeddings forming",
        "The same tokens on the same axes. The model never sees letters, and yet tokens that look alike to us come to stand together.",
    ),
}


def write_lab_page(inside: Mapping[str, Any], path: Path) -> None:
    """Write the page. Raises MissingExtra without matplotlib or Plotly, DiskError."""
    write_text(path, render(inside))


def render(inside: Mapping[str, Any]) -> str:
    """The page as text."""
    views = inside["views"]
    charts = {name: CHARTS[name](view) for name, view in views.items() if name in CHARTS}
    scripts = (plotly_script(), _resource("page.js"))
    body = node(
        "body",
        _opening(inside),
        node("main", [_section(name, view, charts) for name, view in views.items()]),
        _footer(inside),
        verbatim("script", _safe_json(charts), type="application/json", id="charts"),
        [verbatim("script", script) for script in scripts],
    )
    return to_html(node("html", _head(inside, scripts), body, lang="en"))


def plotly_script() -> str:
    """The library's own script, from its package. Raises MissingExtra."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtra("plotly", "lab") from error
    script: str = get_plotlyjs()
    return script.replace("\r\n", "\n")


def _head(inside: Mapping[str, Any], scripts: Sequence[str]) -> Node:
    allowed = " ".join(f"'{policy_hash(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", http_equiv="Content-Security-Policy", content=policy),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("meta", name="referrer", content="no-referrer"),
        node("title", f"groundup lab: {inside['model']['name']}"),
        node("style", _resource("page.css")),
    )


def _opening(inside: Mapping[str, Any]) -> Node:
    model = inside["model"]
    shape = (
        f"{model['blocks']} blocks of {model['heads']} heads, width {model['width']:,}, vocabulary {model['vocabulary']:,}, "
        f"context {model['context_tokens']:,} tokens."
    )
    links = [node("a", WORDS[name][0], href=f"#{name}") for name in inside["views"]]
    return node(
        "header",
        node("h1", "Inside ", foreign(model["name"])),
        node("p", shape, class_="quiet"),
        node("p", "What follows is what the model does with this text:"),
        foreign(inside["text"], "blockquote"),
        node("nav", links),
    )


def _section(name: str, view: Mapping[str, Any], charts: Mapping[str, Any]) -> Node:
    heading, see = WORDS[name]
    still = node("figure", _still(name, view), class_="large" if name in ("steps", "attention") else None)
    chart = None
    if name in MOVING:
        chart = _film(name, view)
    elif name in charts:
        chart = node("figure", node("div", class_="choose"), node("div", id=f"chart-{name}", class_="chart"))
        still = node("details", node("summary", "The same as a still picture"), still)
    return node("section", node("h2", heading), node("p", see, class_="see"), chart, still, id=name)


def _film(name: str, view: Mapping[str, Any]) -> Node:
    """To be closed by a hand; the style sheet hides it from those who asked their system for less motion."""
    source = base64.b64encode(moving_picture(name, view)).decode()
    moving = node(
        "img", src=f"data:image/gif;base64,{source}", alt=f"{VIEWS[name].what}, as a film; its stills follow."
    )
    return node(
        "details", node("summary", "The film (close it to stop it)"), node("figure", moving), class_="film", open="open"
    )


def _still(name: str, view: Mapping[str, Any]) -> Node:
    source = base64.b64encode(picture(name, view, "svg")).decode()
    caption = str(view.get("caption", ""))
    return node("img", src=f"data:image/svg+xml;base64,{source}", alt=f"{VIEWS[name].what}. {caption}")


def _footer(inside: Mapping[str, Any]) -> Node:
    missing = [node("p", f"Left out, {VIEWS[name].what}: {reason}") for name, reason in inside["left_out"].items()]
    made = f"Made by groundup {__version__} on this machine; no part of this page is loaded from elsewhere."
    return node("footer", missing, node("p", made))


def _safe_json(value: Any) -> str:
    """JSON that can stand inside a script element: no text in it can end the element or begin a comment."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _resource(name: str) -> str:
    return resources.files("groundup.lab").joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


assert set(WORDS) == set(VIEWS)
