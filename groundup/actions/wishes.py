"""The wishes of one message: "cancel P7RYA2 and book a table for 4 on Friday at 7".

Each wish has the message with the words of the others as blanks, so its values are its own and keep
their places. A sentence that asks for nothing ("HQWKTR, Bramley.") belongs to all of them.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from groundup.actions.definition import Action, ActionSet, Slot
from groundup.actions.intent import ActionChooser
from groundup.actions.intent_words import VALUE_TYPES, names_in, words_of
from groundup.actions.message_form import Form
from groundup.actions.own_words import own_words, without_markup
from groundup.actions.read_numbers import NUMBER, plain_number
from groundup.actions.read_words import read_choices, read_codes
from groundup.actions.reading import Reading, blanked
from groundup.actions.state import HeldValue, LastDone, Wish

UNASKED = ("statement", "question")
MAX_WISHES, MAX_CLAUSES = 3, 12
# Of a sentence that tells a wish, where it has not so many kinds of values: "Reference P7RYA2" has
# one word and one value.
LEAST_WORDS, LEAST_VALUES = 2, 2
# The logarithm of the odds of the action that a clause alone tells: so far ahead of all others, and
# at least, of a clause within a sentence and of one that begins it.
FAR, FAR_LEAST = 5.0, (0.5, 1.25)
# That of one whose values the clause has, all of them.
LEAST_WHOLE = -4.0
SaysAll = Callable[[str, str], bool]
"""Whether an action's text has all the values that the action needs."""
# What only says to what a value belongs: "booking HQWKTR, surname Bramley".
_CARRIERS = words_of(
    "booking my booking reservation reference ref code name surname family last number ticket thing"
    " request favour job"
)
# Where one wish of a message may end and another begin: at a sentence, or within it.
_CLAUSES = re.compile(
    r"(?P<sentence>[.;!?]\s+(?:(?:oh|and|also|plus|then),?\s+)*"
    r"|\b(?:things|requests|points|favours|jobs)\b(?: for you)?\s*[:,-]\s+)"
    r"|,?\s+(?:oh,?\s+)?(?:and|then|plus)\s+(?:also\s+|then\s+)?"
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
# "and the same for Callum", not "also make it 8".
_BESIDE = re.compile(r"\b(?:also|too|as well|same|another|one more|next)\b", re.I)
_CORRECTS = re.compile(
    r"\b(?:(?:make|change) (?:it|that)|not|instead|rather|but|actually|sorry|meant)\b", re.I
)
# "we have a table on Thursday" tells what there is, "I have a clash: please cancel W6CAR8" orders.
_HAVING = re.compile(
    r"(?:\W|\b(?:hi|hello|hey|so|and|well)\b)*(?:i|we|he|she|they)(?:'ve|'s)?"
    r"(?: (?:have|had|has|got))+"
    r" (?:an?|the|my|our|\w+ tables?)\b(?! new)(?!.*:\s*(?:please|can|could)\b)",
    re.I,
)
# "two tables, the other for 6"
_TWO = re.compile(r"\b(?:two|2)\s+((?:\w+\s+)?\w+s)\b", re.I)
_THE_OTHER = re.compile(r"\b(?:(?:the|an?) (?:other|second|2nd)|another|one more)(?: one)?\b", re.I)

# "2 e-bikes", "three more places"; not of what one has, or of which one is meant.
_THINGS = re.compile(
    rf"(?<!\w)(?<!\bof )(?<!\bhave )(?<!\bgot )(?<!\bmy )(?<!\bthe )(?<!\bour )({NUMBER})"
    r"(?:\s*[x×])?\s+(?:more\s+)?(?:[^\W\d_]+[\s-]+)?([^\W\d_]+s)\b",
    re.IGNORECASE,
)
_MEASURES = words_of(
    "year month week day night hour minute kilometre km mile metre cm kilo kg gram litre degree page"
)


@dataclass(frozen=True)
class _Clause:
    """A part of a message in which a wish of its own may stand."""

    text: str
    start: int
    until: int
    """Where the next one begins."""
    begins_sentence: bool
    form: Form


def wishes_of(message: str, chooser: ActionChooser, says_all: SaysAll | None = None) -> list[Wish]:
    """Return the different actions that a message asks for, each with what it says of it. Within a
    sentence only a request begins a second one, or what tells another wish clearly: "we have a
    table, and there's one less now" is one. What is quoted, forwarded or in markup asks for none.
    `says_all`: whether a clause has all values of an action, which tells a wish for it, too.
    """
    own = own_words(message)
    whole, clauses = chooser.choose(own), _clauses_of(own, chooser)
    chosen = _chosen(own, clauses, whole, chooser, says_all)
    named = set(filter(None, chosen))
    for place, clause in enumerate(clauses):
        others = named - {chosen[place]}
        if any(chooser.gives_value(own[clause.start : clause.until], name) for name in others):
            chosen[place] = None
    names = list(dict.fromkeys(filter(None, chosen)))[:MAX_WISHES]
    if len(names) == 1 and len(named) > 1:  # another clause only told a value of it
        whole = names[0]
    if len(names) < 2:
        return [] if whole is None else [Wish(whole, message)]
    owners: list[str | None] = []
    for name, clause in zip(chosen, clauses, strict=True):
        owners.append(name if name or clause.begins_sentence else owners[-1])
    spans = [(each.start, each.until) for each in clauses]
    return [Wish(name, _without_others(message, spans, owners, name)) for name in names]


def _clauses_of(message: str, chooser: ActionChooser) -> list[_Clause]:
    cuts = list(itertools.islice(_CLAUSES.finditer(message), MAX_CLAUSES))
    starts = [0, *(match.end() for match in cuts)]
    ends = [*(match.start() for match in cuts), len(message)]
    begins = [True, *(match["sentence"] is not None for match in cuts)]
    found = []
    for start, end, until, is_first in zip(
        starts, ends, [*starts[1:], len(message)], begins, strict=True
    ):
        form = chooser.form(message[start:until])
        found.append(_Clause(message[start:end], start, until, is_first, form))
    return found


def _chosen(
    message: str,
    clauses: Sequence[_Clause],
    whole: str | None,
    chooser: ActionChooser,
    says_all: SaysAll | None,
) -> list[str | None]:
    """Return the action that each clause asks for; None: none of its own."""
    is_beside = any(each.form not in UNASKED for each in clauses)
    sentences = _sentences_of_clauses([each.begins_sentence for each in clauses])
    in_parts = {
        clauses[first].start
        for first, last in sentences
        if all(each.form in UNASKED for each in clauses[first : last + 1])
    }
    chosen: list[str | None] = []
    for each in clauses:
        is_story = is_beside and each.form in UNASKED
        is_asked = len(clauses) > 1 and not _TOLD_OF_YOU.match(each.text)
        is_asked &= not _HAVING.match(each.text) and bool(words_of(each.text))
        told = _own_words_of(each.text)
        has_values = len(words_of(each.text) & VALUE_TYPES) >= LEAST_VALUES
        is_told = each.begins_sentence and (len(told) >= LEAST_WORDS or (bool(told) and has_values))
        is_own = is_told or each.form not in UNASKED
        is_own &= not (is_story and each.start in in_parts)
        found = None
        if is_asked and is_own:
            found = chooser.choose(each.text, expected=whole, is_told=is_story)
        if is_asked and found is None:
            found = told_apart(each.text, chooser, FAR_LEAST[each.begins_sentence], says_all)
        chosen.append(found)
    for first, last in sentences:
        sentence = message[clauses[first].start : clauses[last].start + len(clauses[last].text)]
        if not any(chosen[first : last + 1]) and not _TOLD_OF_YOU.match(sentence):
            chosen[first] = chooser.choose(sentence, expected=whole, is_told=is_beside)
    return chosen


def _own_words_of(clause: str) -> frozenset[str]:
    return words_of(clause) - VALUE_TYPES - names_in(clause) - _CARRIERS


def parts_behind(message: str) -> Iterator[tuple[int, int]]:
    """Yield where the first clauses of a message end and the others begin, at each cut."""
    for match in itertools.islice(_CLAUSES.finditer(own_words(message)), MAX_CLAUSES):
        yield match.start(), match.end()


def adds_to(message: str, start: int) -> bool:
    """Whether what begins at a place of a message is said to come beside what was said, and
    corrects nothing: "and the same for Callum", "also Hartnell (2024)".
    """
    sign = re.search(r"\S*\s*\Z", message[:start])
    assert sign is not None
    is_beside = _BESIDE.search(message, sign.start()) is not None
    return is_beside and not corrects(message, start)


def second_of_two(message: str, title: str) -> tuple[str, int] | None:
    """Return what a message says of the first of two things of an action's title, and where what it
    says of the other one begins; None: it speaks of no two.

    >>> second_of_two("no wait, two tables, the other for 6", "Book a table")
    ('no wait,           , ', 30)
    >>> second_of_two("no, the other card", "Freeze a card") is None
    True
    """
    things = words_of(title)
    both = next((each for each in _TWO.finditer(message) if words_of(each[1]) & things), None)
    other = both and _THE_OTHER.search(message, both.end())
    if not both or not other:
        return None
    head = message[: both.start()] + " " * len(both[0]) + message[both.end() : other.start()]
    return head, other.end()


def corrects(message: str, start: int) -> bool:
    """Whether what begins at a place of a message corrects what was said: "but make it 8"."""
    return _CORRECTS.search(message, start) is not None


def told_apart(
    clause: str, chooser: ActionChooser, least: float, says_all: SaysAll | None = None
) -> str | None:
    """Return the action of which a clause tells a wish, by meaning, far ahead of all others: "one
    of us is coeliac"; or, of those near the best one, the only one that has all its values there.
    """
    if not _own_words_of(clause):
        return None
    odds = chooser.odds(clause)
    best, *others = sorted(odds, key=lambda name: -odds[name]) or [""]
    is_far = all(odds[best] - odds[each] >= FAR for each in others)
    if best and odds[best] >= least and is_far:
        return best
    if says_all is None or not words_of(clause) & VALUE_TYPES:
        return None
    near = [name for name in odds if odds[name] >= max(LEAST_WHOLE, odds[best] - FAR)]
    whole = [name for name in near if says_all(name, clause)]
    return whole[0] if len(whole) == 1 else None


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


def counted_wishes(
    action: Action, message: str, read: Callable[[], Mapping[str, HeldValue]]
) -> list[Wish]:
    """Return a wish for each of the things whose number stands before an action's thing and is the
    value of no slot: "2 e-bikes for Saturday" are two hires. Of a thing with a code there is one.
    `read`: returns the values of the message; not called where it counts nothing.
    """
    own, choices = own_words(message), [each for each in action.askable if each.type == "choice"]
    if not _THINGS.search(own):
        return [Wish(action.name, message)]
    values = read()
    slots = {name: action.slot(name) for name in values}
    if any(slot is not None and slot.type == "code" for slot in slots.values()):
        return [Wish(action.name, message)]
    options = [one for each in choices for one in (each.options or {}).items()]
    wordings = [text for key, others in options for text in (key, *others)]
    joined = (each.replace("-", "") for each in wordings)  # "ebike"
    things = words_of(" ".join([action.title, *wordings, *joined]))
    for match in _THINGS.finditer(own):
        number, (start, end) = plain_number(match[1]), match.span(1)
        is_value = any(
            each.start < end and start < each.end and not _is_of_other_unit(slots[name], match[2])
            for name, each in values.items()
        )
        is_thing = not words_of(match[2]).isdisjoint(things)
        if isinstance(number, int) and number > 1 and is_thing and not is_value:
            one = blanked(message, [Reading(start, end, ())])
            return [Wish(action.name, one)] * min(number, MAX_WISHES)
    return [Wish(action.name, message)]


def _is_of_other_unit(slot: Slot | None, noun: str) -> bool:
    """Whether a slot is for a measure, such as years, and a noun is none: bicycles."""
    if slot is None or slot.type != "number":
        return False
    units = words_of(" ".join(slot.unit))
    return not units.isdisjoint(_MEASURES) and words_of(noun).isdisjoint(units)


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
    Of the same action all values: "and the same for Callum".
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
        is_carried = before is action or slot.type in ("code", "name")
        if not is_carried or value is None or slot.name not in own:
            continue
        if slot.name in last.said and own[slot.name].accepts(value):
            found[slot.name] = HeldValue(value, "known", shown=last.said[slot.name])
    return found


def reference_of(
    last: LastDone | None, action: Action, values: Mapping[str, HeldValue]
) -> dict[str, HeldValue]:
    """Return the reference of what was done last as the one code that an action asks for, with the
    names that were said for it; what was done to a booking has the booking's.
    """
    codes = [slot for slot in action.askable if slot.type == "code"]
    if last is None or len(codes) != 1 or codes[0].name in values:
        return {}
    if not codes[0].accepts(last.reference):
        return {}
    reference, name = last.reference, codes[0].name
    if codes[0].accepts(last.values.get(name)):
        reference = last.said.get(name, reference)
    found = {name: HeldValue(reference, "known", shown=reference)}
    for slot in action.askable:
        value = last.values.get(slot.name)
        if slot.type == "name" and slot.accepts(value) and slot.name in last.said:
            found[slot.name] = HeldValue(str(value), "known", shown=last.said[slot.name])
    return found
