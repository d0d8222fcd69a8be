"""How far the values of an action reach: which lookups they let run, which rule refuses, which value
is needed next.

    advance(action, world, held, known) -> ActionProgress

Rules and lookups run in the order of the file, each as soon as all its names are known; an optional
slot that was not said counts as NULL once all others are known.
"""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from groundup.actions.amounts import with_amounts
from groundup.actions.definition import (
    CUSTOMER,
    NOW,
    TODAY,
    Action,
    Lookup,
    Rule,
    Slot,
    SlotValue,
    is_date,
)
from groundup.actions.state import HeldValue
from groundup.actions.templates import template_names
from groundup.actions.values import spoken
from groundup.language.messages import written_date

_DATE = Slot("date", "date")
Bound = dict[str, SlotValue | None]


class KnownWorld(Protocol):
    """What lookups and rules ask (`world.WorldReader`)."""

    def parameters(self, sql: str) -> tuple[str, ...]:
        """Return the names of a query's parameters."""

    def names(self, sql: str, values: Mapping[str, SlotValue | None]) -> tuple[str, ...]:
        """Return the first column of a query."""

    def rows(self, sql: str, values: Mapping[str, SlotValue | None]) -> tuple[tuple[str, ...], ...]:
        """Return the rows of a query as texts."""

    def first_row(
        self, sql: str, values: Mapping[str, SlotValue | None]
    ) -> dict[str, SlotValue | None] | None:
        """Return the first row of a query by its columns; None: there is none."""

    def is_true(self, sql: str, values: Mapping[str, SlotValue | None]) -> bool:
        """Return whether the one value of a query is true."""


@dataclass(frozen=True)
class ActionProgress:
    """What the values of an action come to."""

    bound: Bound
    """All parameters that are known."""
    held: dict[str, HeldValue]
    """The values of slots and the columns of lookups, as they are shown."""
    refused: Rule | None = None
    missing: Lookup | None = None
    """A lookup without a row."""
    needed: Slot | None = None
    """The first slot whose value is to be asked for."""


def known_values(today: datetime.date, now: str, customer: str | None) -> Bound:
    """Return what is known without an action."""
    return {TODAY: today.isoformat(), NOW: now, CUSTOMER: customer}


def advance(
    action: Action, world: KnownWorld, held: Mapping[str, HeldValue], known: Bound
) -> ActionProgress:
    """Run all lookups and rules that can run. Raises what the world does."""
    return _Advance(action, world, held, known).run()


def in_sentences(held: Mapping[str, HeldValue], bound: Bound) -> dict[str, str]:
    """Return values as sentences have them; those that are NULL are left out."""
    known = {
        name: said(None, bound[name])
        for name in (TODAY, NOW, CUSTOMER)
        if bound.get(name) is not None
    }
    return known | {name: each.shown for name, each in held.items() if each.shown}


def said(slot: Slot | None, value: SlotValue | None) -> str:
    """Return a value as sentences have it.

    >>> said(None, "2026-12-04"), said(None, 2.0), said(None, "£22.00 each")
    ('Friday 4 December 2026', '2', '£22 each')
    """
    if value is None:
        return ""
    if slot is not None and slot.accepts(value):
        shown = spoken(slot, value)
        if slot.type == "text" and not shown.endswith(".."):
            shown = shown.removesuffix(".")  # the sentence around it has its own
    elif isinstance(value, str) and is_date(value):
        shown = spoken(_DATE, value)
    elif isinstance(value, float) and value.is_integer():
        shown = str(int(value))
    else:
        shown = str(value)
    return shown if slot is not None and slot.asked else with_amounts(shown)


def rows_of(slot: Slot, world: KnownWorld, bound: Bound) -> tuple[tuple[str, ...], ...]:
    """Return the rows that a slot's value is chosen from, each with its value first; () where it
    has none, or not all is known yet.
    """
    if not slot.rows or any(name not in bound for name in world.parameters(slot.rows)):
        return ()
    return world.rows(slot.rows, bound)


def shown(action: Action, slot: Slot | None, value: SlotValue | None) -> str:
    """Return a value as sentences of an action have it: a date in its language, all else as
    `said`.
    """
    is_day = isinstance(value, str) and is_date(value) and (slot is None or slot.type == "date")
    if not is_day:
        return said(slot, value)
    return written_date(datetime.date.fromisoformat(str(value)), action.language)


class _Advance:
    def __init__(
        self, action: Action, world: KnownWorld, held: Mapping[str, HeldValue], known: Bound
    ) -> None:
        self.action = action
        self.world = world
        askable = {slot.name: slot for slot in action.askable}
        self.held = {
            name: each
            for name, each in held.items()
            if name in askable and askable[name].accepts(each.value)
        }
        self.bound: Bound = {**known, **{name: each.value for name, each in self.held.items()}}
        self.said, self.known = dict(self.held), known
        self.rules = list(action.rules)
        self.lookups = list(action.lookups)

    def run(self) -> ActionProgress:
        while True:
            refused = self._first_true_rule()
            taken = self._only_row_asked_by(refused)
            if taken:
                return advance(self.action, self.world, {**self.said, **taken}, self.known)
            if refused is not None:
                return ActionProgress(self.bound, self.held, refused=refused)
            ready = [each for each in self.lookups if self._is_ready(each.sql, each.missing)]
            if ready:
                lookup = ready[0]
                self.lookups.remove(lookup)
                row = self.world.first_row(lookup.sql, self.bound)
                if row is None:
                    return ActionProgress(self.bound, self.held, missing=lookup)
                self._add(row)
                continue
            needed = self._needed()
            if needed is not None and self._take_only_row(needed):
                continue
            unsaid = [slot.name for slot in self.action.slots if slot.name not in self.bound]
            if needed is not None or not unsaid:
                return ActionProgress(self.bound, self.held, needed=needed)
            self.bound |= dict.fromkeys(unsaid)

    def _first_true_rule(self) -> Rule | None:
        for rule in list(self.rules):
            if self._is_ready(rule.refuse_if, rule.say):
                self.rules.remove(rule)
                if self.world.is_true(rule.refuse_if, self.bound):
                    return rule
        return None

    def _is_ready(self, sql: str, sentence: str) -> bool:
        names: Iterable[str] = (*self.world.parameters(sql), *template_names(sentence).needed)
        return all(name in self.bound for name in names)

    def _add(self, row: Mapping[str, SlotValue | None]) -> None:
        """Take the columns of a lookup; what the user said of a slot that is asked for stays."""
        for name, value in row.items():
            slot = self.action.slot(name)
            if slot is not None and slot.asked and (name in self.held or not slot.accepts(value)):
                continue
            self.bound[name] = value
            self.held[name] = HeldValue(
                "" if value is None else value, "lookup", shown=shown(self.action, slot, value)
            )

    def _take_only_row(self, slot: Slot) -> bool:
        """Take the value of a slot that has one row to choose from."""
        rows = rows_of(slot, self.world, self.bound)
        if len(rows) != 1 or not slot.accepts(rows[0][0]):
            return False
        self._add({slot.name: rows[0][0]})
        return True

    def _only_row_asked_by(self, rule: Rule | None) -> dict[str, HeldValue]:
        """Return the value of a slot that a rule asks again and that has one row to choose from."""
        if rule is None:
            return {}
        for name in rule.ask_again:
            slot = self.action.slot(name)
            if slot is not None and name not in self.said and self._take_only_row(slot):
                return {name: self.held[name]}
        return {}

    def _needed(self) -> Slot | None:
        return next(
            (
                slot
                for slot in self.action.slots
                if slot.ask and not slot.optional and slot.name not in self.bound
            ),
            None,
        )
