"""Fields that chat and text completions have in common -> Options."""

from typing import Any

from pydantic import Field

from groundup.serve.fields import Body, Number, Texts, Whole
from groundup.serve.openai.structured import FormFields
from groundup.serve.requests import Options

# OpenAI's own.
DEFAULTS = Options(temperature=1.0, top_p=1.0, top_k=0)


class StreamOptions(Body):
    """How a stream is told."""

    include_usage: bool = False


class CompletionFields(FormFields):
    """How answers are drawn and sent, and what they must be."""

    model: str = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: Whole | None = Field(None, ge=0)
    temperature: Number | None = Field(None, ge=0, le=100)
    top_p: Number | None = Field(None, ge=0, le=1)
    # Not OpenAI's, but other servers of this API (vLLM) know them too; the page sends them.
    top_k: Whole | None = Field(None, ge=-1)
    min_p: Number | None = Field(None, ge=0, le=1)
    repetition_penalty: Number | None = Field(None, gt=0, le=10)
    seed: Whole | None = None
    stop: Texts | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    n: Whole = Field(1, ge=1)

    def options(self, max_tokens: int | None) -> Options:
        """In our words."""
        return Options(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=None if self.top_k is None else max(self.top_k, 0),
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            seed=self.seed,
            max_tokens=max_tokens,
            stop=None if self.stop is None else tuple(filter(None, self.stop)),
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
        )


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    """The counters of an answer."""
    total = prompt_tokens + completion_tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}
