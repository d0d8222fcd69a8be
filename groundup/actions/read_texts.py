"""Free text of a message: what it quotes, and what stands behind the slot's name, a colon or words
that the slot names.

    text     "my new address is 14 Mill Lane"    14 Mill Lane
    text     "I left my umbrella with you"       my umbrella
"""

import re
from collections.abc import Iterator

from groundup.actions.definition import Slot
from groundup.actions.reading import Reading
from groundup.actions.replies import without_courtesy
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import words

# So many words at most stand before one that leads to a text: "We now live at".
LEAD_WORDS = 4
_TEXT_LEAD = re.compile(
    r"\s*(?:(?:so )?(?:(?:it|that)(?:'?s| is| would be)(?: called)?|(?:my|the|our) (?:new )?"
    r"(?:[^\W\d_]+ )?(?:is|are)|please (?:write|note|say)(?: that)?|just|ok|okay|yes)\b[\s,:]*)?",
    re.IGNORECASE,
)
# "the working title of my paper is", to a question for it
_NAMED_LEAD = re.compile(
    r"\s*(?:so\s+)?((?:[^\W\d_]+\s+){1,7}?)(?:is|are|will be)(?: called)?\b[\s,:]*", re.I
)
_REQUEST = re.compile(
    r"(?:please\s+)?(?:i|i'd|we|we'd|can|could|would|will|may|change|update|how|what)\b",
    re.IGNORECASE,
)
# "What I am here for: I would like to ask for leave for      from       to      ." (blank: values)
_WISH_WITH_VALUES = re.compile(
    r"(?:please\s+|(?:i|we)(?:'d| would)? (?:like|want|need) to\b|(?:can|could|may) (?:i|we|you)\b)"
    r"[^.!?]*\s{3,}",
    re.IGNORECASE,
)
# Where a text within a sentence ends: before another clause, or a value (blank) that is read.
_CLAUSE_BEHIND = re.compile(
    r"\s{3,}|\s[-–—]+\s|,?\s+(?:please|pls|can|could|would|will|so|but|when"
    r"|and (?:i|we|please|can|could|my|it)|while|because|if)\b"
    r"|,\s+(?:i|we|it|my|it's|is|have|has|did)\b",
    re.IGNORECASE,
)
# Where a sentence behind "note that" ends: its own "can't" and "but" are part of it.
_SENTENCE_BEHIND = re.compile(
    r"\s{3,}|\s[-–—]+\s|,?\s+(?:please|pls|(?:can|could|would|will) (?:you|we)"
    r"|and (?:please|can|could))\b",
    re.IGNORECASE,
)
_THING = r"(?=(?:my|our|his|her|their|an?|the|some|one|two|\d|(?-i:[A-Z]))(?:\b|\d))"
_LEFT_OVER = re.compile(
    r"(?:[\s,]+(?:here|there|behind|with you|at yours|at your \w+|on|at|in|by|from|the|your|last|this)\b)*"
    r"[\s,]*\Z",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"[\"“”«„]([^\"“”«»„]{3,})[\"“”»]"
    r"|(?<![^\s(])'([^'\n]+(?:'(?=\w)[^'\n]+)*)'(?!\w)"
)
_QUOTES = "\"“”«»„'"
# Where a text that stands behind its slot's name ends.
_VALUE_BEHIND = re.compile(r",?\s{3,}.*|,\s+(?:please|pls|(?:can|could|would|will) you)\b.*")


def read_text(text: str, slot: Slot, *, asked: bool = False) -> list[Reading]:
    """Return the free text for a slot: the whole reply; unasked what stands in quotation marks, or
    behind the slot's name ("address to ...") or a colon.
    """
    if asked:
        start, end = _reply(text, slot)
        return [Reading(start, end, (text[start:end],))] if end > start else []
    if slot.pattern:
        found = re.search(slot.pattern, text)
        return [Reading(*found.span(), (found[0],))] if found else []
    for start, end in _behind_cues(text, slot):
        said = _VALUE_BEHIND.sub("", text[start:end]).rstrip(" .!,\n")
        if len(words(said)) > 1 and not _asks_for(said, slot):
            return [Reading(start, start + len(said), (said,))]
    return []


def _reply(text: str, slot: Slot) -> tuple[int, int]:
    """Return where the text of a reply begins and ends, without what leads to it."""
    start, end = without_courtesy(text)
    own = {*words(slot.ask), *words(slot.name.replace("_", " "))} - STOP_WORDS["en"] | {"one"}
    named = _NAMED_LEAD.match(text, start, end)
    if named and own & {*words(named[1])} and not {*words(named[1])} - own - STOP_WORDS["en"]:
        start = named.end()
    elif slot.behind and (lead := re.compile(_cue(slot), re.I).search(text, start, end)):
        before = text[start : lead.start()].split()
        start = lead.end() if len(before) <= LEAD_WORDS else start
    else:
        lead = _TEXT_LEAD.match(text, start, end)
        start = lead.end() if lead and lead.end() < end else start
    inner = text[start:end].strip(" .")
    if len(inner) > 2 and inner[0] in _QUOTES and inner[-1] in _QUOTES:
        inner = inner.strip(_QUOTES)
        start = text.index(inner, start)
        end = start + len(inner)
    return start, end


def _asks_for(said: str, slot: Slot) -> bool:
    """Whether a text is the request itself: "One more thing: I need to change my address." """
    own = words(slot.name.replace("_", " "))[-1:]
    return _REQUEST.match(said) is not None and set(own) <= set(words(said))


def _cue(slot: Slot) -> str:
    """Return a pattern for the words behind which the value of a slot stands; of "note that" also
    "note for our table on Friday that".
    """
    longest_first = sorted(slot.behind, key=len, reverse=True)
    cues = "|".join(
        re.sub(r"\\ that\Z", r"(?:\\s+\\w+){0,6}?\\s+that", re.escape(each))
        for each in longest_first
    )
    return rf"\b(?:{cues})\s+(?={_THING})"


def _behind_cues(text: str, slot: Slot) -> Iterator[tuple[int, int]]:
    for match in _QUOTED.finditer(text):
        yield match.span(match.lastindex or 1)
    name = re.escape(slot.name.replace("_", " "))
    said = r"(?:\s*(?:is|to|are|as|:|will be)|(?:\s+(?!that\b)[^\W\d_]+){1,4}? (?:is|will be))"
    other = r"(?!(?:an?|the|on|my|our|your|his|her|their|this|that)\b)"
    cue = rf"\b{name}{said}\s+{other}([^.!?\n]+)"
    alone = rf"(?:\A|[.!?;\n]\s*)(?:the|my|our) {name} (?:is|are|will be|:)\s+([^.!?\n]+)"
    # "can you change my address, it's 4 Mill Lane"
    its = rf"\b{name}\b[^.!?;:\n]{{0,30}}[,.;?]?\s+(?:it'?s|it is)\s+(?=(?-i:[A-Z])|\d)([^.!?\n]+)"
    for pattern in (cue, alone, its):
        for match in re.finditer(pattern, text, re.IGNORECASE):
            yield match.span(1)
    for match in re.finditer(r"[^\W\d_]\s*:\s+(\S[\s\S]+)\Z", text):
        if not _WISH_WITH_VALUES.match(match[1]):
            yield match.span(1)
    if slot.behind:
        for match in re.finditer(rf"{_cue(slot)}([^.!?;\n]+)", text, re.IGNORECASE):
            is_sentence = text[: match.start(1)].rstrip().lower().endswith("that")
            ends = _SENTENCE_BEHIND if is_sentence else _CLAUSE_BEHIND
            said = ends.split(match[1], maxsplit=1)[0]
            yield match.start(1), match.start(1) + len(_LEFT_OVER.sub("", said))
