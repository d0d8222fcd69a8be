"""What is wrong with a pack's actions beside its documents and facts (`actions/soundness.py`: in
themselves).
"""

import re
from collections.abc import Iterator

from groundup.actions.action_file import ACTIONS_FILE, parse_actions
from groundup.actions.definition import Action, ActionSet
from groundup.actions.soundness import faults
from groundup.errors import ConfigError
from groundup.packs.pack import DOCUMENTS, Pack, PackIssue
from groundup.packs.repeats import Text

MIN_EXAMPLES, MIN_NOT_EXAMPLES = 5, 3
# A value in a sentence, and one that is a sentence.
_VALUE = re.compile(r"\{[^{}]*\}")
_SENTENCE = re.compile(r"(^|[.?!:]\s+)\{[^{}]*\}(?=\s+[A-Z])")


def actions_of(pack: Pack) -> ActionSet:
    """Return a pack's actions, as far as they stand in their form; none where they do not."""
    try:
        return parse_actions(pack.folder) or ActionSet(())
    except ConfigError:
        return ActionSet(())


def wrong_actions(pack: Pack) -> Iterator[PackIssue]:
    """Yield what is wrong with actions: in themselves, too few examples, labels and documents that
    there are not, quotations that do not stand in their document.
    """
    try:
        found = parse_actions(pack.folder)
    except ConfigError as error:
        reason = f"{error.message.removesuffix('.').partition(f'{ACTIONS_FILE}: ')[2]}. {error.fix}"
        yield PackIssue(ACTIONS_FILE, reason.removesuffix("."), blocks=True)
        return
    if found is None:
        return
    for fault in faults(found):
        yield PackIssue(f"{ACTIONS_FILE}: {fault.place}", fault.reason, blocks=True)
    for action in found.actions:
        for place, reason in (*_examples(action), *_intents(action, pack), *_quotes(action, pack)):
            yield PackIssue(f"{ACTIONS_FILE}: actions.{action.name}.{place}", reason)


def _examples(action: Action) -> Iterator[tuple[str, str]]:
    for field, least in (("examples", MIN_EXAMPLES), ("not_examples", MIN_NOT_EXAMPLES)):
        count = len(getattr(action, field))
        if count < least:
            yield field, f"has {count} messages, at least {least} are needed"


def _intents(action: Action, pack: Pack) -> Iterator[tuple[str, str]]:
    labels = {row["label"] for row in pack.parts["messages"]}
    for label in action.intents:
        if label not in labels:
            yield "intents", f"names '{label}', which no message of messages.jsonl has"


def _quotes(action: Action, pack: Pack) -> Iterator[tuple[str, str]]:
    for number, rule in enumerate(action.rules):
        if not rule.document:
            continue
        text = pack.documents.get(rule.document)
        if text is None:
            yield f"rules[{number}].document", f"there is no {DOCUMENTS}/{rule.document}"
        elif " ".join(rule.quote.split()) not in " ".join(text.split()):
            reason = f"does not stand in {rule.document} word for word: {rule.quote!r}"
            yield f"rules[{number}].quote", reason


def action_texts(found: ActionSet) -> Iterator[Text]:
    """Yield all texts of actions that are read by people, or that people write, each with its place;
    values and codes in them are left out.
    """
    for action in found.actions:
        where = f"{ACTIONS_FILE}: actions.{action.name}"
        for field, text in _fields(action):
            for slot in action.slots:
                if slot.pattern:
                    text = re.sub(rf"\b(?:{slot.pattern})\b", "it", text)
            text = _SENTENCE.sub(r"\1It.", text.replace("[", "").replace("]", ""))
            yield Text(f"{where}.{field}", _VALUE.sub("it", text))


def _fields(action: Action) -> Iterator[tuple[str, str]]:
    for field in ("title", "confirm", "done"):
        yield field, getattr(action, field)
    for field in ("examples", "not_examples"):
        for number, text in enumerate(getattr(action, field)):
            yield f"{field}[{number}]", text
    for slot in action.slots:
        yield f"slots.{slot.name}.ask", slot.ask
        yield f"slots.{slot.name}.hint", slot.hint
    for number, lookup in enumerate(action.lookups):
        yield f"lookups[{number}].missing", lookup.missing
    for number, rule in enumerate(action.rules):
        yield f"rules[{number}].say", rule.say
    mail = action.effect and action.effect.mail
    if mail:
        for field in ("to", "subject", "body"):
            yield f"effect.mail.{field}", getattr(mail, field)
    if action.undo is not None:
        for field in ("confirm", "done", "say"):
            yield f"undo.{field}", getattr(action.undo, field)


def asked_texts(found: ActionSet) -> Iterator[Text]:
    """Yield the messages that ask for actions."""
    for text in action_texts(found):
        if ".examples[" in text.place:
            yield text
