"""HTML and SVG as a tree of nodes: text goes in as text, so that nothing a document says can become markup.

    node("p", "Read ", node("code", text), class_="note")

The tree is the standard library's ElementTree; escaping happens once, when it is written out. Two things are added: control
characters become visible signs (a NUL would end a page's text in some readers), and text from outside stands in elements of
its own direction (`foreign`), so that right-to-left text or direction marks in it can't reorder the page around it.
"""

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import TypeAlias

Node: TypeAlias = ET.Element
Child: TypeAlias = "Node | str | Iterable[Child] | None"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def node(tag: str, *children: Child, **attributes: str | int | float | None) -> Node:
    """An element. Attribute names: `class_` is class, an underscore is a hyphen; None leaves the attribute out."""
    made = ET.Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name.rstrip("_").replace("_", "-"), visible(_attribute(value)))
    append(made, children)
    return made


def _attribute(value: str | int | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def append(parent: Node, children: Child) -> Node:
    """Add children (texts, nodes, None, or any nesting of these) at the end of `parent`, and give it back."""
    if children is None:
        return parent
    if isinstance(children, ET.Element):
        parent.append(children)
    elif isinstance(children, str):
        _append_text(parent, visible(children))
    else:
        for child in children:
            append(parent, child)
    return parent


def _append_text(parent: Node, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text


def visible(text: str) -> str:
    """`text` with control characters as the signs of Unicode's control pictures, and what is no character as U+FFFD.

    >>> visible("a\\x00b")
    'a␀b'
    """
    return _CONTROL.sub(_picture, text.replace("\r\n", "\n"))


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "�"


def foreign(text: str, tag: str = "bdi", class_: str | None = None) -> Node:
    """Text from a document, a user or a model: its own direction, apart from the text around it."""
    return node(tag, text, class_=class_, dir="auto")


def verbatim(tag: str, content: str, **attributes: str) -> Node:
    """A script or style sheet as it is, to the byte, so that `policy_hash` of `content` names it. Never for text from outside."""
    assert f"</{tag}" not in content.lower(), "the content would end its own element"
    made = node(tag, **attributes)
    made.text = content
    return made


def to_html(root: Node) -> str:
    """The document's text, from its doctype on."""
    return "<!DOCTYPE html>\n" + ET.tostring(root, encoding="unicode", method="html") + "\n"


def policy_hash(content: str) -> str:
    """The name by which a content security policy allows one style sheet or script: sha256-BASE64."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
