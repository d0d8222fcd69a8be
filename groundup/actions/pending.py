"""The question of a conversation that waits for an answer, and what an answer looks like."""

from dataclasses import replace

from groundup.actions.definition import ActionSet, Slot
from groundup.actions.state import ActionState, ActionTurn, TurnKind
from groundup.actions.templates import fill

YES_OR_NO = "I expected yes or no."
HINTS = {
    "date": "a day, such as Friday or 4 December",
    "time": "a time, such as 19:00",
    "number": "a number, such as 4",
    "money": "an amount, such as {currency}20",
    "choice": "one of these: {options}",
    "name": "a name",
    "text": "a few words",
    "code": "a code, such as {example}",
}


def pending(actions: ActionSet, state: ActionState) -> ActionTurn | None:
    """Return the turn whose question waits for an answer; None: no question does."""
    action = actions.action(waiting_action(state))
    if not state.waits or action is None:
        return None
    asked = action.slot(state.asked)
    expected = YES_OR_NO
    if asked is not None:
        expected = f"I expected {_hint(asked)}."
    kind: TurnKind = "confirm" if state.waits in ("confirm", "undo") else "ask"
    unread = f"{expected} {state.question}"
    turn = ActionTurn(kind, state.question, action, asked, state.values, unread=unread)
    return replace(turn, yes_no=asked is None)


def waiting_action(state: ActionState) -> str:
    """Return the name of the action whose question waits, or that is under way; "": none."""
    if state.waits == "undo" and state.last is not None:
        return state.last.action
    if state.waits == "offer" and state.wishes:
        return state.wishes[0].action
    return state.action


def _hint(slot: Slot) -> str:
    options = ", ".join(slot.options or ())
    form = slot.hint or HINTS[slot.type]
    values = {"options": options, "currency": slot.currency, "example": slot.example}
    return fill(form, values)
