"""Questions of a page that open their answers, and the path of links above its title.

<h3><button>Are dogs allowed?</button></h3>   the form of WAI-ARIA's accordion pattern, Bootstrap's
                                              likewise: text extraction drops each <button>
<button aria-expanded=...>, <div role="tab">  the same without a heading, before its answer
<summary><h3>, <dt><button>                   likewise within what is a heading or a term
Home > Shop > Questions                       breadcrumbs, which would be taken for a title
"""

import re
from itertools import islice
from typing import Any

from groundup.data.reading.html_tree import HEADINGS

MAX_QUESTION_CHARACTERS = 200
# What a button, or the element around it, has that shows and hides what follows it.
_OPENS = re.compile(r"accordion|collaps|toggle|faq", re.IGNORECASE)
_CRUMBS = re.compile(r"(?:^|[\s_-])(?:bread)?crumbs?(?:$|[\s_-])", re.IGNORECASE)
# Between the links of a path.
_SEPARATOR = re.compile(r"\s*[»›>→/]\s*")
MAX_LINKS = 8
_OPENERS = ("a", "button", "div", "li", "span")


def open_disclosures(tree: Any) -> None:
    """Make what opens an answer a heading above it, and leave out breadcrumbs."""
    for element in list(tree.iter("div", "nav", "ol", "p", "ul")):
        if _is_path(element):
            element.drop_tree()
    level = 1
    for element in list(tree.iter(*HEADINGS, "summary", "dt", *_OPENERS)):
        if element.tag in HEADINGS:
            level = int(element.tag[1])
        if element.tag in (*HEADINGS, "summary", "dt"):
            for inner in list(element.iterdescendants(*HEADINGS, "button")):
                inner.drop_tag()
        elif element.tag == "button" or element.get("role") in ("button", "tab"):
            _mark_question(element, min(level + 1, len(HEADINGS)))


def _mark_question(opener: Any, level: int) -> None:
    """Make an element the heading of what follows it, if that is its answer."""
    text, above = _text(opener), opener.getparent()
    if not text or len(text) > MAX_QUESTION_CHARACTERS or above is None:
        return
    if next(opener.iterancestors(*HEADINGS, "summary", "form", "header", "nav"), None) is not None:
        return
    if next(opener.iterdescendants(*HEADINGS), None) is not None:
        return
    opens = opener.get("aria-expanded") or opener.get("aria-controls")
    while opener.getnext() is None and _text(above) == text and above.getparent() is not None:
        opener, above = above, above.getparent()
    names = " ".join(filter(None, (each.get("class") for each in (opener, *opener.iter()))))
    if not (opens or text.endswith("?") or _OPENS.search(names)) or not _is_answer(opener):
        return
    heading = opener.makeelement(HEADINGS[level - 1])
    heading.text, heading.tail = text, opener.tail
    above.replace(opener, heading)


def _is_answer(opener: Any) -> bool:
    """Whether what follows an element is text rather than links or another such element."""
    answer = opener.getnext()
    if answer is None or not isinstance(answer.tag, str) or (opener.tail or "").strip():
        return False
    if answer.tag in ("a", "button", *HEADINGS) or answer.get("role") in ("button", "tab"):
        return False
    linked = sum(len(_text(link)) for link in answer.iter("a"))
    return 2 * linked < len(_text(answer))


def _is_path(element: Any) -> bool:
    """Whether an element is nothing but links from the site's start to the page."""
    links = list(islice(element.iter("a"), MAX_LINKS + 1))
    if not 0 < len(links) <= MAX_LINKS or len(_text(element)) > MAX_QUESTION_CHARACTERS:
        return False
    names = (element.get("class"), element.get("id"), element.get("aria-label"))
    if any(_CRUMBS.search(name or "") for name in names):
        return True
    is_first = element[0] is links[0] and not (element.text or "").strip()
    return is_first and all(_SEPARATOR.match(link.tail or "") for link in links)


def _text(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())
