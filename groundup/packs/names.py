"""The names of a text: words with a capital.

Where a sentence begins every word has one, so there only a misspelt known name is noticed.
"""

import difflib
import re
from collections.abc import Iterable, Iterator

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
MONTHS = "January February March April May June July August September October November December"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday Mondays Tuesdays Wednesdays Thursdays Fridays Saturdays Sundays"
PEOPLES = "English French German Spanish Italian Portuguese Dutch Polish Chinese Japanese Arabic Hindi Europe European British"
SHORT = "Britain Christmas Easter I I'm I've I'd I'll I’m I’ve I’d I’ll OK FAQ ID PDF SMS PIN TV Mr Mrs Ms Dr am pm CV"
ALWAYS = frozenset(f"{MONTHS} {DAYS} {PEOPLES} {SHORT}".split())
# A sentence, heading, list entry, table cell or quotation begins after one of these.
BEGINNINGS = '.!?:;\n#*->|•…_[("“‘—–'
NEAR, NEAR_LETTERS = 0.85, 6


def names(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each word with a capital, and whether a sentence begins with it.

    >>> list(names("Ask Ada. Bob's is open."))
    [('Ask', True), ('Ada', False), ("Bob's", True)]
    """
    for match in WORD.finditer(text):
        if match[0][0].isupper():
            before = text[: match.start()].rstrip(" \t'")
            yield match[0], not before or before[-1] in BEGINNINGS


def bare_name(word: str) -> str:
    """Return a name without its possessive.

    >>> bare_name("Ada's"), bare_name("the Joneses’")
    ('Ada', 'the Joneses’')
    """
    return re.sub(r"['’]s$", "", word)


def near_name(word: str, known: Iterable[str]) -> str:
    """Return the known name that a word is a misspelling of; "" for none, and for short words.

    >>> near_name("Brackenmeer", ["Brackenmere", "bank"]), near_name("Please", ["Brackenmere"])
    ('Brackenmere', '')
    """
    if len(word) < NEAR_LETTERS:
        return ""
    # of one stem is no misspelling: Bank, Banker
    others = [
        name
        for name in known
        if name[0].isupper() and not (name.startswith(word) or word.startswith(name))
    ]
    return next(iter(difflib.get_close_matches(word, others, n=1, cutoff=NEAR)), "")
