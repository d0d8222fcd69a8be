"""Marks of Markdown that a reader does not see, taken out of what is shown of a document.

    [text](target), ![text](target)   the text
    **bold**, *emphasis*              the words; only where they stand as Markdown wants them, so
                                      that `**/foo`, `*args` and a product keep their stars
    \\_                                the underscore; other escapes stay, since a text that is no
                                      Markdown has them, too, as `\\.` of a regular expression
    `code`                            stays as it is, with or without its marks

Underscores are left alone: outside of code they are names (`max_tokens`) far more often than
emphasis. (CommonMark 0.31, sections 2.4, 6.2 and 6.3.)
"""

import re
from collections.abc import Callable

LINK = re.compile(r"(?<![\w\])])!?\[([^\]\n]*)\]\(((?:[^()\s]|\([^()\s]*\))*)\)")
_CODE = re.compile(r"(?<!`)(`{1,3})(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_EMPHASIS = re.compile(
    r"""(?<![^\s(\["'“‘—|-])(\*{1,3})(?=[\w"'“‘(\[\0£$€-])(.+?)"""
    r"""(?<![\s*\\])\1(?=[\s.,;:!?)\]\\"'”’|—-]|\Z)""",
    re.DOTALL,
)
_MARKS = re.compile(r"[*\\\[`]")


def without_marks(text: str, *, keep_code_marks: bool = True) -> str:
    r"""Return a text without the marks of Markdown.

    >>> without_marks("**Rank.** See [`max_tokens`](a.md#b), max\\_tokens and **/foo")
    'Rank. See `max_tokens`, max_tokens and **/foo'
    >>> without_marks("| `a_b*` |", keep_code_marks=False)
    '| a_b* |'
    """
    if not _MARKS.search(text):
        return text
    code: list[str] = []

    def masked(found: re.Match[str]) -> str:
        code.append(found[2 * (not keep_code_marks)])
        return "\0"

    left = _CODE.sub(masked, text.replace("\0", ""))
    left = _EMPHASIS.sub(r"\2", LINK.sub(r"\1", left)).replace("\\_", "_")
    return re.sub("\0", _in_turn(code), left)


def _in_turn(texts: list[str]) -> Callable[[re.Match[str]], str]:
    remaining = iter(texts)
    return lambda found: next(remaining, "")
