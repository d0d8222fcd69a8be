"""Refusals: what is said where documents are not quoted, and the questions of which this is known
before anything is looked for: small talk, and what is about another firm.

Small talk: a turn that is nothing but a greeting, thanks, goodbye, a word about the assistant, a
joke, a feeling or an oath, and so asks nothing of documents.

    "hiya, are you a robot?"             ->  BOT
    "hi, what does a crown cost?"        ->  None: the crown is left over

The patterns are lists (`everyday/small_talk_en.txt`, `de`, `fr`, `es`) over folded words. A turn is
small talk where patterns of one language cover it from its first word to its last; fillers ("mate",
"so much") may stand between. Whatever else a turn has is taken for its subject, so a wish behind a
greeting is a question. Plain rules, without a model; what they don't know is a question, too.

Other firms: the name in a question that no document has and that the question is about, as
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
from dataclasses import dataclass
from functools import cache

from groundup.language.terms import fold, stems, words
from groundup.retrieve.everyday_words import FOLDER
from groundup.retrieve.given_passages import GivenPassages
from groundup.retrieve.index import Index
from groundup.retrieve.question_terms import MAX_LANGUAGES, WordStatistics, spelled_like

NOT_FOUND = "Not found in your documents."


@dataclass(frozen=True)
class Refusal:
    """Why nothing is quoted."""

    kind: str
    """One of "not found", "other firm" and the kinds of small talk."""
    text: str
    """What is said."""

    @property
    def is_small_talk(self) -> bool:
        """Whether nothing was asked, so that nothing need be searched."""
        return self.kind in REPLIES


NOTHING_FOUND = Refusal("not found", NOT_FOUND)


def refusal_of(index: Index | GivenPassages, question: str) -> Refusal | None:
    """Return why a question is refused whatever the documents hold; None: it isn't.

    Of documents that something else finds, it is not known which names stand there.
    """
    kind = small_talk(question)
    if kind:
        return Refusal(kind, REPLIES[kind])
    name = other_firm(index, question) if isinstance(index, Index) else None
    if name:
        return Refusal("other firm", f"{name} does not appear in these documents.")
    return None


GREETING, THANKS, GOODBYE, BOT, OTHER = "greeting", "thanks", "goodbye", "bot", "other"
_FILLER = "filler"
# Where a turn has several, the one that is replied to.
_KINDS = (BOT, GOODBYE, THANKS, OTHER, GREETING)
REPLIES = {
    GREETING: "Hello. Ask me something about these documents.",
    THANKS: "You're welcome. Ask me anything else about these documents.",
    GOODBYE: "Goodbye.",
    BOT: "I am a program that answers from these documents. Ask me something about them.",
    OTHER: "I only answer questions about these documents.",
}
LANGUAGES = ("en", "de", "fr", "es")
# A longer turn says more than this.
MAX_WORDS = 16
_ASKS = "what|when|where|who|which|why|how|can|could|should|may|does|do|will|would|is|are"
# What "..." in a pattern stands for: up to six words that don't ask.
_WORD = rf"(?!(?:{_ASKS})\b)\S+"
_OPEN = f"{_WORD}(?: {_WORD}){{0,5}}"


def small_talk(question: str) -> str | None:
    """Return what kind of small talk a turn is; None: a question. Of several lines (a follow-up in
    its context) the last counts.

    >>> small_talk("Good morning!"), small_talk("Thanks, bye"), small_talk("are you a robot?")
    ('greeting', 'goodbye', 'bot')
    >>> small_talk("Hi, what does a crown cost?"), small_talk("Are you open?")
    (None, None)
    """
    asked = words(question.rpartition("\n")[2])
    if not asked:
        return OTHER if question.strip() else None
    if len(asked) > MAX_WORDS:
        return None
    found: frozenset[str] = frozenset().union(*(_covering(asked, code) for code in LANGUAGES))
    return next((kind for kind in _KINDS if kind in found), None)


def _covering(asked: list[str], language: str) -> frozenset[str]:
    """Return the kinds of the patterns that cover all words, preferring longer ones; none where
    something is left over, or only fillers are there.
    """
    patterns = _patterns(language)
    covered: list[frozenset[str] | None] = [frozenset(), *[None] * len(asked)]
    for end in range(1, len(asked) + 1):
        for start in range(end):
            before = covered[start]
            if before is None or covered[end]:
                continue
            text = " ".join(asked[start:end])
            kind = next((kind for kind, each in patterns.items() if each.fullmatch(text)), None)
            if kind:
                covered[end] = before | ({kind} - {_FILLER})
    return covered[-1] or frozenset()


@cache
def _patterns(language: str) -> dict[str, re.Pattern[str]]:
    """Return of each kind the pattern of its lines."""
    lines: dict[str, list[str]] = {}
    file = FOLDER / f"small_talk_{language}.txt"
    for line in file.read_text("utf-8").splitlines():
        kind, colon, pattern = line.partition(": ")
        if colon and not line.startswith("#"):
            lines.setdefault(kind, []).append(fold(pattern).replace("...", _OPEN))
    return {kind: re.compile("|".join(each)) for kind, each in lines.items()}


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
