"""Fields for structured output of other servers of this API, beside OpenAI's own `response_format`:

    {"structured_outputs": {"regex": "..."}}      vLLM; also json, json_object, choice, grammar
    {"guided_regex": "..."}                       vLLM before 0.12; also guided_json, guided_choice, guided_grammar
    {"grammar": "..."}, {"json_schema": {...}}    llama.cpp

The official client sends them with `extra_body`. A request with two constraints is refused, as are vLLM's other options.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint
from groundup.serve.fields import Body
from groundup.serve.requests import RequestError

Schema = dict[str, Any]
Choice = Annotated[list[str], Field(min_length=1)]
# The name of a field, and its constraint.
NamedConstraint = tuple[str, OutputConstraint]


class StructuredOutputs(Body):
    """vLLM's table. Other fields (`structural_tag`, `whitespace_pattern`, misspellings) are refused, as they would change the answer.

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
        """Return the constraint of these fields or of `response_format` (`own`). Raises RequestError when there are two."""
        found = [] if own is None else [("response_format", own)]
        found += [*_constraints(self), *self._structured()]
        if len(found) > 1:
            (first, _), (second, _) = found[:2]
            raise RequestError(f"{first} and {second} exclude one another: give one constraint", param=second)
        return found[0][1] if found else None

    def _structured(self) -> Sequence[NamedConstraint]:
        if self.structured_outputs is None:
            return []
        found = list(_constraints(self.structured_outputs))
        if not found:
            expected = "expected one of json, json_object, regex, choice and grammar"
            raise RequestError(f"structured_outputs: {expected}", param="structured_outputs")
        return [(f"structured_outputs.{name}", constraint) for name, constraint in found]


# Each field's constructor of a constraint. (`wanted` is `json`.)
_MAKERS: dict[str, Callable[[Any], OutputConstraint]] = {
    **dict.fromkeys(("wanted", "guided_json", "json_schema"), OutputConstraint.schema),
    **dict.fromkeys(("regex", "guided_regex"), OutputConstraint.regex),
    **dict.fromkeys(("choice", "guided_choice"), OutputConstraint.choice),
    **dict.fromkeys(("grammar", "guided_grammar"), OutputConstraint.grammar),
    "json_object": lambda _: ANY_OBJECT,
}


def _constraints(fields: Body) -> Iterator[NamedConstraint]:
    """Yield the constraints of the fields that are set; an empty top-level grammar, llama.cpp's default, is none."""
    for name, info in type(fields).model_fields.items():
        value = getattr(fields, name)
        if name in _MAKERS and value != info.default:
            yield info.alias or name, _MAKERS[name](value)
