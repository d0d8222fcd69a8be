"""/groundup/feedback: how a reader rates a reply of /groundup/ask, where the operator keeps that.

POST /groundup/feedback   {"reply": the "reply" of the last line of /groundup/ask, "rating": "up" or
                          "down", "text": a comment}     ->  {"kept": true}
"""

from typing import Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.http.responses import JsonResponse
from groundup.serve.feedback import MAX_TEXT_CHARACTERS
from groundup.serve.fields import Body, read_fields
from groundup.serve.requests import RequestError
from groundup.serve.server import ModelServer


class RatingBody(Body):
    """The body of /groundup/feedback."""

    reply: str = Field(min_length=1, max_length=64)
    rating: Literal["up", "down"]
    text: str = Field("", max_length=MAX_TEXT_CHARACTERS)


def routes(server: ModelServer) -> list[Route]:
    async def feedback(request: Request) -> Response:
        body = read_fields(RatingBody, await server.read_body(request))
        if server.feedback is None:
            problem = "this server keeps no feedback: it was started without --feedback FILE"
            raise RequestError(problem, status=404)
        await server.feedback.rate(body.reply, body.rating, body.text)
        return JsonResponse({"kept": True})

    return [Route("/groundup/feedback", feedback, methods=["POST"])]
