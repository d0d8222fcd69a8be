"""actions.toml and world.sql, read and checked whole before anyone uses them.

read_actions(folder) -> ActionSet | None     None: the folder has no actions.toml
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from groundup.actions.definition import Action, ActionSet, Effect, Lookup, Rule, Slot, Undo
from groundup.actions.soundness import faults
from groundup.actions.statements import WORLD_SQL
from groundup.config import build_config, read_toml
from groundup.errors import ConfigError, FormatError, require
from groundup.files import read_text

ACTIONS_FILE, TABLE, TRIAL = "actions.toml", "actions", "trial_customer"
MAX_WORLD_BYTES = 2**22
MAX_CUSTOMER_CHARACTERS = 256
MAX_ACTIONS, MAX_SLOTS, MAX_RULES = 40, 20, 30
SEE = "See docs/actions.md."
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def read_actions(folder: Path) -> ActionSet | None:
    """Return the actions of a folder; None without an actions.toml.

    Raises ConfigError for the first thing that is wrong, with its file and field.
    """
    found = parse_actions(folder)
    for fault in faults(found) if found else ():
        raise ConfigError(f"{folder / ACTIONS_FILE}: {fault}.", fix=SEE)
    return found


def parse_actions(folder: Path) -> ActionSet | None:
    """`read_actions` without the check of the whole (`soundness.faults`).

    Raises ConfigError, which names file and field.
    """
    file = folder / ACTIONS_FILE
    if not file.is_file():
        return None
    try:
        tables = read_toml(file)
        unknown = sorted(tables.keys() - {TABLE, TRIAL})
        if unknown:
            fix = f"Each action is a table: [{TABLE}.NAME]."
            raise ConfigError(f"Unknown table '{unknown[0]}'.", fix=fix)
        actions = tables.get(TABLE)
        expected = f"1 to {MAX_ACTIONS} tables [{TABLE}.NAME]"
        fits = isinstance(actions, dict) and 0 < len(actions) <= MAX_ACTIONS
        require(fits, TABLE, repr(actions)[:60], expected)
        assert isinstance(actions, dict)
        found = tuple(_action(name, table) for name, table in actions.items())
        trial = tables.get(TRIAL, "")
        what = f"a text of at most {MAX_CUSTOMER_CHARACTERS} characters"
        is_text = isinstance(trial, str) and len(trial) <= MAX_CUSTOMER_CHARACTERS
        require(is_text, TRIAL, repr(trial)[:60], what)
    except ConfigError as error:
        message = error.message.removeprefix(f"{file}: ")
        raise ConfigError(f"{file}: {message}", fix=error.fix or SEE) from error
    world = folder / WORLD_SQL
    if not world.exists():
        return ActionSet(found, trial_customer=trial)
    try:
        return ActionSet(found, read_text(world, max_bytes=MAX_WORLD_BYTES), trial)
    except FormatError as error:
        raise ConfigError(f"{error.message}.", fix=error.fix) from error


def _action(name: str, table: Any) -> Action:
    where = f"{TABLE}.{name}"
    _require_name(name, where)
    values = dict(_table(table, where))
    slots = _table(values.pop("slots", {}), f"{where}.slots")
    lookups = values.pop("lookups", [])
    rules = values.pop("rules", [])
    effect, undo = values.pop("effect", None), values.pop("undo", None)
    require(len(slots) <= MAX_SLOTS, f"{where}.slots", len(slots), f"at most {MAX_SLOTS}")
    parts: dict[str, Any] = {
        "slots": tuple(_slot(each, slots[each], f"{where}.slots") for each in slots),
        "lookups": tuple(_listed(Lookup, lookups, f"{where}.lookups")),
        "rules": tuple(_listed(Rule, rules, f"{where}.rules")),
    }
    for field, kind, part in (("effect", Effect, effect), ("undo", Undo, undo)):
        if part is not None:
            place = f"{where}.{field}"
            parts[field] = _part(kind, _with_sql_list(part, place), place)
    if "name" in values:
        raise ConfigError(f"Unknown field '{where}.name'.", fix="The table's name is the name.")
    if "language" in values:
        fix = "It is that of the pack: language in pack.toml."
        raise ConfigError(f"Unknown field '{where}.language'.", fix=fix)
    return _part(Action, {**values, **parts, "name": name}, where)


def _slot(name: str, table: Any, where: str) -> Slot:
    _require_name(name, where)
    values = dict(_table(table, f"{where}.{name}"))
    options = values.get("options")
    if isinstance(options, list):
        options = dict.fromkeys(map(str, options), ())
    if options is not None:
        values["options"] = options
    if "name" in values:
        fix = "The table's name is the name."
        raise ConfigError(f"Unknown field '{where}.{name}.name'.", fix=fix)
    return _part(Slot, {**values, "name": name}, f"{where}.{name}")


def _listed(kind: type, tables: Any, where: str) -> Iterator[Any]:
    fits = isinstance(tables, list) and len(tables) <= MAX_RULES
    require(fits, where, "something else", f"at most {MAX_RULES} tables [[{where}]]")
    for number, table in enumerate(tables):
        place = f"{where}[{number}]"
        yield _part(kind, _table(table, place), place)


def _part(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """Return a part of an action; a fault in it names its place."""
    try:
        return build_config(kind, values, where=f"{where}.")
    except ConfigError as error:
        if where in error.message:
            raise
        raise ConfigError(f"{where}.{error.message}", fix=error.fix) from error


def _with_sql_list(table: Any, where: str) -> Mapping[str, Any]:
    """A single statement may stand without its list."""
    values = dict(_table(table, where))
    if isinstance(values.get("sql"), str):
        values["sql"] = [values["sql"]]
    return values


def _table(value: Any, where: str) -> Mapping[str, Any]:
    require(isinstance(value, dict), where, repr(value)[:60], f"a table: [{where}]")
    return value


def _require_name(name: str, where: str) -> None:
    fits = _NAME.fullmatch(name) is not None
    require(fits, f"The name in [{where}]", repr(name), "of lower-case letters, digits and _")
