"""How a reader rates a reply of /groundup/ask, and deletes a conversation, where the operator keeps
that.

POST /groundup/feedback   {"reply": the "reply" of the last line of /groundup/ask, "rating": "up" or
                          "down", "text": a comment}     ->  {"kept": true}
POST /groundup/forget     {"conversation": its id, as /groundup/ask was given it, "user": as the
                          other APIs were}, with the same key and customer
                          ->  {"forgotten": whether anything of it was kept}
"""

import asyncio
from typing import Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.http.responses import JsonResponse
from groundup.retrieve.assistant_actions import Caller
from groundup.serve.assistants import caller_of
from groundup.serve.feedback import MAX_TEXT_CHARACTERS
from groundup.serve.fields import Body, read_fields
from groundup.serve.openai.fields import MAX_ID_CHARACTERS, MAX_USER_CHARACTERS
from groundup.serve.requests import RequestError
from groundup.serve.server import ModelServer


class RatingBody(Body):
    """The body of /groundup/feedback."""

    reply: str = Field(min_length=1, max_length=64)
    rating: Literal["up", "down"]
    text: str = Field("", max_length=MAX_TEXT_CHARACTERS)


class ForgetBody(Body):
    """The body of /groundup/forget."""

    conversation: str = Field(min_length=1, max_length=MAX_ID_CHARACTERS)
    user: str = Field("", max_length=MAX_USER_CHARACTERS)


def routes(server: ModelServer) -> list[Route]:
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
