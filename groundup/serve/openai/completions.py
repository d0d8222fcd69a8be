"""/v1/completions, which continues texts: a body -> a GenerateRequest; events -> a text completion,
or its chunks.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from groundup.engine.events import ChatEvent, TokenLogprob
from groundup.serve.fields import Whole, read_fields
from groundup.serve.openai.chat import CompletionTranslator, shown
from groundup.serve.openai.fields import DEFAULTS, JSON, CompletionFields, are_ids, sse
from groundup.serve.requests import GenerateRequest, RequestError, TextPrompt, TokenPrompt

MAX_TOKENS = 16  # OpenAI's default


def _prompts(value: Any) -> tuple[TextPrompt | TokenPrompt, ...]:
    several = value if isinstance(value, list) and not are_ids(value) else [value]
    if not several or not all(isinstance(each, str) or are_ids(each) for each in several):
        raise PydanticCustomError(
            "prompt", "expected a text, a list of token ids, or a list of these"
        )
    return tuple(
        TextPrompt(each) if isinstance(each, str) else TokenPrompt(tuple(each)) for each in several
    )


class CompletionBody(CompletionFields):
    """The body of /v1/completions."""

    prompt: Annotated[Any, PlainValidator(_prompts)]
    logprobs: Whole | None = Field(None, ge=0, le=20)
    echo: bool = False
    suffix: str = ""
    best_of: Whole | None = None


def read_completion(value: dict[str, Any]) -> GenerateRequest:
    """Return the request of a body. Raises RequestError."""
    body = read_fields(CompletionBody, value)
    for field, name in ((body.suffix, "suffix"), ((body.best_of or 1) > body.n, "best_of")):
        if field:
            raise RequestError(f"{name} is not supported", param=name)
    return GenerateRequest(
        body.model,
        body.prompt,
        body.options(MAX_TOKENS if body.max_tokens is None else body.max_tokens),
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
        self._lengths: dict[
            int, int
        ] = {}  # characters of each choice so far, for the offsets of its tokens

    def begin(self) -> bytes:
        """Return what precedes the first event: nothing."""
        return b""

    def chunk(self, index: int, event: ChatEvent) -> bytes:
        """Return a chunk."""
        if not (event.text or event.logprobs or event.finish_reason):
            return b""
        return sse({**self._head(self.chunk_name), "choices": [self._choice(index, [event])]})

    def _choice(self, index: int, events: Sequence[ChatEvent]) -> JSON:
        text = "".join(event.text for event in events)
        scores = [score for event in events for score in event.logprobs]
        logprobs = None if self.request.logprobs is None else self._logprobs(index, scores)
        return {
            "text": text,
            "index": index,
            "finish_reason": events[-1].finish_reason,
            "logprobs": logprobs,
        }

    def _logprobs(self, index: int, scores: Sequence[TokenLogprob]) -> JSON:
        """Return four lists with an entry for each token; an offset counts the characters of all
        tokens before it.
        """
        offsets, length = [], self._lengths.get(index, 0)
        for score in scores:
            offsets.append(length)
            length += len(shown(score.token))
        self._lengths[index] = length
        return {
            "tokens": [shown(score.token) for score in scores],
            "token_logprobs": [score.token.logprob for score in scores],
            "top_logprobs": [
                None if score.token.logprob is None else _ranked(score) for score in scores
            ],
            "text_offset": offsets,
        }


def _ranked(score: TokenLogprob) -> JSON:
    """Return the alternatives by their text; of several that look alike, as parts of characters do,
    the most probable.
    """
    found: JSON = {}
    for each in score.alternatives:
        found.setdefault(shown(each), each.logprob)
    return found
