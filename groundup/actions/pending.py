"""The question of a conversation that waits for an answer, and what an answer looks like."""

import re
from dataclasses import replace

from groundup.actions.definition import Action, ActionSet, Slot
from groundup.actions.replies import reads_cancel, reads_undo, reads_yes
from groundup.actions.state import ActionState, ActionTurn, TurnKind
from groundup.actions.templates import fill

# What ends something: the action under way, or what the action is about.
_ENDING = re.compile(
    r"\b(?:cancel|delete|remove|stop|undo|revoke|withdraw|abbrechen|stornieren|löschen|annuler"
    r"|supprimer|cancelar|eliminar|anular)\b",
    re.IGNORECASE,
)


def pending(actions: ActionSet, state: ActionState) -> ActionTurn | None:
    """Return the turn whose question waits for an answer; None: no question does."""
    action = actions.action(waiting_action(state))
    if not state.waits or action is None:
        return None
    asked = action.slot(state.asked)
    unread = f"{action.say('yes_or_no')} {state.question}"
    choices = tuple(each.shown for each in state.either)
    if choices:
        unread = f"{action.say('which_one')} {state.question}"
    elif asked is not None:
        unread = f"{action.say('expected', hint=_hint(asked, action))} {state.question}"
    elif state.waits == "which" and len(state.wishes) > 1:
        found = [actions.action(wish.action) for wish in state.wishes]
        choices = tuple(each.title for each in found if each)
        unread = action.say("which_of_two", first=choices[0], second=choices[-1])
    kind: TurnKind = "confirm" if state.waits in ("confirm", "undo") else "ask"
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


def _hint(slot: Slot, action: Action) -> str:
    options = ", ".join(slot.options or ())
    values = {"options": options, "currency": slot.currency, "example": slot.example}
    return fill(slot.hint, values) if slot.hint else action.say(f"hint_{slot.type}", **values)
