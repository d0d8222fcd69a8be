"""Values that are words of a message: choices with synonyms and spelling mistakes, codes by their
pattern, names.

    choice   "diner please"                     dinner
    code     "it's lk7-q2m"                     LK7Q2M
    name     "in the name of van der Berg"      van der Berg
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from groundup.actions.definition import MAX_CHARACTERS, Slot
from groundup.actions.reading import Reading, overlaps
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import fold, is_within, stems, words

_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# A word is compared with its spelling mistakes from so many characters on: with one, with two.
_ONE_MISTAKE, _TWO_MISTAKES = 4, 8
_LEAD = (
    r"(?:\W|\b(?:it'?s|it is|its|that'?s|that is|that would be|this is|the|my|our|new|is|number"
    r"|code|reference|ref|booking|reservation|card|voucher|ok|okay|yes|yep|sure|hi|hello|oh"
    r"|sorry|and"
    r"|ends? (?:in|with)|ending(?: in| with)?|last (?:four|4)(?: digits)?(?: are)?|are|of"
    r"|please)\b)*"
)
_TAIL = r"(?:\W|\b(?:please|pls|thanks|thank you|cheers|i think|i believe|ta)\b)*"
_CODE_CUE = re.compile(
    r"\b(?:reference|ref|code|number|no|ending|ends|digits|booking|reservation|card|voucher"
    r"|seat|row)"
    r"(?:\s+(?:number|code|reference|ref|no|in|with|is|are|'?s))*\W*\Z",
    re.IGNORECASE,
)
_SURE_CUE = re.compile(
    r"\b(?:reference|ref|code|(?:booking|reservation|voucher|card) (?:number|no|ref\w*|code))"
    r"(?:\s+(?:number|is|are|'?s))*\W*\Z",
    re.IGNORECASE,
)
MIN_SURE_DIGITS = 7
# Letters without a vowel are no word: "call off tqjbhw".
MIN_SURE_LETTERS, _VOWELS = 5, frozenset("aeiouy")
# A code of figures alone, from so many on, is one where the message has no other such number: no
# year, and nothing that is said of an amount.
MIN_DIGITS = 4
_NO_CODE = re.compile(r"(?:[£$€]|\b(?:to|by|of|at|about|only|than|for))\s*\Z", re.IGNORECASE)
# "the spending limit of 4417 to £1,000"
_TO_AMOUNT = re.compile(r"\s+(?:(?:down |up )?to|at)\s+[£$€]", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_PART = r"[^\W\d_]+(?:['’-][^\W\d_]+)*\.?"
_TITLE = r"(?:mr|mrs|ms|miss|mx|dr|prof|professor|sir|lady|herr|frau|mme)\b\.?"
_CAPITAL = (
    rf"(?:(?:van|von|de|der|den|la|le|da|di|du|al|el|bin|st)\s+)*(?-i:[A-ZÀ-ÖØ-Þ])(?:{_PART})?"
)
_CAPITALS = rf"{_CAPITAL}(?:\s+{_CAPITAL}){{0,3}}"
_PLAIN_NAME = rf"{_PART}(?:\s+{_PART}){{0,3}}"
# "name is hollis": any words; "it's Sam Okoro": capitals only.
_SAID_NAME = re.compile(
    rf"\b(?:(?:sur|last |first |full |family )?name(?:'?s| is| was|:|,)?\s+(?:is\s+|of\s+)?"
    rf"(?:under\s+)?|in the name of\s+|call me\s+|surname\s+)({_PLAIN_NAME})",
    re.IGNORECASE,
)
_CAPITAL_NAME = re.compile(
    rf"\b(?:(?:booked |reserved )?under\s+(?:the name\s+(?:of\s+)?)?|it's\s+|this is\s+"
    r"|(?:booked|book it|put it|put me|put us|me down|it down|us down)\s+(?:down\s+)?(?:as|for)\s+"
    rf"|(?:i'?m|i am)\s+(?={_TITLE}|{_CAPITAL}\s+{_CAPITAL})"
    rf"|signed,?\s+|for\s+(?={_TITLE}))((?:{_TITLE}\s+)?{_CAPITALS})(?=[\s,.;!?)]|\Z)",
    re.IGNORECASE,
)
# In capitals what follows is no name by its own.
_SHOUTED = re.compile(r"(?:IT'S|THIS IS)\s")
_IS_STATE = re.compile(
    r"(?i:i'?m|i am)\s+[A-Z]{2,}(?:ING|ED|ED OFF|FUL|LESS|OUS|ABLE|IBLE|Y|SET|ID)"
)
_TITLED = re.compile(rf"\b((?-i:Mrs|Mr|Ms|Miss|Mx|Dr|Prof)\.?\s+{_CAPITALS})", re.IGNORECASE)
_TITLE_BEFORE = re.compile(rf"\b{_TITLE}\s+\Z", re.IGNORECASE)
_HERE = re.compile(
    rf"\A\W*(?:(?:hi|hello|hey|good \w+)\W+)?({_CAPITALS})\s+here\b"
    rf"|\bin\s+({_CAPITALS})['’]s?\s+name\b|\bfor the\s+({_CAPITAL})\s+(?:family|party)\b",
    re.IGNORECASE,
)
_IS_NAME = re.compile(
    rf"(?:\A|[.!?,;]\s+)(?!(?:that|this|it|what|which|who|here)\b)({_CAPITALS})\s+is (?:my|the) (?:(?:sur|last |first |full )?name)\b",
    re.IGNORECASE,
)
# "Mike Sorrel, my number is ...", in the reply to the question for it.
_REPLY_BEFORE = re.compile(rf"\A\W*({_CAPITALS})(?=\s*[,.;]\s|\s*[(])")
_SIGNED = re.compile(
    rf"\b(?:regards|wishes|thanks|thank you|cheers|sincerely|faithfully),?\s+"
    rf"((?:{_TITLE}\s+)?{_CAPITALS})(?:[\s.,!]*\Z|,)",
    re.IGNORECASE,
)
# "for Harmon, 01632 960700", "at 7 pm, Ross": what is no other value at the end of a list.
_LISTED = re.compile(
    rf"(?:[,;]\s*|\s[-–—]\s+|\bfor\s+)((?:{_TITLE}\s+)?{_CAPITALS})[\s.,!]*\Z"
    rf"|\bfor\s+({_CAPITALS})(?=,|\s+(?:please|pls)\b)"
    rf"|[.!?\]]\s+({_CAPITAL}\s+{_CAPITAL})(?=,\s|[\s.!]*\Z)"
    rf"|\bunder\s+(?:the name\s+(?:of\s+)?)?({_PART})[\s.!]*\Z"
    rf"|[.!?]\s+({_CAPITALS}),?\s{{6,}}\Z",
    re.IGNORECASE,
)
_NAME_REPLY = re.compile(
    rf"(?:\W|\b(?:it'?s|it is|its|that'?s|that is|this is|(?:my|the|our|her|his|full|whole|sur"
    rf"|last)"
    rf"|(?:sur)?name(?:'?s| is)?|is|(?:i'?m|i am)(?: called)?|call me|book it"
    rf"|(?:put|use)(?: it| me)?|(?:that|it)(?:'d| would|'ll| will) be|make it|(?:down )?as|under"
    rf"|in the name of|for|the name of|ok|okay|yes|yep|sure|hi|hello|sorry|please|by)\b(?!['’-]))*"
    rf"({_PLAIN_NAME}(?:\s+{_PART}){{0,2}})",
    re.IGNORECASE,
)
_BEHIND_REPLY = re.compile(
    r"(?:\W|\b(?:please|pls|thanks|thank you|cheers|here|speaking|ta|of course)\b)+\Z",
    re.IGNORECASE,
)
# "HQWKTR, Bramley", "HQWKTR (Okafor)"; in small letters where a clause ends behind it.
_BESIDE = re.compile(
    rf"[\s,;:/(–—-]*({_CAPITALS})(?=[\s,.;!?)]|\Z)|[.?!]\s+({_CAPITALS})[\s.!]*\Z"
    rf"|\s*[,/(]?\s*({_PART})(?:[\s.!)]*\Z|\)|,\s|\)?\s+[-–—]\s)"
    rf"|\s*,\s*({_PART})(?:(?<=\.)|[:;!])\s|\s({_PART})(?:(?<=\.)|[?!])\s",
    re.IGNORECASE,
)
# In small letters a sentence of its own, before a number that was read (blanks), at the end or
# before a comma: ". dan brody, 01632 960777", "... tom lister", ". carla nunes, im a student".
_BEFORE_NUMBER = re.compile(
    rf"[.!?;,\n]\s{{0,2}}({_PART}(?:\s+{_PART}){{0,2}}),?\s{{10,}}", re.IGNORECASE
)
_SENTENCE_ALONE = re.compile(
    rf"[.!?\n]\s{{0,2}}({_PART}(?:\s+{_PART}){{1,2}})(?:[\s.!]*\Z|,\s)", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"(?<!\b(?:mr|ms|dr|st))(?<!\bmrs)(?<!\bprof)\.\s", re.IGNORECASE)
# "my first name isn't quite the same"
_DENIED = re.compile(r"n['’]t\Z", re.IGNORECASE)
_PARTICLES = frozenset(["van", "von", "de", "der", "den", "la", "le", "da", "di", "du", "al", "el"])
# Names, though they are words of grammar or months, too.
_ALSO_NAMES = _PARTICLES | {"will", "may", "s", "o", "d", "t", "i", "a", "an", "do", "so"}
_NO_NAMES = frozenset(
    words(
        "yes no nope ok okay none nothing nobody anyone maybe why what who how when where which"
        " cancel stop undo help never later don't know not sure skip forget leave wait one two"
        " three four five six seven eight nine ten people guests please thanks you me today"
        " tomorrow"
        " tonight christmas easter regards cheers bye hello monday tuesday wednesday thursday friday saturday sunday"
        " instead then again too also now soon asap both pls plz thx ta urgently stolen lost"
        " got wrong spelt spelled misspelt missing has been changed sorry"
        " mobile phone tel telephone switchboard fax booking reference ref order"
        " number cell call ring text"
    )
)
# What else is said in a few words of its own, and how adjectives, adverbs and verbs end.
_REMARKS = frozenset(
    words(
        "many much mate mates love hun babe rush hurry worries worry bother problem luck joke"
        " disgrace shambles nightmare rubbish rude brilliant lovely great good nice happy sad"
        " fuming gutted best kind wishes hope wait idea ideas help fast quick easy nothing fancy"
        " god hell bloody damn sake"
        " lol haha omg ugh xx xxx day night week weekend evening morning afternoon time end story"
        " speak talk safe appreciated big small special early late new old first last quiet please"
    )
)
_NO_NAME_ENDING = re.compile(r".{3,}(?:ing|ed|ment|tion|less|ful|ous|able|ible)|.{5,}ly")


def read_choices(text: str, slot: Slot, *, asked: bool = False) -> list[Reading]:
    """Return the options that a text names, by their keys, the longest wordings first; spelling
    mistakes count in the reply to the question, else in longer words.

    >>> slot = Slot("meal", "choice", ask="Which?", options={"lunch": (), "dinner": ("supper",)})
    >>> [each.values for each in read_choices("Supper, please", slot)]
    [('dinner',)]
    """
    tokens = [
        (match.start(), match.end(), re.sub(r"['’]s\Z", "", fold(match[0])))
        for match in _TOKEN.finditer(text)
    ]
    own = stems([word for _, _, word in tokens], "en")
    found: list[Reading] = []
    wordings = [
        (*_wording(wording), key)
        for key, synonyms in (slot.options or {}).items()
        for wording in (key, *synonyms)
    ]
    # "not a member" before "member of the university"
    wordings.sort(
        key=lambda each: (each[0][1:] == [] or each[0][0] not in ("no", "not"), -len(each[0]))
    )
    least = _ONE_MISTAKE if asked else _TWO_MISTAKES - 2
    starts: dict[str, list[int]] = {}  # neither stems nor mistakes change a word's first letter
    for place, (_, _, word) in enumerate(tokens):
        starts.setdefault(word[:1], []).append(place)
    for is_exact in (True, False):
        for wording, wanted, key in wordings:
            for place in starts.get(wording[0][:1], ()) if wording else ():
                end = place + len(wording)
                if end > len(tokens):
                    break
                pairs = zip((word for _, _, word in tokens[place:end]), wording, strict=True)
                if own[place:end] == wanted or (
                    not is_exact and all(_is_like(*pair, least) for pair in pairs)
                ):
                    span = tokens[place][0], tokens[end - 1][1]
                    if not overlaps(*span, found):
                        found.append(Reading(*span, (key,)))
    return found


@lru_cache(maxsize=4096)
def _wording(text: str) -> tuple[list[str], list[str]]:
    """Return the words of a wording, and their stems."""
    found = words(text)
    return found, stems(found, "en")


def _is_like(typed: str, wanted: str, least: int) -> bool:
    """Whether a word is another one with spelling mistakes."""
    if typed == wanted or typed[:1] != wanted[:1] or len(wanted) < least:
        return typed == wanted
    return is_within(typed, wanted, 2 if len(wanted) >= _TWO_MISTAKES else 1)


def read_codes(text: str, slot: Slot, *, asked: bool = False) -> list[Reading]:
    """Return the codes of a text that fit the slot's pattern, in the case of its example.

    Unasked, a code is taken that can be no word or plain number: with letters and digits, in
    capitals, of many digits, or behind "reference", "card" and the like.
    """
    if asked and (reply := _code_reply(text, slot)):
        return [reply]
    found: list[Reading] = []
    pattern = re.compile(rf"(?<![\w-])(?:{slot.pattern})(?![\w-]|[.,]\d)", re.IGNORECASE)
    for match in pattern.finditer(text):
        value = _in_case(match[0], slot)
        if value is not None and _is_code(text, match, asked):
            found.append(Reading(*match.span(), (value,)))
    return found or _only_figures(text, pattern)


def codes_like(text: str, slot: Slot) -> list[Reading]:
    """Return all that has the form of a slot's code, words in small letters too."""
    pattern = re.compile(rf"(?<![\w-])(?:{slot.pattern})(?![\w-])", re.IGNORECASE)
    tried = ((match.span(), _in_case(match[0], slot)) for match in pattern.finditer(text))
    return [Reading(*span, (value,)) for span, value in tried if value is not None]


def _only_figures(text: str, pattern: re.Pattern[str]) -> list[Reading]:
    """Return the one code of figures of a text: "unfreeze 6630"."""
    found = [
        Reading(*match.span(), (match[0],))
        for match in pattern.finditer(text)
        if match[0].isdigit()
        and len(match[0]) >= MIN_DIGITS
        and not _YEAR.fullmatch(match[0])
        and (_TO_AMOUNT.match(text, match.end()) or not _NO_CODE.search(text[: match.start()]))
    ]
    return found if len(found) == 1 else []


def _code_reply(text: str, slot: Slot) -> Reading | None:
    """Return the code that a whole reply is: "it's lk7-q2m, I think"."""
    match = re.fullmatch(rf"{_LEAD}(.*?){_TAIL}", text, re.IGNORECASE | re.DOTALL)
    said = match[1] if match else ""
    for tried in (said, re.sub(r"[\s.\-/]", "", said)):
        value = _in_case(tried, slot)
        if match and value is not None:
            return Reading(*match.span(1), (value,))
    return None


def _in_case(said: str, slot: Slot) -> str | None:
    """Return a text as it fits the pattern: as typed, in capitals or in small letters."""
    for tried in (said, said.upper(), said.lower()):
        if len(tried) <= MAX_CHARACTERS["code"] and re.fullmatch(slot.pattern, tried):
            return tried
    return None


def _is_code(text: str, match: re.Match[str], asked: bool) -> bool:
    said = match[0]
    digits = sum(letter.isdigit() for letter in said)
    letters = sum(letter.isalpha() for letter in said)
    if letters and digits:
        return True
    if letters:
        if _is_no_word(said.lower()):
            return True
        is_shouted = text.upper() == text and " " in text.strip()
        if _SURE_CUE.search(text[: match.start()]):
            return True
        is_label = text[match.end() :].startswith(":")  # "NOTE: ..."
        return said.isupper() and not is_shouted and not is_label
    return digits >= MIN_SURE_DIGITS or asked or _CODE_CUE.search(text[: match.start()]) is not None


def read_names(text: str, *, asked: bool = False) -> list[Reading]:
    """Return the names that a text gives: "Name is Hollis", "for Mrs Byrne", "it's Sam Okoro".

    >>> [each.values for each in read_names("for two, under Sam Okoro")]
    [('Sam Okoro',)]
    >>> read_names("THIS IS RIDICULOUS")
    []
    """
    found: list[Reading] = []
    for pattern in (_SAID_NAME, _CAPITAL_NAME, _TITLED, _SIGNED, _HERE, _IS_NAME, _LISTED):
        for match in pattern.finditer(text):
            start, end = _name_end(text, *match.span(match.lastindex or 1))
            if not asked and _SHOUTED.match(text, match.start(), start):
                continue
            if _IS_STATE.fullmatch(text, match.start(), end):  # "I am FURIOUS. I want ..."
                continue
            if end > start and not overlaps(start, end, found):
                found.append(Reading(start, end, (_as_name(text[start:end]),)))
    before = _REPLY_BEFORE.match(text)
    if not found and asked and before:
        start, end = _name_end(text, *before.span(1), is_whole=True)
        if end > start:
            found.append(Reading(start, end, (_as_name(text[start:end]),)))
    reply = _NAME_REPLY.fullmatch(_BEHIND_REPLY.sub("", text.strip()))
    if not found and asked and reply:
        start = reply.start(1) + len(text) - len(text.lstrip())
        start, end = _name_end(text, start, start + len(reply[1]), is_whole=True)
        if end > start:
            found.append(Reading(start, end, (_as_name(text[start:end]),)))
    return found


def names_behind(text: str, cues: Sequence[str]) -> list[Reading]:
    """Return the names with capitals that stand right behind one of some words.

    >>> [each.values for each in names_behind("Ann Lee becomes Ann Hay", ["becomes"])]
    [('Ann Hay',)]
    """
    found: list[Reading] = []
    if cues:
        words = "|".join(map(re.escape, sorted(cues, key=len, reverse=True)))
        for match in re.finditer(rf"\b(?:{words})\W+({_CAPITALS})", text, re.IGNORECASE):
            whole = re.match(rf",\s+({re.escape(match[1])}\s+{_CAPITALS})", text[match.end() :])
            place = match.end() if whole else 0  # "it's Jonas, Jonas Pellow"
            span = whole.span(1) if whole else match.span(1)
            start, end = _name_end(text, place + span[0], place + span[1])
            if end > start:
                found.append(Reading(match.start(1), end, (_as_name(text[start:end]),)))
    return found


def names_said(text: str) -> list[Reading]:
    """Return the names that are called so: "my name is Hollis", "in the name of Bramley".

    >>> [each.values for each in names_said("Mr Tibbs knows us. My name is Ann Hay")]
    [('Ann Hay',)]
    """
    found = []
    for match in _SAID_NAME.finditer(text):
        start, end = _name_end(text, *match.span(1))
        if end > start:
            found.append(Reading(start, end, (_as_name(text[start:end]),)))
    return found


def names_called(text: str, slot: Slot) -> list[Reading]:
    """Return the name behind the slot's own name: "surname Bramley"; of no slot that is "name"
    alone, which may be any.

    >>> [each.values for each in names_called("surname Bramley", Slot("surname", "name"))]
    [('Bramley',)]
    """
    if slot.name == "name":
        return []
    called = rf"\b(?i:{re.escape(slot.name.replace('_', ' '))})(?:'s| is|:| of)?\s+"
    match = re.search(rf"{called}({_CAPITALS})", text)
    match = match or re.search(rf"{called}({_PART})(?=[\s.]*\Z|[,.;]\s)", text)
    if match is None:
        return []
    start, end = _name_end(text, *match.span(1))
    return [Reading(start, end, (_as_name(text[start:end]),))] if end > start else []


def names_beside(text: str, codes: Sequence[Reading]) -> list[Reading]:
    """Return the name that stands right behind a code.

    >>> [each.values for each in names_beside("       Bramley", [Reading(0, 6, ("HQWKTR",))])]
    [('Bramley',)]
    """
    for code in codes:
        match = _BESIDE.match(text, code.end)
        if match:
            start, end = match.span(match.lastindex or 0)
            if match.lastindex == match.re.groups and _is_remark(text[start:end]):
                continue  # "P7RYA2 cancelled. ..."
            if (stop := _SENTENCE_END.search(text, start, end)) is not None:
                end = stop.start()
            start, end = _name_end(text, start, end)
            if end > start:
                return [Reading(start, end, (_as_name(text[start:end]),))]
    return []


def marked_name(text: str, start: int, end: int) -> Reading | None:
    """Return the name in a part of a text, with the title before it; None: it is a day, a code or
    another word of no name.

    >>> marked_name("for mrs byrne", 8, 13).values
    ('Mrs Byrne',)
    """
    own = words(text[start:end])
    if any(word in _NO_NAMES or word.isdigit() or _is_no_word(word) for word in own):
        return None
    title = _TITLE_BEFORE.search(text, 0, start)
    start = title.start() if title else start
    return Reading(start, end, (_as_name(text[start:end]),))


def _is_no_word(word: str) -> bool:
    """Whether letters and figures, or letters without a vowel, are a code: "w9len4", "tqjbhw"."""
    has_digit = any(letter.isdigit() for letter in word)
    is_long = word.isascii() and len(word) >= MIN_SURE_LETTERS
    return has_digit or (is_long and _VOWELS.isdisjoint(word))


def _is_remark(said: str) -> bool:
    """Whether words in small letters behind a code may be no name."""
    return any(word in _REMARKS or _NO_NAME_ENDING.fullmatch(word) for word in words(said))


def names_alone(text: str, barred: frozenset[str]) -> list[Reading]:
    """Return the name in small letters that is a sentence of its own, or stands before a number
    that is blank. `barred`: words that are of something else.

    >>> [each.values for each in names_alone("7 pm on Friday. tom lister", frozenset())]
    [('Tom Lister',)]
    >>> names_alone("7 pm on Friday. many thanks", frozenset())
    []
    """
    for pattern in (_BEFORE_NUMBER, _SENTENCE_ALONE):
        for match in pattern.finditer(text):
            start, end = _name_end(text, *match.span(1), is_whole=True)
            own = words(text[start:end])
            other = barred | _REMARKS | (_ALSO_NAMES - _PARTICLES)
            is_other = any(
                word in other or word[:-1] in _NO_NAMES or _NO_NAME_ENDING.fullmatch(word)
                for word in own
            )
            if end > start and not is_other:
                return [Reading(start, end, (_as_name(text[start:end]),))]
    return []


def _name_end(text: str, start: int, end: int, *, is_whole: bool = False) -> tuple[int, int]:
    """Return where a name begins and ends: before the first word that is of no name. `is_whole`:
    nowhere, where it has such a word.
    """
    last = start
    for match in re.finditer(_PART, text[start:end]):
        own = [word for word in words(match[0]) if word not in _ALSO_NAMES]
        is_other = match[0] == "im" or any(
            word in _NO_NAMES or word in STOP_WORDS["en"] for word in own
        )
        if is_other or _DENIED.search(match[0]):
            if is_whole:
                return start, start
            break
        last = start + match.end()
        if _SENTENCE_END.match(text, last - 1) and len(match[0]) > len("A.") and not is_whole:
            break  # "the name is Quayle. I'd like ..."
    said = text[start:last].rstrip(" .,")
    if not said or words(said)[-1] in _PARTICLES or len(said) > MAX_CHARACTERS["name"]:
        return start, start
    if all(word in _ALSO_NAMES and word != "will" and word != "may" for word in words(said)):
        return start, start
    return start, start + len(said)


def _as_name(said: str) -> str:
    """Return a name with capitals where it was typed without or in nothing else."""
    said = " ".join(said.replace("’", "'").split())
    if said != said.lower() and (said != said.upper() or len(said) < 4):
        return said
    parts = re.split(r"([\s'-])", said.lower())
    return "".join(part if part in _PARTICLES else part.capitalize() for part in parts)
