"""The question of a conversation that waits for an answer, and what an answer looks like."""

import re
from dataclasses import replace

from groundup.actions.definition import ActionSet, Slot
from groundup.actions.replies import reads_cancel, reads_undo, reads_yes
from groundup.actions.state import ActionState, ActionTurn, TurnKind
from groundup.actions.templates import fill

YES_OR_NO, ONE_OF_TWO = "I expected yes or no.", "I expected one of the two."
# What ends something: the action under way, or what the action is about.
_ENDING = re.compile(
    r"\b(?:cancel|delete|remove|stop|undo|revoke|withdraw|abbrechen|stornieren|löschen|annuler"
    r"|supprimer|cancelar|eliminar|anular)\b",
    re.IGNORECASE,
)
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
    choices: tuple[str, ...] = ()
    if state.waits == "which" and len(state.wishes) > 1:
        found = [actions.action(wish.action) for wish in state.wishes]
        choices, expected = tuple(each.title for each in found if each), ONE_OF_TWO
    if asked is not None:
        expected = f"I expected {_hint(asked)}."
    kind: TurnKind = "confirm" if state.waits in ("confirm", "undo") else "ask"
    unread = f"{expected} {state.question}"
    turn = ActionTurn(kind, state.question, action, asked, state.values, unread=unread)
    return replace(turn, yes_no=asked is None and not choices, choices=choices)


def is_two_sided(state: ActionState, message: str) -> bool:
    """Whether a reply to a yes-or-no question may be either: "cancel it" where the question is
    whether to cancel, and "yes, cancel it" where it is not.
    """
    if state.waits not in ("confirm", "undo"):
        return False
    said, asked = (set(map(str.lower, _ENDING.findall(text))) for text in (message, state.question))
    if reads_yes(message):
        return bool(said - asked)
    is_end = reads_cancel(message) or reads_undo(message)
    return is_end and bool(said & asked)


def waiting_action(state: ActionState) -> str:
    """Return the name of the action whose question waits, or that is under way; "": none."""
    if state.waits == "undo" and state.last is not None:
        return state.last.action
    if state.waits in ("offer", "which") and state.wishes:
        return state.wishes[0].action
    return state.action


def _hint(slot: Slot) -> str:
    options = ", ".join(slot.options or ())
    form = slot.hint or HINTS[slot.type]
    values = {"options": options, "currency": slot.currency, "example": slot.example}
    return fill(form, values)
