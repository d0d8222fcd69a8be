"""Parts of a question: two things that are asked together, and the word that a follow-up changes.

    "How much is a crown and how long does it last?"  ->  "How much is a crown", "how long does it
                                                          last", the second with the first's subject
    "How much is a ticket?\\nAnd for children?"        ->  one part, which turns on "children"

A question in its context has the turns before on lines of their own (`follow_up.py`): they are
read, and not asked again. Plain rules, without a model.
"""

import re
from dataclasses import dataclass

from groundup.retrieve.follow_up import is_elliptical, own_words, stands_alone

MAX_PARTS = 2
# Of a follow-up that is no question by itself; and what in it only stands for the subject before.
MAX_BARE_WORDS = 3
_STAND_INS = frozenset({"ok", "okay", "one", "ones", "please"})
_ASKS = (
    r"(?:(?:until |till |from |by )when|how|what|what's|whats|when|where|where's|who|which|why|whose|wie|was|wann|wo|wer|warum|"
    r"welche[rsnm]?|combien|comment|quand|o[uù]|qui|quels?|quelles?|pourquoi)"
)
_VERBS = r"(?:is|are|do|does|did|can|could|will|would|should|may|must|have|has|am)"
# What a second question follows: "... and how", "...? When", "..., and can I".
_BETWEEN = re.compile(
    rf"(?:\s*[?;.]\s+(?:(?:and|but|also|und|et)\s+)?|\s*,?\s+(?:and|&|plus|as well as|und|et)\s+)"
    rf"(?:if so,?\s+)?(?=(?:also\s+)?(?:{_ASKS}\b|{_VERBS}\s+(?:i|we|you|it|they|there|my|the)\b))",
    re.IGNORECASE,
)
_BEGINS = re.compile(
    rf"(?:{_ASKS}|{_VERBS})\b|(?:\w+[,:]?\s+){{1,2}}(?:how|what|when|where|who|which|why)\b"
    rf"|[^?]{{1,120}}[,;:.]\s+(?:{_ASKS}|{_VERBS})\b",
    re.IGNORECASE,
)
_ASKING_WORD = re.compile(rf"\b{_ASKS}\b", re.IGNORECASE)
_REFERS = re.compile(
    r"\b(?:it|its|it's|they|them|their|that|this|these|those|he|she|him|her|one|es|sie|ihn|il|"
    r"elle)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class QuestionPart:
    """One of the things that are asked."""

    asked: str
    """As it stands in the question."""
    question: str
    """The same with the subject that it lacks."""


def question_parts(question: str) -> list[QuestionPart]:
    """Return the things that a question asks, at most MAX_PARTS; the question itself where it asks
    one, or more than that.

    >>> [each.question for each in question_parts("How much is a crown and how long does it last?")]
    ['How much is a crown', 'crown\\nhow long does it last?']
    >>> [each.asked for each in question_parts("Do you mend shoes and bags?")]
    ['Do you mend shoes and bags?']
    """
    context, _, last = question.rpartition("\n")
    pieces = [piece.strip() for piece in _BETWEEN.split(last) if piece.strip(" ?!.,;")]
    if len(pieces) != MAX_PARTS or not _BEGINS.match(pieces[0]):
        return [QuestionPart(question.strip(), question)]
    first, second = pieces
    of_first, of_second = first, second
    if not (_subject(first) or stands_alone(first)):
        of_first = f"{' '.join(_subject(second))}\n{first}"
    if _REFERS.search(second) or not (_subject(second) and stands_alone(second)):
        of_second = f"{' '.join(_subject(first))}\n{second}"
    asked = [QuestionPart(first, of_first), QuestionPart(second, of_second)]
    if not context:
        return asked
    return [QuestionPart(each.asked, f"{context}\n{each.question}") for each in asked]


def _subject(piece: str) -> list[str]:
    """What a piece of a question is about, without the word that asks."""
    return own_words(_ASKING_WORD.sub("", piece))


def focus_words(question: str) -> list[str]:
    """Return the words that a follow-up changes in the question before it; [] of any other.

    >>> focus_words("How much is a ticket?\\nAnd for children?"), focus_words("And for children?")
    (['children'], [])
    """
    context, _, last = question.rpartition("\n")
    if not context.strip() or not (is_elliptical(last) or _is_bare(last)):
        return []
    return [word for word in own_words(last) if word not in _STAND_INS]


def _is_bare(turn: str) -> bool:
    """Whether a turn is some words without a question of its own: "children?"."""
    return not _BEGINS.match(turn) and len(own_words(turn)) <= MAX_BARE_WORDS
