"""Fields of a request: a JSON object -> a checked object, or one sentence about what is wrong.

Strict about types (`"5"` is no number), lenient about the rest: unknown fields are passed over, null is the same as absent, 5.0 is an integer.
A dialect's bodies are pydantic models that descend from `Body`.
"""

from typing import Annotated, Any, TypeVar

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from groundup.serve.requests import RequestError


class Body(BaseModel):
    """A JSON object from a client."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=(), populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return {name: each for name, each in value.items() if each is not None} if isinstance(value, dict) else value


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, Field(allow_inf_nan=False)]
# One text, or several.
Texts = Annotated[list[str], BeforeValidator(_listed)]
B = TypeVar("B", bound=Body)


def read_fields(kind: type[B], value: dict[str, Any]) -> B:
    """The JSON object as a `kind`. Raises RequestError, 400, that names the field and never repeats what was sent."""
    try:
        return kind.model_validate(value, strict=True)
    except pydantic.ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)[0]
    param = ".".join(map(str, found["loc"]))
    problem = "is missing" if found["type"] == "missing" else _lower(found["msg"])
    raise RequestError(f"{param}: {problem}"[:400], param=param)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
