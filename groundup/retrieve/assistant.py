"""An assistant: what is replied to a conversation, one way for the page, terminal and every API.

    conversation -> danger to life? its fixed text, above what the documents surely say
                 -> self-harm?      its fixed text alone: a quotation by chance would hurt
                 -> a person asked for? how one is reached, and what was asked so far
                 -> an action?      what the desk says: a question, a confirmation, what was done;
                                    where a rule refused, its sentence of the documents; above,
                                    the documents' answer to what is asked beside it
                 -> small talk?     fixed words: who I am, what I can do
                 -> documents       found: their sentences, as `ask` composes them
                                    not found: that, and how a person is reached
                                    an action that is near is offered below, or in place of that

In the middle of an action a message that is not for it goes the other ways, and the question that
waits is asked again below.

`read_conversation` is a function of the conversation, the fixed texts (`packs/assistant_texts.py`),
a search and the desk (`actions/desk.py`), so the same conversation gets the same reply. Nothing
else than the fixed texts and the sentences of actions, which are checked against the pack's facts,
is said without a source. A model writes, where one does, only from the documents that answer.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.actions.desk import ActionDesk
from groundup.actions.intent import choose_action
from groundup.actions.intent_words import words_of
from groundup.actions.message_form import asks_in_words, first_word
from groundup.actions.replies import begins_with_yes, reads_no, reads_yes
from groundup.actions.side_questions import asks_in_general, names_it, question_spans
from groundup.actions.state import ActionTurn
from groundup.config import build_config, read_toml
from groundup.errors import ConfigError, FormatError
from groundup.packs.assistant_texts import AssistantTexts
from groundup.retrieve.answer import (
    Answer,
    AskConfig,
    EngineWriter,
    Part,
    QuestionReading,
    iterate,
    read,
    with_changed_sources,
)
from groundup.retrieve.asked_values import asked_kinds
from groundup.retrieve.assistant_actions import (
    both_readings,
    hear_by_meaning,
    rule_reading,
)
from groundup.retrieve.assistant_reply import (
    AssistantReading,
    Search,
    nothing_read,
    reply_parts,
)
from groundup.retrieve.branches import of_section_before
from groundup.retrieve.caller import Caller
from groundup.retrieve.danger import DangerIn, by_words, hears_danger
from groundup.retrieve.everyday_words import everyday_words
from groundup.retrieve.follow_up import question_in_context, stands_alone
from groundup.retrieve.handover import asks_documents, handover, refusal_text
from groundup.retrieve.refusals import BOT, GOODBYE, GREETING, THANKS, small_talk
from groundup.retrieve.scope import wants_person
from groundup.retrieve.scored_statements import own_terms
from groundup.retrieve.search import Keep, Ranking, every
from groundup.runs import RECIPE_FILE
from groundup.tokenizer.chat import Message

if TYPE_CHECKING:
    from groundup.engine.engine import Engine
    from groundup.retrieve.index import Index
    from groundup.retrieve.vectors import Vectors

# Of a message; a search reads the first 256 words.
MAX_MESSAGE_CHARACTERS = 8000
# Before the last one, in which what it refers to is looked for.
MAX_CONTEXT_TURNS = 20
ASSISTANT_TABLE = "assistant"
# Evidence that a quotation needs to stand below the text of an emergency, where a wrong one hurts.
LEAST_IN_DANGER = 0.5
# Words of titles of actions that say of no sentence that it is about the action.
OF_EVERYTHING = frozenset({"day", "daili", "date", "time"})


def read_conversation(
    messages: Sequence[Message],
    texts: AssistantTexts,
    search: Search,
    desk: ActionDesk | None = None,
    caller: Caller = Caller(),
    danger_in: DangerIn = by_words,
) -> AssistantReading:
    """Return what is replied to the last message of the user; those before give its context.

    `desk`: does what may be done, for the `caller`. `danger_in`: which fixed text a message gets
    before all else. Raises what search and desk raise; ConfigError without a message of the user.
    """
    said = [each.content[:MAX_MESSAGE_CHARACTERS] for each in messages if each.role == "user"]
    turns = [" ".join(each.split()) for each in said]  # thanks on a line below end no question
    if not turns:
        raise ConfigError("No message of a user is among them, so nothing is asked.")
    last, pending = turns[-1], None
    if desk is not None:
        pending = desk.pending(user_turns=said[:-1], **vars(caller))
    danger = danger_in(last, pending is not None)
    if danger == "self_harm":
        return AssistantReading(danger, nothing_read(last), (texts.in_self_harm,))
    acted = [False] * len(turns)
    if desk is not None:
        acted = list(desk.handled(user_turns=said, **vars(caller)))
    question = _in_context(turns, acted)
    if danger is not None:
        found = search(question)
        if not found.quotes or found.evidence < LEAST_IN_DANGER:
            found = nothing_read(last)
        return AssistantReading(danger, found, (texts.in_danger,))
    turn, is_talk = None, pending is None and small_talk(last) is not None
    asks_a_person = wants_person(last) and not _is_option(pending, last)
    if desk is not None and not asks_a_person and not is_talk:
        turn = desk.turn(user_turns=said, **vars(caller))
    if turn is not None:
        return _acted(turn, last, texts, search)
    if desk is not None and pending is not None:  # the message may have ended it without a word
        pending = desk.pending(user_turns=said, **vars(caller))

    def for_a_person() -> Sequence[Message]:
        return messages if desk is None else _without_values(messages, acted, desk)

    if pending is None and (_answers_nothing(last) or (desk and _is_number(last))):
        return AssistantReading("small_talk", nothing_read(last), (texts.fixed.nothing_waits,))
    if pending is not None and pending.yes_no and _only_agrees(last):
        return AssistantReading("action", nothing_read(last), (pending.unread,), action=pending)
    if pending is not None and _asks_of_it(question):
        return _acted(replace(pending, question=last), last, texts, search)
    before = "".join([*filter(asks_documents, turns[:-1])][-1:])
    of_section = of_section_before(search, before)
    reading = _read_beside_actions(question, for_a_person, texts, of_section, desk)
    if pending is not None:
        return _with_pending(reading, pending, texts)
    if desk is not None and reading.kind in ("answer", "refusal") and _may_be_wish(last, desk):
        return _with_offer(reading, desk.turn(user_turns=said, **vars(caller), is_unsure=True))
    return reading


def _with_offer(reading: AssistantReading, offered: ActionTurn | None) -> AssistantReading:
    """Return a reply with an action offered below, or in place of a refusal."""
    if offered is None:
        return reading
    if reading.kind == "refusal":
        nothing = nothing_read(reading.documents.question.rpartition("\n")[2])
        return AssistantReading("action", nothing, (offered.text,), action=offered)
    return replace(reading, closing=(*reading.closing, offered.text), action=offered)


def _answers_nothing(message: str) -> bool:
    """Whether a message says yes or no, where nothing asked for either."""
    return (reads_yes(message) or reads_no(message)) and small_talk(message) is None


def _is_number(message: str) -> bool:
    """Whether a message is a number alone, such as that of a card, which says nothing by itself."""
    return bool(message) and not message.strip(" .,;:#*-+()/0123456789")


def _may_be_wish(message: str, desk: ActionDesk) -> bool:
    """Whether a message that asks for no action surely may ask for one: not one that only wants to
    know how things are ("are you open on mondays"), unless with the verb of an action.
    """
    titles = [each.title for each in desk.actions.actions]
    verbs = {verb for title in titles for verb in words_of(first_word(title))}
    return not asks_in_general(message, verbs)


def _only_agrees(message: str) -> bool:
    """Whether a message says yes and something beside it that asks nothing of documents."""
    return begins_with_yes(message) and "?" not in message and not question_spans(message)


def _acted(turn: ActionTurn, last: str, texts: AssistantTexts, search: Search) -> AssistantReading:
    """Return the reply to a message that an action took: what the desk says, above it the answer to
    what was asked beside it, or that there is none; where a rule refused, its sentence below.
    """
    documents = rule_reading(last, turn.rule, search)
    if not turn.question:
        return _with_rule(documents, turn)
    found = _found_beside(turn.question, turn, search)
    if not found.quotes:
        opening = (refusal_text(texts), turn.text)
        return AssistantReading("action", documents, opening, action=turn, unanswered=turn.question)
    if documents.quotes:
        return AssistantReading(
            "action", both_readings(documents, found), (turn.text,), action=turn
        )
    return AssistantReading("action", found, closing=(turn.text,), action=turn)


def _found_beside(question: str, turn: ActionTurn, search: Search) -> QuestionReading:
    """Return what the documents hold on a question beside an action. What "it" is in "how long does
    it last?" is what was chosen so far, else the action by its title; a sentence that has no word
    of that is about something else, and none, as is one that has nothing of what is asked of it.
    """
    if stands_alone(question) and not names_it(question):
        return search(question)
    title = turn.action.title
    slots = [slot for slot in turn.action.slots if slot.name in turn.values]
    chosen = " ".join(turn.values[each.name].shown for each in slots if each.type == "choice")
    thing = title.partition(" ")[2]  # "an appointment" of "Book an appointment"
    for about, subject in ((f"{title}: {chosen}", chosen), (title, thing)):
        if subject:
            found = search(f"{about}\n{question}")
            if found.quotes and _is_about(found, subject, question):
                return found
    return nothing_read(question)


def _asks_of_it(question: str) -> bool:
    """Whether a question in its context is about "it" in all its turns: what is being ordered."""
    return all(asks_in_words(turn) and names_it(turn) for turn in question.split("\n"))


def _is_about(found: QuestionReading, subject: str, question: str) -> bool:
    """Whether the sentence that answers, or its heading, has a word of a subject, and the kind of
    value that a question asks for, or a word of it.
    """
    quote = found.quotes[0]
    source = found.sources[quote.source - 1]
    text = f"{source.title} {quote.in_words or quote.text}"
    said = own_terms(text, source.language)
    if said.isdisjoint(own_terms(subject, source.language) - OF_EVERYTHING):
        return False
    if kinds := asked_kinds(question):
        return kinds[0].value.search(text) is not None
    asked = own_terms(question, source.language)
    same = everyday_words(source.language).of_word
    return not asked or not said.isdisjoint(asked.union(*(same.get(each, ()) for each in asked)))


def _with_rule(documents: QuestionReading, turn: ActionTurn) -> AssistantReading:
    """Return what the desk says, with the documents' sentence of the rule that refused, if any,
    below; where it says that sentence itself, it stands once, as the quotation.
    """
    quoted = "".join(" ".join(each.text.split()) for each in documents.quotes)
    if not quoted or quoted not in turn.text:
        return AssistantReading("action", documents, (turn.text,), action=turn)
    said = [*map(str.strip, turn.text.split(quoted, 1))]
    opening, closing = [(each,) if each else () for each in said]
    return AssistantReading("action", documents, opening, closing, action=turn)


def _read_beside_actions(
    question: str,
    for_a_person: Callable[[], Sequence[Message]],
    texts: AssistantTexts,
    search: Search,
    desk: ActionDesk | None,
) -> AssistantReading:
    """Return what is replied to a question in its context that no action takes; `for_a_person`: the
    messages that a person is told of.
    """
    last = question.rpartition("\n")[2]
    talk = small_talk(last)
    if wants_person(last):
        return handover("person", nothing_read(last), for_a_person(), texts, search)
    if talk is not None:
        return AssistantReading(
            "small_talk", nothing_read(last), _small_talk_texts(talk, texts, desk)
        )
    found = search(question)
    if found.quotes:
        return AssistantReading("answer", found)
    return handover("refusal", found, for_a_person(), texts, search)


def _is_option(pending: ActionTurn | None, message: str) -> bool:
    """Whether a message is one of the options that were asked for, such as "staff"."""
    slot = None if pending is None else pending.asked
    options = (slot and slot.options) or {}
    named = [name for option, synonyms in options.items() for name in (option, *synonyms)]
    return message.strip(" .!").casefold() in map(str.casefold, named)


def _with_pending(
    reading: AssistantReading, pending: ActionTurn, texts: AssistantTexts
) -> AssistantReading:
    """Return a reply in the middle of an action: the question that waits is asked again below.
    Where the documents hold nothing, a question is told so, and any other message is taken for an
    answer that was not understood.
    """
    if reading.kind == "refusal" and pending.unread:
        last = reading.documents.question.rpartition("\n")[2]
        nothing = nothing_read(last)
        if asks_in_words(last):
            opening = (refusal_text(texts), pending.text)
            return AssistantReading("action", nothing, opening, action=pending, unanswered=last)
        return AssistantReading("action", nothing, (pending.unread,), action=pending)
    return replace(reading, closing=(*reading.closing, pending.text), action=pending)


def _in_context(turns: Sequence[str], acted: Sequence[bool]) -> str:
    """Return the question that the last turn asks the documents; what was said for an action or
    asked nothing is no context.
    """
    asked = [turn for turn, was_action in zip(turns[:-1], acted, strict=False) if not was_action]
    return question_in_context([*filter(asks_documents, asked[-MAX_CONTEXT_TURNS:]), turns[-1]])


def _without_values(
    messages: Sequence[Message], acted: Sequence[bool], desk: ActionDesk
) -> list[Message]:
    """Return messages without those that only gave an action its values or a yes."""
    was_action = iter(acted)
    return [
        each
        for each in messages
        if each.role != "user"
        or not next(was_action, False)
        or choose_action(desk.actions.actions, each.content) is not None
    ]


def _small_talk_texts(kind: str, texts: AssistantTexts, desk: ActionDesk | None) -> tuple[str, ...]:
    ability = texts.ability
    if desk is not None and not texts.can_do:
        titles = "; ".join(each.title for each in desk.actions.actions)
        ability += f" {texts.say(texts.fixed.can_do, titles=titles)}"
    if kind == GREETING:
        return (texts.hello,)
    if kind == BOT:
        return (f"{texts.identity} {ability}",)
    if kind == THANKS:
        return (texts.fixed.thanks,)
    if kind == GOODBYE:
        return (texts.fixed.goodbye,)
    return (f"{texts.say(texts.fixed.only)} {ability}",)


def reply(
    index: "Index",
    messages: Sequence[Message],
    texts: AssistantTexts,
    engine: "Engine | None" = None,
    config: AskConfig | None = None,
    *,
    rank_by: Ranking | None = None,
    vectors: "Vectors | None" = None,
    desk: ActionDesk | None = None,
    caller: Caller = Caller(),
) -> Iterator[Part]:
    """Yield the parts of a reply, and last the `AssistantReply`, in this process.

    Raises as `ask` does.
    """
    config = config or AskConfig()
    search = searching(index, config, rank_by=rank_by, vectors=vectors)
    if desk is not None:
        hear_by_meaning(desk, vectors)
    reading = read_conversation(messages, texts, search, desk, caller, hears_danger(vectors))
    writer = EngineWriter(engine, config.max_tokens) if engine else None

    async def recheck(answer: Answer) -> Answer:
        return with_changed_sources(index, answer)

    yield from iterate(reply_parts(reading, writer, config.min_support, recheck))


def searching(
    index: "Index",
    config: AskConfig,
    new_keep: Callable[[], Keep] = lambda: every,
    *,
    rank_by: Ranking | None = None,
    vectors: "Vectors | None" = None,
) -> Search:
    """Return the search of an index, for `read_conversation`."""

    def search(question: str, passages: int | None = None) -> QuestionReading:
        asked = replace(config, passages=passages or config.passages)
        return read(index, question, asked, new_keep, rank_by=rank_by, vectors=vectors)

    return search


def texts_of_build(build: Path) -> AssistantTexts:
    """Return the fixed texts of a build's assistant, which its recipe has; without, the defaults.

    Raises FormatError where they can't be read.
    """
    file = build / RECIPE_FILE
    if not file.is_file():
        return AssistantTexts()
    try:
        found = read_toml(file).get(ASSISTANT_TABLE, {})
        return build_config(AssistantTexts, found, where=f"{ASSISTANT_TABLE}.")
    except ConfigError as error:
        fix = "Build it again: the same command writes it."
        raise FormatError(file, ASSISTANT_TABLE, error.message, fix=fix) from error
