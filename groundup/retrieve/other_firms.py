"""Other firms: the name in a question that no document has and that the question is about, as
"Ryanair" in "Does Ryanair let me change a name?", asked of another airline.

    a firm of the list (`everyday/firms.txt`), in small letters, too
    a name with a capital in the place of a firm: "does NAME charge", "is NAME open", "NAME's
        opening hours", "my NAME password", "check-out at the NAME"

A name counts where no passage has one of its words, and nothing that is spelled nearly so. Names in
other places are a customer's own, a child's or a town's ("I live in Ashdale", "does Ella eat"), and
say nothing; nor do people with a title ("Dr Patel") and what is the same whoever issues it
("Visa"). The rules are of English; they were chosen on 50 invented firms (docs/log.md).
"""

import re
from functools import cache

from groundup.language.terms import stems, words
from groundup.retrieve.everyday_words import FOLDER
from groundup.retrieve.question_terms import MAX_LANGUAGES, WordStatistics
from groundup.retrieve.spelling import spelled_like

_CAPITAL = r"(?!(?:I|I'\w+|A|The)\b)[A-Z][\w'’.-]*\w|[A-Z]{2}"
_ONE = rf"(?:{_CAPITAL})"
_SEVERAL = rf"{_ONE}(?: (?:(?:&|and|of) )?{_ONE})+"
_CHARGES = (
    "charge|cost|offer|sell|let|open|close|shut|deliver|accept|ship|stock|provide|insure|cover|"
    "compare|match|operate|allow|refund"
)
_OWNS = (
    r"(?:\w+ ){0,2}(?:prices?|fees?|charges?|rates?|number|hours|address|policy|website|penalty)\b"
)
_ACCOUNT = "account|password|subscription|order|card|app|parcel|membership|login"
_DAYS = (
    "january february march april may june july august september october november december monday "
    "tuesday wednesday thursday friday saturday sunday easter christmas ramadan diwali eid"
)
# Names of people, and what is the same whoever issues it.
_TITLE = re.compile(r"(?:Dr|Mr|Mrs|Ms|Miss|Mx|Prof|Professor)\b")
_COMMON = frozenset({"visa", "mastercard", "maestro", "amex", "android", "iphone", "ipad"})
_PLACES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:[Dd]oes|[Dd]o|[Dd]id) (?P<name>{_SEVERAL}) [a-z]",
        rf"\b(?:[Dd]oes|[Dd]o|[Dd]id) (?P<name>{_ONE}) (?:{_CHARGES})\b",
        rf"\b[Ii]s (?:the )?(?P<name>{_SEVERAL}|{_ONE})(?:'s \w+)? (?:still )?(?:open|closed|closing|"
        r"cheaper|better|down|any good)\b",
        rf"\b(?:[Ww]hat's|[Ww]hat is|[Ww]hat are|[Ww]hen are) (?P<name>{_SEVERAL}|{_ONE})"
        rf"(?: (?:paying|charging)\b|['’]s? {_OWNS}| (?:opening|visiting) (?:hours|times))",
        rf"\b[Mm]y (?P<name>{_SEVERAL}|{_ONE}) (?:{_ACCOUNT})\b",
        rf"\b(?:at|with) (?:the )?(?P<name>{_SEVERAL})\s*\??\Z",
    )
)
# Before the name of a firm that a question is not about.
_BY = "from|by|like|via|using|pay with|paying with|take|with my"
_ASKS_THIS_FIRM = "(?:do|can|will|could|would|are|have) you (?!tell|say|help|know)[a-z]+"
# The share of a question's words with a capital from which on capitals say nothing.
_MOST_CAPITALS = 0.6


def other_firm(index: WordStatistics, question: str) -> str | None:
    """Return the name of another firm that a question is about and no document has; None: of none.

    `index`: whose words are known.
    """
    asked = question.rpartition("\n")[2].replace("’", "'")
    folded = words(asked)
    joined = f" {' '.join(folded)} "
    for name in listed_firms():
        if f" {name} " in joined and _is_about(joined, name) and not is_known(index, name):
            return _as_written(asked, name)
    capitals = re.findall(r"\b[A-Z]", asked)
    if len(capitals) > _MOST_CAPITALS * len(folded):
        return None
    for place in _PLACES:
        for found in place.finditer(asked):
            name = re.sub(r"'s?\Z", "", found["name"])
            if _is_name(name) and not is_known(index, name):
                return name
    return None


def _is_about(joined: str, name: str) -> bool:
    """Whether folded words ask about a firm of the list: not what comes from it ("moving over from
    Vodafone"), what is paid or done by it, nor what this firm does about it.
    """
    if re.search(rf" (?:{_ASKS_THIS_FIRM}) ", joined):
        return False
    beside = rf"(?: (?:{_BY}) {name} | an? {name} (?!(?:{_ACCOUNT}) ))"
    return re.search(beside, joined) is None


def _is_name(name: str) -> bool:
    """Whether it is more than a short form ("VAT"), a day, a person or a common thing."""
    if re.fullmatch(r"[A-Z\d]{1,5}s?", name) or _TITLE.match(name):
        return False
    return _COMMON.union(_DAYS.split()).isdisjoint(words(name))


def is_known(index: WordStatistics, name: str) -> bool:
    """Whether passages have each word of a name, or one that is spelled nearly so."""
    languages = list(index.languages)[:MAX_LANGUAGES]
    return all(
        any(index.passages_with(stems([word], language)[0]) for language in languages)
        or any(spelled_like(index, word, language) for language in languages)
        for word in words(name)
    )


def _as_written(asked: str, name: str) -> str:
    """Return a folded name as a question has it."""
    found = re.search(r"\W+".join(map(re.escape, name.split())), asked, re.IGNORECASE)
    written = found[0] if found else name
    return written if written != written.lower() else written.title()


@cache
def listed_firms() -> tuple[str, ...]:
    """Return the folded names of the list."""
    lines = (FOLDER / "firms.txt").read_text("utf-8").splitlines()
    listed = ",".join(line for line in lines if not line.startswith("#"))
    return tuple(" ".join(words(name)) for name in listed.split(",") if name.strip())
