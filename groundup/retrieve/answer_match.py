"""How well an answer matches the expected span: exact match and F1 of words as in SQuAD, whether
the span stands in it, whether it declines.

(Rajpurkar et al. 2016, section 6.1: lower case, without punctuation and the articles a, an, the.)
"""

import re
from collections import Counter

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
# A point or comma within a number stays: 1.5 is not 15.
_PUNCTUATION = re.compile(r"(?<!\d)[^\w\s%£$€]|[^\w\s%£$€](?!\d)|_")
_SAYS = r"\b(?:says?|said|states?|mentions?|mentioned|know|find|found|information|answer|contain)\b"
_NOT = r"\b(?:(?:do|does|did|ca|could|is|are|was)n['’]t|cannot|not|no|nothing)\b"
_DECLINES = re.compile(
    rf"{_NOT}.{{0,40}}{_SAYS}|\b(?:says?|states?|find|found) nothing\b", re.IGNORECASE
)


def answer_words(text: str) -> list[str]:
    """Return the words of an answer in one form.

    >>> answer_words("The fee is £1,500.00, until 4 p.m.")
    ['fee', 'is', '£1500.00', 'until', '4', 'pm']
    """
    joined = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower().replace(".m.", "m"))
    return _ARTICLES.sub(" ", _PUNCTUATION.sub(" ", joined)).split()


def exact_match(answer: str, expected: str) -> bool:
    """Return whether an answer is the expected one.

    >>> exact_match("The 4 pm.", "4 pm")
    True
    """
    return answer_words(answer) == answer_words(expected)


def word_f1(answer: str, expected: str) -> float:
    """Return the harmonic mean of the precision and recall of an answer's words.

    >>> word_f1("until 4 pm", "4 pm")
    0.8
    """
    said, wanted = Counter(answer_words(answer)), Counter(answer_words(expected))
    total = said.total() + wanted.total()
    return 2 * (said & wanted).total() / max(1, total)


def contains(answer: str, expected: str) -> bool:
    """Return whether the expected span stands in an answer, as whole words.

    >>> contains("It closes at 4 pm on Saturday.", "4 pm"), contains("At 14 pm", "4 pm")
    (True, False)
    """
    return f" {' '.join(answer_words(expected))} " in f" {' '.join(answer_words(answer))} "


def declines(answer: str) -> bool:
    """Return whether an answer says that it has none: empty, or one of the usual sentences. A rule,
    so it misses unusual ones.

    >>> [declines(text) for text in ("I do not know.", "You cannot pay in cash.")]
    [True, False]
    """
    return not answer.strip() or bool(_DECLINES.search(answer))
