"""What is wrong with actions as a whole: names that nothing gives, slots that no question can fill,
SQL that does not fit the tables, values that would be written without having been shown.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from groundup.actions.definition import (
    CUSTOMER,
    KNOWN,
    NOW,
    REFERENCE,
    TODAY,
    Action,
    ActionSet,
    Effect,
    Undo,
)
from groundup.actions.statements import WORLD_SQL, WorldTables, tables_in_memory
from groundup.actions.templates import template_names
from groundup.errors import ConfigError, did_you_mean

MAX_SENTENCE_CHARACTERS = 600
# Known before an action is confirmed.
BEFORE = frozenset({TODAY, NOW, CUSTOMER})
_COLUMN = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class ActionFault:
    """What is wrong at a place of actions.toml."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place} {self.reason}"


def faults(found: ActionSet) -> Iterator[ActionFault]:
    """Yield all that is wrong with actions beside their world.sql."""
    try:
        with tables_in_memory(found.world_sql) as tables:
            yield from faults_beside(found, tables)
    except ConfigError as error:
        reason = error.message.removeprefix(f"{WORLD_SQL}: ").removesuffix(".")
        yield ActionFault(WORLD_SQL, reason)


def faults_beside(found: ActionSet, tables: WorldTables) -> Iterator[ActionFault]:
    """Yield all that is wrong with actions beside some tables."""
    titles: set[str] = set()
    yield from _handed_over(found)
    for action in found.actions:
        if action.title in titles:
            reason = f"is {action.title!r} like that of another action"
            yield ActionFault(f"actions.{action.name}.title", reason)
        titles.add(action.title)
        yield from _Checks(action, tables).faults()


def _handed_over(found: ActionSet) -> Iterator[ActionFault]:
    """Yield rules that hand over to what is no action, or to one that may hand over again."""
    handing = {each.name for each in found.actions if any(rule.instead for rule in each.rules)}
    names = [each.name for each in found.actions]
    for action in found.actions:
        for number, rule in enumerate(action.rules):
            where = f"actions.{action.name}.rules[{number}].instead"
            if rule.instead and rule.instead not in names:
                hint = did_you_mean(rule.instead, names)
                yield ActionFault(where, f"names no action: '{rule.instead}'. {hint}".rstrip(" ."))
            elif rule.instead in handing:
                yield ActionFault(where, f"names '{rule.instead}', which hands over itself")


class _Checks:
    """The checks of one action; `known` grows by the columns of its lookups."""

    def __init__(self, action: Action, tables: WorldTables) -> None:
        self.action = action
        self.tables = tables
        self.where = f"actions.{action.name}"
        self.slots = {slot.name for slot in action.slots}
        self.optional = {slot.name for slot in action.slots if slot.optional}
        self.askable = {slot.name for slot in action.askable}
        self.known = set(BEFORE | self.askable)
        self.columns: set[str] = set()

    def faults(self) -> Iterator[ActionFault]:
        yield from self._slots()
        yield from self._lookups()
        yield from self._unfilled()
        yield from self._rules()
        action, effect = self.action, self.action.effect
        after = self.known | {REFERENCE}
        yield from self._sentence(f"{self.where}.title", action.title, ())
        yield from self._sentence(f"{self.where}.done", action.done, after)
        if effect is not None:
            yield from self._sentence(f"{self.where}.confirm", action.confirm, self.known)
            yield from self._changes(f"{self.where}.effect", effect, after)
            yield from self._mail(effect, after)
            yield from self._tool(effect, after)
            yield from self._unshown(effect, after)
        if action.undo is not None:
            yield from self._undo(action.undo, after)

    def _slots(self) -> Iterator[ActionFault]:
        for slot in self.action.slots:
            where = f"{self.where}.slots.{slot.name}"
            if slot.name in KNOWN:
                reason = f"has a name that is known without it (so are {', '.join(KNOWN)})"
                yield ActionFault(where, reason)
            if slot.ask:
                yield from self._sentence(f"{where}.ask", slot.ask, ())
            if slot.among:
                checked = self.tables.query(slot.among)
                if checked.fault:
                    yield ActionFault(f"{where}.among", checked.fault)
                yield from self._unknown(f"{where}.among", checked.parameters, BEFORE)
            if slot.rows:
                checked = self.tables.query(slot.rows)
                if checked.fault:
                    yield ActionFault(f"{where}.rows", checked.fault)
                names = self.known | self._lookup_columns()
                yield from self._unknown(f"{where}.rows", checked.parameters, names - {slot.name})

    def _lookup_columns(self) -> set[str]:
        listed = (self.tables.query(lookup.sql).columns for lookup in self.action.lookups)
        return {name for columns in listed for name in columns}

    def _lookups(self) -> Iterator[ActionFault]:
        for number, lookup in enumerate(self.action.lookups):
            where = f"{self.where}.lookups[{number}]"
            checked = self.tables.query(lookup.sql)
            if checked.fault:
                yield ActionFault(f"{where}.sql", checked.fault)
                continue
            yield from self._unknown(f"{where}.sql", checked.parameters, self.known)
            yield from self._sentence(f"{where}.missing", lookup.missing, self.known)
            for column in checked.columns:
                if not _COLUMN.fullmatch(column):
                    reason = "of lower-case letters, digits and _: SELECT ... AS name"
                    yield ActionFault(f"{where}.sql", f"gives '{column}', expected a name {reason}")
                elif column in KNOWN or column in self.columns:
                    yield ActionFault(f"{where}.sql", f"gives '{column}', which is known already")
            self.columns |= set(checked.columns)
            self.known |= set(checked.columns)

    def _unfilled(self) -> Iterator[ActionFault]:
        for name in sorted(self.slots - self.askable - self.columns):
            reason = "has no question (ask) and no lookup that gives it, so nothing can fill it"
            yield ActionFault(f"{self.where}.slots.{name}", reason)

    def _rules(self) -> Iterator[ActionFault]:
        for number, rule in enumerate(self.action.rules):
            where = f"{self.where}.rules[{number}]"
            say: str | None = rule.say
            if rule.instead:
                say = None
            yield from self._condition(f"{where}.refuse_if", rule.refuse_if, say, self.known)
            if rule.ends:
                continue
            again = self.tables.query(rule.refuse_if).parameters
            if not rule.ask_again and not self.askable & set(again):
                reason = "asks no slot again: give ask_again, or leave out ends = false"
                yield ActionFault(where, reason)
            for name in sorted(set(rule.ask_again) - self.askable):
                yield ActionFault(
                    f"{where}.ask_again",
                    f"names '{name}', which is no slot that is asked for. "
                    f"{did_you_mean(name, self.askable)}".rstrip("."),
                )

    def _condition(
        self, where: str, sql: str, say: str | None, known: Set[str]
    ) -> Iterator[ActionFault]:
        checked = self.tables.query(sql)
        if checked.fault:
            yield ActionFault(where, checked.fault)
            return
        if len(checked.columns) != 1:
            yield ActionFault(where, f"gives {len(checked.columns)} values, expected one")
        yield from self._unknown(where, checked.parameters, known)
        if say is not None:
            yield from self._sentence(f"{where.rpartition('.')[0]}.say", say, known)

    def _changes(self, where: str, change: Effect | Undo, known: Set[str]) -> Iterator[ActionFault]:
        for number, sql in enumerate(change.sql):
            place = f"{where}.sql[{number}]"
            checked = self.tables.change(sql)
            if checked.fault:
                yield ActionFault(place, checked.fault)
            yield from self._unknown(place, checked.parameters, known)

    def _mail(self, effect: Effect, known: Set[str]) -> Iterator[ActionFault]:
        if effect.mail is None:
            return
        where = f"{self.where}.effect.mail"
        for field in ("to", "subject", "body"):
            yield from self._sentence(f"{where}.{field}", getattr(effect.mail, field), known)
        for name in sorted(set(template_names(effect.mail.to).all) & self.askable):
            reason = f"names the slot '{name}': a user would choose who gets the message"
            yield ActionFault(f"{where}.to", reason)

    def _tool(self, effect: Effect, known: Set[str]) -> Iterator[ActionFault]:
        for argument, name in self._tool_names(effect).items():
            where = f"{self.where}.effect.mcp.arguments.{argument}"
            yield from self._unknown(where, [name], known)

    def _tool_names(self, effect: Effect) -> Mapping[str, str]:
        if effect.mcp is None:
            return {}
        return effect.mcp.names([slot.name for slot in self.action.slots])

    def _unshown(self, effect: Effect, known: Set[str]) -> Iterator[ActionFault]:
        """Nothing is written that the user was not shown before saying yes."""
        written: set[str] = set()
        for sql in effect.sql:
            written |= set(self.tables.change(sql).parameters)
        if effect.mail is not None:
            for text in (effect.mail.to, effect.mail.subject, effect.mail.body):
                written |= set(template_names(text).all)
        written |= set(self._tool_names(effect).values())
        if effect.http is not None or effect.python:
            written = self.slots
        shown = set(template_names(self.action.confirm).all)
        for name in sorted((written & self.askable & known) - shown):
            form = f"[... {{{name}}}]" if name in self.optional else f"{{{name}}}"
            reason = f"does not show '{name}', which the effect writes: add {form}"
            yield ActionFault(f"{self.where}.confirm", reason)

    def _undo(self, undo: Undo, known: Set[str]) -> Iterator[ActionFault]:
        where = f"{self.where}.undo"
        yield from self._changes(where, undo, known)
        if undo.refuse_if:
            yield from self._condition(f"{where}.refuse_if", undo.refuse_if, undo.say, known)
        yield from self._sentence(f"{where}.confirm", undo.confirm, known)
        yield from self._sentence(f"{where}.done", undo.done, known)

    def _unknown(self, where: str, names: Iterable[str], known: Set[str]) -> Iterator[ActionFault]:
        for name in dict.fromkeys(names):
            if name not in known:
                yield ActionFault(where, f"uses :{name}, {self._why(name, known)}")

    def _sentence(self, where: str, text: str, known: Iterable[str]) -> Iterator[ActionFault]:
        found, names = template_names(text), set(known)
        if not text.strip():
            yield ActionFault(where, "is empty")
        elif len(text) > MAX_SENTENCE_CHARACTERS:
            yield ActionFault(where, f"is over {MAX_SENTENCE_CHARACTERS} characters")
        if found.fault:
            yield ActionFault(where, found.fault)
        for name in dict.fromkeys(found.all):
            if name not in names:
                yield ActionFault(where, f"names {{{name}}}, {self._why(name, names)}")
        for name in dict.fromkeys(found.needed):
            if name in self.optional - self.columns:
                reason = "may have no value: put that part in brackets, "
                yield ActionFault(where, f"names {{{name}}}, which {reason}[... {{{name}}}]")

    def _why(self, name: str, known: Set[str]) -> str:
        if name in self.slots | self.columns | set(KNOWN):
            return "which is not known there"
        known_there = did_you_mean(name, known).rstrip(".") if known else "No value is known there"
        return f"which nothing gives. {known_there}"
