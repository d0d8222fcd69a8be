"""What an action is: slots (typed values), lookups (what the world knows), rules (when it is
refused), one confirmation, one effect, and an undo where there is one.

Rules, lookups and effects are SQL over the values as named parameters. A part checks its own fields
when it is made (`action_file.py` makes them); what is wrong with the whole is found by
`soundness.py`. docs/actions.md describes each field.
"""

import datetime
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from groundup.errors import ConfigError, require, require_choices
from groundup.language.messages import message

SlotType = Literal["date", "time", "number", "money", "choice", "name", "text", "code"]
SlotValue = str | int | float
"""date "2026-12-04", time "19:00", money with two decimals, choice: its key."""
# Known without being asked: the date, the time, the first characters of the idempotency key, who is
# signed in (None: unknown).
TODAY, NOW, REFERENCE, CUSTOMER = "today", "now", "reference", "customer"
KNOWN = (TODAY, NOW, REFERENCE, CUSTOMER)
METHODS = ("POST", "PUT", "PATCH", "DELETE")
# Of a value.
MAX_CHARACTERS = {"name": 80, "text": 6000, "code": 40, "choice": 80}
MAX_PATTERN_CHARACTERS, MAX_NUMBER = 100, 1e12
# Of a regular expression without its escapes and sets: repeats whose work has no bound.
_PLAIN = re.compile(r"\\.|\[[^\]]*\]")
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\}|\)\{|\(\?[^:]")


@dataclass(frozen=True)
class Slot:
    """A value that an action needs; raises ConfigError where its fields contradict its type."""

    name: str
    type: SlotType
    ask: str = ""
    """The question for it; "": a lookup fills it."""
    optional: bool = False
    """Taken where it is said, and asked for only where a rule asks again."""
    hint: str = ""
    """What an answer looks like, as it follows "I expected "; "": by the type."""
    least: float | str | None = None
    most: float | str | None = None
    """Bounds of a number, an amount, or a time ("12:00": "7" is then 19:00). Limits of policy are
    rules, which have a document.
    """
    past: bool = False
    """Of a date: without a year it is the last one, not the next."""
    unit: tuple[str, ...] = ()
    """Of a number: words that show which number of a message is meant."""
    currency: str = ""
    """Of money: the sign."""
    options: Mapping[str, tuple[str, ...]] | None = None
    """Of a choice: each with its synonyms."""
    told: Mapping[str, tuple[str, ...]] | None = None
    """Of a choice: options with sentences that tell them without their words."""
    behind: tuple[str, ...] = ()
    """Words right behind which its value stands in a message that does not answer its question:
    "from" of an origin, "after" of a time."""
    followed_by: tuple[str, ...] = ()
    """Likewise words right after it: "or later"."""
    rows: str = ""
    """Of a code or a name: a query over the values so far. Its first column are the values that are
    chosen from, the others say what each is.
    """
    among: str = ""
    """Of a name: a query over :today, :now and :customer; a word of a message that is among its first
    column is the value, wherever it stands."""
    pattern: str = ""
    """A regular expression whose repeats are bounded: of a code; of a text that is found by it in a
    message that does not answer its question."""
    example: str = ""
    """Of a pattern: one that fits it."""

    def __post_init__(self) -> None:
        require_choices(self)
        kinds: tuple[tuple[str, object, tuple[str, ...]], ...] = (
            ("least", self.least is not None, ("number", "money", "time")),
            ("most", self.most is not None, ("number", "money", "time")),
            ("past", self.past, ("date",)),
            ("unit", self.unit, ("number",)),
            ("behind", self.behind, ("date", "time", "choice", "name", "text")),
            ("followed_by", self.followed_by, ("date", "time", "choice", "name")),
            ("rows", self.rows, ("code", "name")),
            ("currency", self.currency, ("money",)),
            ("options", self.options is not None, ("choice",)),
            ("told", self.told is not None, ("choice",)),
            ("among", self.among, ("name",)),
            ("pattern", self.pattern, ("code", "text")),
            ("example", self.example, ("code", "text")),
        )
        for field, given, types in kinds:
            what = f"a field of {' and '.join(types)} only"
            require(not given or self.type in types, field, f"a slot of type {self.type}", what)
        for field, bound in (("least", self.least), ("most", self.most)):
            is_text = isinstance(bound, str)
            fits = bound is None or is_text == (self.type == "time")
            require(fits and (not is_text or _is_time(str(bound))), field, bound, self._bounds)
        if self.type == "money":
            require(bool(self.currency), "currency", '""', 'given for money, such as "£"')
        if self.type == "choice":
            require(bool(self.options), "options", self.options, "given for a choice")
            for name in self.told or ():
                listed = ", ".join(self.options or ())
                require(name in (self.options or ()), "told", repr(name), f"one of {listed}")
        if self.type == "code" or self.pattern:
            self._require_pattern()

    @property
    def _bounds(self) -> str:
        return 'a time as HH:MM, such as "09:00"' if self.type == "time" else "a number"

    def _require_pattern(self) -> None:
        what = 'given for a code, such as "[A-Z]{3}[0-9]{3}"'
        fits = 0 < len(self.pattern) <= MAX_PATTERN_CHARACTERS
        require(fits, "pattern", repr(self.pattern), what)
        bounded = not _UNBOUNDED.search(_PLAIN.sub("x", self.pattern))
        require(bounded, "pattern", self.pattern, "without * + {2,} and repeated groups")
        try:
            matches = re.fullmatch(self.pattern, self.example) is not None
        except re.error as error:
            raise ConfigError(f"pattern is no regular expression: {error}.") from error
        require(matches, "example", repr(self.example), f"a {self.type} that fits the pattern")

    @property
    def asked(self) -> bool:
        """Whether its value may come from a user's message."""
        return bool(self.ask) or self.optional

    @property
    def is_marked(self) -> bool:
        """Whether words beside its value show which one of a message is meant."""
        return bool(self.behind or self.followed_by)

    def accepts(self, value: object) -> bool:
        """Whether a value is of the slot's type, in its form and within its bounds: what language
        reading found is checked before anything is done with it.
        """
        if self.type in ("number", "money"):
            return self._accepts_number(value)
        if self.type == "time":
            least, most = str(self.least or "00:00"), str(self.most or "24:00")
            return isinstance(value, str) and _is_time(value) and least <= value <= most
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            return False
        if self.type == "date":
            return is_date(value)
        if len(value) > MAX_CHARACTERS[self.type]:
            return False
        if self.type == "choice":
            return value in (self.options or {})
        return self.type != "code" or re.fullmatch(self.pattern, value) is not None

    def _accepts_number(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not math.isfinite(value) or abs(value) > MAX_NUMBER:
            return False
        if self.least is not None and value < float(self.least):
            return False
        return self.most is None or value <= float(self.most)


def is_date(text: str) -> bool:
    """Whether a text is a date as values have it.

    >>> is_date("2026-12-04"), is_date("4 December")
    (True, False)
    """
    try:
        return str(datetime.date.fromisoformat(text)) == text
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    return re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text) is not None


@dataclass(frozen=True)
class Lookup:
    """A query whose one row has known values: each column becomes one."""

    sql: str
    missing: str
    """Said where there is no row; the slots in the query are asked again."""


@dataclass(frozen=True)
class Rule:
    """A policy: where `refuse_if` gives a true value, the action is refused with `say`, or handed
    over to another one.
    """

    refuse_if: str
    say: str = ""
    instead: str = ""
    """The action that goes on with the values in place of a refusal."""
    document: str = ""
    """Where the policy stands; "" for a rule of form, such as a day that is past."""
    quote: str = ""
    """The sentence of the document, word for word."""
    ends: bool = True
    """False: slots of the rule are asked again."""
    ask_again: tuple[str, ...] = ()
    """Which ones; (): all that may be asked."""

    def __post_init__(self) -> None:
        one = bool(self.say) != bool(self.instead)
        require(one, "say", repr(self.say), "given, or instead")
        both = bool(self.document) == bool(self.quote)
        require(both, "quote", repr(self.quote), "given together with document")
        plain = not self.ask_again or not self.ends
        require(plain, "ask_again", self.ask_again, "given with ends = false only")


@dataclass(frozen=True)
class MailDraft:
    """A message that a person sends, kept as a row of the table `outbox`."""

    to: str
    subject: str
    body: str


@dataclass(frozen=True)
class HttpEffect:
    """A request with the values as JSON, sent only to addresses that the operator allows."""

    url: str
    method: str = "POST"

    def __post_init__(self) -> None:
        require(self.method in METHODS, "method", self.method, f"one of {', '.join(METHODS)}")
        fits = re.fullmatch(r"https?://[^\s{}#@]+", self.url) is not None
        require(fits, "url", self.url, "an address that begins with https:// or http://")


@dataclass(frozen=True)
class McpEffect:
    """A call of a tool of an MCP server, which the operator allows by its name."""

    server: str
    """The name under which the operator allows it."""
    tool: str
    arguments: Mapping[str, str] | None = None
    """The tool's arguments, each with the name of a value; None: every slot that has a value, under
    its own name.
    """
    error: Literal["unknown", "failed"] = "unknown"
    """What an error of the tool (`isError`) says: "failed", that nothing was done, where the tool's
    makers say so; else it can't be told.
    """

    def __post_init__(self) -> None:
        require_choices(self)
        form, what = r"[\w.-]{1,64}", "letters, digits, _, - and . (at most 64)"
        fits = re.fullmatch(form, self.server, re.ASCII) is not None
        require(fits, "server", repr(self.server), what)
        form, what = r"[\w./-]{1,128}", "letters, digits, _, -, . and / (at most 128)"
        fits = re.fullmatch(form, self.tool, re.ASCII) is not None
        require(fits, "tool", repr(self.tool), what)

    @property
    def name(self) -> str:
        """As the operator allows it."""
        return f"{self.server}:{self.tool}"

    def names(self, slots: Collection[str]) -> Mapping[str, str]:
        """Return the arguments, each with the name of its value."""
        return dict(zip(slots, slots, strict=True)) if self.arguments is None else self.arguments


@dataclass(frozen=True)
class Effect:
    """What an action does: SQL, a mail draft, or both in one transaction; or, outside of the world,
    an HTTP request, a tool of an MCP server, or a Python function of a module that the operator
    names.
    """

    sql: tuple[str, ...] = ()
    rows: int = 1
    """How many rows each statement must change; with any other number nothing is done."""
    mail: MailDraft | None = None
    http: HttpEffect | None = None
    mcp: McpEffect | None = None
    python: str = ""
    """MODULE:FUNCTION."""

    def __post_init__(self) -> None:
        count = bool(self.sql or self.mail) + len(self._outside)
        expected = "one of sql, mail, http, mcp and python (sql and mail may stand together)"
        require(count == 1, "effect", f"{count} of them", expected)
        require(self.rows >= 1, "rows", self.rows, "at least 1")
        form = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"
        fits = not self.python or re.fullmatch(form, self.python) is not None
        require(fits, "python", self.python, "MODULE:FUNCTION")

    @property
    def kind(self) -> str:
        """Its name in the audit."""
        return next(iter(self._outside), "sql" if self.sql else "mail")

    @property
    def is_outside(self) -> bool:
        """Whether it is done outside of the world."""
        return bool(self._outside)

    @property
    def _outside(self) -> list[str]:
        return [name for name in ("http", "mcp", "python") if getattr(self, name)]


@dataclass(frozen=True)
class Undo:
    """How what was done is taken back, right after."""

    sql: tuple[str, ...]
    confirm: str
    done: str
    rows: int = 1
    refuse_if: str = ""
    say: str = ""
    """Said where `refuse_if` gives a true value."""

    def __post_init__(self) -> None:
        both = bool(self.refuse_if) == bool(self.say)
        require(both, "say", repr(self.say), "given together with refuse_if")
        require(bool(self.sql), "sql", self.sql, "at least one statement")


@dataclass(frozen=True)
class Action:
    """One thing that an assistant may do."""

    name: str
    title: str
    """As people read it."""
    done: str
    """Said when it is done; of an action that only reads, its answer."""
    confirm: str = ""
    """The one question before the effect, which shows all values that it writes."""
    effect: Effect | None = None
    """None: the action only reads."""
    slots: tuple[Slot, ...] = ()
    """In the order asked."""
    examples: tuple[str, ...] = ()
    """Messages that ask for it."""
    not_examples: tuple[str, ...] = ()
    """Near messages that don't: questions that documents answer."""
    intents: tuple[str, ...] = ()
    """Labels of the pack's classifier."""
    lookups: tuple[Lookup, ...] = ()
    rules: tuple[Rule, ...] = ()
    undo: Undo | None = None
    language: str = ""
    """Of the sentences that it does not write itself, such as "de": the pack's."""

    def __post_init__(self) -> None:
        writes = self.effect is not None
        require(bool(self.confirm) == writes, "confirm", repr(self.confirm), "given with an effect")
        require(writes or self.undo is None, "undo", "an undo", "of an action with an effect")

    def say(self, key: str, **values: str) -> str:
        """Return a sentence of the language's catalog (`language/messages.py`)."""
        return message(self.language, "actions", key, **values)

    @property
    def askable(self) -> tuple[Slot, ...]:
        """The slots whose values may come from a message."""
        return tuple(slot for slot in self.slots if slot.asked)

    def slot(self, name: str) -> Slot | None:
        """Return the slot of a name."""
        return next((each for each in self.slots if each.name == name), None)


@dataclass(frozen=True)
class ActionSet:
    """The actions of a pack, and the tables that they work on."""

    actions: tuple[Action, ...]
    world_sql: str = ""
    trial_customer: str = ""
    """Who a pack that is only tried takes for signed in; "": nobody."""

    @property
    def queries(self) -> list[str]:
        """The SQL of all lookups, rules and known names."""
        found: list[str] = []
        for action in self.actions:
            found += [sql for slot in action.slots for sql in (slot.among, slot.rows) if sql]
            found += [lookup.sql for lookup in action.lookups]
            found += [rule.refuse_if for rule in action.rules]
            if action.undo is not None and action.undo.refuse_if:
                found.append(action.undo.refuse_if)
        return found

    def action(self, name: str) -> Action | None:
        """Return the action of a name."""
        return next((each for each in self.actions if each.name == name), None)
