"""AsciiDoc and Org as plain text: headings, lists and code stay, attributes, comments, drawers and
delimiters are left out.
"""

import re

from groundup.data.reading.markup_text.text_writer import TextWriter, until

Rules = tuple[tuple[re.Pattern[str], str], ...]

_ADOC_TITLE = re.compile(r"(={1,6})[ \t]+(\S.*)")
_ADOC_CODE = re.compile(r"(-{4,}|\.{4,}|`{3,}|/{4,}|\+{4,})(?:\w*)[ \t]*\Z")
_ADOC_LEFT_OUT = re.compile(
    r"(?:={4,}|\*{4,}|_{4,}|--|\|={3,}|!={3,}|<<<|'''|\+)[ \t]*\Z"
    r"|//(?!/)|:!?[\w-]+!?:(?:[ \t]|\Z)|\[[^\]]*\][ \t]*\Z"
    r"|(?:include|image|video|audio|ifdef|ifndef|ifeval|endif|toc|link)::"
)
_ADOC_ITEM = re.compile(r"[ \t]*(?:\*{1,5}|\.{1,5}|-)[ \t]+(\S.*)")
_ADOC_TERM = re.compile(r"(\S.*?):{2,4}(?:[ \t]+(.*))?\Z")
_ADOC_INLINE: Rules = (
    (re.compile(r"\[\[[^\]]{0,200}\]\]|\(\(\(.{0,200}?\)\)\)|indexterm:\[[^\]]{0,200}\]"), ""),
    (re.compile(r"<<[^,>]{0,200},([^>]{0,200})>>"), r"\1"),
    (re.compile(r"<<([^>]{0,200})>>"), r"\1"),
    (
        re.compile(
            r"(?:link:|xref:|mailto:|https?://|ftp://)[^\s\[\]]{0,500}\[([^\]^]{1,500})\^?\]"
        ),
        r"\1",
    ),
    (
        re.compile(
            r"(?:footnote:\w{0,60}|kbd:|btn:|menu:\w{0,60}|image:[^\s\[\]]{0,500}|stem:|pass:\w{0,9})"
            r"\[([^\]]{0,500})\]"
        ),
        r" \1",
    ),
    (re.compile(r"([*_`#+]{2})(\S(?:.{0,300}?\S)?)\1"), r"\2"),
    (re.compile(r"(?<!\w)([*_`#+])(\S(?:.{0,300}?\S)?)\1(?!\w)"), r"\2"),
)


def asciidoc(text: str, out: TextWriter) -> None:
    """Write the plain text of AsciiDoc
    (docs.asciidoctor.org/asciidoc/latest/syntax-quick-reference).
    """
    lines, at, term = text.split("\n"), 0, ""
    while at < len(lines):
        line = lines[at]
        at += 1
        if found := _ADOC_TITLE.fullmatch(line):
            out.heading(len(found[1]), _inline(found[2], _ADOC_INLINE))
        elif found := _ADOC_CODE.fullmatch(line):
            end = until(lines, at, re.compile(re.escape(found[1]) + r"[ \t]*\Z"))
            if not found[1].startswith("/"):
                out.code(lines[at:end])
            at = end + 1
        elif _ADOC_LEFT_OUT.match(line):
            continue
        elif found := _ADOC_ITEM.fullmatch(line):
            out.line(f"- {_inline(found[1], _ADOC_INLINE)}")
        elif (found := _ADOC_TERM.fullmatch(line)) and not line[0].isspace():
            term = _inline(found[1], _ADOC_INLINE)
            if found[2]:
                out.line(f"{term}: {_inline(found[2], _ADOC_INLINE)}")
                term = ""
        elif line.strip():
            if re.match(r"\.\w", line):
                line = line[1:]
            shown = _inline(line, _ADOC_INLINE)
            if term:
                shown = f"{term}: {shown.lstrip()}"
            out.line(shown)
            term = ""
        else:
            out.line("")
    if term:
        out.line(term)


_ORG_TITLE = re.compile(
    r"(\*+)[ \t]+(?:(?:TODO|DONE|NEXT|WAITING|CANCELLED)[ \t]+)?(?:\[#\w\][ \t]+)?(.*)"
)
_ORG_TAGS = re.compile(r"[ \t]{1,80}:[\w@#%:]+:[ \t]{0,9}\Z")
_ORG_BLOCK = re.compile(r"[ \t]*#\+begin_(\w+)", re.IGNORECASE)
_ORG_DRAWER = re.compile(r"[ \t]*:[A-Z_]+:[ \t]*\Z")
_ORG_NAMED_TITLE = re.compile(r"#\+title:[ \t]*(.+)", re.IGNORECASE)
_ORG_LEFT_OUT = re.compile(
    r"[ \t]*#(?:[ \t+]|\Z)|[ \t]*\|[-+]+\|?[ \t]*\Z|[ \t]*(?:SCHEDULED|DEADLINE|CLOSED|CLOCK):"
)
_ORG_CODE = ("src", "example", "export", "comment")
_ORG_INLINE: Rules = (
    (re.compile(r"\[\[[^\]]{0,500}\]\[([^\]]{0,500})\]\]"), r"\1"),
    (re.compile(r"\[\[([^\]]{0,500})\]\]"), r"\1"),
    (re.compile(r"\[fn:[^\]]{0,500}\]"), ""),
    (re.compile(r"(?<![^\s(\"'{-])([*/_=~+])(\S(?:.{0,300}?\S)?)\1(?![^\s).,;:!?\"'}-])"), r"\2"),
    (re.compile(r"^([ \t]*[-+][ \t]+\S.*?)[ \t]{1,9}::[ \t]+"), r"\1: "),
)


def org(text: str, out: TextWriter) -> None:
    """Write the plain text of Org (orgmode.org/worg/org-syntax.html)."""
    lines, at = text.split("\n"), 0
    base = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if found := _ORG_NAMED_TITLE.match(line):
            base = 1
            out.heading(1, found[1])
        elif found := _ORG_TITLE.fullmatch(line):
            out.heading(len(found[1]) + base, _inline(_ORG_TAGS.sub("", found[2]), _ORG_INLINE))
        elif (found := _ORG_BLOCK.match(line)) and found[1].lower() in _ORG_CODE:
            end = until(lines, at, re.compile(rf"[ \t]*#\+end_{found[1]}", re.IGNORECASE))
            if found[1].lower() in ("src", "example"):
                out.code(lines[at:end])
            at = end + 1
        elif _ORG_DRAWER.fullmatch(line):
            at = until(lines, at, re.compile(r"[ \t]*:END:|\*+[ \t]", re.IGNORECASE))
            at += at < len(lines) and not lines[at].startswith("*")
        elif not _ORG_LEFT_OUT.match(line):
            out.line(_inline(line, _ORG_INLINE))


def _inline(text: str, rules: Rules) -> str:
    for pattern, plain in rules:
        text = pattern.sub(plain, text)
    return text
