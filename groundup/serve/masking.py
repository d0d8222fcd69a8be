"""Masking of what people wrote, before it is kept: personal data becomes marks such as "<email>".

    masked("Mail jane@example.org about account 12345678")
    -> "Mail <email> about account <number>"

By the rules that web texts are cleaned with (`data/processing/personal_data.py`), which are made to
take no other number for a phone's; here a number too many is no loss, so every further run of six
and more digits is masked, too (account, customer and order numbers, sort codes), other than dates,
years and amounts with a currency. A pack adds shapes of its own, such as "AAA-9999" for its
customer numbers (`AssistantTexts.personal`). Names and addresses of places are not recognised.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from groundup.data.processing.personal_data import replace

# What a reader is told where anything is kept.
NOTICE_OF_MASKS = (
    "E-mail addresses, telephone, card and account numbers are masked. Please write no names."
)
NUMBER, CODE = "<number>", "<code>"
_RUN = re.compile(r"(?<![\w£$€¥.,])\d(?:[ \u00a0-]?\d){5,}+(?![\w%€£¥])")
_DATE = re.compile(
    r"(?:19|20)\d\d[- ](?:0?[1-9]|1[0-2])[- ](?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[- ](?:0?[1-9]|1[0-2])[- ](?:19|20)\d\d"
    r"|(?:19|20)\d\d[- ](?:19|20)\d\d"
)


def masked(text: str, shapes: Sequence[str] = ()) -> str:
    """Return the text with a mark in place of each piece of personal data.

    >>> masked("Call 07700 900461 on 2026-12-04, sort code 12-34-56, for £100000")
    'Call <phone> on 2026-12-04, sort code <number>, for £100000'
    >>> masked("My booking is abc 123", ["AAA 999"])
    'My booking is <code>'
    """
    for shape in shapes:
        text = _of_shape(shape).sub(CODE, text)
    return _RUN.sub(_mark, replace(text).text)


@lru_cache(maxsize=256)
def _of_shape(shape: str) -> re.Pattern[str]:
    parts = {"A": "[^\\W\\d_]", "9": r"\d"}
    return re.compile(
        rf"(?<!\w){''.join(parts.get(each) or re.escape(each) for each in shape)}(?!\w)"
    )


def _mark(run: re.Match[str]) -> str:
    return run[0] if _DATE.fullmatch(run[0]) else NUMBER
