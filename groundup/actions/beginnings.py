"""How an action begins: of a message that asks for something, of an earlier wish, or of given values.

"cancel P7RYA2 and a table for 4"    two wishes: the first is begun, the other one kept
"kids are ill. W9LEN4, Whitcombe"    likely to cancel: begun as a guess
an action near, but not sure         asked which, or whether
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from groundup.actions.definition import Action, ActionSet
from groundup.actions.endings import Step, ask_which, understood
from groundup.actions.likely import (
    LIKELY,
    as_guess,
    is_whole,
    likely_actions,
    may_be_question,
    with_code,
)
from groundup.actions.message_form import asking_part
from groundup.actions.message_values import MessageValues
from groundup.actions.own_words import mail_of, own_words
from groundup.actions.slot_filling import SlotFilling
from groundup.actions.state import ActionState, HeldValue, Wish
from groundup.actions.wishes import (
    MAX_WISHES,
    UNASKED,
    counted_wishes,
    known_from,
    listed_wishes,
    parts_behind,
    reference_of,
    wishes_of,
)

# Of the message that asked for an action.
MAX_KEPT_CHARACTERS = 1000
# Keys of sentences.
WHICH, OFFERED = "which", "offered"


class Beginnings(SlotFilling):
    """Begins what a message asks for."""

    def begin_wish(self, wish: Wish, others: Sequence[Wish]) -> Step:
        """Begin a wish of an earlier message."""
        return self._start(wish, others, MessageValues())

    def begin_with(self, action: Action, values: Mapping[str, HeldValue]) -> Step:
        """Take the values of an action as they are."""
        self.state = ActionState(action=action.name)
        return self._go_on(action, values, MessageValues())

    def _begin(self) -> Step:
        if self.heard.is_unsure:
            name = self.chooser.choose(self.own, is_unsure=True)
            return self._which(OFFERED, name)
        found = self._as_one(wishes_of(self.message, self.chooser, self._says_all))
        wishes = [one for each in found for one in self._each_of(each)][:MAX_WISHES]
        if len(found) < 2 and (either := self.chooser.either(self.own)) is not None:
            return self._one_of(either)
        if not wishes:
            return Step(self.state)
        if len(wishes) == 1:
            named = self.chooser, self.actions, self.own, wishes[0].action
            wishes = [replace(wishes[0], action=with_code(*named, self._values_of))]
        made = _in_order(self.actions, self._start(wishes[0], wishes[1:]), wishes)
        is_told = len(wishes) == 1 and self.chooser.form(self.own) in UNASKED
        return as_guess(made) or made if is_told and not made.state.values else made

    def _as_one(self, wishes: list[Wish]) -> list[Wish]:
        """Return two wishes of which one's action may hand over to the other's as the other's."""
        for one, other in itertools.permutations(wishes, 2):
            if len(wishes) == 2 and self._hands_over(one.action, other.action):
                return [Wish(other.action, self.message)]
        return wishes

    def _hands_over(self, one: str, other: str) -> bool:
        action = self.actions.action(one)
        return action is not None and other in {each.instead for each in action.rules}

    def _each_of(self, wish: Wish) -> list[Wish]:
        """Return a wish for each thing that one lists; of two halves with other values for the same
        slots each its own: "sign Callum up for chess and Isla for art".
        """
        action, listed = self.actions.action(wish.action), listed_wishes(self.actions, wish)
        if action is None or len(listed) > 1:
            return listed
        counted = counted_wishes(
            action, wish.message, lambda: self._read(action, wish.message).values
        )
        if len(counted) > 1:
            return counted
        for end, start in parts_behind(wish.message):
            halves = [wish.message[:end], " " * start + wish.message[start:]]
            if self.chooser.form(halves[0]) in UNASKED:
                continue
            one, other = (self._read(action, each).values for each in halves)
            same = one.keys() & other.keys()
            if len(same) > 1 and all(one[name].value != other[name].value for name in same):
                return [Wish(wish.action, each) for each in halves]
        return listed

    def _begin_likely(self) -> Step:
        """Begin what a message asks for where no action is sure, as a guess where it is not likely by
        itself; of two that are about as likely ask which one. What only a mail asks for is offered.
        """
        found = likely_actions(self.chooser, self.actions, self.own, self._values_of)
        if not found and (mail := mail_of(self.message)):
            name = self.chooser.choose(mail)
            return self._which(OFFERED, name)
        if len(found) != 1:
            return self._one_of([each.action for each in found])
        name = found[0].action
        first, *others = self._each_of(Wish(name, self.message))
        made = self._start(first, others)
        if found[0].odds >= LIKELY:
            return made
        return as_guess(made) or self._which(OFFERED, name)

    def _may_be_question(self) -> bool:
        """Whether documents are asked first, and the action is offered with what they hold."""
        message = own_words(self.heard.message)
        return may_be_question(self.chooser, self.actions, message, self._values_of)

    def _values_of(self, name: str) -> Collection[str]:
        action = self.actions.action(name)
        if action is None:
            return ()
        read = self._read(action, self.message)
        return {*read.values, *read.unclear}

    def _says_all(self, name: str, text: str) -> bool:
        """Whether a text has all values of an action, and that is much."""
        action = self.actions.action(name)
        return action is not None and is_whole(action, self._read(action, text).values)

    def _one_of(self, names: Sequence[str]) -> Step:
        """Begin that of two actions which may hand over to the other one, or ask which is meant."""
        for one, other in itertools.permutations(names, 2):
            if self._hands_over(one, other):
                return self._start(Wish(one, self.message), ())
        return self._which(WHICH, *names)

    def _which(self, question: str, *names: str | None) -> Step:
        """Ask which action is meant, or whether one is; without any the message is for none."""
        found = [*filter(None, names)]
        if not found:
            return Step(self.state)
        return ask_which(self.actions, self.state, question, self.message, found)

    def _start(self, wish: Wish, others: Sequence[Wish], more: MessageValues | None = None) -> Step:
        action = self.actions.action(wish.action)
        assert action is not None
        read = self._read_wish(action, wish.message)
        values = {**read.values, **self._known_codes(action, read, wish.message)}
        if more is not None:  # the wish stands in an earlier message
            values = {name: replace(each, start=0, end=0) for name, each in values.items()}
            values |= more.values
            read = more
        last, is_later = self.state.last, more is None
        values = {**known_from(self.actions, last, action, wish, is_later=is_later), **values}
        values = {**reference_of(last, action, values), **values}
        self.state = ActionState(
            action=action.name,
            message=wish.message[:MAX_KEPT_CHARACTERS],
            last=self.state.last,
            wishes=tuple(others),
            unsettled=self.state.unsettled,
        )
        made = self._go_on(action, values, read)
        turn = made.turn
        if turn is None or turn.kind != "ask" or turn.text != made.state.question:
            return made
        text = f"{understood(action, made.state.values)} {turn.text}".lstrip()
        return replace(made, turn=replace(turn, text=text))

    def _read_wish(self, action: Action, message: str) -> MessageValues:
        """Return the values of a message; of several the one that stands where it asks."""
        read = self._read(action, message)
        codes = {slot.name for slot in action.askable if slot.type == "code"}
        open_ones = {*read.unclear, *(codes - read.values.keys())}
        part = asking_part(message) if open_ones else ""
        if not part:
            return read
        own = self._read(action, part, max(0, message.find(part))).values
        own = {name: each for name, each in own.items() if name in open_ones}
        unclear = {name: each for name, each in read.unclear.items() if name not in own}
        return MessageValues({**read.values, **own}, unclear, read.either)


def _in_order(actions: ActionSet, made: Step, wishes: Sequence[Wish]) -> Step:
    """Return the first step of several wishes with the titles of those that come after it."""
    turn, names = made.turn, [each.action for each in wishes]
    found = [actions.action(name) for name in dict.fromkeys(names)]
    titles = [each.title for each in found if each is not None]
    if turn is None or turn.kind not in ("ask", "confirm") or len(titles) < 2:
        return made
    said = turn.action.say("first_of_several", titles="; ".join(titles[1:]))
    return replace(made, turn=replace(turn, text=f"{said} {turn.text}"))
