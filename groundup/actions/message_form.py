"""The form of a message: a request, a wish, a statement or a question.

    request    "please cancel it", "can you cancel my table", "cancel my table"
    please     "the diet form, please": no verb says what is to be done
    want       "I'd like to cancel"
    wish       "can I move my table", "any room for 5 on Sunday": with values, or of one's own
    may        "can I bring a dog": without
    statement  "I've lost my card"
    question   "how late can I cancel?", "bus pass price"

Plain rules over the words, in English.
"""

import re
from typing import Literal

from groundup.actions.direct_wording import OPENING, direct
from groundup.actions.intent_words import OWN_BOOKING, VALUE_TYPES, names_in, words_of
from groundup.language.terms import fold, words

Form = Literal["request", "please", "want", "wish", "may", "statement", "question"]
MAX_SENTENCES, MAX_CHARACTERS = 8, 1000
# Words with which an order begins, besides those of a pack's titles and examples.
_VERBS = (
    "add apply arrange block book bring cancel change check claim close delete dispute end extend "
    "find fix freeze get give help include increase lock lower make mark move note order pass pause "
    "downgrade plan put raise rebook record reduce register remove renew replace report request "
    "reserve save send set show sign start stop store switch take unblock unlock update upgrade "
    "withdraw write sort stick squeeze scrap bin"
)
ORDERS = frozenset(_VERBS.split())
_SENTENCE = re.compile(r"[^\n]+?(?:[.!?;]+(?=\s|\Z)|(?=\n)|\Z)")
_CONDITION = re.compile(
    rf"{OPENING}(?:only )?if\b[^,?]{{1,80}},\s*(?:then\s+)?(?=\w)", re.IGNORECASE
)
_TELL = (
    r"(?:tell|explain|say|describe|advise|remind|clarify|recommend|suggest|know|understand|wonder"
    r"|find out|ask (?:you )?(?:if|whether|what|how|when|about)"
    r"|give (?:me|us) (?:the steps|an? (?:list|example|overview|idea)|details|information"
    r"|advice))\b"
)
_YOU = r"(?:you|u|ya|someone|somebody|anyone|anybody)(?: guys)?"
_WE = r"(?:i|we)"
_TELLING = re.compile(
    rf"{OPENING}(?:can|could|would|will|may|might) (?:{_YOU}|{_WE})(?: please| kindly| pls| also)*"
    rf"(?: be (?:so|very) kind (?:as to|and)| be able to)? {_TELL}",
    re.IGNORECASE,
)
ASKING = re.compile(
    rf"{_TELLING.pattern}|{OPENING}(?:{_TELL}(?! (?:the|my|our|your) (?!rules|steps))"
    rf"|{_WE}(?:'d| would|'ll| will|d)? (?:like|love|want|need|have) to {_TELL}"
    r"|(?:let me know|i was wondering|i'm wondering|we're wondering|i wonder|any idea|is it true)\b"
    r"|(?:what|whats|what's|when|whens|where|wheres|who|whom|whose|which|why|how|hows)\b"
    r"|(?:till|until|from|by|at|on|in|for|since|with|to|before|about|after) (?:what|when|which"
    r"|whom?|how)\b"
    r"|(?:if|is|are|was|were|has|have|had|do|does|did|should|must|am|isn't|aren't|doesn't|didn't"
    rf"|don't(?= (?:{_YOU}|{_WE}|they)\b)|shall|might|need(?= {_WE}\b))"
    r" (?!to\b|you (?:got|anything)|it possible|there any)"
    rf"|(?:will|would|can|could(?! (?:really|do with)\b)|may)"
    rf" (?!{_YOU}\b|{_WE}\b|it be possible|it be ok)\w+"
    rf"|(?:will|would|do) {_YOU}(?: still| also)? (?:(?:charge|bill|fine) (?:me|us|extra|for)\b"
    r"|make (?:me|us|you|him|her|them|people) pay\b)"
    rf"|can'?t (?:{_YOU}|{_WE}|he|she|it|they|my|the)\b(?=.*\?\s*\Z))",
    re.IGNORECASE,
)
_WISHING = re.compile(
    rf"{OPENING}(?:(?:can|could|may|might)"
    rf" (?:{_WE}|he|she|they|my \w+|our \w+|(?-i:[A-Z])\w+|(?:it|this|that)(?= (?:go|be)\b)"
    r"|(?:the|this|that|his|her) \w+(?: \w+){0,4}?(?= be (?:told|made|put|sent|\w+ed)\b))\b"
    r"|(?:is|would) it (?:be )?(?:possible|ok|okay|alright|all right)(?= (?:to|if|for)\b)|is"
    r" there any\b"
    r"|is there (?:still |also )?(?:an?|space|room|something)\b"
    r"(?=.*\b(?:left|free|seats?|places?|space|room)\b)"
    r"|any (?:chance|room|space|possibility|tables?|seats?)|(?:have|had|has)? ?(?:you|u|ya) got\b"
    r"|(?:do|would) you (?:still )?have (?:a|an|any|room|space|something|anything)\b)",
    re.IGNORECASE,
)
# "Could Finn get a bus pass?", "could I have an appointment?"
_OF_SOMEONE = re.compile(
    rf"{OPENING}(?:can|could|may|might) (?:my (?:son|daughter|child|wife|husband|mum|dad|partner)"
    r"|he|she|they|(?-i:[A-Z][a-z]+)) (?:get|have|join|go|come|take|be added|be signed|start|use)\b"
    rf"|{OPENING}(?:could|might) {_WE} (?:please |possibly )*(?:have|book|order|arrange|reserve)\b",
    re.IGNORECASE,
)
_REQUESTING = re.compile(
    rf"\b(?:(?:can|could|would|will|cud|wud) (?:you|u|ya|(?:someone|somebody|anyone|anybody)"
    rf"(?= (?:please|come|pop|look|have|{'|'.join(sorted(ORDERS))})))\b"
    r"|let me\b|let's\b|help me\b|would you mind\b)",
    re.IGNORECASE,
)
_WANTING = re.compile(
    rf"\b(?:{_WE}(?:'d| would|d| should|'ll| will)(?: really| also| just| very much)*"
    r" (?:like|love|prefer|take|have|need|appreciate|rather(?! not\b)"
    r"|be (?:\w+ )?(?:grateful|glad|happy|pleased))\b"
    rf"|{_WE} (?:really |also |just )*(?:want|need|wish|wanna)\b"
    r"|(?:will|'ll|'m|'re|am|are|is) (?:also )?(?:be )?(?:wanting|needing)\b"
    r"|(?<!been )(?:trying|keen|hoping|wanting|looking) to \w+"
    r"|(?:he|she|my \w+|our \w+|(?-i:[A-Z])\w+)(?: also)? (?:needs|wants|(?:would|'d) like)\b"
    r"|need to\b|(?<!\w )\bneed (?:an?|my|the|some|you|\d+)\b|could (?:really )?do with\b"
    r"|(?:(?:\A|'m |'re |\bam |\bim |\bare )after|looking for|hoping for) (?:a|an|some|my|the)\b"
    rf"|\A{OPENING}(?:want|wanna|would (?:like|love)|fancy|hoping) \w+)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    rf"(?:\A{OPENING}|,\s+|\s-\s+|\s(?:and|so|then)\s)(?:please |pls |just )?(\w+)", re.IGNORECASE
)
_ABLE = re.compile(rf"{OPENING}(?:can|could|do|will|would) (?:you|u|ya)\b", re.IGNORECASE)
_PLEASE = re.compile(r"\b(?:please|pls|plz|kindly)\b", re.IGNORECASE)
_MUST = re.compile(rf"\b{_WE}(?:'ve| have)? (?:must|have to|got to|gotta|had to)\b", re.IGNORECASE)
# "..., how quickly do I have to answer"
_ASKED_BEHIND = re.compile(
    r"[,;-]\s*(?:(?:and|but|so)\s+)?(?:how|what|why|is it|do i|do we|does|can i|am i"
    r"|(?:when|where|which|who)(?= (?:is|are|do|does|did|can|could|will|would|should|must|has|have"
    r"|was|were)\b| \w+ (?:is|are|do|does|can|will)\b|.*\?))\b",
    re.IGNORECASE,
)
# What is done already is told for a question or a complaint.
_DONE = re.compile(
    rf"{OPENING}{_WE}(?:'ve| have|'d| had)?(?: already| just)? (?:ask|book|cancel|chang|order|report"
    rf"|reserv|request|appl|disput|complain|claim)\w*ed\b|{OPENING}{_WE}(?:'ve| have)? sent\b",
    re.IGNORECASE,
)
# Of so few words none of which is "my", "we" and the like, a message is what is searched for.
QUERY_WORDS = 7
_POINTING = frozenset(["it", "this", "that", "these", "him", "her", "them"])
_PERSONAL = frozenset(["i", "my", "me", "we", "our", "us", "im", "ive"])
_SUBJECTS = _PERSONAL | {"he", "she", "they"}
# "Please don't cancel it", "I don't want to move".
_DENIED = re.compile(
    r"\b(?:don'?t|do not|didn'?t) (?!let\b)(?:\w+ ){0,3}?"
    r"(?:(?:want|need|wish)(?! any(?:one|body)\b)"
    rf"|{'|'.join(sorted(ORDERS - {'want', 'need', 'wish'}))})",
    re.IGNORECASE,
)
# Where a wish may begin behind a story, a reason or anger: "..., so can you put a stop on it".
_TAIL = re.compile(
    r"(?:[,;:)(]+|\s[-–—]+|\.{2,}|\b(?:but|so|and|then|cos|because|n|ha(?:ha)+|lol|anyway))\s+"
    r"(?=(?:(?:hi|hello|hey|hiya|so|and|but|just|also|then|now|ok|please|pls|plz)\b[\s,]*)*"
    rf"(?:(?:can|could|would|will) (?:{_YOU}|{_WE}|it|my|he|she|the)\b"
    r"|(?:please|pls|plz|kindly) \w+"
    rf"|(?:{'|'.join(sorted(ORDERS))}) (?:me|us|my|our|it|this|that|the|an?|another|them)\b"
    rf"|{_WE}(?:'d| would|d|'ll| will)? (?:really )?(?:like|love|want|need|wanna)\b"
    r"|let me\b|let's\b|is there any\b|any chance\b|any way\b|do you think\b"
    rf"|{_WE}(?:'m| am| was|'re| are| were)?(?: just)? (?:wonder|hop)\w+ (?:if|whether|you|to)\b))",
    re.IGNORECASE,
)
# So many words both the wish and what stands before it have at least.
_TAIL_WORDS = 3
# "I don't need it any more", not "I don't want to cancel it any more".
_NO_LONGER = re.compile(
    r"\b(?:don'?t|do not) (?:want|need) (?!to\b).*\b(?:any ?more|any longer|after all)\b",
    re.IGNORECASE,
)


# "can Amira start badminton please"
_ASKED_POLITELY = re.compile(
    rf"{OPENING}(?:can|could|may|might) (?!{_YOU}\b).*\b(?:please|pls|plz)\W*\Z", re.IGNORECASE
)


def is_denied(sentence: str) -> bool:
    """Whether a sentence says that something is not to be done: "please don't cancel it"; what is
    not wanted any more is to be ended.
    """
    is_over = _NO_LONGER.search(sentence) is not None
    return _DENIED.search(sentence) is not None and not is_over and not sentence.endswith("?")


def asking_tail(sentence: str) -> str:
    """Return the end of a sentence that asks for something behind what it tells; "" for none.

    >>> asking_tail("I left my purse at mum's, but can you put a stop on it?")
    'but can you put a stop on it?'
    """
    for match in _TAIL.finditer(sentence):
        before, tail = sentence[: match.start()], sentence[match.end() :]
        if min(len(words(before)), len(words(tail))) >= _TAIL_WORDS:
            return tail
    return ""


def asking_part(message: str) -> str:
    """Return the last part of a message that asks for something; "" where that is all of it.

    >>> asking_part("Ann is ill and stays at home, and please set the limit for Tom to £8.")
    'and please set the limit for Tom to £8.'
    """
    for sentence in reversed(sentences(message)):
        tail = asking_tail(sentence)
        if tail or _form(sentence, ORDERS, is_alone=False) in ("request", "want", "please"):
            part = tail or sentence
            return part if part != message.strip() else ""
    return ""


def message_form(message: str, verbs: frozenset[str] = ORDERS) -> Form:
    """Return the form of a message: that of the sentence which asks most clearly for something. A
    want before a question ("I want to buy a car. Does my limit allow it?") is a statement.
    `verbs`: words with which an order begins.

    >>> message_form("How late can I cancel?"), message_form("Can I cancel my table?")
    ('question', 'wish')
    >>> message_form("My card is gone. Please freeze it."), message_form("I lost my card")
    ('request', 'statement')
    >>> message_form("forgot my test on Monday, will you make me pay for it")
    'question'
    """
    found = sentence_forms(message, verbs)
    order: tuple[Form, ...] = ("request", "please", "wish", "want", "question", "may", "statement")
    if "want" in found and "question" in found:
        order = ("request", "please", "wish", "statement")
    return next((form for form in order if form in found), "statement")


def asks_something(message: str) -> bool:
    """Whether a message is a question and nothing else: "did you see the game?"."""
    return message.rstrip().endswith("?") and message_form(message) == "question"


def asks_in_words(message: str) -> bool:
    """Whether a message is a question by its words or its end; one that is neither a question nor
    anything else is not: "4417".

    >>> asks_in_words("how long does it take"), asks_in_words("for 2?"), asks_in_words("4417")
    (True, True, False)
    """
    is_asked = message.rstrip().endswith("?") or ASKING.match(message) is not None
    return is_asked and message_form(message) == "question"


def sentence_forms(message: str, verbs: frozenset[str] = ORDERS) -> list[Form]:
    """Return the form of each sentence of a message."""
    listed = sentences(message)
    return [_form(each, verbs, is_alone=len(listed) == 1) for each in listed]


def sentences(message: str) -> list[str]:
    """Return the first sentences of a message."""
    text = message[:MAX_CHARACTERS].replace("’", "'")
    found = (each[0].strip() for each in _SENTENCE.finditer(text))
    return [each for each in found if each][:MAX_SENTENCES]


def _form(sentence: str, verbs: frozenset[str], *, is_alone: bool) -> Form:
    condition = _CONDITION.match(sentence)
    if condition and not sentence.endswith("?"):  # "If it is basic economy, then upgrade it"
        sentence = sentence[condition.end() :]
    sentence = direct(sentence)
    if is_denied(sentence):
        return "statement"
    if _WISHING.match(sentence) and not _TELLING.match(sentence):
        is_own = words_of(sentence) & (VALUE_TYPES | {OWN_BOOKING})
        return "wish" if is_own or _OF_SOMEONE.match(sentence) else "may"
    if _ASKED_POLITELY.match(sentence) and not _TELLING.match(sentence):
        return "wish"
    tail = asking_tail(sentence)
    if tail and not ASKING.match(sentence):
        return _form(tail, verbs, is_alone=False)
    if ASKING.match(sentence):
        return "question"
    has_order = not verbs.isdisjoint(words(sentence))
    begins = {fold(each[1]) for each in _CLAUSE.finditer(sentence)}
    if _REQUESTING.search(sentence) or not verbs.isdisjoint(begins):
        return "may" if _ABLE.match(sentence) and _is_general(sentence) else "request"
    is_polite = _PLEASE.search(sentence) is not None
    if is_polite and has_order:
        return "request"
    if _WANTING.search(sentence):
        return "want"
    if is_polite:
        return "please"
    if _MUST.search(sentence) and has_order:
        return "want"
    return _told(sentence, is_alone=is_alone)


def _is_general(sentence: str) -> bool:
    """Whether a sentence has nothing of the person who writes: "can you do gluten free?"."""
    own = words(sentence)
    is_polite = _PLEASE.search(sentence) is not None
    return (
        not is_polite
        and (_PERSONAL | _POINTING).isdisjoint(own)
        and not words_of(sentence) & VALUE_TYPES
        and not names_in(sentence)
    )


def _told(sentence: str, *, is_alone: bool) -> Form:
    """Return whether a sentence without any wish is a question or a statement."""
    own = words(sentence)
    if sentence.endswith("?") or _DONE.match(sentence) or _ASKED_BEHIND.search(sentence):
        return "question"
    is_query = is_alone and len(own) <= QUERY_WORDS and _SUBJECTS.isdisjoint(own)
    return "question" if is_query and not words_of(sentence) & VALUE_TYPES else "statement"


def first_word(text: str) -> str:
    """Return the first word of a text behind greetings."""
    found = re.match(rf"{OPENING}(\w+)", text, re.IGNORECASE)
    return fold(found[1]) if found else ""
