"""reStructuredText (docutils' specification, with Sphinx's directives) as plain text.

Titles become headings, in the order in which their adornments first occur. Code and literal blocks
stay as they are; of other directives the content stays, signatures (`.. function:: f(x)`) before
what is said of them. Comments, targets, images, tables of contents and options are left out.
"""

import re
from collections.abc import Iterable
from textwrap import dedent

FENCE = "```"
MAX_LEVEL = 6
_BLANK_LINES = re.compile(r"\n{3,}")


class TextWriter:
    """Lines of text.

    `marked`: headings begin with #, code stands between fences, so that its own # are no headings.
    """

    def __init__(self, marked: bool) -> None:
        self.marked = marked
        self.lines: list[str] = []
        self.level = 0
        """The level of the last heading."""

    def line(self, text: str) -> None:
        self.lines.append(text.rstrip())

    def heading(self, level: int, text: str) -> None:
        self.level = min(max(level, 1), MAX_LEVEL)
        text = text.strip()
        if self.marked:
            text = f"{'#' * self.level} {text}"
        self.lines += ["", text, ""]

    def code(self, lines: Iterable[str]) -> None:
        text = dedent("\n".join(lines)).strip("\n")
        if not text.strip():
            return
        if self.marked and FENCE not in text:
            text = f"{FENCE}\n{text}\n{FENCE}"
        self.lines += ["", *text.split("\n"), ""]

    def text(self) -> str:
        if not any(self.lines):
            return ""
        return _BLANK_LINES.sub("\n\n", "\n".join(self.lines)).strip("\n") + "\n"


def until(lines: list[str], start: int, end: re.Pattern[str]) -> int:
    """Return the place of the next line that `end` matches, from `start` on; that behind the last
    line where none does.
    """
    return next((at for at in range(start, len(lines)) if end.match(lines[at])), len(lines))


CODE = frozenset({
    "code", "code-block", "sourcecode", "parsed-literal", "doctest", "testcode", "math",
    "productionlist", "prompt",
})  # fmt: skip
LEFT_OUT = frozenset({
    "toctree", "image", "include", "literalinclude", "index", "contents", "module",
    "currentmodule", "raw", "meta", "highlight", "role", "default-role", "sectionauthor",
    "moduleauthor", "testsetup", "testcleanup", "automodule", "autoclass", "sectnum",
    "autofunction", "replace", "unicode", "date", "tabularcolumns", "py:module",
    "py:currentmodule", "only-format", "title",
})  # fmt: skip
SIGNATURES = frozenset({
    "function", "method", "class", "attribute", "data", "exception", "option", "describe",
    "envvar", "macro", "type", "property", "classmethod", "staticmethod", "decorator", "member",
    "var", "struct", "enum", "cmdoption", "object", "opcode", "pdbcommand",
})  # fmt: skip
LABELS = {
    "versionadded": "Added in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
    "seealso": "See also:",
}
MAX_NESTED = 20
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*\Z")
_EXPLICIT = re.compile(r"([ \t]*)\.\.(?:[ \t]+(.*))?\Z")
_DIRECTIVE = re.compile(r"(?:\|[^|]+\|[ \t]+)?([A-Za-z][\w:.+-]*?)[ \t]?::(?:[ \t]+(.*))?\Z")
_NOTE = re.compile(r"\[[^\]]+\][ \t]+")
_OPTION = re.compile(r"[ \t]*:[\w -]+:(?:[ \t]|\Z)")
_BORDER = re.compile(r"[ \t]*(?:\+[-=+]+\+|=+(?:[ \t]+=+)+|-+(?:[ \t]+-+)+)[ \t]*\Z")
_INLINE = (
    (re.compile(r"``([^`]+)``"), r"\1"),
    (re.compile(r":[\w:+-]{1,60}:`~(?:[^`<]{0,500}\.)?([^`<.]{1,500})`"), r"\1"),
    (re.compile(r"(?::[\w:+-]{1,60}:)?`!?([^`<]{1,500}?)(?:\s{0,9}<[^`>]{0,500}>)?`_{0,2}"), r"\1"),
    (re.compile(r"\*\*([^*\s](?:[^*]*[^*\s])?)\*\*"), r"\1"),
    (re.compile(r"(?<![\w*\\])\*([^*\s](?:[^*]*[^*\s])?)\*(?![\w*])"), r"\1"),
    (re.compile(r"\\([^\w\s])"), r"\1"),
)


def restructured(text: str, out: TextWriter) -> None:
    _blocks(text.expandtabs(8).split("\n"), out, [], 0)


def inline(text: str) -> str:
    """Return text without inline markup.

    >>> inline("Use ``a*b`` or :func:`~os.path.join`, see `the docs <x.html>`_ and *that*.")
    'Use a*b or join, see the docs and that.'
    """
    for pattern, plain in _INLINE:
        text = pattern.sub(plain, text)
    return text


def _blocks(lines: list[str], out: TextWriter, styles: list[str], depth: int) -> None:
    at = 0
    while at < len(lines):
        line = lines[at]
        explicit = _EXPLICIT.match(line)
        if level := _title_level(lines, at, styles):
            over = len(_styles_of(lines, at)) == 2
            out.heading(level, inline(lines[at + over]))
            at += 2 + over
        elif explicit:
            end = _indented_end(lines, at + 1, len(explicit[1]))
            _explicit(explicit[2] or "", lines[at + 1 : end], out, styles, depth)
            at = end
        elif line.rstrip().endswith("::"):
            text = ""
            if line.strip() != "::":
                text = inline(line.rstrip()[:-1].removesuffix(" :"))
            out.line(text)
            end = _indented_end(lines, at + 1, len(line) - len(line.lstrip()))
            out.code(lines[at + 1 : end])
            at = end
        else:
            if not _BORDER.match(line) and not _ADORNMENT.match(line):
                out.line(inline(line))
            at += 1


def _styles_of(lines: list[str], at: int) -> str:
    """Return the characters that adorn the title at a place, above and below it; "" where there is
    no title.
    """
    above, title, below = ([*lines[at : at + 3], "", "", ""])[:3]
    over, under = _ADORNMENT.match(above), _ADORNMENT.match(below)
    if over and under and title.strip():
        if over[1] != under[1]:
            return ""
        return over[1] * 2
    found = _ADORNMENT.match(title)
    is_title = above.strip() and not above[0].isspace() and not over
    if found and is_title and len(title.rstrip()) >= min(len(above.rstrip()), 4):
        return found[1]
    return ""


def _title_level(lines: list[str], at: int, styles: list[str]) -> int:
    style = _styles_of(lines, at)
    if style and style not in styles:
        styles.append(style)
    if not style:
        return 0
    return styles.index(style) + 1


def _indented_end(lines: list[str], at: int, indent: int) -> int:
    """Return the place behind the lines that are indented more than `indent`, blank ones between
    them included.
    """
    end = at
    while at < len(lines) and (
        not lines[at].strip() or len(lines[at]) - len(lines[at].lstrip()) > indent
    ):
        at += 1
        if lines[at - 1].strip():
            end = at
    return end


def _explicit(head: str, body: list[str], out: TextWriter, styles: list[str], depth: int) -> None:
    """Write a directive or a footnote; comments and targets are left out."""
    if note := _NOTE.match(head):
        out.line(inline(f"{note[0]}{head[note.end() :]}"))
        _blocks(_dedent(body), out, styles, depth + 1)
        return
    found = _DIRECTIVE.match(head)
    if not found or found[1] in LEFT_OUT or depth >= MAX_NESTED:
        return
    name, argument = found[1], found[2] or ""
    if name in CODE:
        out.code(_without_options(body))
        return
    kind = name.rpartition(":")[2]
    if kind in SIGNATURES:
        _signature(argument, body, out, styles, depth)
        return
    label = LABELS.get(kind) or f"{kind.replace('-', ' ').capitalize()}:"
    content = _without_options(body)
    out.line("")
    if not argument and not content:
        label = ""
    out.line(inline(f"{label} {argument}"))
    _blocks(_dedent(content), out, styles, depth + 1)
    out.line("")


def _signature(
    argument: str, body: list[str], out: TextWriter, styles: list[str], depth: int
) -> None:
    """Write the signatures of an API, and what is said of them, under a heading of the first one's
    name.
    """
    more = 0
    while more < len(body) and body[more].strip() and not _OPTION.match(body[more]):
        more += 1
    signatures = [inline(each.strip()) for each in [argument, *body[:more]] if each.strip()]
    level = out.level
    if out.marked and signatures:
        out.heading(level + 1, re.split(r"[(\[,=]", signatures[0])[0].strip() or signatures[0])
    content = _dedent(_without_options(body[more:]))
    while content and not content[0].strip():
        content.pop(0)
    begins = (
        bool(content) and not _EXPLICIT.match(content[0]) and not content[0].rstrip().endswith("::")
    )
    out.line("")
    if begins:
        out.line(f"{'; '.join(signatures)}: {inline(content[0])}")
    else:
        out.line("; ".join(signatures))
    _blocks(content[begins:], out, styles, depth + 1)
    out.line("")
    out.level = level


def _without_options(body: list[str]) -> list[str]:
    """Return the content of a directive, without the options that stand first."""
    at = 0
    while at < len(body) and _OPTION.match(body[at]):
        at += 1
    return body[at:]


def _dedent(body: list[str]) -> list[str]:
    if not body:
        return []
    return dedent("\n".join(body)).split("\n")
