"""Actions in an assistant's reply: the desk of a build, the sentence of the documents behind a rule
that refused, and what the page and programs are told of a turn.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.actions.definition import Rule, Slot
from groundup.actions.desk import ActionDesk
from groundup.actions.state import ActionTurn
from groundup.actions.templates import template_names
from groundup.actions.world import WORLD_FILE
from groundup.http.json_object import JsonObject
from groundup.retrieve.answer import QuestionReading
from groundup.retrieve.cite import Quote, quote_of, statements
from groundup.retrieve.scored_statements import table_of
from groundup.retrieve.table_rows import answer_in_words
from groundup.runs import read_stage_kinds

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Vectors

# The stage of a build that has them.
KIND = "actions"
# Read for the sentence of a rule.
RULE_PASSAGES = 10


def desk_of_build(
    build: Path,
    *,
    allow_http: Sequence[str] = (),
    python_modules: Sequence[str] = (),
    mcp_tools: Sequence[str] = (),
    trial: bool = False,
    language: str = "",
) -> ActionDesk | None:
    """Return the open actions of a build; None: it has none. What is done with them stands in the
    build's own folder, since a stage that is run again loses its folder. `trial`: where nobody is
    signed in, the pack's trial customer is. `language`: of the sentences that actions have not.

    Raises FormatError, ConfigError for an effect that was not allowed.
    """
    stages = [build / stage for stage, kind in read_stage_kinds(build).items() if kind == KIND]
    if not stages or not stages[0].is_dir():
        return None
    desk = ActionDesk(
        stages[0],
        world=build / WORLD_FILE,
        allow_http=allow_http,
        python_modules=python_modules,
        mcp_tools=mcp_tools,
        language=language,
    )
    if trial and desk.actions.trial_customer:
        desk.trial_customer = desk.actions.trial_customer
    return desk


def hear_by_meaning(desk: ActionDesk, vectors: "Vectors | None") -> None:
    """Let a desk compare messages by the encoder of messages beside an index's vectors; without one
    it stays with words.
    """
    if vectors is not None and not desk.by_meaning and (encoder := vectors.open_messages()):
        desk.hear_by_meaning(encoder)


def rule_reading(
    message: str, rule: Rule | None, search: Callable[[str, int], QuestionReading]
) -> QuestionReading:
    """Return the sentence of the documents that a rule is taken from, as a quotation with its
    source; without one where the documents no longer have it.
    """
    nothing = QuestionReading(message, 0.0, (), (), (), ())
    if rule is None or not rule.quote:
        return nothing
    wanted = re.compile(r"\s+".join(map(re.escape, rule.quote.split())))
    found = search(rule.quote, RULE_PASSAGES)
    for source, requests in zip(found.sources, found.requests, strict=True):
        said = wanted.search(source.text)
        if said is None or source.document.rpartition("/")[2] != rule.document:
            continue
        quote = Quote(said[0], 1, source.start + said.start(), source.start + said.end())
        for place, each in enumerate(statements(source)):
            table = table_of(source, place)
            if table is not None and each.start <= said.start() < each.end:
                row = answer_in_words(table, "", source.language)
                quote = replace(quote_of(source, 1, each), table=table, in_words=row)
        about = (source,)
        return QuestionReading(
            message, 1.0, about, about, (quote,), found.outdated, requests=(requests,)
        )
    return nothing


def both_readings(one: QuestionReading, other: QuestionReading) -> QuestionReading:
    """Return what two searches found as one: first the quotations of the first."""
    moved = len(one.sources)
    quotes = tuple(
        replace(
            each,
            source=each.source + moved,
            head=each.head and replace(each.head, source=each.head.source + moved),
        )
        for each in other.quotes
    )
    return replace(
        one,
        sources=one.sources + other.sources,
        about=one.about + other.about,
        quotes=one.quotes + quotes,
        values=(),
        outdated=tuple(dict.fromkeys(one.outdated + other.outdated)),
        notes=one.notes + other.notes,
        requests=(*one.requests, *other.requests),
    )


def action_entry(turn: ActionTurn) -> JsonObject:
    """Return as JSON values what a page shows of a turn: what is asked, and what was understood:
    the slots in their order, and what else the action's sentences name.

    `start` and `end` of a value are its characters in the message that is replied to, or null.
    """
    slots = [slot.name for slot in turn.action.slots]
    sentences = (turn.action.confirm, turn.action.done)
    said = [name for sentence in sentences for name in template_names(sentence).all]
    names = [name for name in dict.fromkeys([*slots, *said]) if name in turn.values]
    values = {name: _value_entry(name, turn) for name in names}
    return {
        "name": turn.action.name,
        "title": turn.action.title,
        "state": turn.kind,
        "asked": turn.asked and _asked_entry(turn.asked),
        "yes_no": turn.yes_no,
        "choices": list(turn.choices),
        "values": values,
        "reference": turn.reference,
        "undoable": turn.undoable,
    }


def _value_entry(name: str, turn: ActionTurn) -> JsonObject:
    held = turn.values[name]
    start, end = None, None
    if name in turn.read and held.end:
        start, end = held.start, held.end
    return {
        "label": _label(name),
        "value": held.value,
        "shown": held.shown,
        "from": held.source,
        "start": start,
        "end": end,
    }


def _asked_entry(slot: Slot) -> JsonObject:
    return {
        "slot": slot.name,
        "label": _label(slot.name),
        "type": slot.type,
        "options": list(slot.options or ()),
        "least": slot.least,
        "most": slot.most,
    }


def _label(name: str) -> str:
    """Return a name as it is read: "delivery_address" is "delivery address"."""
    return name.replace("_", " ")
