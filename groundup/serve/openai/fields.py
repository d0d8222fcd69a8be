"""What OpenAI's bodies and answers have in common: fields of sampling and constraints, and the
shape of errors and of the lines of streams.

Structured output has the fields of other servers of this API, beside OpenAI's own
`response_format`:

    {"structured_outputs": {"regex": "..."}}      vLLM; also json, json_object, choice, grammar
    {"guided_regex": "..."}                       vLLM before 0.12; also guided_json, guided_choice,
                                                  guided_grammar
    {"grammar": "..."}, {"json_schema": {...}}    llama.cpp

The official client sends them with `extra_body`. A request with two constraints is refused, as are
vLLM's other options.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from groundup.engine.sampling import BIAS_EXPECTED, MAX_LOGIT_BIAS
from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint
from groundup.http.json_object import JsonObject
from groundup.retrieve.caller import Caller
from groundup.serve.fields import Body, Texts, Whole, with_sampling_rules
from groundup.serve.requests import Options, RequestError

MEDIA_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"
CONVERSATION_ID, MAX_ID_CHARACTERS = "conversation_id", 256
MAX_USER_CHARACTERS = 512
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
Schema = dict[str, Any]
Choice = Annotated[list[str], Field(min_length=1)]
# The name of a field, and its constraint.
NamedConstraint = tuple[str, OutputConstraint]


class StructuredOutputs(Body):
    """vLLM's table. Other fields (`structural_tag`, `whitespace_pattern`, misspellings) are
    refused, as they would change the answer.

    (Pydantic models have a method `json`, so the field has another name.)
    """

    model_config = ConfigDict(extra="forbid")

    wanted: Schema | None = Field(None, alias="json")
    json_object: bool = False
    regex: str | None = None
    choice: Choice | None = None
    grammar: str | None = None


class ConstraintFields(Body):
    """The fields that constrain an answer."""

    structured_outputs: StructuredOutputs | None = None
    guided_json: Schema | None = None
    guided_regex: str | None = None
    guided_choice: Choice | None = None
    guided_grammar: str | None = None
    json_schema: Schema | None = None
    grammar: str = ""

    def constraint(self, own: OutputConstraint | None = None) -> OutputConstraint | None:
        """Return the constraint of these fields or of `response_format` (`own`).

        Raises RequestError when there are two.
        """
        found = list(_constraints(self))
        if own is not None:
            found.insert(0, ("response_format", own))
        if self.structured_outputs is not None:
            nested = [
                (f"structured_outputs.{name}", each)
                for name, each in _constraints(self.structured_outputs)
            ]
            if not nested:
                expected = "expected one of json, json_object, regex, choice and grammar"
                raise RequestError(f"structured_outputs: {expected}", param="structured_outputs")
            found += nested
        if len(found) > 1:
            (first, _), (second, _) = found[:2]
            raise RequestError(
                f"{first} and {second} can't be combined: give one constraint", param=second
            )
        for _, constraint in found:
            return constraint
        return None

    def names(self) -> dict[str, str]:
        """Return the client's name of the constraint (`GenerateRequest.names`), where it is not
        `response_format`.
        """
        for name, _ in _constraints(self):
            return {"response_format": name}
        if self.structured_outputs is not None:
            for name, _ in _constraints(self.structured_outputs):
                return {"response_format": f"structured_outputs.{name}"}
        return {}


# Each field's constructor of a constraint. (`wanted` is `json`.)
_MAKERS: dict[str, Callable[[Any], OutputConstraint]] = {
    **dict.fromkeys(("wanted", "guided_json", "json_schema"), OutputConstraint.schema),
    **dict.fromkeys(("regex", "guided_regex"), OutputConstraint.regex),
    **dict.fromkeys(("choice", "guided_choice"), OutputConstraint.choice),
    **dict.fromkeys(("grammar", "guided_grammar"), OutputConstraint.grammar),
    "json_object": lambda _: ANY_OBJECT,
}


def _constraints(fields: Body) -> Iterator[NamedConstraint]:
    """Yield the constraints of the fields that are set; an empty top-level grammar, llama.cpp's
    default, is none.
    """
    for name, info in type(fields).model_fields.items():
        value = getattr(fields, name)
        if name in _MAKERS and value != info.default:
            yield info.alias or name, _MAKERS[name](value)


# OpenAI's defaults.
DEFAULTS = Options(temperature=1.0, top_p=1.0, top_k=0)
# top_k (-1: all), min_p and repetition_penalty are not in OpenAI's API, but in other servers of it
# (vLLM); the page sends them.
LIMITS = {"top_k": {"ge": -1}, "top_p": {"ge": 0, "le": 1}}


# A ban of every form of a few hundred words.
MAX_BIASES = 1024
_ID = re.compile(r"[0-9]{1,9}")


def _biases(value: Any) -> tuple[tuple[int, float], ...]:
    """Return {"id": bias} as pairs."""
    if not isinstance(value, dict) or len(value) > MAX_BIASES:
        raise PydanticCustomError(
            "ids",
            "expected an object of at most {most} token ids with biases",
            {"most": MAX_BIASES},
        )
    for id, bias in value.items():
        if (
            not _ID.fullmatch(id)
            or type(bias) not in (int, float)
            or not -MAX_LOGIT_BIAS <= bias <= MAX_LOGIT_BIAS
        ):
            raise PydanticCustomError(
                "bias", "expected token ids, each with {bounds}", {"bounds": BIAS_EXPECTED}
            )
    return tuple((int(id), float(bias)) for id, bias in value.items())


class StreamOptions(Body):
    """Options of a stream."""

    include_usage: bool = False


def _unsupported(instead: str, *harmless: Any) -> PlainValidator:
    """Return the validator of a field that is refused by its name, but for values that ask for
    nothing.
    """

    def check(value: Any) -> Any:
        if value not in harmless:
            raise PydanticCustomError(
                "unsupported", "is not supported{instead}", {"instead": instead}
            )
        return value

    return PlainValidator(check)


class CompletionFields(with_sampling_rules(ConstraintFields, limits=LIMITS)):  # type: ignore[misc]
    """Sampling, streaming and constraints of answers."""

    model: str = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: Whole | None = Field(None, ge=0)
    seed: Whole | None = None
    stop: Texts | None = None
    logit_bias: Annotated[Any, PlainValidator(_biases)] = None
    functions: Annotated[Any, _unsupported("; send tools", [])] = None
    function_call: Annotated[Any, _unsupported("; send tool_choice", "none")] = None
    modalities: Annotated[Any, _unsupported(", other than text", ["text"], [])] = None
    audio: Annotated[Any, _unsupported("; answers are text")] = None
    n: Whole = Field(1, ge=1)

    def options(self, max_tokens: int | None) -> Options:
        """Return the fields that are options of an answer."""
        names = {each.name for each in fields(Options)} & type(self).model_fields.keys()
        values = {name: getattr(self, name) for name in names} | {"max_tokens": max_tokens}
        if self.top_k is not None:
            values["top_k"] = max(self.top_k, 0)
        if self.stop is not None:
            values["stop"] = tuple(filter(None, self.stop))
        return Options(**values)


class ConversationFields(Body):
    """The fields that say which conversation a request continues, for an assistant that acts."""

    metadata: Annotated[dict[str, Any], Field(max_length=16)] = {}
    user: str = Field("", max_length=MAX_USER_CHARACTERS)

    @property
    def caller(self) -> Caller:
        """Return whose conversation it is: `metadata.conversation_id`, and the name of the user.

        Raises RequestError for an id that is no text.
        """
        found = self.metadata.get(CONVERSATION_ID, "")
        if not isinstance(found, str) or len(found) > MAX_ID_CHARACTERS:
            param = f"metadata.{CONVERSATION_ID}"
            what = f"expected a text of at most {MAX_ID_CHARACTERS} characters"
            raise RequestError(f"{param}: {what}", param=param)
        return Caller(found, self.user)


def are_ids(value: Any) -> bool:
    """Whether a value is the token ids of a text."""
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)


def as_list_of_texts(value: Any) -> list[Any]:
    """Return one text, or the token ids of one, in a list; a list of several as it is."""
    if isinstance(value, list) and not are_ids(value):
        return value
    return [value]


def error_body(
    message: str, status: int, *, param: str | None = None, code: str | None = None
) -> JsonObject:
    """Return {"error": {...}}; the type follows from the status."""
    default = "invalid_request_error" if status < 500 else "server_error"
    error_type = _TYPES.get(status, default)
    return {"error": {"message": message, "type": error_type, "param": param, "code": code}}


def sse(value: JsonObject) -> bytes:
    """Return one event of a stream."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"
