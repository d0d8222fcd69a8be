"""The shape of errors in OpenAI's API, and of the lines of its streams."""

import json
from typing import Any

JSON = dict[str, Any]
MEDIA_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def error_body(message: str, status: int, *, param: str | None = None, code: str | None = None) -> JSON:
    """Return {"error": {...}}; the type follows from the status."""
    error_type = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": error_type, "param": param, "code": code}}


def sse(value: JSON) -> bytes:
    """Return one event of a stream."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"
