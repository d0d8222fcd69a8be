"""/v1/completions: texts that are gone on with. A body -> a ChatRequest; events -> a text completion, or its chunks."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from groundup.engine.events import ChatEvent, TokenLogprob
from groundup.serve.fields import Texts, Whole, read_fields
from groundup.serve.openai.chat import shown, used
from groundup.serve.openai.errors import DONE, JSON, MEDIA_TYPE, error_body, sse
from groundup.serve.openai.fields import DEFAULTS, CompletionFields
from groundup.serve.requests import GenerateRequest, RequestError, TextPrompt, Timing

MAX_TOKENS = 16  # OpenAI's own default here


class CompletionBody(CompletionFields):
    """The request."""

    prompt: Texts = Field(min_length=1)
    logprobs: Whole | None = Field(None, ge=0, le=20)
    echo: bool = False
    suffix: str = ""
    best_of: Whole | None = None


def read_completion(value: dict[str, Any]) -> GenerateRequest:
    """The request of a body. Raises RequestError."""
    body = read_fields(CompletionBody, value)
    for given, name in ((body.echo, "echo"), (body.suffix, "suffix"), ((body.best_of or 1) > body.n, "best_of")):
        if given:
            raise RequestError(f"{name} is not supported", param=name)
    return GenerateRequest(
        body.model,
        tuple(map(TextPrompt, body.prompt)),
        body.options(MAX_TOKENS if body.max_tokens is None else body.max_tokens),
        DEFAULTS,
        stream=body.stream,
        choices=body.n,
        logprobs=body.logprobs,
        form=body.form(),
        truncate=False,
        usage_in_stream=body.stream_options.include_usage,
    )


class TextCompletion:
    """The answers to one request: those to the first prompt first. `id` and `created` are the same in all its chunks."""

    media_type = MEDIA_TYPE

    def __init__(self, request: GenerateRequest, *, id: str = "", created: int = 0) -> None:
        self.request = request
        self.id = id or f"cmpl-{uuid.uuid4().hex}"
        self.created = created or int(time.time())
        self._lengths: dict[int, int] = {}  # characters of each choice so far, for the places of its tokens

    def begin(self) -> bytes:
        """Before the first event: nothing."""
        return b""

    def piece(self, index: int, event: ChatEvent) -> bytes:
        """A chunk."""
        if not (event.text or event.logprobs or event.finish_reason):
            return b""
        choice = self._choice(index, event.text, event.finish_reason, event.logprobs)
        return sse({**self._head(), "choices": [choice]})

    def end(self, lasts: Sequence[ChatEvent], timing: Timing) -> bytes:
        """What was used, where it was asked for, and the end of the stream."""
        counted = {**self._head(), "choices": [], "usage": used(lasts, self.request.choices)}
        return (sse(counted) if self.request.usage_in_stream else b"") + DONE

    def failure(self, message: str, status: int) -> bytes:
        """What went wrong after the first byte, and the end of the stream."""
        return sse(error_body(message, status)) + DONE

    def whole(self, answers: Sequence[Sequence[ChatEvent]], timing: Timing) -> JSON:
        """All at once."""
        choices = []
        for index, events in enumerate(answers):
            text = "".join(event.text for event in events)
            scores = [score for event in events for score in event.logprobs]
            choices.append(self._choice(index, text, events[-1].finish_reason, scores))
        counters = used([events[-1] for events in answers], self.request.choices)
        return {**self._head(), "choices": choices, "usage": counters}

    def _head(self) -> JSON:
        return {"id": self.id, "object": "text_completion", "created": self.created, "model": self.request.model}

    def _choice(self, index: int, text: str, reason: str | None, scores: Sequence[TokenLogprob]) -> JSON:
        logprobs = None if self.request.logprobs is None else self._logprobs(index, scores)
        return {"text": text, "index": index, "finish_reason": reason, "logprobs": logprobs}

    def _logprobs(self, index: int, scores: Sequence[TokenLogprob]) -> JSON:
        """Four lists, as long as there are tokens. A token's place is counted in the characters of the tokens before it."""
        offsets, length = [], self._lengths.get(index, 0)
        for score in scores:
            offsets.append(length)
            length += len(shown(score.token))
        self._lengths[index] = length
        return {
            "tokens": [shown(score.token) for score in scores],
            "token_logprobs": [score.token.logprob for score in scores],
            "top_logprobs": [{shown(each): each.logprob for each in score.alternatives} for score in scores],
            "text_offset": offsets,
        }
