"""Questions beside what a message orders: "unfreeze 6630, oh and what time do you shut?".

A clause that begins as a question does and goes to the end of its sentence may be one. Which of
them documents answer is decided where the action is known (`set_apart.py`): those that ask for no
action and give it no value. Plain rules over the words, in English.
"""

import re
from collections.abc import Collection

from groundup.actions.intent_words import CODE, VALUE_TYPES, words_of
from groundup.actions.message_form import ASKING, asking_tail, message_form, sentences

_SENTENCE = re.compile(r"\S.*?(?:[.!?]+(?=\s|\Z)|\Z)", re.DOTALL)
# Before a question: the beginning of a sentence, a pause or a word that joins.
_JOINT = r"(?:oh|and|also|plus|btw|by the way|ps|p\.s\.)\b"
_BEGINS = re.compile(rf"\A|[,;:)]+\s+|\s[-–—]+\s*|\.{{2,}}\s*|\s(?={_JOINT})", re.IGNORECASE)
_LEAD = re.compile(
    rf"\A(?:(?:{_JOINT}|ah|just|then"
    r"|while (?:i|we)(?:'m| am|'re| are)? (?:think of it|at it|here|on)"
    r"|hi|hiya|hello|hey|good (?:morning|afternoon|evening)"
    r"|(?:a |one )?(?:quick|more|last|other|another) (?:question|thing|one))\b[\s,:-]*)+",
    re.IGNORECASE,
)
# Without a question mark the words must stand as they do in a question: not "and when I got home".
_PLAINLY_ASKED = re.compile(
    r"(?:how (?:much|many|long|late|early|far|often|old|do|does|can|is|are)|(?:what|where|when)'?s"
    r"|what (?:time|is|are|do|does|if)|(?:where|when|why) (?:is|are|do|does|can|will|must)"
    r"|(?:is|are|do|does|can|will) (?:you|i|we|it|there|they))\b",
    re.IGNORECASE,
)
# These offer a value instead: "at 7, or is 8 better?", "what about Friday?".
_OFFERS = re.compile(r"(?:or|what about|how about|actually|rather|instead)\b", re.IGNORECASE)
# These want no answer: "does nobody in that place write anything down?".
_RHETORICAL = re.compile(
    r"(?:are you (?:kidding|joking|serious|having a laugh|mad|deaf|even)|do you even"
    r"|(?:do|does|did|can|is|are|has|have|will|was) (?:nobody|no one|none of you|you people)"
    r"|how (?:often|many (?:more )?times) (?:do|must|have|did|should|am) i (?:have to |need to )?"
    r"(?:say|said|tell|told|ask|asked|repeat|explain|explained|ring|rung|rang))\b",
    re.IGNORECASE,
)
_HOW_MUCH_IS_IT = re.compile(
    r"(?:how (?:much|long|far|big|heavy)|what|where|when) (?:is|does|do|will|would)"
    r" (?:it|that|this|they)\b",
    re.IGNORECASE,
)
# Not "is it possible", nor "does it rain".
_IT = re.compile(
    r"\bit\b(?! (?:possible|allowed|ok|okay|easy|true|necessary|safe|worth|rains?|snows?)\b)",
    re.IGNORECASE,
)

_WANTS_TO_KNOW = re.compile(
    r"(?:what|how|when|where|who|which|at what|from (?:what|when))\b", re.IGNORECASE
)
# What was said before, or may be; what the writer does may be the action.
_UNDER_WAY = re.compile(r"\b(?:it|that|this|i|we|me|us|my|our)\b", re.IGNORECASE)
_MEANT = re.compile(
    r"\b(?:it|its|that|this|these|those|they|them|their|there|then|he|she|i|we|me|us)\b",
    re.IGNORECASE,
)


# These ask for something, or tell of what the writer has or wishes.
_MAY_ASK = re.compile(r"(?:can|will|is it possible|is there (?:a|any) (?:chance|way))\b", re.I)
_OF_ONES_OWN = re.compile(
    r"\b(?:my|mine|our|ours|free|available|availability|left|spaces?|slots?|openings?|vacanc\w+)\b",
    re.IGNORECASE,
)


def question_spans(message: str) -> list[tuple[int, int]]:
    """Return where the clauses of a message stand that may be questions, with what joins them to
    the others.

    >>> message = "Freeze 4417, oh and what time do you shut? Thanks"
    >>> [message[slice(*each)] for each in question_spans(message)]
    [', oh and what time do you shut?']
    >>> question_spans("Card 8052, which was stolen. And when I got home, can you freeze it?")
    []
    """
    return [
        (sentence.start() + begins.start(), sentence.end())
        for sentence in _SENTENCE.finditer(message)
        for begins in [_question_in(sentence[0])]
        if begins is not None
    ]


def asked_words(clause: str) -> str:
    """Return a question without what joins it to other clauses.

    >>> asked_words(", oh and what time do you shut?")
    'what time do you shut?'
    """
    text = " ".join(clause.split()).lstrip(" ,;:)-–—.")
    return _LEAD.sub("", text, count=1)


def wants_answer(clause: str) -> bool:
    """Whether a question is not only an outcry.

    >>> wants_answer("When do you shut?"), wants_answer("does nobody there write ANYTHING down?")
    (True, False)
    """
    return _RHETORICAL.match(asked_words(clause)) is None


def names_it(clause: str) -> bool:
    """Whether a question is about "it": what was ordered.

    >>> names_it("what time does it leave?"), names_it("is it possible to pay there?")
    (True, False)
    """
    return _IT.search(clause) is not None


def is_plainly_asked(clause: str) -> bool:
    """Whether a question only wants to know something.

    >>> is_plainly_asked("What does tea cost?"), is_plainly_asked("could it be a bicycle instead?")
    (True, False)
    """
    core = asked_words(clause)
    return _WANTS_TO_KNOW.match(core) is not None and _OFFERS.search(core) is None


def asks_in_general(message: str, verbs: Collection[str] = ()) -> bool:
    """Whether a message is one question about how things are, which only documents can answer: it
    has no word of `verbs` (stems), no code, at most one kind of value, and is about nothing of the
    writer's own.

    >>> asks_in_general("are you open on mondays"), asks_in_general("have you a table free today?")
    (True, False)
    >>> asks_in_general("How do I book a table?", {"book"}), asks_in_general("where is my parcel")
    (False, False)
    """
    text = " ".join(message.split())
    core, found = asked_words(text), words_of(text)
    kinds = found & VALUE_TYPES
    return (
        (is_plainly_asked(core) or _PLAINLY_ASKED.match(core) is not None)
        and _OFFERS.search(core) is None
        and _MAY_ASK.match(core) is None
        and len(sentences(text)) == 1
        and _OF_ONES_OWN.search(core) is None
        and found.isdisjoint(verbs)
        and CODE not in kinds
        and len(kinds) < 2
    )


def asks_beside(message: str) -> bool:
    """Whether a message is one question on something else than what is under way.

    >>> asks_beside("which clubs are there on Wednesday?"), asks_beside("what about Wednesday?")
    (True, False)
    >>> asks_beside("How much would it be on Wednesday?")
    False
    """
    text = " ".join(message.split())
    return is_plainly_asked(text) and len(sentences(text)) == 1 and not _UNDER_WAY.search(text)


def asks_apart(clause: str) -> bool:
    """Whether a question is joined to what stands before, as a sentence of its own on something
    else: not "And what does that cost?" or "And how much do I pay?".

    >>> asks_apart("And when do you shut?"), asks_apart("And is that free?"), asks_apart("Is it?")
    (True, False, False)
    """
    text = clause.lstrip(" ,;:)-–—.")
    return (
        text[:1].isupper()
        and _LEAD.match(text) is not None
        and is_plainly_asked(clause)
        and _MEANT.search(text) is None
    )


def _question_in(sentence: str) -> re.Match[str] | None:
    """Return where the first question of a sentence begins."""
    return next((each for each in _BEGINS.finditer(sentence) if _asks(sentence, each)), None)


def _asks(sentence: str, begins: re.Match[str]) -> bool:
    core = asked_words(sentence[begins.start() :])
    if _OFFERS.match(core) or asking_tail(core):
        return False
    if not words_of(core) - VALUE_TYPES and not _HOW_MUCH_IS_IT.match(core):
        return False
    if not core.endswith("?"):
        return _PLAINLY_ASKED.match(core) is not None and message_form(core) == "question"
    form = message_form(core)
    return form == "may" or (form == "question" and ASKING.match(core) is not None)
