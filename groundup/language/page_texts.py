"""The fixed texts of pages that a reader of the project's own results opens (the report, the page
of `groundup watch`, the course's list and certificate). They stand in the code in English; `say`
gives them in the language of the page, with numbers written as in that language.

    with page_language("de"):
        say("step {step}", step=written("1,200"))    # "Schritt 1.200"

One file a language, `pages/de.toml`, `fr`, `es`: the English text, and what stands in its place. A
text that a file lacks stays in English; `tests/language/test_page_texts.py` finds those of the code.
The language is a context variable, since charts, tables and notes are made by functions of values,
which would else all hand it on.
"""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import resources

from groundup.language.messages import SOURCE, languages

_FOLDER = resources.files("groundup.language").joinpath("pages")
_LANGUAGE: ContextVar[str] = ContextVar("language of the page", default=SOURCE)
# The signs between groups of three digits and before decimals (CLDR; of Spanish the Royal
# Academy's, which separates no group of four digits).
_GROUP = {"de": ".", "fr": "\u202f", "es": "\u202f"}
_DECIMAL = ","


@contextmanager
def page_language(language: str) -> Iterator[None]:
    """The language of the texts and numbers that are made inside, such as "de" or "de-AT"."""
    code = language.partition("-")[0].casefold()
    if code not in languages():
        code = SOURCE
    token = _LANGUAGE.set(code)
    try:
        yield
    finally:
        _LANGUAGE.reset(token)


def language_of_page() -> str:
    return _LANGUAGE.get()


@cache
def page_texts(language: str) -> Mapping[str, str]:
    """Return the texts of a language by the English; none of the source."""
    if language == SOURCE:
        return {}
    return tomllib.loads(_FOLDER.joinpath(f"{language}.toml").read_text(encoding="utf-8"))


def say(english: str, **values: object) -> str:
    """Return a text in the language of the page, with its values.

    >>> with page_language("de"):
    ...     say("Time and memory"), say("step {step}", step=3), say("Of your own")
    ('Zeit und Speicher', 'Schritt 3', 'Of your own')
    """
    found = page_texts(language_of_page()).get(english, english)
    if values:
        return found.format(**values)
    return found


def written(english: str) -> str:
    """Return a number that Python wrote with "," and "." as the language of the page writes it.

    >>> with page_language("es"):
    ...     written("1,234.5"), written("12,345.6")
    ('1234,5', '12\\u202f345,6')
    """
    language = language_of_page()
    if language not in _GROUP:
        return english
    if (
        language == "es"
        and english.count(",") == 1
        and len(english.lstrip("+-").split(",")[0]) == 1
    ):
        english = english.replace(",", "")
    return english.translate({ord(","): _GROUP[language], ord("."): _DECIMAL})
