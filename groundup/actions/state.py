"""What is kept of a conversation between its messages, and what is replied to one: values, as JSON
in world.sqlite and back.
"""

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pydantic

from groundup.actions.definition import Action, ActionSet, Rule, Slot, SlotValue

TurnKind = Literal["ask", "confirm", "done", "refused", "cancelled", "failed", "unknown", "undone"]
ValueSource = Literal["message", "asked", "lookup", "known"]


@dataclass(frozen=True)
class Heard:
    """A message, and what is known beside it."""

    message: str
    key: str
    """Of the conversation up to this message."""
    today: datetime.date
    now: str
    """HH:MM."""
    customer: str | None = None
    is_answer: bool = True
    """Whether the question that waits was shown right above the message."""
    is_unsure: bool = False
    """Whether what it may ask for is offered, since it asks for nothing surely."""


@dataclass(frozen=True)
class HeldValue:
    """A slot's value, and where it was said."""

    value: SlotValue
    source: ValueSource
    """message: found in one; asked: the answer to the question for it; lookup: a column of one;
    known: the reference of what was done last.
    """
    start: int = 0
    end: int = 0
    """Its characters in the message in which it was said; 0, 0 for none."""
    shown: str = ""
    """As it is read."""


@dataclass(frozen=True)
class Wish:
    """A second action that a message asked for."""

    action: str
    message: str
    """The message, what it says of other wishes as blanks."""


@dataclass(frozen=True)
class LastDone:
    """What was done last, for its undo."""

    action: str
    key: str
    reference: str
    values: dict[str, SlotValue | None]
    """Everything that was bound to the effect."""
    said: dict[str, str]
    """The same, as sentences have it."""


@dataclass(frozen=True)
class ActionState:
    """Where a conversation stands."""

    action: str = ""
    """The one under way; "": none."""
    message: str = ""
    """The one that asked for it: a later question may be answered in it."""
    values: dict[str, HeldValue] = field(default_factory=dict)
    """What the user said, by slots."""
    set_aside: dict[str, HeldValue] = field(default_factory=dict)
    """Values of slots that are asked again: they hold where the reply gives another one of them."""
    asked: str = ""
    """The slot whose question waits."""
    waits: Literal["", "value", "confirm", "undo", "offer", "which"] = ""
    """For what: a slot's value, a yes or no to one of three questions, or which action is meant."""
    question: str = ""
    """What waits for an answer, as it was shown."""
    either: tuple[HeldValue, ...] = ()
    """The values of which the question asks for one."""
    said_yes: bool = False
    """Whether it asks for one of several, and a yes, which tells none, was said to it already."""
    key: str = ""
    """The idempotency key of the confirmation that was shown."""
    fingerprint: str = ""
    """The hash of its values."""
    wishes: tuple[Wish, ...] = ()
    taken_up: bool = False
    """Whether the action was taken up by itself, right after `last` was done, and nothing was said
    since.
    """
    guessed: bool = False
    """Whether the action was guessed from the first message, and nothing was said since."""
    last: LastDone | None = None
    unsettled: dict[str, str] = field(default_factory=dict)
    """The keys of effects of which it can't be told whether they happened, by what they were."""

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(vars(self), ensure_ascii=False, default=vars)

    @classmethod
    def from_json(cls, text: str) -> "ActionState":
        """Return what `to_json` wrote."""
        return _STATE.validate_json(text)


_STATE = pydantic.TypeAdapter(ActionState)


@dataclass(frozen=True)
class ActionTurn:
    """What is replied to a message that an action is asked for in, or that belongs to one."""

    kind: TurnKind
    text: str
    action: Action
    asked: Slot | None = None
    """The slot that the text asks for."""
    values: Mapping[str, HeldValue] = field(default_factory=dict)
    """All values so far, by slots and columns of lookups."""
    rule: Rule | None = None
    """The one that refused."""
    read: tuple[str, ...] = ()
    """The slots whose values were read from this message."""
    reference: str | None = None
    """Of what was done."""
    undoable: bool = False
    yes_no: bool = False
    """Whether the text ends with a question for yes or no."""
    choices: tuple[str, ...] = ()
    """The titles of the actions, or the values as they are shown, of which the text asks for one."""
    unread: str = ""
    """Said in place of a refusal where a message was no answer to the question, nor anything that
    documents hold: what was expected, and the question again.
    """
    question: str = ""
    """What the message asks beside the action, for documents to answer."""
    is_unsure: bool = False
    """Whether it only offers what the message may ask for; documents reply to it."""

    def to_json(self) -> str:
        """Return it as JSON, with the names of action, slot and rule."""
        plain = vars(self) | {"action": self.action.name}
        plain["asked"] = self.asked and self.asked.name
        plain["rule"] = self.rule and self.action.rules.index(self.rule)
        return json.dumps(plain, ensure_ascii=False, default=vars)

    @classmethod
    def from_json(cls, text: str, actions: ActionSet) -> "ActionTurn | None":
        """Return what `to_json` wrote; None where the actions have changed since."""
        plain = json.loads(text)
        action = actions.action(plain["action"])
        rule, asked = plain["rule"], plain["asked"]
        if action is None or (rule is not None and rule >= len(action.rules)):
            return None
        values = {name: HeldValue(**each) for name, each in plain["values"].items()}
        lists = {name: tuple(plain[name]) for name in ("read", "choices")}
        plain |= {"action": action, "values": values, **lists}
        plain["asked"] = asked and action.slot(asked)
        plain["rule"] = None if rule is None else action.rules[rule]
        return cls(**plain)


@dataclass(frozen=True)
class Performance:
    """What is to be done, now that it was confirmed."""

    action: Action
    undo: bool
    key: str
    """The idempotency key."""
    values: dict[str, SlotValue | None]
    """All parameters but :reference."""
    held: Mapping[str, HeldValue]
    """The values as they were shown."""
    state: ActionState
    """As it was when the yes was read."""
    read: tuple[str, ...] = ()
    question: str = ""
    """What the message asks beside the action."""

    @property
    def kind(self) -> str:
        """What it is in the audit."""
        if self.undo:
            return "undo"
        return self.action.effect.kind if self.action.effect else "none"

    @property
    def is_outside(self) -> bool:
        """Whether it is done outside of the world."""
        effect = self.action.effect
        return effect is not None and effect.is_outside and not self.undo


@dataclass(frozen=True)
class EffectOutcome:
    """How a performance ended."""

    result: Literal["done", "failed", "unknown", "pending"]
    reference: str = ""
    reason: str = ""
    """For the audit; never shown."""
