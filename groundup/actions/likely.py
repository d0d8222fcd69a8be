"""Which action a message asks for where none is sure.

    odds by meaning (`intent.py`)  +  evidence: the values that the message has for the action
    "kids have come down with chickenpox. W9LEN4, Whitcombe"    cancel_booking

Who gives a reference, an amount or the name of a firm wants something done with it: the values of a
message count for the actions that need them, a code most. What is found so is begun, since that
only asks for values and a confirmation, and said as a guess where the odds alone are low.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from groundup.actions.definition import Action, ActionSet, Slot
from groundup.actions.endings import Step
from groundup.actions.intent import EITHER, ActionChooser
from groundup.actions.intent_scores import MANY_VALUES, QUESTIONS
from groundup.actions.intent_words import CODE as CODE_WORD
from groundup.actions.intent_words import DATE, PAST_DATE, TIME, words_of
from groundup.actions.intent_words import MONEY as MONEY_WORD
from groundup.actions.message_form import message_form
from groundup.actions.side_questions import asked_words, question_spans

# The least logarithm of the odds, with the evidence of values, to begin an action; without it, to
# begin one that is no guess.
LEAST, LIKELY = -0.7, 0.0
# So near behind a guess another action may be the one that is meant.
EITHER_GUESS = 0.75
# What a value adds: a code by itself, and each further one as much; of the others at most MOST
# together, an amount that a lookup asks for as much by itself; all that is needed but one NEARLY.
CODE, CODE_IN_QUESTION, MOST, NEARLY = 4.75, 3.0, 2.5, 3.0
MONEY, KNOWN_NAME, CHOICE, OTHER = 1.5, 1.5, 0.5, 0.3
# Of so many actions values are read.
READ = 3
# From these odds on a message is an order, though it also asks for a fact, and with one of these
# values at any odds, unless it orders nothing.
ORDER, OF_ORDERS = 4.5, frozenset([DATE, PAST_DATE, TIME, MONEY_WORD])
# Types of slots of which a question may have one value: "is a helmet included with an e-bike?".
OF_QUESTIONS = ("choice", "number")
# Forms of a message in which a question for a fact stands beside no order.
UNORDERED = ("question", "please", "statement")
_PRICE = re.compile(r"\b(?:(?:price|cost)s? (?:for|of)\b|(?:price|cost)s?\W*\Z|how much\b)", re.I)
ValuesOf = Callable[[str], Collection[str]]
"""Returns the names of the slots of an action for which a message has values."""


@dataclass(frozen=True)
class Likely:
    """An action that a message may ask for."""

    action: str
    score: float
    odds: float
    has_code: bool


def likely_actions(
    chooser: ActionChooser, actions: ActionSet, message: str, values_of: ValuesOf
) -> list[Likely]:
    """Return the action that a message asks for, or two that are about as likely; [] for none. A
    question without a code, a text to be looked at or many values asks for none: documents answer it.
    """
    form = chooser.form(message)
    found = [
        each
        for each in weighed(chooser, actions, message, values_of)
        if each.has_code or each.score - each.odds >= MOST or form not in QUESTIONS
    ]
    is_guess = any(each.odds < LIKELY for each in found[:1])
    either = EITHER_GUESS if is_guess else EITHER
    is_asked = message.rstrip().endswith("?") and not any(each.has_code for each in found)
    is_bare = all(each.score == each.odds for each in found[:1])
    least = LIKELY if is_asked or is_bare else LEAST
    least = max([least, *(each.score - either for each in found[:1])])
    return [each for each in found[:2] if each.score >= least]


def may_be_question(
    chooser: ActionChooser, actions: ActionSet, message: str, values_of: ValuesOf
) -> bool:
    """Whether a message that asks for an action by its meaning also asks for a fact, and may ask for
    no more: "price for a service please", "our survey, is that free?". By words alone none is.
    """
    clauses = [asked_words(message[start:end]) for start, end in question_spans(message)]
    if not _PRICE.search(message) and all(message_form(each) != "question" for each in clauses):
        return False
    odds, own = chooser.odds(message), words_of(message)
    likely = [each for each in actions.actions if odds.get(each.name, LEAST) >= LIKELY]
    if not likely or CODE_WORD in own or chooser.is_example(message):
        return False
    kinds: tuple[str, ...] = OF_QUESTIONS
    if chooser.form(message) in UNORDERED:
        kinds = (*OF_QUESTIONS, "date", "time")
    elif own & OF_ORDERS or max(odds.values()) >= ORDER:
        return False
    for action in likely:
        given = values_of(action.name)
        types = [slot.type for slot in action.askable if slot.name in given]
        if len(types) > 1 or not set(types) <= set(kinds):
            return False
    return True


def weighed(
    chooser: ActionChooser, actions: ActionSet, message: str, values_of: ValuesOf
) -> list[Likely]:
    """Return the likeliest actions of a message with the evidence of its values, best first."""
    odds, found, asks = chooser.odds(message), [], message.rstrip().endswith("?")
    code = CODE_IN_QUESTION if chooser.form(message) == "question" else CODE
    for name in sorted(odds, key=lambda each: (-odds[each], each))[:READ]:
        action = actions.action(name)
        if action is None or odds[name] < LEAST - 2 * code:
            continue
        given = values_of(name)
        slots = [slot for slot in action.askable if slot.name in given]
        has_code = any(_is_key(action, slot) for slot in slots)
        has_code |= not asks and any(slot.type == "text" for slot in slots)
        has_code |= is_whole(action, given)
        evidence = 0.0 if asks else min(MOST, sum(_weight(action, slot) for slot in slots))
        if not asks and is_whole(action, given, lacking=1):
            evidence = max(evidence, NEARLY)
        evidence = code * max(1, _codes(slots)) if has_code else evidence
        found.append(Likely(name, odds[name] + evidence, odds[name], has_code))
    return sorted(found, key=lambda each: -each.score)


def with_code(
    chooser: ActionChooser, actions: ActionSet, message: str, name: str, values_of: ValuesOf
) -> str:
    """Return the action that a message asks for in place of one that is sure and has no use for the
    code that the message has: "we'll be five on Saturday, H4LLS7" books no table.
    """
    action = actions.action(name)
    has_code = action is None or any(_is_key(action, slot) for slot in action.askable)
    best = None if has_code else next(iter(weighed(chooser, actions, message, values_of)), None)
    return best.action if best is not None and best.has_code else name


def as_guess(made: Step) -> Step | None:
    """Return the first step of an action as that of a guess; None: it does not ask for a value, nor
    for a yes, and can't be a guess.
    """
    turn = made.turn
    if turn is None or turn.kind == "confirm":
        return made
    if turn.kind != "ask":
        return None
    title = "" if turn.text.startswith(f"{turn.action.title}:") else f"{turn.action.title}. "
    text = f"{turn.action.say('likely')} {title}{turn.text}"
    return replace(made, state=replace(made.state, guessed=True), turn=replace(turn, text=text))


def _is_key(action: Action, slot: Slot) -> bool:
    """Whether a code is of something that the world knows, as no telephone number is."""
    return slot.type == "code" and (bool(slot.rows) or _is_asked(action, slot))


def is_whole(action: Action, given: Collection[str], lacking: int = 0) -> bool:
    """Whether a message has all that an action asks for but `lacking`, and that is much."""
    needed = [slot.name for slot in action.askable if not slot.optional]
    had = sum(name in given for name in needed)
    return had >= MANY_VALUES and had >= len(needed) - lacking


def _codes(slots: Sequence[Slot]) -> int:
    return sum(slot.type == "code" for slot in slots)


def _is_asked(action: Action, slot: Slot) -> bool:
    """Whether a lookup of an action asks for what has a slot's value."""
    return any(re.search(rf":{slot.name}\b", each.sql) for each in action.lookups)


def _weight(action: Action, slot: Slot) -> float:
    if slot.type == "name":
        return KNOWN_NAME if slot.among else OTHER
    if slot.type == "money" and _is_asked(action, slot):
        return MOST
    return {"money": MONEY, "choice": CHOICE}.get(slot.type, OTHER)
