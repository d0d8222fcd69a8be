"""An HTML document of this package: one style sheet, a content security policy, a footer.

The policy is `default-src 'none'` plus the style sheet's SHA-256: no scripts, fonts, external
images, form targets or style attributes. Even if the escaping failed, injected markup could neither
run nor load anything.
"""

from groundup import __version__
from groundup.html_nodes import Child, Node, node, policy_hash, read_asset, to_html
from groundup.palette import PRINT, custom_properties


def html_page(title: str, *parts: Child) -> str:
    """Return a document with these parts as its body, as HTML text."""
    made = f"Made by groundup {__version__}. "
    made += "This page is self-contained: it loads nothing from the network."
    body = node("body", *parts, node("footer", node("p", made)))
    return to_html(node("html", _head(title), body, lang="en"))


def _head(title: str) -> Node:
    sheet = custom_properties(printed=PRINT) + read_asset("groundup.report", "page.css")
    policy = f"default-src 'none'; style-src '{policy_hash(sheet)}'"
    policy += "; base-uri 'none'; form-action 'none'"
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
