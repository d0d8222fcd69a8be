"""Follow-up questions: the last turn of a conversation, with the turn that it refers to where it
says too little by itself.

A turn with fewer than two words of its own (words of grammar, and those that ask, are none) is read
together with the user's turn before it:
"How long is the warranty of the PX-20? And how much is it?". A plain rule, without a model: what
"it" is stands in the turn before.
"""

from collections.abc import Sequence

from groundup.retrieve.stop_words import AFTER_HOW, STOP_WORDS, language_by_stop_words
from groundup.retrieve.terms import words

MIN_OWN_WORDS = 2
# Of the turns before; a search reads the first 256 words.
MAX_CHARACTERS_BEFORE = 300


def question_in_context(turns: Sequence[str]) -> str:
    """Return the question that the last of the user's turns asks; "" without turns.

    >>> question_in_context(["How long is the warranty of the PX-20?", "And how much is it?"])
    'How long is the warranty of the PX-20? And how much is it?'
    """
    before = ""
    for turn in turns:
        asked = turn.strip()
        if before and len(own_words(turn)) < MIN_OWN_WORDS:
            asked = f"{before[-MAX_CHARACTERS_BEFORE:]} {asked}"
        before = asked
    return before


def own_words(text: str) -> list[str]:
    """Return the words of a text that say what it is about.

    >>> own_words("And how much is it?"), own_words("And the filter?")
    ([], ['filter'])
    """
    found = list(dict.fromkeys(words(text)))
    language = language_by_stop_words(found)
    stops = STOP_WORDS.get(language, STOP_WORDS["en"]) | AFTER_HOW
    return [word for word in found if word not in stops]
