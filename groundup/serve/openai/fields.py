"""Fields that chat and text completions share -> Options."""

from dataclasses import fields
from typing import Any

from pydantic import Field

from groundup.serve.fields import Body, Texts, Whole, with_sampling_rules
from groundup.serve.openai.structured import ConstraintFields
from groundup.serve.requests import Options

# OpenAI's defaults.
DEFAULTS = Options(temperature=1.0, top_p=1.0, top_k=0)


# top_k (-1: all), min_p and repetition_penalty are not in OpenAI's API, but in other servers of it (vLLM); the page sends them.
LIMITS = {
    "temperature": {"ge": 0, "le": 100},
    "top_k": {"ge": -1},
    "top_p": {"ge": 0, "le": 1},
    "min_p": {"ge": 0, "le": 1},
    "repetition_penalty": {"gt": 0, "le": 10},
}


class StreamOptions(Body):
    """Options of a stream."""

    include_usage: bool = False


class CompletionFields(with_sampling_rules(ConstraintFields, limits=LIMITS)):  # type: ignore[misc]
    """Sampling, streaming and constraints of answers."""

    model: str = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: Whole | None = Field(None, ge=0)
    seed: Whole | None = None
    stop: Texts | None = None
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


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    """Return the token counts of an answer."""
    total = prompt_tokens + completion_tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}
