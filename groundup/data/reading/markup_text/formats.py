"""The formats of texts with markup, by suffix.

plain_text("Title\\n=====\\n\\nUse ``x``.", ".rst", headings=True) -> "# Title\\n\\nUse x.\\n"
"""

from collections.abc import Callable, Mapping

from groundup.data.reading.markup_text.latex import latex
from groundup.data.reading.markup_text.lightweight import asciidoc, org
from groundup.data.reading.markup_text.restructured import restructured
from groundup.data.reading.markup_text.text_writer import TextWriter

MARKUP_READERS: Mapping[str, Callable[[str, TextWriter], None]] = {
    ".rst": restructured,
    ".adoc": asciidoc,
    ".asciidoc": asciidoc,
    ".tex": latex,
    ".org": org,
}


def plain_text(text: str, suffix: str, *, headings: bool) -> str:
    """Return the plain text of a file with this suffix; `headings`: headings and code are marked as
    in Markdown.
    """
    out = TextWriter(headings)
    MARKUP_READERS[suffix](text.replace("\r\n", "\n").replace("\r", "\n"), out)
    return out.text()
