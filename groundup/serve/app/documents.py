"""/groundup/...: the routes by which the page asks one's own documents, outside of any API dialect;
without `--index` there are none to ask.

GET  /groundup/assistants             the assistants: {"assistants": [{"name", "index",
                                      "language", "organisation", "greeting", "questions",
                                      "colour", "notice" (what is kept), "deletable",
                                      "max_characters" (of a question)}]}: its own language, else
                                      that of Accept-Language, in which /groundup/ask replies, too
GET  /groundup/indexes                the indexes: {"indexes": [{"name", "passages", "documents",
                                      "files", "languages", "unread", "questions"}],
                                      "max_characters" (of a question)}
POST /groundup/ask                    {"index", "question", "model": name or null (quotations only),
                                      "assistant": name (it replies, in place of index and model),
                                      "k": 5, "promised": false (true: only what the index's promised
                                      error rate covers), "history": [messages before],
                                      "conversation": its id, at random: by it nothing is done
                                      twice, and what is kept of it can be deleted}
     a stream of JSON lines:          {"sources": [...]}, then {"quote": {...}}, {"sentence":
                                      {...}}, {"note": {...}}, {"omitted": {...}} as they are made,
                                      last {"done": true, "found", "answer", "cited", "question" (in
                                      its context), "evidence", "least_evidence", "operating_point",
                                      "promise", "promised" (whether the promise covers it),
                                      "nearest", "missing" and "refusal" ({"kind", "text"}) of what
                                      is not found, "kind", "summary" and "related" (numbers of
                                      sources that are near) of an assistant's reply,
                                      "reply" (the number to rate it by, where that is kept), ...};
                                      or {"error": {...}}
POST /groundup/feedback               {"reply": the "reply" of the last line of /groundup/ask,
                                      "rating": "up" or "down", "text": a comment}
     -> {"kept": true}                where the operator keeps what readers say
POST /groundup/forget                 {"conversation": its id, as /groundup/ask was given it, "user":
                                      as the other APIs were}, with the same key and customer
     -> {"forgotten": whether anything of it was kept}
GET  /groundup/passages/INDEX/ID      a passage within its document's text; a browser that follows a
                                      link there gets the page, opened at it
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from groundup.errors import GroundupError
from groundup.http.json_object import JsonObject
from groundup.http.responses import JsonResponse, path_number
from groundup.language.messages import message, preferred_language
from groundup.packs.assistant_texts import AssistantTexts
from groundup.retrieve.answer import PASSAGES, Answer, Note, Part
from groundup.retrieve.assistant_reply import AssistantReply
from groundup.retrieve.caller import Caller
from groundup.retrieve.cite import Quote
from groundup.retrieve.follow_up import question_in_context
from groundup.retrieve.generation import Omitted, Sentence
from groundup.serve.assistant_questions import question_of
from groundup.serve.assistants import caller_of
from groundup.serve.feedback import MAX_TEXT_CHARACTERS
from groundup.serve.fields import Body, Whole, read_fields
from groundup.serve.index_entries import passage_page, source_entries
from groundup.serve.messages import ClientMessage
from groundup.serve.model_registry import ModelAlias
from groundup.serve.ollama.answers import MEDIA_TYPE, line
from groundup.serve.openai.fields import MAX_ID_CHARACTERS, MAX_USER_CHARACTERS, error_body
from groundup.serve.requests import GenerateRequest, RequestError
from groundup.serve.server import ModelServer
from groundup.serve.sourced_answers import (
    MAX_QUESTION_CHARACTERS,
    AskRequest,
    SourcedAnswer,
    sourced_answer,
)
from groundup.serve.streaming import HeldStreamingResponse
from groundup.tokenizer.chat import Conversation, Message

MAX_PASSAGES = 20
MAX_ID = 2**63 - 1


class AskBody(Body):
    """The body of /groundup/ask."""

    question: str = Field(min_length=1, max_length=MAX_QUESTION_CHARACTERS)
    conversation: str = Field("", max_length=MAX_ID_CHARACTERS)
    index: str | None = None
    model: str | None = None
    assistant: str | None = None
    k: Whole = Field(PASSAGES, ge=1, le=MAX_PASSAGES)
    promised: bool = False
    history: list[ClientMessage] = Field([], max_length=256)


def routes(server: ModelServer) -> list[Route]:
    """Return the routes; with a public key those that ask its assistants."""

    async def indexes(request: Request) -> Response:
        entries = await server.indexes.entries()
        return JsonResponse({"indexes": entries, "max_characters": MAX_QUESTION_CHARACTERS})

    async def assistants(request: Request) -> Response:
        aliases = await asyncio.to_thread(server.registry.aliases)
        found = [each for each in aliases if each.assistant in server.indexes.names]
        entries = [assistant_entry(server, each, request) for each in found]
        return JsonResponse({"assistants": entries}, headers={"Vary": "Accept-Language"})

    async def ask(request: Request) -> Response:
        question = await read_ask(server, await server.read_body(request))
        question = replace(question, caller=caller_of(server, question.caller, request))
        if question.texts is not None:
            question = replace(question, texts=_in_language(question.texts, request))
        async with contextlib.AsyncExitStack() as stack:
            answer = await sourced_answer(server, question, stack)
            return HeldStreamingResponse(_lines(answer), MEDIA_TYPE, stack.pop_all())
        raise AssertionError("unreachable")  # the stack swallows no exception

    async def passage(request: Request) -> Response:
        name = server.indexes.find(request.path_params["index"])
        id = min(path_number(request.path_params["id"]), MAX_ID)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"/#documents/{name}/{id}", 303, headers={"Vary": "Accept"})
        shown = server.indexes.shown(name)
        page = await server.indexes.use(name, lambda index: passage_page(name, index, id, shown))
        return JsonResponse(page, headers={"Vary": "Accept"})

    found = [
        Route("/groundup/assistants", assistants),
        Route("/groundup/ask", ask, methods=["POST"]),
        Route("/groundup/passages/{index}/{id}", passage),
    ]
    if not server.client.public:
        found.append(Route("/groundup/indexes", indexes))
    return [*found, *_kept_routes(server)]


async def read_ask(server: ModelServer, value: JsonObject) -> AskRequest:
    """Return the request of a body. Raises RequestError."""
    body = read_fields(AskBody, value)
    if body.assistant is not None:
        return await _read_assistant_ask(server, body, body.assistant)
    if server.client.public:
        raise RequestError(
            "assistant: is required with a public key", param="assistant", status=403
        )
    name, writer = server.indexes.find(body.index), None
    if body.model is not None:
        writer = await server.find(body.model, "completion")
    before = (message.message().content for message in body.history if message.role == "user")
    turns = [content[:MAX_QUESTION_CHARACTERS] for content in before]
    question = question_in_context([*turns, body.question])
    config = server.indexes.ask_config(body.k, promised=body.promised)
    return AskRequest(name, question, writer, config)


async def _read_assistant_ask(server: ModelServer, body: AskBody, name: str) -> AskRequest:
    alias, info = await server.find(name, "completion")
    if not alias.assistant:
        raise RequestError(f'assistant: "{name[:120]}" is none', param="assistant")
    messages = [*(each.message() for each in body.history), Message("user", body.question)]
    conversation = Conversation(tuple(messages))
    request = GenerateRequest(name, (conversation,), caller=Caller(body.conversation))
    writer = (alias, info) if server.indexes.own_words else None
    return question_of(server, request, alias, writer, body.k)


def _in_language(texts: AssistantTexts, request: Request) -> AssistantTexts:
    """Return an assistant's texts in its own language, else in the browser's."""
    accepted = request.headers.get("accept-language", "")
    return replace(texts, language=texts.language or preferred_language(accepted))


def assistant_entry(server: ModelServer, alias: ModelAlias, request: Request) -> JsonObject:
    """Return what the page shows of an assistant."""
    texts = _in_language(server.indexes.texts_of(alias.assistant), request)
    desk = server.indexes.desks.get(alias.assistant)
    actions = () if desk is None else desk.actions.actions
    return {
        "name": alias.name,
        "index": alias.assistant,
        "language": texts.language,
        "organisation": texts.firm,
        "greeting": texts.hello,
        "questions": list(texts.questions),
        "colour": texts.colour,
        "actions": [{"name": each.name, "title": each.title} for each in actions],
        "notice": _notice(server, texts.language),
        "max_characters": MAX_QUESTION_CHARACTERS,
        "deletable": server.transcripts is not None or alias.assistant in server.indexes.desks,
    }


def _notice(server: ModelServer, language: str) -> str:
    """Return what is kept of conversations; "" for nothing."""
    notices = []
    if server.transcripts is not None:
        days = server.transcripts.days
        notices.append(message(language, "kept", "transcript", days=days))
    if server.feedback is not None:
        notices.append(message(language, "kept", "feedback"))
    if notices:
        notices.append(message(language, "kept", "masks"))
    return " ".join(notices)


async def _lines(answer: SourcedAnswer) -> AsyncIterator[bytes]:
    reading = answer.reading
    entries = source_entries(answer.request.index, reading.sources, reading.requests)
    yield line({"sources": entries})
    try:
        async for part in answer:
            yield line(_part_entry(part, answer))
    except RequestError as error:
        yield line(error_body(error.message, error.status))
    except GroundupError as error:
        yield line(error_body(error.message, 500))


def _part_entry(part: Part, answer: SourcedAnswer) -> JsonObject:
    """Return a part of a stream, by its name there."""
    if isinstance(part, Quote):
        return {"quote": asdict(part)}
    if isinstance(part, Note):
        return {"note": vars(part)}
    if isinstance(part, Sentence):
        return {"sentence": vars(part)}
    if isinstance(part, Omitted):
        return {"omitted": vars(part)}
    return {
        "done": True,
        "found": part.found,
        "answer": part.text,
        "cited": part.cited,
        "question": part.question,
        "evidence": part.evidence,
        **part.point.to_plain(),
        "promised": part.promised,
        "nearest": part.nearest and asdict(part.nearest),
        "missing": list(part.missing),
        "refusal": None if part.found else vars(part.refusal),
        "outdated": len(part.outdated),
        **_reply_fields(part),
        "reply": answer.reply_number,
        "prompt_tokens": answer.last_event.prompt_tokens,
        "completion_tokens": answer.last_event.completion_tokens,
    }


def _reply_fields(answer: Answer) -> JsonObject:
    """Return the fields that only an assistant's reply has."""
    if not isinstance(answer, AssistantReply):
        return {}
    return answer.kind_to_plain()


class RatingBody(Body):
    """The body of /groundup/feedback."""

    reply: str = Field(min_length=1, max_length=64)
    rating: Literal["up", "down"]
    text: str = Field("", max_length=MAX_TEXT_CHARACTERS)


class ForgetBody(Body):
    """The body of /groundup/forget."""

    conversation: str = Field(min_length=1, max_length=MAX_ID_CHARACTERS)
    user: str = Field("", max_length=MAX_USER_CHARACTERS)


def _kept_routes(server: ModelServer) -> list[Route]:
    async def feedback(request: Request) -> Response:
        body = read_fields(RatingBody, await server.read_body(request))
        if server.feedback is None:
            problem = "this server keeps no feedback: it was started without --feedback FILE"
            raise RequestError(problem, status=404)
        await server.feedback.rate(body.reply, body.rating, body.text)
        return JsonResponse({"kept": True})

    async def forget(request: Request) -> Response:
        body = read_fields(ForgetBody, await server.read_body(request))
        caller = caller_of(server, Caller(body.conversation, body.user), request)
        found = await asyncio.to_thread(forget_conversation, server, caller)
        return JsonResponse({"forgotten": found})

    return [
        Route("/groundup/feedback", feedback, methods=["POST"]),
        Route("/groundup/forget", forget, methods=["POST"]),
    ]


def forget_conversation(server: ModelServer, caller: Caller) -> bool:
    """Delete the transcript of a caller's conversation and how far its actions were; return whether
    there was any. What was done for it, and its audit, stays. Raises DiskError.
    """
    store, indexes = server.transcripts, server.indexes
    found = store is not None and store.forget(caller.owner, caller.conversation)
    for name in indexes.names:
        if name in indexes.desks:
            gone = indexes.desks[name].forget(caller.conversation, caller.customer, caller.client)
            found = gone > 0 or found
    return found
