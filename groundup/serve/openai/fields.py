"""Fields that chat and text completions share -> Options."""

from dataclasses import fields
from typing import Any

from pydantic import Field

from groundup.serve.fields import Body, Number, Texts, Whole
from groundup.serve.openai.structured import ConstraintFields
from groundup.serve.requests import Options

# OpenAI's defaults.
DEFAULTS = Options(temperature=1.0, top_p=1.0, top_k=0)


class StreamOptions(Body):
    """Options of a stream."""

    include_usage: bool = False


class CompletionFields(ConstraintFields):
    """Sampling, streaming and constraints of answers."""

    model: str = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: Whole | None = Field(None, ge=0)
    temperature: Number | None = Field(None, ge=0, le=100)
    top_p: Number | None = Field(None, ge=0, le=1)
    # Not in OpenAI's API, but in other servers of it (vLLM); the page sends them.
    top_k: Whole | None = Field(None, ge=-1)
    min_p: Number | None = Field(None, ge=0, le=1)
    repetition_penalty: Number | None = Field(None, gt=0, le=10)
    seed: Whole | None = None
    stop: Texts | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
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
