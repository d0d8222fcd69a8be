"""Small talk: a turn that is nothing but a greeting, thanks, goodbye, a word about the assistant, a
joke, a feeling or an oath, and so asks nothing of documents.

    "hiya, are you a robot?"             ->  BOT
    "hi, what does a crown cost?"        ->  None: the crown is left over

The patterns are lists (`everyday/small_talk_en.txt`, `de`, `fr`) over folded words. A turn is small
talk where patterns of one language cover it from its first word to its last; fillers ("mate", "so
much") may stand between. Whatever else a turn has is taken for its subject, so a wish behind a
greeting is a question. Plain rules, without a model; what they don't know is a question, too.
"""

import re
from functools import cache

from groundup.language.terms import fold, words
from groundup.retrieve.everyday_words import FOLDER

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
LANGUAGES = ("en", "de", "fr")
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
