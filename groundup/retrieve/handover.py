"""A conversation is handed over to a person: where one is reached, and what was asked so far."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from groundup.packs.assistant_texts import AssistantTexts
from groundup.retrieve.answer import QuestionReading
from groundup.retrieve.assistant_reply import AssistantReading, Search
from groundup.retrieve.cite import Quote, quote_of, statements
from groundup.retrieve.evidence import contact_detail
from groundup.retrieve.refusals import small_talk
from groundup.retrieve.related import related_sources
from groundup.retrieve.requests_to_reader import Requests, without_requests
from groundup.retrieve.scope import wants_person
from groundup.tokenizer.chat import Message

# Read for a contact: by words alone, passages on telephones in general often come first.
CONTACT_PASSAGES = 10
# As `contact_detail` knows them; the first one is preferred.
CONTACT_FORMS = ("telephone number", "e-mail")
MAX_SUMMARY, MAX_SUMMARY_CHARACTERS = 10, 200


def refusal_text(texts: AssistantTexts) -> str:
    """Return the sentence that says that the documents hold no answer."""
    return texts.say(texts.fixed.refusal)


def handover(
    kind: Literal["person", "refusal"],
    found: QuestionReading,
    messages: Sequence[Message],
    texts: AssistantTexts,
    search: Search,
) -> AssistantReading:
    """Return how a person is reached, by the pack's text, else by a quotation of the documents."""
    summary = conversation_summary(messages, texts)
    opening, closing = [refusal_text(texts)] if kind == "refusal" else [], []
    if texts.contact:
        opening.append(texts.say(texts.fixed.person, contact=texts.contact))
    else:
        quoted = _quoted_contact(search, texts)
        if quoted is None:
            opening.append(texts.fixed.no_person)
        else:
            opening.append(texts.say(texts.fixed.person_at))
            found = _with_quote(found, *quoted)
    if kind == "person" and summary:
        asked = [texts.fixed.asked, *(f"- {each}" for each in summary)]
        closing = ["\n".join(asked)]
    return AssistantReading(kind, found, tuple(opening), tuple(closing), summary)


def _quoted_contact(search: Search, texts: AssistantTexts) -> tuple[Quote, QuestionReading] | None:
    """Return the first sentence with a telephone number, or else with an e-mail address, among
    those that answer a question for them and those of the passages that were read; None: there is
    none.
    """
    found = search(texts.fixed.contact_question, CONTACT_PASSAGES)
    said = tuple(
        quote_of(source, number, each)
        for number, source in enumerate(found.sources, start=1)
        for each in statements(source)
    )
    listed = (*found.quotes, *without_requests(said, found.requests))
    for form in CONTACT_FORMS:
        for quote in listed:
            if contact_detail(form, quote.in_words or quote.text):
                return quote, found
    return None


def _with_quote(reading: QuestionReading, quote: Quote, found: QuestionReading) -> QuestionReading:
    """Return a reading with a quotation of another one, and of its own sources the nearest and
    those that are related.
    """
    nearest = [reading.nearest.source] if reading.nearest else []
    own = list(dict.fromkeys([*nearest, *related_sources(reading.answer())]))
    kept = [(found, quote.source), *((reading, number) for number in own)]
    sources = tuple(each.sources[number - 1] for each, number in kept)
    requests: Requests = tuple(
        each.requests[number - 1] if each.requests else () for each, number in kept
    )
    head = quote.head and replace(quote.head, source=1)
    return replace(
        reading,
        sources=sources,
        requests=requests,
        values=(0.0, *(reading.values[number - 1] for number in own if reading.values)),
        about=sources[:1],
        quotes=(replace(quote, source=1, head=head),),
        nearest=reading.nearest and replace(reading.nearest, source=2),
    )


def conversation_summary(messages: Sequence[Message], texts: AssistantTexts) -> tuple[str, ...]:
    """Return what the user asked, one line a question, the last MAX_SUMMARY, each with a mark where
    the documents held no answer.
    """
    refused, lines = refusal_text(texts), []
    for place, message in enumerate(messages):
        if message.role != "user" or not asks_documents(message.content):
            continue
        line = " ".join(message.content.split())
        if len(line) > MAX_SUMMARY_CHARACTERS:
            cut = line[:MAX_SUMMARY_CHARACTERS]
            line = f"{cut.rpartition(' ')[0] or cut} ..."
        following = messages[place + 1 : place + 2]
        if following and following[0].content.startswith(refused):
            line += f" {texts.fixed.unanswered}"
        lines.append(line)
    return tuple(lines[-MAX_SUMMARY:])


def asks_documents(turn: str) -> bool:
    """Whether a message asks something of the documents: no small talk, nor for a person."""
    turn = " ".join(turn.split())
    return bool(turn) and small_talk(turn) is None and not wants_person(turn)
