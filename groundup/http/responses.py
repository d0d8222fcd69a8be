"""Responses: JSON in ASCII, and errors as a small JSON body in the app's API dialect, without
paths, tracebacks or messages of libraries. `read_object`: a body as JSON; its Content-Type is
ignored, and errors never quote it.
"""

import http
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from groundup.config import is_deeper
from groundup.http.json_object import JsonObject
from groundup.http.limits import Limits

# Of 2^63 - 1. Python itself refuses to read 4,300 digits.
MAX_DIGITS = 19
ErrorBody: TypeAlias = Callable[[int, str, str], bytes]
"""(status, message, path of the request) -> the JSON body of an error in the API dialect of that
path.
"""


class RefusedError(HTTPException):
    """A refused request, with status, message (`detail`) and further headers of the response."""


def path_number(text: str) -> int:
    """Raises HTTPException (404): a number of more digits than any of ours is another path, as is
    no number.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise HTTPException(404)
    return int(text)


class JsonResponse(JSONResponse):
    """ASCII: Unicode line breaks and lone surrogates can't break it."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode()


def plain_error(status: int, message: str, path: str) -> bytes:
    """Return {"error": message}, for servers without an API dialect."""
    return json.dumps({"error": message}).encode()


def error_handlers(
    error_body: ErrorBody = plain_error,
    unknown_path: Callable[[str], str] = lambda path: "Not Found",
) -> dict[Any, Any]:
    """For unknown routes, refused requests and bugs (500; the traceback goes to the log).
    `unknown_path`: the message for a path without a route.
    """

    def reply(
        request: Request, status: int, message: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        return Response(
            error_body(status, message, request.url.path), status, headers, "application/json"
        )

    def refuse(request: Request, error: RefusedError) -> Response:
        return reply(request, error.status_code, error.detail, error.headers)

    def refuse_path(request: Request, error: HTTPException) -> Response:
        message = http.HTTPStatus(error.status_code).phrase
        if error.status_code == http.HTTPStatus.NOT_FOUND:
            message = unknown_path(request.url.path)
        return reply(request, error.status_code, message, error.headers)

    def report_bug(request: Request, error: Exception) -> Response:
        return reply(request, 500, "Internal server error; the server's log has the details.")

    return {RefusedError: refuse, HTTPException: refuse_path, Exception: report_bug}


def read_object(body: bytes, limits: Limits) -> JsonObject:
    """Raises RefusedError (400): not JSON, not an object, nested too deep, NaN."""
    too_deep = f"The JSON is nested too deep: at most {limits.json_depth} levels are allowed."
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise RefusedError(400, too_deep) from None
    except ValueError:  # not JSON, not UTF-8, or an integer with more digits than Python converts
        raise RefusedError(400, "The body is not JSON.") from None
    if not isinstance(value, dict):
        raise RefusedError(400, "The body is not a JSON object.")
    if is_deeper(value, limits.json_depth):
        raise RefusedError(400, too_deep)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
