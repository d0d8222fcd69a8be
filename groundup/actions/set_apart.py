"""What of a message is set apart, so that the rest of it is read alone.

"unfreeze 6630, oh and what time do you shut?"    the question, which documents answer
"yes, and freeze 8052 too"                        the wish, which is kept for later
"""

from collections.abc import Sequence
from dataclasses import replace

from groundup.actions.beginnings import Beginnings
from groundup.actions.definition import Action, Slot
from groundup.actions.endings import Step
from groundup.actions.intent import NEAR
from groundup.actions.intent_words import CODE, VALUE_TYPES, words_of
from groundup.actions.likely import likely_actions
from groundup.actions.own_words import own_words
from groundup.actions.pending import pending
from groundup.actions.reading import Reading, blanked
from groundup.actions.replies import reads_no, reads_yes
from groundup.actions.side_questions import (
    asked_words,
    asks_apart,
    is_plainly_asked,
    question_spans,
    wants_answer,
)
from groundup.actions.state import Wish
from groundup.actions.wishes import (
    MAX_WISHES,
    adds_to,
    corrects,
    listed_wishes,
    parts_behind,
    second_of_two,
    wishes_of,
)
from groundup.language.terms import words

# Forms of an order, and the kinds of values with which a message of any form is one.
ORDERING, ORDERED_VALUES = ("request", "please"), 3


class SettingApart(Beginnings):
    """Sets apart what a message asks beside or behind what it is read for."""

    def _without_questions(self) -> str:
        """Leave out of a message what it asks beside an order or a value, where documents answer
        that: it asks for no action and has no value. Return it. A yes with a question is no plain
        yes, so it is left whole, but for one on something else: "Yes, do that. And when do you shut?"
        """
        if self.heard.is_unsure or self.state.waits not in ("", "value", "confirm"):
            return ""
        spans = [
            (start, end)
            for start, end in question_spans(self.own)
            if self.chooser.choose(asked_words(self.own[start:end])) is None
        ]
        rest = _blanked(self.message, spans)
        if not spans or not words(rest):
            return ""
        actions = self._ordered(rest, spans)
        if not actions or any(self._gives_more(each, spans, rest) for each in actions):
            return ""
        clauses = [self.own[start:end] for start, end in spans]
        asked = " ".join(asked_words(each) for each in clauses if wants_answer(each))
        self.message, self.own = rest, _blanked(self.own, spans)
        return asked

    def _ordered(self, rest: str, spans: Sequence[tuple[int, int]]) -> list[Action]:
        """Return the actions for which a message is without its questions; [] where these are what
        it is about: "My card was stolen. Which number do I call?".
        """
        if self.state.waits:
            action = self.actions.action(self.state.action)
            if action is None:
                return []
            asked = action.slot(self.state.asked)
            if asked is not None and asked.type == "text":
                return []
            if reads_yes(rest):
                is_apart = all(asks_apart(self.own[start:end]) for start, end in spans)
                return [action] * (is_apart and self.state.waits == "confirm")
            return [action] * bool(self._read(action, rest, 0, asked).values)
        found = [*map(self.actions.action, self._asked_for(rest))]
        is_order = self.chooser.form(rest) in ORDERING or _has_values(rest)
        if not is_order and not self._asked_for(self.message):
            return []
        return [each for each in found if each is not None]

    def _asked_for(self, message: str) -> list[str]:
        found = wishes_of(message, self.chooser, self._says_all)
        if found:
            return [each.action for each in found]
        likely = likely_actions(self.chooser, self.actions, own_words(message), self._values_of)
        return [each.action for each in likely]

    def _gives_more(self, action: Action, spans: Sequence[tuple[int, int]], rest: str) -> bool:
        """Whether questions have a value for an action that the rest of the message has not, or in
        place of one that was chosen: not "what does a coffee on board cost?" for a surfboard.
        """
        given = self._read(action, rest).values
        is_plain = all(is_plainly_asked(self.own[start:end]) for start, end in spans)
        asked = " ".join(self.message[start:end] for start, end in spans)
        more = {*(found := self._read(action, asked)).values, *found.unclear} - given.keys()
        slots = [slot for slot in map(action.slot, more) if slot is not None]
        kept = [s for s in slots if s.type == "choice" and s.name in self.state.values and is_plain]
        return any(slot.type not in ("number", "name") for slot in slots if slot not in kept)

    def _set_apart(self) -> bool:
        """Keep for later what a reply asks for behind its answer, and leave the answer alone to be
        read: "yes, and freeze 8052 too". Return whether there was something.
        """
        action, asked = self.actions.action(self.state.action), None
        if action is None or self.state.waits not in ("confirm", "value"):
            return False
        asked = action.slot(self.state.asked)
        if asked is not None and asked.type == "text":
            return False
        for end, start in parts_behind(self.message):
            head = self.message[:end]
            wishes = self._wishes_behind(action, start)
            if not wishes or not self._answers(action, asked, head):
                continue
            kept = (*self.state.wishes, *wishes)[:MAX_WISHES]
            self.state = replace(self.state, wishes=kept)
            self.message, self.own = head, own_words(head)
            return True
        return False

    def _with_second(self) -> Step | None:
        """Keep the second of two things for later, where the first one is shown or under way: "no
        wait, two tables, the other for 6"; what was said of the first one holds.
        """
        action, held = self.actions.action(self.state.action), self.state.values
        waiting = pending(self.actions, self.state)
        if action is None or waiting is None or self.state.waits not in ("confirm", "value"):
            return None
        said = second_of_two(self.own, action.title)
        if said is None or (waiting.asked is not None and waiting.asked.type == "text"):
            return None
        head, start = said
        behind = " " * start + self.message[start:]
        other = self._read(action, behind).values
        if all(name in held and held[name].value == other[name].value for name in other):
            return None
        wishes = (*self.state.wishes, Wish(action.name, behind))[:MAX_WISHES]
        self.state = replace(self.state, wishes=wishes)
        first = self._read(action, head)
        made = Step(self.state, waiting)
        if first.values:
            made = self._go_on(action, {**held, **first.values}, first)
        return self._first_this(made)

    def _first_this(self, made: Step) -> Step:
        """Return a step with the sentence that something else comes next."""
        if made.turn is None or made.turn.kind not in ("ask", "confirm"):
            return made
        text = f"{made.turn.action.say('first_this')} {made.turn.text}"
        return replace(made, turn=replace(made.turn, text=text))

    def _answers(self, action: Action, asked: Slot | None, head: str) -> bool:
        """Whether the first part of a reply is the answer to the question that waits."""
        if self.state.waits == "confirm":
            return reads_yes(head) or reads_no(head)
        return asked is not None and asked.name in self._read(action, head, 0, asked).values

    def _wishes_behind(self, action: Action, start: int) -> list[Wish]:
        """Return what a reply asks for from a place on: another action, or the same one once more;
        not what changes or gives values of the one under way.
        """
        behind = " " * start + self.message[start:]
        read = self._read(action, behind).values
        is_beside, odds = adds_to(self.message, start), self.chooser.odds(behind)
        is_other = odds.get(action.name, 0.0) < NEAR and not corrects(self.message, start)
        found = [each for each in wishes_of(behind, self.chooser) if each.action != action.name]
        if found and (is_beside or is_other or not read):
            return [one for each in found for one in listed_wishes(self.actions, each)]
        held = self.state.values
        is_again = any(name in held and held[name].value != read[name].value for name in read)
        if self.state.waits == "confirm" and is_beside and is_again:
            return [Wish(action.name, behind)]
        return []


def _has_values(text: str) -> bool:
    kinds = words_of(text) & VALUE_TYPES
    return CODE in kinds or len(kinds) >= ORDERED_VALUES


def _blanked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    return blanked(text, [Reading(start, end, ()) for start, end in spans])
