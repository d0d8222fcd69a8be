"""LaTeX as plain text: sectioning commands become headings, verbatim environments code, formulas
stay as they are written.

Commands of formatting give their argument; labels, references, citations, figures' files and the
preamble are left out.
"""

import re
import unicodedata
from collections.abc import Callable

from groundup.data.reading.markup_text.text_writer import TextWriter

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
_LEFT_OUT = re.compile(rf"~?\\(?:{LEFT_OUT})\*?(?:\[[^\]]{{0,300}}\])*(?:\{{[^{{}}]*\}})+")
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
    """Write the plain text."""
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
    """Return text without commands."""
    text = _ACCENT.sub(
        lambda found: unicodedata.normalize("NFC", (found[2] or found[3]) + _ACCENTS[found[1]]),
        text,
    )
    text = _LETTER.sub(lambda found: _LETTERS[found[1]], text)
    text = _SIGN.sub(lambda found: _SIGNS[found[1]].replace("\\", "\ufdd2"), text)
    text = _LEFT_OUT.sub("", text)
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
