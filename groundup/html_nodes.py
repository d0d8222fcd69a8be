"""HTML and SVG as a tree of nodes, so that text from a document can never become markup.

    node("p", "Read ", node("code", text), class_="note")

The tree is the standard library's ElementTree, which escapes text when it is serialised. Control
characters become visible symbols (a NUL would end the text in some readers), and untrusted text
gets an element with its own direction (`foreign`), so that right-to-left text or direction marks in
it can't reorder the page around it.
"""

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import TypeAlias

Node: TypeAlias = ET.Element
Child: TypeAlias = "Node | str | Iterable[Child] | None"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def node(tag: str, *children: Child, **attributes: str | int | float | None) -> Node:
    """Return an element. In attribute names `class_` is class and an underscore a hyphen; None
    omits the attribute.
    """
    made = ET.Element(tag)
    for name, value in attributes.items():
        if isinstance(value, float):
            value = f"{value:.2f}".rstrip("0").rstrip(".")
        if value is not None:
            made.set(name.rstrip("_").replace("_", "-"), visible(str(value)))
    return append(made, children)


def append(parent: Node, children: Child) -> Node:
    """Append children (texts, nodes, None, or any nesting of these) to `parent`, and return it."""
    for child in flatten(children):
        if isinstance(child, ET.Element):
            parent.append(child)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + visible(child)
        else:
            parent.text = (parent.text or "") + visible(child)
    return parent


def flatten(children: Child) -> Iterator[Node | str]:
    """Yield the nodes and the texts of any nesting of children, without None and empty texts."""
    if isinstance(children, ET.Element | str):
        if isinstance(children, ET.Element) or children:
            yield children
    elif children is not None:
        for child in children:
            yield from flatten(child)


def visible(text: str) -> str:
    """Return `text` with control characters as Unicode's control pictures and noncharacters as
    U+FFFD.

    >>> visible("a\\x00b")
    'a␀b'
    """
    return _CONTROL.sub(_picture, text.replace("\r\n", "\n"))


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return "�"


def foreign(text: str, tag: str = "bdi", class_: str | None = None) -> Node:
    """Return an element for text from a document, a user or a model, isolated in direction from the
    text around it.
    """
    return node(tag, text, class_=class_, dir="auto")


def verbatim(tag: str, content: str, **attributes: str) -> Node:
    """Return a script or style sheet with its content unchanged, so that `policy_hash` matches.

    Never for untrusted text.
    """
    assert f"</{tag}" not in content.lower(), "the content would close its own element"
    made = node(tag, **attributes)
    made.text = content
    return made


def to_html(root: Node) -> str:
    """Return the document as HTML with its doctype."""
    return "<!DOCTYPE html>\n" + ET.tostring(root, encoding="unicode", method="html") + "\n"


def read_asset(package: str, name: str) -> str:
    """Return a style sheet or script that a package brings."""
    content = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    return content.replace("\r\n", "\n")


def policy_hash(content: str) -> str:
    """Return the hash by which a content security policy allows a style sheet or script:
    sha256-BASE64.
    """
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
