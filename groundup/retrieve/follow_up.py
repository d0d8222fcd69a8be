"""Follow-up questions: the last turn of a conversation, with the turn that it refers to where it
says too little by itself.

A turn with fewer than two words of its own (words of grammar, and those that ask, are none), or one
that only changes a word of the question before ("and for children under six?"), is read together
with the user's turn before it, which stands on a line above:
"How long is the warranty of the PX-20?\\nAnd how much is it?". A whole question that refers to
nothing ("how much is a crown?", "where are you?") and a greeting or thanks stand by themselves, as
short as they are. Plain rules, without a model: what "it" is stands in the turn before.
"""

import re
from collections.abc import Sequence

from groundup.language.stop_words import AFTER_HOW, STOP_WORDS, language_by_stop_words
from groundup.language.terms import words

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
_VERB = (
    r"(?:is|are|am|was|were|do|does|did|can|could|will|would|should|may|must|have|has|"
    r"don't|doesn't|isn't|aren't|can't|ist|sind|seid|habt|haben|hat|gibt|kann|k[oö]nn\w+|"
    r"kostet|kosten|est|sont|[eê]tes|avez|peut|peux|co[uû]te)"
)
# A question with a verb, at its beginning or behind the word that asks.
_WHOLE = re.compile(
    rf"(?:(?:hi|hello|please)\b[,\s]*)?(?:{_VERB}\b|"
    rf"(?:how|what|when|where|who|which|why|wie|was|wann|wo|wer|warum|combien|comment|quand|où|"
    rf"qui|pourquoi)(?:'s\b|s\b|\b.*?\b{_VERB}\b))",
    re.IGNORECASE,
)
_REFERS = re.compile(
    r"\b(?:it|its|they|them|their|theirs|that|this|these|those|(?<!is )(?<!are )there|then|he|she|him|her|one|ones|"
    r"others?|another|same|too|instead|both|(?<!gibt )es|sie|ihn|ihm|das|dies\w*|dort|dann|auch|"
    r"il|ils|elles?|cela|ça|c'est|y|aussi)\b",
    re.IGNORECASE,
)
_ADDRESSES = re.compile(
    r"\b(?:you|your|yours|ihr|euch|euer|eure\w*|vous|votre|vos)\b", re.IGNORECASE
)
_COURTESY = frozenset(
    {"hi", "hello", "hey", "good", "morning", "afternoon", "evening", "thanks", "thank", "cheers"}
    | {"bye", "goodbye", "great", "perfect", "hallo", "guten", "tag", "morgen", "abend", "danke"}
    | {"tschuss", "vielen", "dank", "bonjour", "bonsoir", "merci", "revoir"}
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
        if before and not stands_alone(turn):
            asked = f"{before[-MAX_CHARACTERS_BEFORE:]}\n{asked}"
        before = asked
    return before


def stands_alone(turn: str) -> bool:
    """Whether a turn says by itself what it asks.

    >>> stands_alone("How much is a crown?"), stands_alone("Where are you?"), stands_alone("Thanks!")
    (True, True, True)
    >>> stands_alone("How much is it?"), stands_alone("And the crown?"), stands_alone("Why?")
    (False, False, False)
    """
    if is_elliptical(turn):
        return False
    own = own_words(turn)
    if len(own) >= MIN_OWN_WORDS or (own and _COURTESY.issuperset(own)):
        return True
    if not _WHOLE.match(turn.strip()) or _REFERS.search(turn):
        return False
    return bool(own) or _ADDRESSES.search(turn) is not None


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
