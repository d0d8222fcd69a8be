"""Assistants: models by name that answer every conversation from an index
(`retrieve/assistant.py`), for the APIs of chats. A request to any other model goes to the server as it is.

What an assistant replies does not depend on the sampling options of a request nor on its system
messages. What it can't do is refused, and the name of its plain model is told: tools, several
answers, a format, texts to continue.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace

from starlette.datastructures import Headers
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from groundup.actions.action_file import MAX_CUSTOMER_CHARACTERS
from groundup.http.guard import only
from groundup.retrieve.answer import PASSAGES
from groundup.retrieve.assistant_actions import Caller
from groundup.retrieve.search import Keep, every
from groundup.serve.model_registry import LATEST, ModelAlias, ModelInfo
from groundup.serve.request_preparation import require_within
from groundup.serve.requests import ContinuedPrompt, GenerateRequest, RequestError
from groundup.serve.server import ModelServer
from groundup.serve.sourced_answers import AskRequest, SourcedText, sourced_answer
from groundup.serve.streaming import EventStream, Translator, respond
from groundup.tokenizer.chat import Conversation, Message


async def answer(
    server: ModelServer, request: GenerateRequest, translator: Translator, client: HttpRequest
) -> Response:
    """Return the response to a request. Raises what `ModelServer.answer` does."""
    request = replace(request, caller=caller_of(server, request.caller, client))
    async with contextlib.AsyncExitStack() as stack:
        found = await stream(server, request, stack)
        return await respond(found, translator, client, stack, in_pieces=request.stream)
    raise AssertionError("unreachable")  # the stack swallows no exception


async def stream(
    server: ModelServer, request: GenerateRequest, resources: contextlib.AsyncExitStack
) -> EventStream:
    """Return the events of the answers, of an assistant those of its reply.

    Raises what `ModelServer.stream` does.
    """
    alias, info = await server.find(request.model, "completion", request.template)
    if not alias.assistant:
        return await server.stream(request, resources)
    writer = (alias, info) if server.indexes.own_words else None
    asked = question_of(server, request, alias, writer)
    return SourcedText(await sourced_answer(server, asked, resources), lists_sources=True)


def question_of(
    server: ModelServer,
    request: GenerateRequest,
    alias: ModelAlias,
    writer: tuple[ModelAlias, ModelInfo] | None,
    passages: int = PASSAGES,
    new_keep: Callable[[], Keep] = lambda: every,
) -> AskRequest:
    """Return what a request asks of an assistant. `writer`: the model that also answers in its own
    words. Raises RequestError for what an assistant can't do.
    """
    require_within(request, request.options, server.limits)
    index = server.indexes.find(alias.assistant)
    shown = server.indexes.shown(index)

    def new_keep_of_shown() -> Keep:
        keep = new_keep()
        return lambda passage: shown(passage) and keep(passage)

    return AskRequest(
        index,
        "",
        writer,
        server.indexes.ask_config(passages),
        request.options,
        new_keep_of_shown,
        conversation=_conversation(request, alias),
        texts=server.indexes.texts_of(index),
        caller=request.caller,
    )


def languages_of(server: ModelServer) -> dict[str, str]:
    """Return the language that each assistant's pack says ("": none), by the assistant's name."""
    return {
        alias.name.removesuffix(f":{LATEST}"): server.indexes.texts_of(alias.assistant).language
        for alias in server.registry.aliases()
        if alias.assistant
    }


def caller_of(server: ModelServer, said: Caller, client: HttpRequest) -> Caller:
    """Return whose conversation it is: under each key another client, and who is signed in, where a
    proxy before the server says it.
    """
    who = json.dumps([server.client.name, said.client])
    return Caller(said.conversation, who, customer_of(server, client.headers))


def customer_of(server: ModelServer, headers: Headers) -> str | None:
    """Return who is signed in, where the operator's front end says it in a header.

    Raises RequestError for a header that is there twice, since one may be the client's own, or is
    too long: cut off, it could be someone else's.
    """
    if not server.customer_header:
        return None
    customer = only(headers, server.customer_header)
    if len(customer) > MAX_CUSTOMER_CHARACTERS:
        what = f"expected at most {MAX_CUSTOMER_CHARACTERS} characters"
        raise RequestError(f"the header {server.customer_header}: {what}")
    return customer or None


def _conversation(request: GenerateRequest, alias: ModelAlias) -> tuple[Message, ...]:
    """Return what was said, with what the alias has said before. Raises RequestError for what an
    assistant can't do.
    """
    [prompt, *others] = request.prompts
    if isinstance(prompt, ContinuedPrompt):
        prompt = prompt.conversation
    refused = {
        "messages": bool(others) or not isinstance(prompt, Conversation),
        "n": request.choices > 1,
        "response_format": request.constraint is not None,
        "tools": bool(request.tools),
    }
    for name, is_asked in refused.items():
        if is_asked:
            param = request.public(name)
            what = f'"{request.model[:120]}" is an assistant, which answers conversations in text'
            raise RequestError(f"{param}: {what}; {alias.base} has it", param=param)
    assert isinstance(prompt, Conversation)
    messages = (*alias.messages, *prompt.messages)
    if not any(each.role == "user" for each in messages):
        param = request.public("messages")
        raise RequestError(f"{param}: no message of a user is among them", param=param)
    return messages
