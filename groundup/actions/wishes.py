"""The wishes of one message: "cancel P7RYA2 and book a table for 4 on Friday at 7".

Each wish has the message with the words of the others as blanks, so its values are its own and keep
their places. A sentence that asks for nothing ("HQWKTR, Bramley.") belongs to all of them.
"""

import itertools
import re
from collections.abc import Mapping, Sequence

from groundup.actions.definition import Action, ActionSet
from groundup.actions.intent import ActionChooser
from groundup.actions.intent_words import VALUE_TYPES, names_in, words_of
from groundup.actions.own_words import own_words, without_markup
from groundup.actions.read_numbers import NUMBER
from groundup.actions.read_words import read_choices, read_codes
from groundup.actions.reading import Reading, blanked
from groundup.actions.state import HeldValue, LastDone, Wish
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import words

UNASKED = ("statement", "question")
MAX_WISHES, MAX_CLAUSES = 3, 12
# Of a sentence that tells a wish: "Reference P7RYA2" has one.
LEAST_WORDS = 2
# What only says to what a value belongs: "booking HQWKTR, surname Bramley".
_CARRIERS = words_of("booking my booking reservation reference ref code name surname number ticket")
# Where one wish of a message may end and another begin: at a sentence, or within it.
_CLAUSES = re.compile(
    r"(?P<sentence>[.;!?]\s+(?:also,?\s+)?|\b(?:things|requests|points|favours)\s*[:,-]\s+)"
    r"|,?\s+(?:and|then)\s+(?:also\s+|then\s+)?"
    r"|,?\s+also\s+(?!like\b|want\b|need\b|have\b)",
    re.I,
)
# "unfreeze it again" after something was done.
_SAME = re.compile(r"\b(?:it|that|this|them|same)\b", re.I)
# "cancel 4417 and 8052"
_LISTED_CODES = re.compile(
    r"\b([A-Z0-9]{4,12})(?:\s*[,&+]\s*|\s+(?:and|as well as|plus)\s+)(?:and )?(?!\1\b)"
    r"(?=[A-Z0-9]*\d|[A-Z]{6}\b)[A-Z0-9]{4,12}\b"
)
# Between two options of a list, and the number before its first one.
_LISTED = re.compile(
    r"\s*(?:,\s*and\b|,|&|\+|\band\b|\bplus\b|\bas well as\b)"
    rf"(?:\s+(?:also|the|an?|some|for|{NUMBER}(?:\s*(?:x|×))?|portions? of)){{0,3}}\s*",
    re.IGNORECASE,
)
_COUNTED = re.compile(rf"(?<!\w){NUMBER}(?:\s+[a-z]+){{0,2}}?\s+\Z", re.IGNORECASE)
# "my other flight" is not the one that was just spoken of.
_OTHER = re.compile(r"\b(?:other|another|different|second)\b", re.I)
# "You cancelled my flight" tells why.
_TOLD_OF_YOU = re.compile(r"\W*(?:you|they|you lot)\b(?!.*\?)", re.I)
_FIRST = re.compile(r"\b(?:first|former|1st)\b", re.I)
_SECOND = re.compile(r"\b(?:second|latter|last|2nd)\b", re.I)


def wishes_of(message: str, chooser: ActionChooser) -> list[Wish]:
    """Return the different actions that a message asks for, each with what it says of it. Within a
    sentence only a request begins a second one: "we have a table, and there's one less now" is one.
    What is quoted, forwarded or in markup asks for none.
    """
    whole_message, message = message, own_words(message)
    whole = chooser.choose(message)
    cuts = list(itertools.islice(_CLAUSES.finditer(message), MAX_CLAUSES))
    starts = [0, *(match.end() for match in cuts)]
    spans = list(zip(starts, [*starts[1:], len(message)], strict=True))
    begins = [True, *(match["sentence"] is not None for match in cuts)]
    chosen = []
    forms = [chooser.form(message[start:end]) for start, end in spans]
    is_beside = any(form not in UNASKED for form in forms)
    in_parts = {
        starts[first]
        for first, last in _sentences_of_clauses(begins)
        if all(form in UNASKED for form in forms[first : last + 1])
    }
    ends = [*(match.start() for match in cuts), len(message)]
    for start, end, begins_sentence, form in zip(starts, ends, begins, forms, strict=True):
        clause, is_story = message[start:end], is_beside and form in UNASKED
        is_asked = bool(cuts) and not _TOLD_OF_YOU.match(clause)
        told = words_of(clause) - VALUE_TYPES - names_in(clause) - _CARRIERS
        is_told = begins_sentence and len(told) >= LEAST_WORDS
        is_asked &= is_told or form not in UNASKED
        is_asked &= not (is_story and start in in_parts)
        found = chooser.choose(clause, expected=whole, is_told=is_story) if is_asked else None
        chosen.append(found)
    for first, last in _sentences_of_clauses(begins):
        sentence = message[starts[first] : ends[last]]
        if not any(chosen[first : last + 1]) and not _TOLD_OF_YOU.match(sentence):
            chosen[first] = chooser.choose(sentence, expected=whole, is_told=is_beside)
    named = set(filter(None, chosen))
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        others = named - {chosen[place]}
        if any(chooser.gives_value(message[start:end], name) for name in others):
            chosen[place] = None
    names = list(dict.fromkeys(filter(None, chosen)))[:MAX_WISHES]
    if len(names) == 1 and len(named) > 1:  # another clause only told a value of it
        whole = names[0]
    if len(names) < 2:
        return [] if whole is None else [Wish(whole, whole_message)]
    owners: list[str | None] = []
    for name, begins_sentence in zip(chosen, begins, strict=True):
        owners.append(name if name or begins_sentence else owners[-1])
    return [Wish(name, _without_others(whole_message, spans, owners, name)) for name in names]


def _sentences_of_clauses(begins: Sequence[bool]) -> list[tuple[int, int]]:
    """Return the first and the last clause of each sentence of several, of a message with more than
    one sentence: "he has a cough and stays at home. Please ...".
    """
    firsts = [place for place, is_first in enumerate(begins) if is_first]
    lasts = [each - 1 for each in [*firsts[1:], len(begins)]]
    return [
        each for each in zip(firsts, lasts, strict=True) if len(firsts) > 1 and len({*each}) > 1
    ]


def _without_others(
    message: str, spans: Sequence[tuple[int, int]], owners: Sequence[str | None], name: str
) -> str:
    """Return a message with the clauses of other wishes as blanks."""
    kept = ""
    for (start, end), owner in zip(spans, owners, strict=True):
        own = owner is None or owner == name
        kept += message[start:end] if own else " " * (end - start)
    return kept


def listed_wishes(actions: ActionSet, wish: Wish) -> list[Wish]:
    """Return a wish for each of the codes that one lists: "cancel 4417 and 8052"; or of the options
    of a choice: "two curries and a portion of chips".
    """
    action = actions.action(wish.action)
    if action is None:
        return [wish]
    if not _LISTED_CODES.search(wish.message):
        return _by_options(action, wish.message)
    return by_codes(action, wish.message)


def _by_options(action: Action, message: str) -> list[Wish]:
    """Return a wish for each of the options of the one choice that an action needs, where a message
    lists them with "and", each with what stands before it: its number. Of a choice that is told
    (a reason) there is one.
    """
    needed = [slot for slot in action.askable if slot.type == "choice" and not slot.optional]
    own = without_markup(message)
    things = [slot for slot in needed if not slot.told and len(needed) == 1]
    found = [each for slot in things for each in read_choices(own, slot)]
    found.sort(key=lambda each: each.start)
    gaps = [own[one.end : two.start] for one, two in itertools.pairwise(found)]
    is_list = bool(gaps) and all(map(_LISTED.fullmatch, gaps))
    if not is_list or len({each.values for each in found}) < len(found):
        return [Wish(action.name, message)]
    counted = [each.start() for each in _COUNTED.finditer(own, 0, found[0].start)]
    starts = [*counted, found[0].start][:1]
    starts += [one.end for one in found[:-1]]
    parts = [Reading(start, each.end, ()) for start, each in zip(starts, found, strict=True)]
    others = ([each for each in parts if each is not part] for part in parts)
    return [Wish(action.name, blanked(message, each)) for each in others]


def by_codes(action: Action, message: str) -> list[Wish]:
    """Return a wish for each of the codes that a message has for a slot: "cancel A1 and B2"."""
    for slot in action.askable:
        found = read_codes(without_markup(message), slot) if slot.type == "code" else []
        values = list(dict.fromkeys(each.values for each in found))
        if len(values) > 1:
            others = ([each for each in found if each.values != value] for value in values)
            return [Wish(action.name, blanked(message, each)) for each in others]
    return [Wish(action.name, message)]


def known_from(
    actions: ActionSet, last: LastDone | None, action: Action, wish: Wish, *, is_later: bool
) -> dict[str, HeldValue]:
    """Return codes and names of what was just done as values of a wish of the same message: the
    booking to which "one more bag" is added; of a later one (`is_later`) only where it says "it".
    """
    before = None if last is None else actions.action(last.action)
    if last is None or before is None or _OTHER.search(wish.message):
        return {}
    if is_later and not _SAME.search(wish.message):
        return {}
    own = {slot.name: slot for slot in action.askable}
    found = {}
    for slot in before.askable:
        value = last.values.get(slot.name)
        if slot.type not in ("code", "name") or value is None or slot.name not in own:
            continue
        if slot.name in last.said and own[slot.name].accepts(value):
            found[slot.name] = HeldValue(value, "known", shown=last.said[slot.name])
    return found


def reference_of(
    last: LastDone | None, action: Action, values: Mapping[str, HeldValue]
) -> dict[str, HeldValue]:
    """Return the reference of what was done last as the one code that an action asks for."""
    codes = [slot for slot in action.askable if slot.type == "code"]
    if last is None or len(codes) != 1 or codes[0].name in values:
        return {}
    if not codes[0].accepts(last.reference):
        return {}
    return {codes[0].name: HeldValue(last.reference, "known", shown=last.reference)}


def wish_meant(message: str, titles: Sequence[str]) -> int | None:
    """Return which of two actions a reply names, by the words of their titles or "the first"; None:
    it can't be told.

    >>> wish_meant("cancel it please", ["Move a flight", "Cancel a booking"])
    1
    """
    for place, pattern in enumerate((_FIRST, _SECOND)):
        if pattern.search(message) and place < len(titles):
            return place
    own, as_typed = words_of(message) - VALUE_TYPES, {*words(message)} - STOP_WORDS["en"]
    named = [len(own & words_of(title)) + len(as_typed & set(words(title))) for title in titles]
    best = max(named, default=0)
    return named.index(best) if best and named.count(best) == 1 else None
