"""How an action ends: done, failed, unknown or taken back, and what is offered or asked next."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from groundup.actions.definition import NOW, REFERENCE, TODAY, Action, ActionSet, Undo
from groundup.actions.progress import Bound, KnownWorld, in_sentences
from groundup.actions.state import (
    ActionState,
    ActionTurn,
    EffectOutcome,
    HeldValue,
    LastDone,
    Performance,
    Wish,
)
from groundup.actions.templates import fill

# What is repeated of a text, before the first question.
MAX_REPEATED_CHARACTERS = 60


@dataclass(frozen=True)
class Step:
    """What a message leads to."""

    state: ActionState
    turn: ActionTurn | None = None
    """None: the message is not for an action, or is to be performed."""
    performance: Performance | None = None
    """To be carried out; `finished` makes the turn of it."""

    @property
    def is_none(self) -> bool:
        """Whether the message is not for an action."""
        return self.turn is None and self.performance is None

    def beside(self, question: str) -> "Step":
        """Return it with what the message asks beside the action."""
        turn = self.turn and replace(self.turn, question=question)
        what = self.performance and replace(self.performance, question=question)
        return replace(self, turn=turn, performance=what)


def finished(actions: ActionSet, what: Performance, outcome: EffectOutcome) -> Step:
    """Return the turn after a performance."""
    values = in_sentences(what.held, what.values) | {REFERENCE: outcome.reference}
    state = replace(ActionState(), wishes=what.state.wishes, unsettled=what.state.unsettled)
    turn = ActionTurn(
        "failed",
        what.action.say("failed"),
        what.action,
        values=what.held,
        read=what.read,
        question=what.question,
    )
    if outcome.result == "unknown":
        unsettled = {**state.unsettled, fingerprint_of(what.action, what.values): what.key}
        state = replace(state, unsettled=unsettled)
        text = what.action.say("unknown", reference=outcome.reference)
        turn = replace(turn, kind="unknown", text=text, reference=outcome.reference)
    elif outcome.result == "done" and what.undo:
        assert what.action.undo is not None
        text = fill(what.action.undo.done, values)
        turn = replace(turn, kind="undone", text=text, reference=outcome.reference)
    elif outcome.result == "done":
        text = fill(what.action.done, values)
        turn = replace(turn, kind="done", text=text)
        if what.action.effect is not None:
            turn = replace(turn, reference=outcome.reference)
            last = LastDone(what.action.name, what.key, outcome.reference, what.values, values)
            state = replace(state, last=last)
            turn = replace(turn, undoable=what.action.undo is not None)
    return marked(with_offer(actions, Step(state, turn)))


def done_elsewhere(state: ActionState, action: Action, last: LastDone) -> Step:
    """Return what is replied in a window whose confirmation was said yes to in another one."""
    text = f"{action.say('elsewhere')} {fill(action.done, last.said)}"
    turn = ActionTurn("done", text, action, values=state.values, reference=last.reference)
    turn = replace(turn, undoable=action.undo is not None)
    return Step(ActionState(last=last, unsettled=state.unsettled), turn)


def marked(made: Step) -> Step:
    """Say of a turn whether its question is for yes or no."""
    if made.turn is None:
        return made
    is_offer = made.state.waits == "which" and len(made.state.wishes) == 1
    yes_no = is_offer or made.state.waits in ("confirm", "undo", "offer")
    return replace(made, turn=replace(made.turn, yes_no=yes_no))


def with_offer(actions: ActionSet, made: Step) -> Step:
    """Offer the next wish behind a turn that ends an action."""
    turn, state = made.turn, made.state
    if turn is None or not state.wishes:
        return made
    action = actions.action(state.wishes[0].action)
    if action is None:
        return replace(made, state=replace(state, wishes=()))
    offer = action.say("offer", title=action.title)
    state = replace(state, waits="offer", question=offer)
    return replace(made, state=state, turn=replace(turn, text=f"{turn.text} {offer}"))


def understood(action: Action, values: Mapping[str, HeldValue]) -> str:
    """Return in a sentence what a message said for an action; "" for nothing."""
    parts = []
    for slot in action.askable:
        if slot.name not in values:
            continue
        shown = values[slot.name].shown
        if slot.type == "number" and slot.unit and values[slot.name].value != 1:
            shown = f"{shown} {slot.unit[0]}"
        if len(shown) > MAX_REPEATED_CHARACTERS:
            shown = f"{shown[:MAX_REPEATED_CHARACTERS].rpartition(' ')[0]} ..."
        parts.append(shown)
    return f"{action.title}: {', '.join(parts)}." if parts else ""


def ask_which(
    actions: ActionSet, state: ActionState, question: str, message: str, names: Sequence[str]
) -> Step:
    """Ask which of two actions a message asks for, or whether it asks for one; `question`: the key of
    the sentence.
    """
    found = [action for action in map(actions.action, names) if action is not None]
    titles = {key: each.title for key, each in zip(("first", "second"), found, strict=False)}
    text = found[0].say(question, **titles)
    wishes = tuple(Wish(each.name, message) for each in found)
    asking = ActionState(waits="which", wishes=wishes, question=text, unsettled=state.unsettled)
    choices = tuple(titles.values()) if len(titles) > 1 else ()
    return Step(asking, ActionTurn("ask", text, found[0], choices=choices))


def fingerprint_of(action: Action, bound: Mapping[str, object]) -> str:
    """Return what an action comes to, whenever it is done."""
    values = {name: value for name, value in bound.items() if name not in (TODAY, NOW)}
    return hash_of(action.name, json.dumps(values, sort_keys=True, ensure_ascii=False))


def hash_of(*texts: str) -> str:
    """Return the hexadecimal SHA-256 of some texts."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def undo_refusal(world: KnownWorld, undo: Undo, last: LastDone, known: Bound) -> str:
    """Return the sentence with which an undo is refused; "" where it is not."""
    values = {**last.values, **known, REFERENCE: last.reference}
    if undo.refuse_if and world.is_true(undo.refuse_if, values):
        return fill(undo.say, last.said)
    return ""


def undo_of(action: Action, last: LastDone, state: ActionState) -> Performance:
    """Return the performance that takes back what was done."""
    values = {**last.values, REFERENCE: last.reference}
    held = {name: HeldValue(shown, "lookup", shown=shown) for name, shown in last.said.items()}
    return Performance(action, True, hash_of(last.key, "undo"), values, held, state)
