"""An HTML document of this package: one style sheet, a content security policy, a footer.

The policy is `default-src 'none'` plus the style sheet's SHA-256: no scripts, fonts, external
images, form targets or style attributes. Even if the escaping failed, injected markup could neither
run nor load anything.
"""

from importlib import resources

from groundup import __version__
from groundup.html_nodes import Child, Node, node, policy_hash, to_html
from groundup.palette import PRINT, custom_properties


def html_page(title: str, *parts: Child) -> str:
    """Return a document with these parts as its body, as HTML text."""
    footer = node(
        "footer",
        node(
            "p",
            f"Made by groundup {__version__}. This page is self-contained: it loads nothing from the network.",
        ),
    )
    return to_html(node("html", _head(title), node("body", *parts, footer), lang="en"))


def _head(title: str) -> Node:
    rules = (
        resources.files("groundup.report")
        .joinpath("page.css")
        .read_text(encoding="utf-8")
        .replace("\r\n", "\n")
    )
    sheet = custom_properties(printed=PRINT) + rules
    policy = (
        f"default-src 'none'; style-src '{policy_hash(sheet)}'; base-uri 'none'; form-action 'none'"
    )
    return node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", http_equiv="Content-Security-Policy", content=policy),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("meta", name="color-scheme", content="light dark"),
        node("meta", name="referrer", content="no-referrer"),
        node("title", f"groundup: {title}"),
        node("style", sheet),
    )
