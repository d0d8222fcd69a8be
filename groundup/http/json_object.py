"""`JsonObject`: the body of a request or an answer. Without starlette."""

from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
"""Of this form only where JSON enters or leaves."""
