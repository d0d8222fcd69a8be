"""The steps of a conversation about actions: what a message leads to, what given values come to,
and what follows on an action that was done.
"""

from collections.abc import Mapping
from dataclasses import replace

from groundup.actions.definition import Action, ActionSet, SlotValue
from groundup.actions.dialogue import Dialogue
from groundup.actions.endings import Step, finished, marked
from groundup.actions.intent import ActionChooser
from groundup.actions.progress import KnownWorld, shown
from groundup.actions.state import ActionState, EffectOutcome, Heard, HeldValue


def step(
    actions: ActionSet,
    world: KnownWorld,
    state: ActionState,
    heard: Heard,
    chooser: ActionChooser | None = None,
) -> Step:
    """Return what a message leads to; `chooser`: reads which action it asks for, by default by
    words. Raises what the world does.
    """
    chooser = chooser or ActionChooser(actions.actions)
    return marked(Dialogue(actions, world, state, heard, chooser).step())


def filled(
    actions: ActionSet,
    world: KnownWorld,
    action: Action,
    values: Mapping[str, SlotValue],
    heard: Heard,
) -> Step:
    """Return what an action comes to whose values are given, without a message that is read. Raises
    what the world does.
    """
    held: dict[str, HeldValue] = {}
    for slot in action.askable:
        if slot.name in values and slot.accepts(values[slot.name]):
            value = values[slot.name]
            held[slot.name] = HeldValue(value, "message", shown=shown(action, slot, value))
    chooser = ActionChooser(actions.actions)
    return marked(Dialogue(actions, world, ActionState(), heard, chooser).begin_with(action, held))


def take_up(
    actions: ActionSet, world: KnownWorld, made: Step, heard: Heard, chooser: ActionChooser
) -> Step:
    """Return a step that ends an action and offers the next wish with that wish's first question in
    place of the offer; with the performance of one that only reads (`read_beside`). Raises what the
    world does.
    """
    turn, state = made.turn, made.state
    if turn is None or turn.kind != "done" or state.waits != "offer" or not state.wishes:
        return made
    first, *others = state.wishes
    idle = replace(state, waits="", wishes=(), question="")
    begun = Dialogue(actions, world, idle, heard, chooser).begin_wish(first, others)
    done = turn.text.removesuffix(state.question).rstrip()
    if begun.performance is not None:
        return replace(begun, turn=replace(turn, text=done, yes_no=False))
    is_asked_again = bool(begun.state.set_aside)  # a value of the first wish does not fit
    if begun.turn is None or begun.turn.kind not in ("confirm", "ask") or is_asked_again:
        return made
    text, title = begun.turn.text, begun.turn.action.title
    if not text.startswith(f"{title}:"):
        text = f"{begun.turn.action.say('also', title=title)} {text}"
    text = f"{done} {text}"
    both = replace(begun.turn, text=text, reference=turn.reference, undoable=turn.undoable)
    both = replace(both, question=turn.question)
    return marked(replace(begun, state=replace(begun.state, taken_up=True), turn=both))


def read_beside(actions: ActionSet, made: Step, outcome: EffectOutcome) -> Step:
    """Return the step of a done action with what the next wish, which only reads, came to."""
    assert made.turn is not None and made.performance is not None
    also = finished(actions, made.performance, outcome)
    assert also.turn is not None
    turn = replace(made.turn, text=f"{made.turn.text} {also.turn.text}", yes_no=also.turn.yes_no)
    return replace(also, state=replace(also.state, last=made.state.last), turn=turn)
