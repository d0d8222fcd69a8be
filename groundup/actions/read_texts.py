"""Free text of a message: what it quotes, and what stands behind the slot's name, a colon or words
that the slot names.

    text     "my new address is 14 Mill Lane"    14 Mill Lane
    text     "I left my umbrella with you"       my umbrella
"""

import re
from collections.abc import Iterator

from groundup.actions.definition import Slot
from groundup.actions.reading import Reading
from groundup.language.terms import words

_TEXT_LEAD = re.compile(
    r"\s*(?:(?:it'?s|it is|(?:my|the|our) (?:new )?(?:[^\W\d_]+ )?(?:is|are)|please (?:write"
    r"|note|say)"
    r"(?: that)?|that would be|just|ok|okay|yes)\b[\s,:]*)?",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    r"(?:please\s+)?(?:i|i'd|we|we'd|can|could|would|will|may|change|update|how|what)\b",
    re.IGNORECASE,
)
# Where a text within a sentence ends: before another clause, or a value (blank) that is read.
_CLAUSE_BEHIND = re.compile(
    r"\s{3,}|\s[-–—]+\s|,?\s+(?:please|pls|can|could|would|will|so|but|when"
    r"|and (?:i|we|please|can|could|my|it)|while|because|if)\b"
    r"|,\s+(?:i|we|it|my|it's|is|have|has|did)\b",
    re.IGNORECASE,
)
_THING = r"(?=(?:my|our|his|her|their|an?|the|some|one|two|\d|(?-i:[A-Z]))(?:\b|\d))"
_LEFT_OVER = re.compile(
    r"(?:[\s,]+(?:here|there|behind|with you|at yours|at your \w+|on|at|in|by|from|the|last|this)\b)*"
    r"[\s,]*\Z",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“”«„]([^\"“”«»„]{3,})[\"“”»]")


def read_text(text: str, slot: Slot, *, asked: bool = False) -> list[Reading]:
    """Return the free text for a slot: the whole reply; unasked what stands in quotation marks, or
    behind the slot's name ("address to ...") or a colon.
    """
    if asked:
        match = _TEXT_LEAD.match(text)
        start = match.end() if match else 0
        end = len(text.rstrip())
        return [Reading(start, end, (text[start:end],))] if end > start else []
    for start, end in _behind_cues(text, slot):
        said = text[start:end].rstrip(" .!\n")
        if len(words(said)) > 1 and not _asks_for(said, slot):
            return [Reading(start, start + len(said), (said,))]
    return []


def _asks_for(said: str, slot: Slot) -> bool:
    """Whether a text is the request itself: "One more thing: I need to change my address." """
    own = words(slot.name.replace("_", " "))[-1:]
    return _REQUEST.match(said) is not None and set(own) <= set(words(said))


def _behind_cues(text: str, slot: Slot) -> Iterator[tuple[int, int]]:
    for match in _QUOTED.finditer(text):
        yield match.span(1)
    name = re.escape(slot.name.replace("_", " "))
    cue = rf"\b{name}\s*(?:is|to|are|as|:|will be)\s+(?!(?:an?|the|on|my|our|your|his|her|their|this|that)\b)([^.!?\n]+)"
    alone = rf"(?:\A|[.!?;\n]\s*)(?:the|my|our) {name} (?:is|are|will be|:)\s+([^.!?\n]+)"
    for pattern in (cue, alone):
        for match in re.finditer(pattern, text, re.IGNORECASE):
            yield match.span(1)
    for match in re.finditer(r"[^\W\d_]\s*:\s+(\S[\s\S]+)\Z", text):
        yield match.span(1)
    if slot.behind:
        cues = "|".join(map(re.escape, sorted(slot.behind, key=len, reverse=True)))
        for match in re.finditer(rf"\b(?:{cues})\s+({_THING}[^.!?;\n]+)", text, re.IGNORECASE):
            said = _CLAUSE_BEHIND.split(match[1], maxsplit=1)[0]
            yield match.start(1), match.start(1) + len(_LEFT_OVER.sub("", said))
