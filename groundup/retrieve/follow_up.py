"""Follow-up questions: the last turn of a conversation, with the turn that it refers to where it
says too little by itself.

A turn with fewer than two words of its own (words of grammar, and those that ask, are none), or one
that only changes a word of the question before ("and for children under six?"), is read together
with the user's turn before it, which stands on a line above:
"How long is the warranty of the PX-20?\\nAnd how much is it?". A plain rule, without a model: what
"it" is stands in the turn before.
"""

import re
from collections.abc import Sequence

from groundup.retrieve.stop_words import AFTER_HOW, STOP_WORDS, language_by_stop_words
from groundup.retrieve.terms import words

MIN_OWN_WORDS = 2
# Of a turn that only changes a word.
MAX_CHANGED_WORDS = 4
# Of the turns before; a search reads the first 256 words.
MAX_CHARACTERS_BEFORE = 300
_CHANGES = re.compile(
    r"(?:(?:and|or|but|ok|okay|so)[,\s]+)*(?:what about|how about|and|or|what if it'?s|only|just|"
    r"und|oder|aber|was ist mit|wie ist es mit|et|mais|et pour)\b\s*(.*)",
    re.IGNORECASE | re.DOTALL,
)
_ASKS_ITSELF = re.compile(
    r"(?:how|what|when|where|who|which|why|whose|is|are|do|does|did|can|could|will|would|"
    r"should|may|"
    r"must|have|has|i|we|wie|was|wann|wo|wer|warum|welche\w?|ist|sind|kann|combien|comment|quand|"
    r"qui|quel\w*|pourquoi|est)\b",
    re.IGNORECASE,
)


def question_in_context(turns: Sequence[str]) -> str:
    """Return the question that the last of the user's turns asks, with what it refers to on the
    lines above; "" without turns.

    >>> question_in_context(["How long is the warranty of the PX-20?", "And how much is it?"])
    'How long is the warranty of the PX-20?\\nAnd how much is it?'
    """
    before = ""
    for turn in turns:
        asked = " ".join(turn.split())
        if before and (len(own_words(turn)) < MIN_OWN_WORDS or is_elliptical(turn)):
            asked = f"{before[-MAX_CHARACTERS_BEFORE:]}\n{asked}"
        before = asked
    return before


def is_elliptical(turn: str) -> bool:
    """Whether a turn only changes a word of the question before it.

    >>> is_elliptical("And for children under six?"), is_elliptical("And how much is the filter?")
    (True, False)
    """
    found = _CHANGES.match(turn.strip())
    if not found or _ASKS_ITSELF.match(found[1]):
        return False
    return 1 <= len(own_words(found[1])) <= MAX_CHANGED_WORDS


def own_words(text: str) -> list[str]:
    """Return the words of a text that say what it is about.

    >>> own_words("And how much is it?"), own_words("And the filter?")
    ([], ['filter'])
    """
    found = list(dict.fromkeys(words(text)))
    language = language_by_stop_words(found)
    stops = STOP_WORDS.get(language, STOP_WORDS["en"]) | AFTER_HOW
    return [word for word in found if word not in stops]
