"""Refusals and errors: one small JSON body in the shape of the app's dialect, and never a path, a trace or a library's own words."""

import http
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

ErrorBody: TypeAlias = Callable[[int, str, str], bytes]
"""(status, message, path of the request) -> the JSON body that the dialect spoken at that path has for errors."""


class RefusedError(Exception):
    """A request that gets no answer but this status and sentence. `headers` are sent with it."""

    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or []


def plain_error(status: int, message: str, path: str) -> bytes:
    """The shape for servers without a dialect: {"error": message}."""
    return json.dumps({"error": message}).encode()


async def send_refusal(refused: RefusedError, send: Send, path: str, error_body: ErrorBody) -> None:
    """Answer a request with a refusal."""
    body = error_body(refused.status, refused.message, path)
    await send_whole(send, refused.status, body, [(b"content-type", b"application/json"), *refused.headers])


async def send_whole(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Answer a request at once."""
    length = [(b"content-length", str(len(body)).encode())] if status != 204 else []
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})


def error_handlers(
    error_body: ErrorBody = plain_error, unknown_path: Callable[[str], str] = lambda path: "Not Found"
) -> dict[Any, Any]:
    """What Starlette's `exception_handlers` wants, so that unknown routes, refusals raised by a route and bugs answer in one shape.

    `unknown_path`: what is said of a path that is not there. A bug is answered with 500 and one sentence; its trace goes to the server's log.
    """
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response

    def reply(request: Request, status: int, message: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
        body = error_body(status, message, request.url.path)
        return Response(body, status, dict(headers), media_type="application/json")

    def refused(request: Request, error: RefusedError) -> Response:
        return reply(request, error.status, error.message, ((k.decode(), v.decode()) for k, v in error.headers))

    def unrouted(request: Request, error: HTTPException) -> Response:
        missing = error.status_code == http.HTTPStatus.NOT_FOUND
        said = unknown_path(request.url.path) if missing else http.HTTPStatus(error.status_code).phrase
        return reply(request, error.status_code, said, (error.headers or {}).items())

    def bug(request: Request, error: Exception) -> Response:
        return reply(request, 500, "The server made a mistake; its log says more.")

    return {RefusedError: refused, HTTPException: unrouted, Exception: bug}
