"""What of a page is said in no language but English: each text that the languages have is put in brackets,
and what stands outside of brackets is found.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from groundup.language import page_texts
from groundup.report.pages import build_page
from groundup.report.report_data import read_report_data

# What a text, a model or a stage says, names, code and what is drawn of them.
FOREIGN = ("style", "script", "bdi", "q", "blockquote", "pre", "code", "title")
NAMES = re.compile(
    r"groundup|http\S+|bf16|float32|\bms\b|\bmin\b|\bsha256\b|\w+\.\w+|\([a-z ]+\)|xllamacpp"
)


class Bracketed(dict[str, str]):
    def get(self, english: str, default: str) -> str:  # type: ignore[override]
        if english in self:
            return f"⟦{english}⟧"
        return default


def left_in_english(folder: Path) -> list[str]:
    known = Bracketed(page_texts.page_texts("de"))
    drawn: list[ET.Element] = []

    def kept(title: str, *parts: ET.Element, **further: str) -> str:
        drawn.extend(parts)
        return ""

    with (
        patch.object(page_texts, "page_texts", return_value=known),
        patch.object(build_page, "html_page", kept),
    ):
        build_page.render_page(read_report_data(folder))
    said = [part for each in drawn for part in _blocks(each)]
    return sorted({words for words in map(_outside, said) if words})


def _outside(words: str) -> str:
    while (shorter := re.sub(r"⟦[^⟦⟧]*⟧", " ", words)) != words:
        words = shorter
    rest = NAMES.sub("", words)
    if re.search(r"[A-Za-z]{3,}", rest):
        return " ".join(rest.split())
    return ""


def _blocks(part: ET.Element) -> Iterator[str]:
    """The words of each element that has text of its own, without what is foreign, and its label."""
    if part.tag in FOREIGN or part.get("dir") or "heat-map" in part.get("class", ""):
        return
    yield part.get("aria-label", "")
    yield "".join([part.text or "", *(child.tail or "" for child in part)])
    for child in part:
        yield from _blocks(child)
