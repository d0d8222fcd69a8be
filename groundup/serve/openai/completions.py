"""/v1/completions, which continues texts: a body -> a GenerateRequest; events -> a text completion,
or its chunks.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from groundup.engine.events import ChatEvent, TokenLogprob
from groundup.http.json_object import JsonObject
from groundup.serve.fields import Whole, read_fields
from groundup.serve.openai.chat import CompletionTranslator, token_text
from groundup.serve.openai.fields import (
    DEFAULTS,
    CompletionFields,
    are_ids,
    as_list_of_texts,
    sse,
)
from groundup.serve.requests import GenerateRequest, RequestError, TextPrompt, TokenPrompt

MAX_TOKENS = 16  # OpenAI's default


def _prompts(value: Any) -> tuple[TextPrompt | TokenPrompt, ...]:
    several = as_list_of_texts(value)
    if not several or not all(isinstance(each, str) or are_ids(each) for each in several):
        raise PydanticCustomError(
            "prompt", "expected a text, a list of token ids, or a list of these"
        )
    return tuple(map(_prompt, several))


def _prompt(given: str | list[int]) -> TextPrompt | TokenPrompt:
    if isinstance(given, str):
        return TextPrompt(given)
    return TokenPrompt(tuple(given))


class CompletionBody(CompletionFields):
    """The body of /v1/completions."""

    prompt: Annotated[Any, PlainValidator(_prompts)]
    logprobs: Whole | None = Field(None, ge=0, le=20)
    echo: bool = False
    suffix: str = ""
    best_of: Whole | None = None


def read_completion(value: JsonObject) -> GenerateRequest:
    """Return the request of a body. Raises RequestError."""
    body = read_fields(CompletionBody, value)
    if body.suffix:
        raise RequestError("suffix is not supported", param="suffix")
    if (body.best_of or 1) > body.n:
        raise RequestError("best_of is not supported", param="best_of")
    max_tokens = MAX_TOKENS
    if body.max_tokens is not None:
        max_tokens = body.max_tokens
    return GenerateRequest(
        body.model,
        body.prompt,
        body.options(max_tokens),
        DEFAULTS,
        stream=body.stream,
        choices=body.n,
        logprobs=body.logprobs,
        echo=body.echo,
        constraint=body.constraint(),
        truncate=False,
        names=body.names() | {"messages": "prompt", "top_logprobs": "logprobs"},
        usage_in_stream=body.stream_options.include_usage,
    )


class TextCompletion(CompletionTranslator):
    """The translator of one request's answers, in the order of its prompts."""

    id_prefix, object_name, chunk_name = "cmpl", "text_completion", "text_completion"

    def __init__(self, request: GenerateRequest, *, id: str = "", created: int = 0) -> None:
        super().__init__(request, id=id, created=created)
        self._lengths: Counter[int] = Counter()
        """Characters of each choice so far, for the offsets of its tokens."""

    def begin(self) -> bytes:
        return b""

    def chunk(self, index: int, event: ChatEvent) -> bytes:
        if not (event.text or event.logprobs or event.finish_reason):
            return b""
        return sse({**self._head(self.chunk_name), "choices": [self._choice(index, [event])]})

    def _choice(self, index: int, events: Sequence[ChatEvent]) -> JsonObject:
        choice = {
            "text": "".join(event.text for event in events),
            "index": index,
            "finish_reason": events[-1].finish_reason,
            "logprobs": None,
        }
        if self.request.logprobs is not None:
            scores = [score for event in events for score in event.logprobs]
            choice["logprobs"] = self._logprobs(index, scores)
        return choice

    def _logprobs(self, index: int, scores: Sequence[TokenLogprob]) -> JsonObject:
        """Return four lists with an entry for each token; an offset counts the characters of all
        tokens before it.
        """
        tokens, offsets = [], []
        for score in scores:
            tokens.append(token_text(score.token))
            offsets.append(self._lengths[index])
            self._lengths[index] += len(tokens[-1])
        return {
            "tokens": tokens,
            "token_logprobs": [score.token.logprob for score in scores],
            "top_logprobs": list(map(_alternatives, scores)),
            "text_offset": offsets,
        }


def _alternatives(score: TokenLogprob) -> dict[str, float | None] | None:
    """Return the alternatives by their text; of several that look alike, as parts of characters do,
    the most probable. None for a token that has no probability, the first of a prompt.
    """
    if score.token.logprob is None:
        return None
    found: dict[str, float | None] = {}
    for each in score.alternatives:
        found.setdefault(token_text(each), each.logprob)
    return found
