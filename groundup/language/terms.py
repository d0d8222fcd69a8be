"""Terms: what a text is found by. A text -> folded words -> stems, and pairs of characters where
words have no spaces between.

    terms("Die Flüge nach Straßburg", "de")  ->  ["die", "flug", "nach", "strassburg"]

Folding: case, compatibility forms (the ligature "ﬁ" is "fi"), "ß" is "ss", diacritics of Latin,
Greek, Cyrillic, Hebrew and Arabic are left out. Numbers keep together: "1,000" is the term "1000".
Chinese, Japanese, Korean, Thai, Lao, Khmer and Burmese become overlapping pairs of characters, and
the last character of a run is a term, too: so each character is the beginning of a term, and a
single one is found by its prefix.

Stems: of English by the Porter stemmer of SQLite's FTS5, of other languages by Snowball where the
extra `retrieve` is installed, else none. The same function makes the terms of documents and of
questions. Stop words stay in: they are left out of questions (`retrieve/search.py`).
"""

import importlib.metadata
import re
import sqlite3
import threading
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import chain, islice
from typing import Any

# Raised by one whenever the same text gets other terms than before: older indexes then make theirs
# again.
TERMS_VERSION = 1
ENGLISH, SNOWBALL = "en", "snowballstemmer"
SNOWBALL_NAMES = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "es": "spanish",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
}
# Words whose stems are kept in memory, for each language.
KEPT_STEMS = 500_000
# Texts whose words are kept: the language of a short document and its terms are of the same words,
# and 500 passages are written between them.
KEPT_TEXTS = 1024
# Longer terms, as of encoded pictures, are cut: no one types them.
MAX_TERM_CHARACTERS = 64

# Combining marks that are left out: Latin, Greek and Cyrillic accents, Hebrew points, Arabic
# vowels. Vowel signs of Indian scripts are letters.
_DIACRITICS = (
    "\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_WITHOUT_SPACES = (
    # Thai, Lao, Burmese, Khmer, jamo
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ebd\u0ec0-\u0ecd\u1000-\u1049\u1780-\u17d3\u1100-\u11ff"
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
_DROPPED = re.compile(f"[{_DIACRITICS}\u00ad\u200b-\u200f\u2060\ufeff]")
_NUMBER = r"\d+(?:[.,]\d+)+"
_SIGNS = (
    "\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963\u0981-\u0983\u09bc-\u09cd\u0a01-\u0a03"
    "\u0a3c-\u0a51\u0a81-\u0a83\u0abc-\u0acd\u0b01-\u0b03\u0b3c-\u0b57\u0b82\u0bbe-\u0bcd\u0c00-\u0c04"
    "\u0c3e-\u0c56\u0c81-\u0c83\u0cbc-\u0cd6\u0d00-\u0d03\u0d3e-\u0d4d\u0dca-\u0df3"
)
_WORD = re.compile(
    rf"([{_WITHOUT_SPACES}]+)|({_NUMBER}|(?:[^\W_{_WITHOUT_SPACES}]|[{_SIGNS}])+[+#]*)"
)
# Of texts without such runs the same words, faster: their numbers are joined beforehand.
_UNSPACED = re.compile(f"[{_WITHOUT_SPACES}]")
_ASCII_WORD = re.compile(r"[a-z0-9]+[+#]*")
_SPACED_WORD = re.compile(rf"[\w{_SIGNS}]+[+#]*")
_SEPARATED = re.compile(r"\d[.,]\d")
_SPACED_NUMBER = re.compile(rf"(?<![^\W_])(?<![{_SIGNS}]){_NUMBER}")

_SNOWBALL_LOCK = threading.Lock()


def analysis() -> str:
    """Return what the terms of a text depend on: an index that was made by another one makes its
    terms again.
    """
    snowball = "none"
    if find_spec(SNOWBALL):
        snowball = importlib.metadata.version(SNOWBALL)
    return f"{TERMS_VERSION} unicode {unicodedata.unidata_version} snowball {snowball}"


def fold(text: str) -> str:
    """Return the text as it is compared: without case, diacritics and compatibility forms.

    >>> fold("Straße"), fold("ﬁnd the Café")
    ('strasse', 'find the cafe')
    """
    if text.isascii():
        return text.lower()
    # Decomposed, so that diacritics can be left out, then composed again: Korean syllables,
    # Japanese voiced letters.
    return unicodedata.normalize(
        "NFC", _DROPPED.sub("", unicodedata.normalize("NFKD", text.casefold()))
    )


def words(text: str) -> list[str]:
    """Return the folded words of a text, not stemmed; pairs of characters for runs without spaces.

    >>> words("Don't write C++ for 1,000 years."), words("東京都の水")
    (['don', 't', 'write', 'c++', 'for', '1000', 'years'], ['東京', '京都', '都の', 'の水', '水'])
    """
    return list(_words(text))


@lru_cache(maxsize=KEPT_TEXTS)
def _words(text: str) -> tuple[str, ...]:
    folded = fold(text)
    found: list[str] = []
    is_ascii = folded.isascii()
    if not is_ascii and _UNSPACED.search(folded):
        for run, other in _WORD.findall(folded):
            found += pairs(run) or [_without_separators(other)]
    else:
        if _SEPARATED.search(folded):
            folded = _SPACED_NUMBER.sub(_number_alone, folded)
        spaced = _ASCII_WORD if is_ascii else _SPACED_WORD
        found = spaced.findall(folded.replace("_", " "))
    if max(map(len, found), default=0) <= MAX_TERM_CHARACTERS:
        return tuple(found)
    return tuple(word[:MAX_TERM_CHARACTERS] for word in found)


def _number_alone(number: re.Match[str]) -> str:
    """With a space behind it, so that what follows stays another word: "1.5kg"."""
    return f"{_without_separators(number[0])} "


def _without_separators(word: str) -> str:
    return word.replace(",", "").replace(".", "")  # which only numbers have


def pairs(run: str) -> list[str]:
    """Return the overlapping pairs of a run of characters, and its last character."""
    return [run[at : at + 2] for at in range(len(run))]


def is_pair(word: str) -> bool:
    """Whether a folded word is a character or pair of a script without spaces."""
    return len(word) <= 2 and re.fullmatch(f"[{_WITHOUT_SPACES}]+", word) is not None


def terms(text: str, language: str) -> list[str]:
    """Return the terms of a text in this language, in order: its stemmed words."""
    return stems(words(text), language)


def terms_of_each(texts: Sequence[str], language: str) -> list[list[str]]:
    """Return the terms of each text; new words are looked up together."""
    found = [words(text) for text in texts]
    stemmed = iter(stems(list(chain.from_iterable(found)), language))
    return [list(islice(stemmed, len(each))) for each in found]


def stems(found: list[str], language: str) -> list[str]:
    """Return the stem of each folded word; the word itself where the language has no stemmer."""
    known = _known_stems(language)
    if known is None:
        return found
    new = set(found).difference(known)
    if new:
        made = _stem_words(new, language)
        if len(known) + len(made) > KEPT_STEMS:
            known.clear()
        known.update(made)
    try:
        return [known[word] for word in found]
    except KeyError:  # cleared just now, or by another thread
        own = _stem_words(set(found), language)
        return [own[word] for word in found]


@cache
def _known_stems(language: str) -> dict[str, str] | None:
    """The stems so far, or None for a language without stemmer."""
    if language != ENGLISH and _snowball(language) is None:
        return None
    return {}


def _stem_words(new: set[str], language: str) -> dict[str, str]:
    if language != ENGLISH:
        with _SNOWBALL_LOCK:  # a stemmer keeps the word it is at
            return {word: _snowball(language).stemWord(word) for word in new}
    listed = [word for word in new if word.isascii() and word.isalpha()]
    return {word: word for word in new} | dict(zip(listed, _porter().stems(listed), strict=True))


@cache
def _snowball(language: str) -> Any:
    if language not in SNOWBALL_NAMES or not find_spec(SNOWBALL):
        return None
    import snowballstemmer

    return snowballstemmer.stemmer(SNOWBALL_NAMES[language])


@cache
def _porter() -> "_Porter":
    return _Porter()


class _Porter:
    """The Porter stemmer of FTS5, asked by way of a table in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._table.execute(
            "CREATE VIRTUAL TABLE word USING fts5(text, content='', tokenize='porter ascii')"
        )
        self._table.execute("CREATE VIRTUAL TABLE stem USING fts5vocab(word, instance)")

    def stems(self, listed: list[str]) -> list[str]:
        """Return the stem of each word of ASCII letters."""
        with self._lock:
            self._table.execute("INSERT INTO word (rowid, text) VALUES (1, ?)", (" ".join(listed),))
            found = self._table.execute('SELECT term FROM stem ORDER BY "offset"').fetchall()
            self._table.execute("INSERT INTO word (word) VALUES ('delete-all')")
        return [term for (term,) in found]


def is_within(first: str, second: str, most: int) -> bool:
    """Whether the optimal string alignment distance of two words is at most `most`.

    >>> is_within("acommodtion", "accommodation", 2), is_within("window", "winter", 2)
    (True, False)
    """
    if abs(len(first) - len(second)) > most:
        return False
    before: list[int] = []
    row = list(range(len(second) + 1))
    for place, letter in enumerate(first, start=1):
        older, before, row = before, row, [place]
        for at, other in enumerate(second, start=1):
            cost = min(row[-1] + 1, before[at] + 1, before[at - 1] + (letter != other))
            is_swap = (
                at > 1 and place > 1 and letter == second[at - 2] and first[place - 2] == other
            )
            if is_swap:
                cost = min(cost, older[at - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return False
    return row[-1] <= most
