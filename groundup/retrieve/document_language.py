"""The language of a document."""

from groundup.data.processing.languages import can_detect, language_of
from groundup.language.stop_words import UNKNOWN, language_by_stop_words
from groundup.language.terms import ENGLISH, words

# A language is decided on by the beginning of a text.
LOOKED_AT_CHARACTERS = 1000


def language_of_text(text: str) -> str:
    """Return the language of a document by its beginning: by its stop words, else by the extra
    `languages`, else "unknown".

    A text of ASCII letters whose language is unknown, as a table of names, counts as English.
    """
    beginning = text[:LOOKED_AT_CHARACTERS]
    found = language_by_stop_words(words(beginning))
    if found == UNKNOWN and can_detect():
        found = language_of(beginning)
    if found == UNKNOWN and beginning.isascii():
        return ENGLISH
    return found
