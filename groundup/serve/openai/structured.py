"""What an answer must be, in the words of other servers that speak this API, beside OpenAI's own `response_format`:

    {"structured_outputs": {"regex": "..."}}      vLLM; also json, json_object, choice, grammar
    {"guided_regex": "..."}                       vLLM before 0.12; also guided_json, guided_choice, guided_grammar
    {"grammar": "..."}, {"json_schema": {...}}    llama.cpp

The official client sends them with `extra_body`. An answer has one form: a request with two is refused, and so is what vLLM has and we have not.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint
from groundup.serve.fields import Body
from groundup.serve.requests import RequestError

Schema = dict[str, Any]
Choice = Annotated[list[str], Field(min_length=1)]
# Where something is asked for, and what.
Asked = tuple[str, OutputConstraint]


class StructuredOutputs(Body):
    """vLLM's table. Whatever else stands there (`structural_tag`, `whitespace_pattern`, a slip of the pen) is refused: it would change the answer.

    (A pydantic model has a `json` of its own, so that field is called otherwise.)
    """

    model_config = ConfigDict(extra="forbid")

    wanted: Schema | None = Field(None, alias="json")
    json_object: bool = False
    regex: str | None = None
    choice: Choice | None = None
    grammar: str | None = None


class FormFields(Body):
    """The fields that a request may have."""

    structured_outputs: StructuredOutputs | None = None
    guided_json: Schema | None = None
    guided_regex: str | None = None
    guided_choice: Choice | None = None
    guided_grammar: str | None = None
    json_schema: Schema | None = None
    grammar: str = ""

    def form(self, own: OutputConstraint | None = None) -> OutputConstraint | None:
        """The form that is asked for here, or by `response_format` (`own`). Raises RequestError where there are two."""
        asked = [] if own is None else [("response_format", own)]
        asked += [*_asked(self), *self._structured()]
        if len(asked) > 1:
            (first, _), (second, _) = asked[:2]
            raise RequestError(f"{first} and {second} exclude one another: an answer has one form", param=second)
        return asked[0][1] if asked else None

    def _structured(self) -> Sequence[Asked]:
        if self.structured_outputs is None:
            return []
        asked = list(_asked(self.structured_outputs))
        if not asked:
            expected = "one of json, json_object, regex, choice and grammar is wanted"
            raise RequestError(f"structured_outputs: {expected}", param="structured_outputs")
        return [(f"structured_outputs.{name}", form) for name, form in asked]


# What the value of each field asks for. (`wanted` is `json`.)
_MAKERS: dict[str, Callable[[Any], OutputConstraint]] = {
    **dict.fromkeys(("wanted", "guided_json", "json_schema"), OutputConstraint.schema),
    **dict.fromkeys(("regex", "guided_regex"), OutputConstraint.regex),
    **dict.fromkeys(("choice", "guided_choice"), OutputConstraint.choice),
    **dict.fromkeys(("grammar", "guided_grammar"), OutputConstraint.grammar),
    "json_object": lambda _: ANY_OBJECT,
}


def _asked(fields: Body) -> Iterator[Asked]:
    """The forms of the fields that were given; an empty top-level grammar, llama.cpp's default, is none."""
    for name, info in type(fields).model_fields.items():
        value = getattr(fields, name)
        if name in _MAKERS and value != info.default:
            yield info.alias or name, _MAKERS[name](value)
