"""One action of a conversation, as far as its values reach: lookups and rules run, then it is
refused, a value is asked for, or all of them are shown for a yes.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from groundup.actions.alternatives import alternatives
from groundup.actions.definition import Action, ActionSet, Slot, is_date
from groundup.actions.endings import Step, fingerprint_of, hash_of, with_offer
from groundup.actions.intent import ActionChooser
from groundup.actions.message_values import MessageReading, MessageValues
from groundup.actions.own_words import own_words, without_markup
from groundup.actions.progress import (
    ActionProgress,
    KnownWorld,
    advance,
    in_sentences,
    known_values,
    rows_of,
    shown,
)
from groundup.actions.read_words import codes_like
from groundup.actions.rows import listed, meant_row
from groundup.actions.state import ActionState, ActionTurn, Heard, HeldValue, Performance, TurnKind
from groundup.actions.templates import fill
from groundup.actions.told_options import told_option
from groundup.actions.values import read_values


class SlotFilling:
    """Fills the slots of the action that a state has."""

    def __init__(
        self,
        actions: ActionSet,
        world: KnownWorld,
        state: ActionState,
        heard: Heard,
        chooser: ActionChooser,
    ) -> None:
        self.actions = actions
        self.chooser = chooser
        self.world = world
        self.state = state
        self.heard = heard
        self.message = heard.message
        self.own = own_words(heard.message)
        self.known = known_values(heard.today, heard.now, heard.customer)

    def _read(
        self, action: Action, message: str, start: int = 0, asked: Slot | None = None
    ) -> MessageValues:
        today, meanings = self.heard.today, self.chooser.meanings
        near = self._spoken_of(action)
        reader = MessageReading(action, self.world, self.known, today, meanings, near)
        return reader.read(message, start, asked)

    def _spoken_of(self, action: Action) -> dict[str, datetime.date]:
        """Return the days of the action under way, by their slots: from them "the Thursday" and
        "the day after" count.
        """
        if action.name != self.state.action:
            return {}
        held = {**self.state.set_aside, **self.state.values}
        return {
            slot.name: datetime.date.fromisoformat(str(held[slot.name].value))
            for slot in action.askable
            if slot.type == "date" and slot.name in held
        }

    def _go_on(self, action: Action, values: Mapping[str, HeldValue], read: MessageValues) -> Step:
        return self._after(action, advance(action, self.world, values, self.known), read)

    def _after(self, action: Action, progress: ActionProgress, read: MessageValues) -> Step:
        """Refuse, ask or confirm, as far as the values reach."""
        values = {name: each for name, each in progress.held.items() if each.source != "lookup"}
        aside = {name: each for name, each in self.state.set_aside.items() if name not in values}
        self.state = replace(self.state, values=values, set_aside=aside, asked="")
        self.state = replace(self.state, taken_up=False, guessed=False, either=(), said_yes=False)
        if progress.refused is not None and progress.refused.instead:
            return self._handed_over(progress.refused.instead, read)
        if progress.refused is not None or progress.missing is not None:
            return self._stopped(action, progress, read)
        chosen = self._chosen_row(progress.needed, progress)
        chosen = chosen or self._counted_day(action, progress)
        chosen = chosen or self._told_choice(action, progress.needed)
        if chosen:
            return self._go_on(action, {**values, **chosen}, read)
        settled = self._settled(action, values, read)
        if settled:
            left = {name: each for name, each in read.unclear.items() if name not in settled}
            return self._go_on(action, {**values, **settled}, replace(read, unclear=left))
        turn = ActionTurn("ask", "", action, values=progress.held, read=tuple(read.values))
        unclear = next((slot for slot in action.askable if slot.name in read.unclear), None)
        if unclear is not None:
            either = read.either[unclear.name]
            self.state = replace(self.state, either=either)
            turn = replace(turn, choices=tuple(each.shown for each in either))
            return self._asking(turn, unclear, read.unclear[unclear.name])
        if progress.needed is not None:
            return self._asking(turn, progress.needed, self._question(progress.needed, progress))
        fingerprint = fingerprint_of(action, progress.bound)
        key = self.state.key
        if fingerprint != self.state.fingerprint or not key:
            new_key = hash_of(self.heard.key, action.name)
            key = self.state.unsettled.get(fingerprint, new_key)
        if action.effect is None:
            return self._perform(action, progress, key, turn.read)
        text = fill(action.confirm, in_sentences(progress.held, progress.bound))
        state = replace(
            self.state, waits="confirm", key=key, fingerprint=fingerprint, question=text
        )
        return Step(state, replace(turn, kind="confirm", text=text))

    def _handed_over(self, name: str, read: MessageValues) -> Step:
        """Go on with the values in another action."""
        action = self.actions.action(name)
        assert action is not None
        kept = {**self.state.set_aside, **self.state.values}
        values = {slot.name: kept[slot.name] for slot in action.askable if slot.name in kept}
        self.state = replace(self.state, action=name, set_aside={}, key="", fingerprint="")
        return self._go_on(action, values, read)

    def _settled(
        self, action: Action, held: Mapping[str, HeldValue], read: MessageValues
    ) -> dict[str, HeldValue]:
        """Return the value of a slot that may be several, of which lookups and rules allow one
        alone: of two names the one in the booking.
        """
        for name in read.unclear:
            fits = []
            for value in read.either.get(name, ()):
                tried = advance(action, self.world, {**held, name: value}, self.known)
                is_refused = tried.refused is not None and not tried.refused.instead
                if not is_refused and tried.missing is None:
                    fits.append(value)
            if len(fits) == 1:
                return {name: fits[0]}
        return {}

    def _chosen_row(self, slot: Slot | None, progress: ActionProgress) -> dict[str, HeldValue]:
        """Return the value of a slot whose row the message describes."""
        if slot is None or not slot.rows:
            return {}
        rows, least = rows_of(slot, self.world, progress.bound), 2 - (self.state.asked == slot.name)
        said = without_markup(self.message)
        row = meant_row(rows, said, least) or meant_row(rows, self.state.message, 2)
        fits = row is not None and slot.accepts(row)
        return {slot.name: HeldValue(row, "message", shown=row)} if row and fits else {}

    def _counted_day(self, action: Action, progress: ActionProgress) -> dict[str, HeldValue]:
        """Return the day that a message counts from the first one that was looked up: "move it to
        the day before".
        """
        slot, held = progress.needed, progress.held.values()
        days = [str(each.value) for each in held if each.source == "lookup"]
        days = [each for each in days if is_date(each)]
        if slot is None or slot.type != "date" or not days:
            return {}
        near, today = {slot.name: datetime.date.fromisoformat(days[0])}, self.heard.today
        for message in (self.message, self.state.message):
            read = read_values([slot], message, today, near=near).get(slot.name)
            if read is not None:
                value = read.value
                return {slot.name: HeldValue(value, "message", shown=shown(action, slot, value))}
        return {}

    def _told_choice(self, action: Action, slot: Slot | None) -> dict[str, HeldValue]:
        """Return the option that a message, or that which asked for the action, tells of the choice
        that is asked for next; not one with which the action would be refused, which is asked.
        """
        if slot is None or slot.type != "choice" or self.chooser.meanings is None:
            return {}
        for message in (self.message, self.state.message):
            told = told_option(action, slot, message, self.chooser.meanings)
            if told is None or not told.is_clear:
                continue
            value = HeldValue(told.option, "message", shown=told.option)
            if message == self.message:
                value = replace(value, start=told.start, end=told.end)
            held = {**self.state.values, slot.name: value}
            if advance(action, self.world, held, self.known).refused is None:
                return {slot.name: value}
        return {}

    def _known_codes(
        self, action: Action, read: MessageValues, message: str
    ) -> dict[str, HeldValue]:
        """Return the codes that a message has in a form that might be another number, where one
        alone is known to the world: "a new one for 8052".
        """
        found: dict[str, HeldValue] = {}
        for slot in action.askable:
            if slot.type != "code" or slot.name in {*read.values, *read.unclear}:
                continue
            fits: dict[str, HeldValue] = {}
            for each in codes_like(without_markup(message), slot):
                value = str(each.values[0])
                code = HeldValue(value, "message", each.start, each.end, value)
                progress = advance(action, self.world, {**read.values, slot.name: code}, self.known)
                if progress.missing is None and self._is_looked_up(action, slot, progress):
                    fits[value] = code
            if len(fits) == 1:
                found[slot.name] = next(iter(fits.values()))
        return found

    def _is_looked_up(self, action: Action, slot: Slot, progress: ActionProgress) -> bool:
        """Whether a lookup that asks for a slot's value has been run."""
        names = (self.world.parameters(each.sql) for each in action.lookups)
        return any(slot.name in each and set(each) <= progress.bound.keys() for each in names)

    def _question(self, slot: Slot, progress: ActionProgress) -> str:
        """Return the question for a slot, with the rows that its value is chosen from."""
        rows = rows_of(slot, self.world, progress.bound)
        return f"{slot.ask} {listed(rows)}.".strip() if rows else slot.ask

    def _stopped(self, action: Action, progress: ActionProgress, read: MessageValues) -> Step:
        """Say why it can't go on: by a rule, or since a lookup found nothing."""
        rule, lookup = progress.refused, progress.missing
        values = in_sentences(progress.held, progress.bound)
        again: tuple[str, ...] = ()
        if rule is not None:
            text, sql = fill(rule.say, values), rule.refuse_if
            if not rule.ends:
                again = rule.ask_again or self.world.parameters(sql)
        else:
            assert lookup is not None
            text, sql = fill(lookup.missing, values), lookup.sql
            held = self.state.values
            again = tuple(each for each in self.world.parameters(sql) if each in held)
        slots = [slot for slot in action.askable if slot.name in again]
        kind: TurnKind = "refused" if rule is not None else "ask"
        turn = ActionTurn(
            kind, text, action, values=progress.held, rule=rule, read=tuple(read.values)
        )
        if not slots:
            return self._ended("refused", text, action, turn)
        names = [slot.name for slot in slots]
        held = self.state.values
        kept = {name: each for name, each in held.items() if name not in names}
        aside = {name: each for name, each in held.items() if name in names}
        self.state = replace(self.state, values=kept, set_aside=aside)
        asked = next((slot for slot in slots if slot.ask), slots[0])
        is_asked = text.endswith("?")
        near = None
        if not self._asks_who(action, sql):
            tried = partial(self._would_go_on, action)
            near = alternatives(slots, held, self.heard.today, tried)
        if near is not None:
            asked, nearest = near
            turn = replace(turn, choices=tuple(shown(action, asked, each) for each in nearest))
            text = f"{text} {self._possible(action, turn.choices)}"
        question = text
        if not is_asked:
            question = self._question(asked, progress)
            text = f"{text} {question}".rstrip()
        elif asked.rows:
            text = f"{text} {self._question(replace(asked, ask=''), progress)}".rstrip()
        return self._asking(turn, asked, question or text, text)

    def _asks_who(self, action: Action, sql: str) -> bool:
        """Whether a query asks for a code or a name: what else it asks for may be a proof."""
        asked = map(action.slot, self.world.parameters(sql))
        return any(slot is not None and slot.type in ("code", "name") for slot in asked)

    def _possible(self, action: Action, choices: Sequence[str]) -> str:
        *others, last = choices
        values = f"{', '.join(others)} {action.say('or')} {last}"
        return action.say("possible", values=values)

    def _would_go_on(self, action: Action, held: Mapping[str, HeldValue]) -> bool:
        progress = advance(action, self.world, held, self.known)
        return progress.refused is None and progress.missing is None

    def _asking(self, turn: ActionTurn, slot: Slot, question: str, text: str = "") -> Step:
        state = replace(
            self.state, waits="value", asked=slot.name, question=question, key="", fingerprint=""
        )
        return Step(state, replace(turn, text=text or question, asked=slot))

    def _ended(
        self, kind: TurnKind, text: str, action: Action, turn: ActionTurn | None = None
    ) -> Step:
        turn = replace(turn or ActionTurn(kind, text, action), kind=kind, text=text)
        state = ActionState(wishes=self.state.wishes, unsettled=self.state.unsettled)
        return with_offer(self.actions, Step(state, turn))

    def _perform(
        self, action: Action, progress: ActionProgress, key: str, read: Sequence[str] = ()
    ) -> Step:
        held = progress.held
        what = Performance(action, False, key, progress.bound, held, self.state, tuple(read))
        return Step(self.state, performance=what)
