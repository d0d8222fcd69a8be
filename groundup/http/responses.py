"""Error responses: a small JSON body in the app's API dialect, without paths, tracebacks or messages of libraries."""

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
"""(status, message, path of the request) -> the JSON body of an error in the API dialect of that path."""


class RefusedError(Exception):
    """A refused request, with status, message and further headers of the response."""

    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or []


def plain_error(status: int, message: str, path: str) -> bytes:
    """Return {"error": message}, for servers without an API dialect."""
    return json.dumps({"error": message}).encode()


async def send_refusal(refused: RefusedError, send: Send, path: str, error_body: ErrorBody) -> None:
    """Send the response of a refused request."""
    body = error_body(refused.status, refused.message, path)
    await send_whole(send, refused.status, body, [(b"content-type", b"application/json"), *refused.headers])


async def send_whole(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Send a complete response."""
    length = [(b"content-length", str(len(body)).encode())] if status != 204 else []
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})


def error_handlers(
    error_body: ErrorBody = plain_error, unknown_path: Callable[[str], str] = lambda path: "Not Found"
) -> dict[Any, Any]:
    """Return Starlette's `exception_handlers` for unknown routes, refused requests and bugs (500; the traceback goes to the log).

    `unknown_path`: the message for a path without a route.
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
        message = unknown_path(request.url.path) if missing else http.HTTPStatus(error.status_code).phrase
        return reply(request, error.status_code, message, (error.headers or {}).items())

    def bug(request: Request, error: Exception) -> Response:
        return reply(request, 500, "Internal server error; the server's log has the details.")

    return {RefusedError: refused, HTTPException: unrouted, Exception: bug}
