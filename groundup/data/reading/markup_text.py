"""Plain text of texts with markup (AsciiDoc, Org and LaTeX here, reStructuredText in
`restructured`), with headings and code marked as in Markdown where that is asked for.

    plain_text("Title\\n=====\\n\\nUse ``x``.", ".rst", headings=True) -> "# Title\\n\\nUse x.\\n"
"""

import re
import unicodedata
from collections.abc import Callable, Mapping

from groundup.data.reading.restructured import TextWriter, restructured, until

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


# LaTeX: commands of formatting give their argument, formulas stay as they are written; labels,
# references, citations, figures' files and the preamble are left out.
SECTIONS = (
    "part", "chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph",
)  # fmt: skip
VERBATIM = "verbatim|Verbatim|lstlisting|minted|alltt"
LEFT_OUT = (
    "label|ref|eqref|pageref|autoref|cref|Cref|cite|citep|citet|citealp|nocite|includegraphics"
    "|input|include|bibliography|bibliographystyle|vspace|hspace|vskip|hskip|index|usepackage"
    "|documentclass|pagestyle|thispagestyle|setlength|setcounter|hypersetup|newcommand|renewcommand"
)
MAX_NESTED = 12
_ACCENTS = dict(
    zip("'`^\"~=.cv", "\u0301\u0300\u0302\u0308\u0303\u0304\u0307\u0327\u030c", strict=True)
)
_LETTERS = {
    "ss": "ß", "o": "ø", "O": "Ø", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å",
    "AA": "Å", "l": "ł", "L": "Ł", "i": "i", "j": "j",
}  # fmt: skip
_SIGNS = {
    "ldots": "…",
    "dots": "…",
    "textbackslash": "\\",
    "LaTeX": "LaTeX",
    "TeX": "TeX",
    "copyright": "©",
    "S": "§",
    "euro": "€",
    "pounds": "£",
}

_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*")
_CODE = re.compile(rf"\\begin\{{((?:{VERBATIM})\*?)\}}[^\n]*\n")
_SECTION = re.compile(
    rf"\\({'|'.join(SECTIONS)})\*?(?:\[[^\]]{{0,300}}\])?\{{((?:[^{{}}]|\{{[^{{}}]*\}})*)\}}"
)
_TITLE = re.compile(r"\\title\{((?:[^{}]|\{[^{}]*\})*)\}")
_COMMANDS_LEFT_OUT = re.compile(rf"~?\\(?:{LEFT_OUT})\*?(?:\[[^\]]{{0,300}}\])*(?:\{{[^{{}}]*\}})+")
_HREF = re.compile(r"\\href\{[^{}]*\}\{([^{}]*)\}")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{[^{}]*\}(?:\[[^\]]{0,300}\])?(?:\{[^{}]*\})?")
_TERM = re.compile(r"\\item\[([^\]]*)\][ \t]*")
_ITEM = re.compile(r"\\item\b[ \t]*")
_FOOTNOTE = re.compile(r"\\footnote\{([^{}]*)\}")
_ACCENT = re.compile(r"\\(['`^\"~=.]|[cv](?![A-Za-z]))[ \t]*(?:\{\\?([A-Za-z])\}|\\?([A-Za-z]))")
_LETTER = re.compile(
    rf"\\({'|'.join(sorted(_LETTERS, key=len, reverse=True))})(?![A-Za-z])(?:\{{\}}|[ \t]?)"
)
_SIGN = re.compile(rf"\\({'|'.join(_SIGNS)})(?![A-Za-z])(?:\{{\}})?")
_COMMAND = re.compile(r"\\[A-Za-z]+\*?(?:\[[^\]]{0,300}\])?\{([^{}]*)\}")
_MATH = re.compile(
    r"\$\$.{1,800}?\$\$|\$[^$\n]{1,2000}\$|\\\[.{1,800}?\\\]|\\\(.{1,800}?\\\)"
    r"|\\begin\{(equation|align|gather|multline|eqnarray)(\*?)\}.{1,800}?\\end\{\1\2\}",
    re.DOTALL,
)
# Places of code and formulas; no text has these characters.
_KEPT = re.compile("\ufdd0(\\d+)\ufdd1")


def latex(text: str, out: TextWriter) -> None:
    kept: list[str] = []

    def keep(value: str) -> str:
        kept.append(value)
        return f"\ufdd0{len(kept) - 1}\ufdd1"

    text = text.replace("\ufdd0", "").replace("\ufdd1", "")
    text = _without_code(text, lambda code: f"\n{keep(code)}\n")
    text = _COMMENT.sub(r"\1", text)
    title = _TITLE.search(text)
    before, begins, body = text.partition(r"\begin{document}")
    if begins:
        text = body.partition(r"\end{document}")[0]
    else:
        text = before
    code = len(kept)
    text = _MATH.sub(lambda found: keep(found[0]), text)
    base = 0
    if title:
        base = 1
        out.heading(1, _restore(_plain(title[1]), kept))
    used = [SECTIONS.index(found[1]) for found in _SECTION.finditer(text)]
    highest = min(used, default=0)
    place = 0
    for found in _SECTION.finditer(text):
        _write(text[place : found.start()], kept, code, out)
        out.heading(SECTIONS.index(found[1]) - highest + 1 + base, _restore(_plain(found[2]), kept))
        place = found.end()
    _write(text[place:], kept, code, out)


def _without_code(text: str, keep: Callable[[str], str]) -> str:
    """Return text with `keep(code)` in place of each verbatim environment that ends."""
    parts: list[str] = []
    endless: set[str] = set()
    place = 0
    for found in _CODE.finditer(text):
        if found[1] in endless:
            continue
        mark = f"\\end{{{found[1]}}}"
        end = text.find(mark, found.end())
        if end < 0:
            endless.add(found[1])
        elif found.start() >= place:
            parts += [text[place : found.start()], keep(text[found.end() : end])]
            place = end + len(mark)
    return "".join([*parts, text[place:]])


def _write(text: str, kept: list[str], code: int, out: TextWriter) -> None:
    for line in _plain(text).split("\n"):
        whole = _KEPT.fullmatch(line.strip())
        if whole and int(whole[1]) < code:
            out.code(kept[int(whole[1])].split("\n"))
        else:
            out.line(_restore(line, kept).strip())


def _restore(text: str, kept: list[str]) -> str:
    return _KEPT.sub(lambda found: kept[int(found[1])], text)


def _plain(text: str) -> str:
    text = _ACCENT.sub(
        lambda found: unicodedata.normalize("NFC", (found[2] or found[3]) + _ACCENTS[found[1]]),
        text,
    )
    text = _LETTER.sub(lambda found: _LETTERS[found[1]], text)
    text = _SIGN.sub(lambda found: _SIGNS[found[1]].replace("\\", "\ufdd2"), text)
    text = _COMMANDS_LEFT_OUT.sub("", text)
    text = _HREF.sub(r"\1", text)
    text = _ENVIRONMENT.sub("", text)
    text = _ITEM.sub("- ", _TERM.sub(r"- \1: ", text))
    for _ in range(MAX_NESTED):  # from the inside
        shorter = _COMMAND.sub(r"\1", _FOOTNOTE.sub(r" (\1)", text))
        if shorter == text:
            break
        text = shorter
    text = re.sub(r"\\\\(?:\[[^\]]{0,300}\])?", "\n", text)
    text = re.sub(r"\\[A-Za-z]+\*?[ \t]?", "", text)
    text = re.sub(r"(?<!\\)&", " | ", text)
    text = re.sub(r"\\([%&_#$ ])", r"\1", text)
    text = re.sub(r"(?<!\\)[{}]|\\[,;:!/@\-]", "", text)
    text = re.sub(r"\\([{}])", r"\1", text).replace("\ufdd2", "\\")
    for written, sign in (("~", " "), ("---", "—"), ("--", "–"), ("``", "“"), ("''", "”")):
        text = text.replace(written, sign)
    return text


MARKUP_READERS: Mapping[str, Callable[[str, TextWriter], None]] = {
    ".rst": restructured,
    ".adoc": asciidoc,
    ".asciidoc": asciidoc,
    ".tex": latex,
    ".org": org,
}
TEXT_SUFFIXES = (".txt", ".md", *MARKUP_READERS)


def plain_text(text: str, suffix: str, *, headings: bool) -> str:
    """Return the plain text of a file with this suffix; `headings`: headings and code are marked as
    in Markdown.
    """
    out = TextWriter(headings)
    MARKUP_READERS[suffix](text.replace("\r\n", "\n").replace("\r", "\n"), out)
    return out.text()
