"""The body of a request as a JSON object, for every API dialect.

The Content-Type is ignored; errors never quote the body.
"""

import json

from groundup.config import is_deeper
from groundup.http.limits import Limits
from groundup.http.responses import JsonObject, RefusedError


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
