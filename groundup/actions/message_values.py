"""The values of a message that the slots of an action accept, as a conversation keeps them, with the
questions for those that are unclear. Names that the world knows (`Slot.among`) are read as choices.
"""

import datetime
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from groundup.actions.definition import Action, Slot
from groundup.actions.intent_meaning import Meanings
from groundup.actions.own_words import letter_body, own_words
from groundup.actions.progress import Bound, KnownWorld, shown
from groundup.actions.reading import MarkNames
from groundup.actions.state import HeldValue, ValueSource
from groundup.actions.told_options import told_option
from groundup.actions.values import (
    ReadValue,
    read_values,
    unclear_values,
)
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import words

# What a corrected text stands behind.
_CORRECTED = re.compile(
    r"(?:.*:\s+|\A\W*(?:(?:no|sorry|oh|wait|actually|it's|it is|that's|should be|make it)\b\W*)+)"
    r"(\S.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
# "sorry, make it 12 bags" in reply to a question for a text.
_CHANGE = re.compile(
    r"\A\W*(?:(?:no|oh|ok|sorry|wait|actually|but|and|hang on|hold on)\b\W*)*"
    r"(?:can (?:you|we|i) )?(?:make|change) (?:it|that)\b",
    re.IGNORECASE,
)
# "no hang on, it was (2023)"
_NUMBER_ALONE = re.compile(
    r"\A\W*(?:(?:no|sorry|oh|wait|actually|hang on|hold on|i meant?|it was|it's|it is|that's"
    r"|should be|make it|number|the|year)\b\W*)*(\d{1,4})\W*(?:not \W*\d{1,4}\W*)?\Z",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{1,4}")
# The share of its words that were said before.
MOST = 0.5


@dataclass(frozen=True)
class MessageValues:
    """The values of a message."""

    values: dict[str, HeldValue] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    """Questions for what can be read in two ways, by slots."""
    either: dict[str, tuple[HeldValue, ...]] = field(default_factory=dict)
    """The values that it may be, by slots."""

    def only(self, keeps: Callable[[str], bool]) -> "MessageValues":
        """Return those of the slots that it keeps."""
        return MessageValues(
            {name: each for name, each in self.values.items() if keeps(name)},
            {name: each for name, each in self.unclear.items() if keeps(name)},
            {name: each for name, each in self.either.items() if keeps(name)},
        )


@dataclass(frozen=True)
class MessageReading:
    """Reads the messages of a conversation about an action. Raises what the world does."""

    action: Action
    world: KnownWorld
    known: Bound
    """What is known without a message."""
    today: datetime.date
    meanings: Meanings | None = None
    """For choices that are told; None: by words alone."""
    near: Mapping[str, datetime.date] = field(default_factory=dict)
    """Days that were spoken of before, by their slots."""

    def read(self, message: str, start: int = 0, asked: Slot | None = None) -> MessageValues:
        """Return the values of a message that begins at `start` of a longer one. `asked`: the slot
        whose question it replies to; a reply that changes another value is no text of its own.
        """
        if asked is not None and asked.type == "text" and _CHANGE.match(message):
            changed = self.read(message, start)
            if changed.values:
                return changed
        body = letter_body(own_words(message))
        if body != message and words(body):
            return self._of_body(self._read(body, start, asked), self._read(message, start, asked))
        return self._read(message, start, asked)

    def _of_body(self, body: MessageValues, whole: MessageValues) -> MessageValues:
        """Return the values of a message's own words (of a letter its body), and of the whole one
        names, texts and what they lack.
        """
        kinds = ("name", "text")
        names = {slot.name for slot in self.action.askable if slot.type in kinds}
        own = {*body.values, *body.unclear} - names

        first = body.only(lambda name: name in own)
        others = whole.only(lambda name: name not in own)
        return MessageValues(
            first.values | others.values,
            first.unclear | others.unclear,
            first.either | others.either,
        )

    def _read(self, message: str, start: int, asked: Slot | None) -> MessageValues:
        """Return the values of a message or of a part of it."""
        slots = tuple(self._with_names(slot) for slot in self.action.askable)
        asked_of = next((slot for slot in slots if asked and slot.name == asked.name), None)
        values = {}
        for slot, each in self._accepted(slots, message, asked, asked_of):
            source: ValueSource = "asked" if asked and asked.name == slot.name else "message"
            place = (start + each.start, start + each.end)
            values[slot.name] = HeldValue(
                each.value, source, *place, shown(self.action, slot, each.value)
            )
        for slot in self.action.askable:
            if slot.told and slot.name not in values and self.meanings is not None:
                told = told_option(self.action, slot, message, self.meanings)
                if told is not None and told.is_told:
                    place = start + told.start, start + told.end
                    values[slot.name] = HeldValue(told.option, "message", *place, told.option)
        unclear, both = {}, {}
        mark, near = self._mark_names, self.near
        found = unclear_values(slots, message, self.today, asked_of, mark, near)
        for name, readings in found.items():
            own = self.action.slot(name)
            if own is not None and name not in values:
                both[name] = tuple(
                    HeldValue(value, "message", shown=shown(self.action, own, value))
                    for value in readings
                )
                choices = f" {self.action.say('or')} ".join(each.shown for each in both[name])
                unclear[name] = self.action.say("unclear", values=choices)
        return MessageValues(values, unclear, both)

    @property
    def _mark_names(self) -> MarkNames | None:
        return None if self.meanings is None else self.meanings.mark_names

    def _accepted(
        self, slots: tuple[Slot, ...], message: str, asked: Slot | None, asked_of: Slot | None
    ) -> Iterator[tuple[Slot, ReadValue]]:
        """Yield the values that their slots accept."""
        mark, near = self._mark_names, self.near
        found = dict(read_values(slots, message, self.today, asked_of, mark, near))
        if slots != self.action.askable:  # a name that is not among the known ones
            own = self.action.askable
            others = read_values(own, message, self.today, asked, mark, near).items()
            known = [slot.name for slot in self.action.askable if slot.among]
            found = {name: each for name, each in others if name in known} | found
        for name, each in found.items():
            slot = self.action.slot(name)
            if slot is not None and slot.accepts(each.value):
                yield slot, each

    def _with_names(self, slot: Slot) -> Slot:
        """Return a slot of a name as a choice among the names that are known."""
        names = self.world.names(slot.among, self.known) if slot.among else ()
        if not names:
            return slot
        own = {name: set(words(name)) - STOP_WORDS["en"] for name in names}
        count = Counter(word for each in own.values() for word in each)
        # "the gym" is Weir Gym where no other name has the word
        options = {
            name: tuple(sorted(word for word in each if count[word] == 1 and len(each) > 1))
            for name, each in own.items()
        }
        return replace(slot, type="choice", among="", options=options)


def said_anew(action: Action, held: Mapping[str, HeldValue], message: str) -> MessageValues:
    """Return the text of a message that corrects the one text of an action: "no, number 14: 14 Mill
    Lane, Senby" after "4 Mill Lane, Senby". Most of its words are those of the text that was said.
    """
    texts = [slot for slot in action.askable if slot.type == "text" and slot.name in held]
    number = _NUMBER_ALONE.match(message)
    if number is not None:
        return _number_anew(texts, held, number)
    if len(texts) != 1:
        return MessageValues()
    slot, said_before = texts[0], set(words(str(held[texts[0].name].value)))
    for match in _CORRECTED.finditer(message):
        start, value = match.start(1), match[1].rstrip(" .!")
        own = words(value)
        same = sum(word in said_before for word in own)
        if same < max(2, MOST * len(own)) or not slot.accepts(value):
            continue
        found = HeldValue(value, "message", start, start + len(value), value)
        return MessageValues({slot.name: found})
    return MessageValues()


def _number_anew(
    texts: Sequence[Slot], held: Mapping[str, HeldValue], number: re.Match[str]
) -> MessageValues:
    """Return the one text that has one number, with another one of as many digits in its place."""
    numbered = [slot for slot in texts if _NUMBER.search(str(held[slot.name].value))]
    if len(numbered) != 1:
        return MessageValues()
    slot, before = numbered[0], str(held[numbered[0].name].value)
    said = _NUMBER.findall(before)
    value = before.replace(said[0], number[1])
    if len(said) != 1 or len(said[0]) != len(number[1]) or not slot.accepts(value):
        return MessageValues()
    return MessageValues({slot.name: HeldValue(value, "message", *number.span(1), value)})
