"""Assistants: models by name that answer every conversation from an index
(`retrieve/assistant.py`), for the APIs of chats. A request to any other model goes to the server as it is.
"""

import contextlib
import json
from dataclasses import replace

from starlette.datastructures import Headers
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from groundup.http.guard import only
from groundup.retrieve.caller import Caller
from groundup.serve.model_registry import LATEST
from groundup.serve.requests import GenerateRequest, RequestError
from groundup.serve.server import ModelServer
from groundup.serve.streaming import EventStream, Translator, respond


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
    from groundup.serve.assistant_questions import reply  # takes as long to import as all of this

    return await reply(server, request, alias, info, resources)


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
    from groundup.actions.action_file import MAX_CUSTOMER_CHARACTERS

    customer = only(headers, server.customer_header)
    if len(customer) > MAX_CUSTOMER_CHARACTERS:
        what = f"expected at most {MAX_CUSTOMER_CHARACTERS} characters"
        raise RequestError(f"the header {server.customer_header}: {what}")
    return customer or None
