"""Fields of a request: a JSON object -> a validated object, or one sentence that says what is
wrong.

Types are strict (`"5"` is not a number), the rest is lenient: unknown fields are ignored, null is
the same as absent, 5.0 is an integer. The bodies of each dialect are pydantic models derived from
`Body`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import pydantic
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from groundup.engine.sampling import RULES, Sampling, SamplingRule
from groundup.http.json_object import JsonObject
from groundup.serve.requests import RequestError


class Body(BaseModel):
    """The base class of all request bodies."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        protected_namespaces=(),
        populate_by_name=True,
        defer_build=True,  # a server answers few of all kinds, and starts before it answers any
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: each for name, each in value.items() if each is not None}


def _as_whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _as_list(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    return value


Whole = Annotated[int, BeforeValidator(_as_whole)]
Number = Annotated[float, Field(allow_inf_nan=False)]
# One text or several.
Texts = Annotated[list[str], BeforeValidator(_as_list)]
_ABSENT = object()
B = TypeVar("B", bound=Body)
M = TypeVar("M", bound=BaseModel)


def with_sampling_rules(
    base: type[M], *, names: Mapping[str, str] = {}, limits: Mapping[str, Mapping[str, Any]] = {}
) -> type[M]:
    """Return `base` with an optional field for each rule of `Sampling`: by its name in `names` or
    its own, within its `limits` in place of the rule's where it has any (a dialect's values that
    mean something else, such as -1)."""
    definitions: dict[str, Any] = {}
    for name, rule in RULES.items():
        number: Any = Number
        if isinstance(getattr(Sampling, name), int):
            number = Whole
        if name not in limits:
            number = Annotated[number, AfterValidator(_validator_of(rule))]
        definitions[names.get(name, name)] = (number | None, Field(None, **limits.get(name, {})))
    return create_model(f"{base.__name__}WithRules", __base__=base, **definitions)


def _validator_of(rule: SamplingRule) -> Callable[[float], float]:
    def validate(value: float) -> float:
        if not rule.is_valid(value):
            raise PydanticCustomError("sampling", "expected {bounds}", {"bounds": rule.expected})
        return value

    return validate


def _public_name(location: Sequence[int | str], value: Any, *, is_missing: bool) -> str:
    """Return a place in a body as the client wrote it.

    Pydantic's also names the members of unions that it tried.
    """
    names = []
    inner: Any = _ABSENT
    for part in location:
        inner = _inner(value, part)
        if inner is not _ABSENT:
            names.append(str(part))
            value = inner
    if is_missing and inner is _ABSENT:  # not null, which counts as missing too
        names.append(str(location[-1]))
    return ".".join(names)[:200]


def _inner(value: Any, part: int | str) -> Any:
    if isinstance(value, dict):
        return value.get(part, _ABSENT)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return _ABSENT


def read_fields(body_type: type[B], value: JsonObject, within: str = "") -> B:
    """Return the JSON object as a `body_type`. `within`: where it stands in the body ("tools.0.").

    Raises RequestError (400) that names the field and never repeats the value sent.
    """
    try:
        return body_type.model_validate(value, strict=True)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    is_missing = first["type"] == "missing"
    param = _public_name(first["loc"], value, is_missing=is_missing)
    problem = "is missing"
    if not is_missing:
        problem = first["msg"][:1].lower() + first["msg"][1:]
    raise RequestError(f"{within}{f'{param}: {problem}'[:400]}", param=within + param)
