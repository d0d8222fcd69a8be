"""Questions that a sentence of a document answers, made by rules: which words ask for it, so that
the sentence itself is the answer.

    "To close an account, write to us."     -> "How do I close an account?"
    "You can pay in up to £500 a day."      -> "Can I pay in up to £500 a day?"
    "| Crown | £690 | 5 years |"            -> "What is the price of Crown?"

Rules over words, without a parser (compare Heilman and Smith 2010, "Good Question!"): each asks
only where the sentence has one plain form, so most sentences get no question. English alone, but
for headings that ask. `KINDS` has the rules by name; `question_drafts.py` gives them sentences.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from groundup.retrieve.table_rows import cells

MAX_CELL_WORDS = 8


@dataclass(frozen=True)
class SentenceInPlace:
    """A sentence of a passage with what its questions are made of."""

    text: str
    """In one line, without emphasis."""
    heading: str
    """The nearest heading above it, without its number; "" where there is none."""
    is_first: bool
    """Whether it is the first sentence below that heading."""
    around: str = ""
    """The passage."""
    head: str = ""
    """Of a row of a table the head; else ""."""


Rule = Callable[[SentenceInPlace], str]
"""A function that returns a question which the sentence answers, or ""."""


@dataclass(frozen=True)
class QuestionKind:
    """A kind of question."""

    about: str
    """What it is made of, for people."""
    rule: Rule
    is_of_heading: bool = False
    """Whether a heading asks, so that the paragraph below it answers."""
    any_language: bool = False


# A question must say what it is about by itself.
DANGLING = re.compile(
    r"\b(?:this|do so|these|those|above|below|following|former|latter|previous(?:ly)?|such|here"
    r"|there|section|chapter|page|figure|table|example|it|its|itself|they|them|their|he|she|him"
    r"|his|her"
    r"|then|that (?:case|day|time|way|rate|amount|person|point|date|one))\b"
    r"|^(?:\S+ ){0,4}(?:that|one|both|each|either|others?)\b",
    re.IGNORECASE,
)
# A noun phrase that names a thing: no pronoun, no clause.
_THING = (
    r"(?P<thing>(?:(?:the|a|an|our|your)\s+)?(?!(?:it|this|that|these|those|they|there|here|he|she"
    r"|we|you|i|what|which|who|when|where|how|if|one|some|all|both|each|such|another|other"
    r"|only|note"
    r"|first|second|third|next|last|result|reason|problem|idea|goal|following|difference|point"
    r"|main|most|important|but|and|or|as|in|on|at|for|with|by|from|to|of|not|also|however"
    r"|therefore|thus|then|so|because|while|although|since|nothing|everything|something"
    r"|default|name|case|way|same|rest|example|purpose|now|today|term|time|internet)\b)"
    r"[\w`][\w`'’./+-]*(?:\s(?!(?:is|are|was|were|that|which|who|and|or|but|you|it|they|we|can"
    r"|will|must|may|should|not|only|also|if|when|where|because)\b)[\w`(][\w`'’./+()-]*){0,5})"
)
_UNIT = r"(?:second|minute|hour|day|week|month|year)s?\b"
_AUXILIARY = r"(?P<aux>is|are|was|were|can|cannot|can't|could|will|must|should|may|has to)"
_CUT_AT_MARK = re.compile(r"\s*(?:,(?!\d)|[;:—–]|\s\(|\.\s).*$")
_CUT = re.compile(
    r"\s*(?:,(?!\d)|[;:—–]|\s\(|\s-\s|\.\s|\b(?:but|because|since|so that|although|though|unless"
    r"|whereas|while|which|as long as|provided|in order|and (?:you|we|it|they|the)"
    r"|or (?:you|we|it))\b).*$"
)


_CLAUSES = (
    "if|when|that|which|whether|what|where|who|how|why|because|and|or|but|before|after|until|while"
    "|as|since|unless|once"
)
_VERBS = (
    "can|cannot|can't|can’t|could|may|might|must|should|will|would|have|had|want|need|do|don't"
    "|don’t|did|didn't|didn’t|use|like|know|get|were|already|also|just|wish|think"
)
_SHORTENED = {"'re": " am", "’re": " am", " are": " am", "'ve": " have", "’ve": " have"}
_SHORTENED |= {"'ll": " will", "’ll": " will", "'d": " would", "’d": " would"}
# As a subject: where a clause begins, or before a verb that is none of an object's.
_SUBJECT = re.compile(
    rf"(?:^|(?<=, )|\b(?P<before>(?:{_CLAUSES})\s))you\b(?P<verb>['’](?:re|ve|ll|d)\b| are\b)?"
    rf"|\byou(?P<other>['’](?:re|ve|ll|d)\b|(?= (?:{_VERBS})\b))",
    re.IGNORECASE,
)
_PERSONS = {
    "you": "me",
    "yourself": "myself",
    "yours": "mine",
    "your": "my",
    "ourselves": "yourselves",
    "ours": "yours",
    "our": "your",
    "we": "you",
    "us": "you",
}
_PERSON = re.compile(rf"\b(?:{'|'.join(_PERSONS)})\b", re.IGNORECASE)


def _asked_of_us(text: str) -> str:
    """Return what a document says to its reader as the reader says it: you -> I or me, we -> you.

    >>> _asked_of_us("if you are late and we ring you"), _asked_of_us("pay us what you can spare")
    ('if I am late and you ring me', 'pay you what I can spare')
    """

    def subject(found: re.Match[str]) -> str:
        verb = (found["verb"] or found["other"] or "").lower()
        return f"{found['before'] or ''}I{_SHORTENED.get(verb, verb)}"

    return _PERSON.sub(lambda found: _PERSONS[found[0].lower()], _SUBJECT.sub(subject, text))


def _decapitalised(text: str) -> str:
    """Return a text with a small first letter, unless its words are names or code.

    >>> _decapitalised("Cash withdrawal abroad"), _decapitalised("Plus Account")
    ('cash withdrawal abroad', 'Plus Account')
    """
    first, *others = text.split()
    is_name = any(any(map(str.isupper, each)) for each in [first[1:], *others])
    return text if is_name or first == "I" else text[0].lower() + text[1:]


def _noun(text: str, sentence: SentenceInPlace) -> str:
    """Return a noun phrase from the beginning of a sentence as it stands within one: with a small
    letter where an article begins it, or where its first word has one elsewhere in the passage.
    """
    first = text.split()[0]
    is_plain = first in ("The", "A", "An", "Our", "Your") or (
        first.isalpha()
        and first.istitle()
        and re.search(rf"\b{re.escape(first.lower())}\b", sentence.around)
    )
    return _asked_of_us(text[0].lower() + text[1:] if is_plain else text)


def _heading_that_asks(sentence: SentenceInPlace) -> str:
    is_question = sentence.heading.endswith(("?", "？")) and ":" not in sentence.heading
    is_question = sentence.is_first and is_question
    if not is_question:
        return ""
    return sentence.heading


def _heading_of_action(sentence: SentenceInPlace) -> str:
    found = re.match(r"how to (?P<aim>\S.*)$", sentence.heading, re.IGNORECASE)
    if not found or not sentence.is_first:
        return ""
    return f"How do I {_asked_of_us(_decapitalised(found['aim']))}"


def asked_cell(sentence: SentenceInPlace) -> tuple[str, str]:
    """Return the question for a cell of a row and the cell; "" where none has a name."""
    if not sentence.text.startswith("|") or not sentence.head:
        return "", ""
    names, values = cells(sentence.head), cells(sentence.text)
    if len(names) != len(values) or len(values) < 2 or not _is_name(values[0]):
        return "", ""
    filled = [
        place
        for place in range(1, len(values))
        if values[place].strip("-–— ") and _is_name(names[place])
    ]
    if not filled:
        return "", ""
    chosen = filled[len(sentence.text) % len(filled)]  # the same in every run
    column, row = names[chosen], _decapitalised(values[0])
    if column.lower() in ("description", "meaning", "what it does", "explanation", "purpose"):
        return f"What does {row} mean", values[chosen]
    be = {True: "are"}.get(re.search(r"[^s]s$", column) is not None, "is")
    return f"What {be} the {_decapitalised(column)} for {row}", values[chosen]


def _cell(sentence: SentenceInPlace) -> str:
    return asked_cell(sentence)[0]


def _is_name(text: str) -> bool:
    return len(text.split()) <= MAX_CELL_WORDS and any(map(str.isalpha, text)) and "?" not in text


def _term(sentence: SentenceInPlace) -> str:
    """A line "term: what it is", as definition lists are read."""
    found = re.match(r"(?P<term>[^:.;]{2,60}):\s+(?P<what>\S.{15,})$", sentence.text)
    if not found or len(found["term"].split()) > 4 or DANGLING.search(found["term"]):
        return ""
    term = found["term"].strip("` ")
    if term.startswith("-"):
        return f"What does the option {term} do"
    if re.fullmatch(r"[\w.]*[a-z][\w.]*(?:\(.*\)|[_.]\w+)", term):
        return f"What does {term} do"
    if re.match(r"(?:an?|one of)\b", found["what"], re.IGNORECASE) and term.lower() != "note":
        return f"What is {_noun(term, sentence)}"
    return ""


def _signature(sentence: SentenceInPlace) -> str:
    """The first sentence below the heading of a function: "Return the base name of a path."."""
    name = re.match(
        r"(?P<name>[A-Za-z_][\w.]*)\(.*\)$|(?P<dotted>[a-z_]\w*(?:\.\w+)+)$", sentence.heading
    )
    if not name or not sentence.is_first or not re.match(r"[A-Z][a-z]+s?\b", sentence.text):
        return ""
    return f"What does {name['name'] or name['dotted']} do"


def _definition(sentence: SentenceInPlace) -> str:
    found = re.match(
        rf"{_THING} (?P<be>is|are) (?P<what>an?|the|one of)\b", sentence.text, re.IGNORECASE
    )
    if not found or (found["be"] == "are" and re.match("the ", found["thing"], re.IGNORECASE)):
        return ""
    return f"What {found['be']} {_noun(found['thing'], sentence)}"


def _meaning(sentence: SentenceInPlace) -> str:
    found = re.match(
        rf"(?!\w+ing\b){_THING} (?P<verb>means(?! of)|stands for|refers to)\b",
        sentence.text,
        re.IGNORECASE,
    )
    if not found:
        return ""
    verbs = {"means": "mean", "stands for": "stand for", "refers to": "refer to"}
    return f"What does {_noun(found['thing'], sentence)} {verbs[found['verb'].lower()]}"


def _how_to(sentence: SentenceInPlace) -> str:
    found = re.match(
        r"(?:To|In order to) (?!(?:the|a|an|my|your|our|be|date|some|sum|begin|start|summari[sz]e"
        r"|recap|make matters|put it|illustrate|see|understand|clarify|do (?:this|that|so))\b)"
        r"(?P<aim>[a-z][^,;:.]{5,90}), (?P<how>(?!(?:to|and|or|when|if|we)\b)\S.*)$",
        sentence.text,
    )
    if not found:
        return ""
    return f"How do I {_asked_of_us(found['aim'])}"


def _use_to(sentence: SentenceInPlace) -> str:
    found = re.match(
        r"(?:Use|Run|Call|Visit|Ring|Press|Choose|Select) (?:(?!\b(?:if|want|need|able)\b)"
        r"[^,;:.]){2,60}? to (?!(?:be|the|a|an|your)\b)(?P<aim>[a-z]{2,} [^,;:]{5,80}?)\.?$",
        sentence.text,
    ) or re.match(
        rf"{_THING} (?:lets|allows|enables) you (?:to )?(?P<aim>[a-z]{{2,}} [^,;:]{{5,80}}?)\.?$",
        sentence.text,
        re.IGNORECASE,
    )
    if not found:
        return ""
    return f"How can I {_asked_of_us(found['aim'])}"


def _condition(sentence: SentenceInPlace) -> str:
    found = re.match(r"(?:If|When) (?P<when>[^,;:.]{6,90}), (?P<what>\S.*)$", sentence.text)
    if not found or not re.match(r"(?:you|your|we|our|the|a|an|there)\b", found["when"]):
        return ""
    if wish := _WISH.match(found["when"]):
        return f"How do I {_asked_of_us(wish['aim'])}"
    if _NO_CASE.match(found["when"]):
        return ""
    when, what = _asked_of_us(found["when"]), found["what"]
    word = sentence.text.split(" ", 1)[0].lower()
    if word == "if" and re.match(
        r"you (?:can|may|could) (?!need|want|not|have|also|find|see)", what
    ):
        return f"What can I do if {when}"
    if re.match(r"(?:please\b|you (?:must|should|need|have to|will need)\b)", what) or _ORDER.match(
        what
    ):
        return f"What should I do {word} {when}"
    return f"What happens {word} {when}"


_WISH = re.compile(
    r"you (?:ever )?(?:want|need|wish|would like|prefer|would prefer) to (?P<aim>[a-z].*)$"
)
# What is no case that somebody asks about: "if you see", "if you are sure".
_NO_CASE = re.compile(
    r"(?:you|we) (?:(?:are|’re|'re) sure|see|think|wish|want|need|can|like|prefer|would)\b"
    r"|you(?:’re|'re) sure\b"
)
# A verb and its object: "ring us", "choose the local currency".
_ORDER = re.compile(
    r"(?!(?:the|a|an|we|our|your|it|they|this|that|there|no|some|all|you|he|she|in|on|at|then"
    r"|these|those)\b)[a-z]+ (?:it|them|us|the|your|an?|to|from|for|in|at|on|off|out|up|with)\b"
)


_AUTHORS = (
    "describe|see|discuss|explain|assume|look|use|recommend|cover|show|present|mention|address"
    "|study|start|begin|add|create|define"
)
_ALLOWED = re.compile(
    rf"(?P<who>You|We(?! \S+ (?:only |now |also )?(?:{_AUTHORS})\b)) (?P<aux>can|may|must|should"
    "|need to|have to|will|cannot|can't|can’t|do not|don't|don’t|may not|must not) "
    r"(?:only |also |always |not )?(?P<what>(?!find\b)[a-z].*)$"
)


def _permission(sentence: SentenceInPlace) -> str:
    found = _ALLOWED.match(sentence.text)
    if not found:
        return ""
    is_denied = "not" in found["aux"] or "n't" in found["aux"] or "n’t" in found["aux"]
    cut = _CUT_AT_MARK if is_denied else _CUT
    what = _asked_of_us(cut.sub("", found["what"]))
    who = {"You": "I", "We": "you"}[found["who"]]
    aux = found["aux"]
    if aux in ("must", "need to", "have to"):
        return f"Do {who} have to {what}"
    if aux in ("do not", "don't", "don’t"):
        return f"Do {who} {what}"
    first = {"should": "Should", "will": "Will"}.get(aux, "Can")
    return f"{first} {who} {what}" if len(what.split()) >= 2 else ""


def _price(sentence: SentenceInPlace) -> str:
    found = re.match(
        rf"{_THING} (?P<verb>costs?|is|are) (?:only |about |from )?[£$€]\s?\d",
        sentence.text,
        re.IGNORECASE,
    )
    if not found:
        return ""
    thing, verb = _noun(found["thing"], sentence), found["verb"].lower()
    if verb.startswith("cost"):
        return f"How much {_does(verb)} {thing} cost"
    return f"How much {verb} {thing}"


def _does(verb: str) -> str:
    return {True: "does"}.get(verb.endswith("s"), "do")


def _duration(sentence: SentenceInPlace) -> str:
    found = re.match(
        rf"(?!(?:the|an?|our) last ){_THING} (?P<verb>takes?|lasts?) (?!place)(?:\w+ ){{0,3}}?(?:\d+|one|two|three|four|five"
        r"|a few|several)"
        rf"[\w -]{{0,12}}{_UNIT}",
        sentence.text,
        re.IGNORECASE,
    )
    if not found:
        return ""
    verb = found["verb"].lower()
    do = _does(verb)
    return f"How long {do} {_noun(found['thing'], sentence)} {verb.rstrip('s')}"


_TIME = (
    r"(?:within|after|before|by|until|every|at|from|on|in)\s+(?:(?:the|about|at least|up to)\s+)?"
    rf"(?:\d[\d.,:]*\s?(?:am|pm|noon|o'clock|(?:working |calendar |business )?{_UNIT}"
    r"|\w+day|(?:January|February|March|April|May|June|July|August|September|October|November"
    rf"|December)\b|$|\.|,)|(?:one|two|three|four|five|six|seven|ten|twelve) {_UNIT}|noon|midnight"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:1[5-9]|20)\d\d\b)"
)


def _when(sentence: SentenceInPlace) -> str:
    found = re.match(
        rf"{_THING} {_AUXILIARY} (?P<what>[a-z][^,;:.]{{2,60}}?) {_TIME}",
        sentence.text,
        re.IGNORECASE,
    )
    if found and not found["aux"].lower().startswith(("cannot", "can't", "has")):
        thing, what = _noun(found["thing"], sentence), _asked_of_us(found["what"])
        return f"When {found['aux'].lower()} {thing} {what}"
    found = re.match(
        rf"(?:{_THING}|(?P<we>We)) (?P<verb>opens?|closes?|starts?|ends?|begins?|expires?) {_TIME}",
        sentence.text,
        re.IGNORECASE,
    )
    if not found:
        return ""
    if found["we"]:
        return f"When do you {found['verb']}"
    do = _does(found["verb"])
    return f"When {do} {_noun(found['thing'], sentence)} {found['verb'].rstrip('s')}"


def _where(sentence: SentenceInPlace) -> str:
    found = re.match(
        rf"{_THING} (?P<be>is|are) (?P<what>stored|kept|found|located|installed|defined|saved"
        r"|available|configured|written|placed) (?:in|at|under|on|into|from) \S",
        sentence.text,
        re.IGNORECASE,
    )
    if not found:
        return ""
    return f"Where {found['be'].lower()} {_noun(found['thing'], sentence)} {found['what'].lower()}"


def _why(sentence: SentenceInPlace) -> str:
    found = re.match(
        rf"{_THING} {_AUXILIARY} (?P<what>[^,;:.]{{3,70}}?),? because \S",
        sentence.text,
        re.IGNORECASE,
    )
    if not found:
        return ""
    aux = found["aux"].lower().replace("cannot", "can't")
    return f"Why {aux} {_noun(found['thing'], sentence)} {_asked_of_us(found['what'])}"


def _purpose(sentence: SentenceInPlace) -> str:
    found = re.match(
        rf"{_THING} (?P<be>is|are) used (?:to|for|by|as)\b", sentence.text, re.IGNORECASE
    )
    if not found:
        return ""
    return f"What {found['be'].lower()} {_noun(found['thing'], sentence)} used for"


# In the order in which they are tried.
KINDS: dict[str, QuestionKind] = {
    "heading": QuestionKind("a heading that asks", _heading_that_asks, True, any_language=True),
    "cell": QuestionKind("a cell of a table", _cell),
    "signature": QuestionKind("what a function does", _signature),
    "term": QuestionKind("a term and what it is", _term),
    "price": QuestionKind("what something costs", _price),
    "duration": QuestionKind("how long something takes", _duration),
    "why": QuestionKind("a reason", _why),
    "when": QuestionKind("a time", _when),
    "where": QuestionKind("a place", _where),
    "purpose": QuestionKind("what something is used for", _purpose),
    "meaning": QuestionKind("what something means", _meaning),
    "definition": QuestionKind("what something is", _definition),
    "how": QuestionKind("an aim, and how it is reached", _how_to),
    "use": QuestionKind("what something lets one do", _use_to),
    "condition": QuestionKind("what holds in a case", _condition),
    "permission": QuestionKind("what one may or must do", _permission),
    "heading how to": QuestionKind("a heading that says how to", _heading_of_action, True),
}
