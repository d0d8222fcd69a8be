"""/v1/chat/completions: a body -> a ChatRequest; events -> a completion, or its chunks."""

import json
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from groundup.engine.events import ChatEvent, FinishReason, RankedToken, TokenLogprob
from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint
from groundup.serve.fields import Body, Whole, read_fields
from groundup.serve.messages import ClientMessage, conversation
from groundup.serve.openai.errors import DONE, JSON, MEDIA_TYPE, error_body, sse
from groundup.serve.openai.fields import DEFAULTS, CompletionFields, usage
from groundup.serve.requests import GenerateRequest, RequestError, Timing
from groundup.serve.tools import Choice, ToolBody, read_tools
from groundup.tokenizer.tools import ToolCall


class JsonSchema(Body):
    """A named schema. (A pydantic model has a `schema` of its own, so the field is called otherwise.)"""

    wanted: dict[str, Any] = Field(alias="schema")


class ResponseFormat(Body):
    """What an answer must be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatCompletionBody(CompletionFields):
    """The request."""

    messages: list[ClientMessage] = Field(min_length=1)
    max_completion_tokens: Whole | None = Field(None, ge=0)
    response_format: ResponseFormat = ResponseFormat(type="text")
    logprobs: bool = False
    top_logprobs: Whole = Field(0, ge=0, le=20)
    tools: list[ToolBody] = []
    tool_choice: Choice = "auto"
    parallel_tool_calls: bool = True


def read_chat_completion(value: dict[str, Any]) -> GenerateRequest:
    """The request of a body. Raises RequestError."""
    body = read_fields(ChatCompletionBody, value)
    for place, turn in enumerate(body.messages):
        if turn.content is None and not turn.tool_calls:
            raise RequestError(f"messages.{place}.content: is missing", param=f"messages.{place}.content")
    limit = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    return GenerateRequest(
        body.model,
        (conversation(body.messages),),
        body.options(limit),
        DEFAULTS,
        stream=body.stream,
        choices=body.n,
        logprobs=body.top_logprobs if body.logprobs or body.top_logprobs else None,
        form=body.form(_form(body.response_format)),
        **read_tools(body.tools, body.tool_choice, parallel=body.parallel_tool_calls),
        truncate=False,
        usage_in_stream=body.stream_options.include_usage,
    )


def _form(given: ResponseFormat) -> OutputConstraint | None:
    if given.type == "json_schema":
        if given.json_schema is None:
            raise RequestError("response_format.json_schema: is missing", param="response_format.json_schema")
        return OutputConstraint.schema(given.json_schema.wanted)
    return ANY_OBJECT if given.type == "json_object" else None


class ChatCompletion:
    """The answer to one request; `id` and `created` are the same in all its chunks."""

    media_type = MEDIA_TYPE

    def __init__(self, request: GenerateRequest, *, id: str = "", created: int = 0) -> None:
        self.request = request
        self.id = id or f"chatcmpl-{uuid.uuid4().hex}"
        self.created = created or int(time.time())
        self._told: Counter[int] = Counter()  # calls of each choice so far

    def begin(self) -> bytes:
        """The assistant's turn opens: one chunk a choice."""
        return b"".join(self._chunk(i, {"role": "assistant", "content": ""}) for i in range(self.request.choices))

    def piece(self, index: int, event: ChatEvent) -> bytes:
        """A chunk with text, one with calls, and where this was the last event one with the reason."""
        said = self._chunk(index, {"content": event.text}, self._logprobs(event.logprobs))
        text = said if event.text or event.logprobs else b""
        calls = self._calls(index, event.calls, start=self._told[index])
        self._told[index] += len(calls)
        numbered = [{"index": place, **call} for place, call in enumerate(calls, self._told[index] - len(calls))]
        called = self._chunk(index, {"tool_calls": numbered}) if calls else b""
        reason = _reason(event.finish_reason, called=bool(self._told[index]))
        return text + called + (self._chunk(index, {}, reason=reason) if reason else b"")

    def end(self, lasts: Sequence[ChatEvent], timing: Timing) -> bytes:
        """What was used, where it was asked for, and the end of the stream."""
        counted = {**self._head("chat.completion.chunk"), "choices": [], "usage": used(lasts, self.request.choices)}
        return (sse(counted) if self.request.usage_in_stream else b"") + DONE

    def failure(self, message: str, status: int) -> bytes:
        """What went wrong after the first byte, and the end of the stream."""
        return sse(error_body(message, status)) + DONE

    def whole(self, answers: Sequence[Sequence[ChatEvent]], timing: Timing) -> JSON:
        """All at once."""
        choices = [self._choice(index, events) for index, events in enumerate(answers)]
        counters = used([events[-1] for events in answers], self.request.choices)
        return {**self._head("chat.completion"), "choices": choices, "usage": counters}

    def _choice(self, index: int, events: Sequence[ChatEvent]) -> JSON:
        text = "".join(event.text for event in events)
        scores = [score for event in events for score in event.logprobs]
        calls = self._calls(index, [call for event in events for call in event.calls])
        content = {"content": None if calls and not text else text, "refusal": None}
        return {
            "index": index,
            "message": {"role": "assistant", **content, **({"tool_calls": calls} if calls else {})},
            "finish_reason": _reason(events[-1].finish_reason, called=bool(calls)),
            "logprobs": self._logprobs(scores),
        }

    def _calls(self, index: int, calls: Sequence[ToolCall], start: int = 0) -> list[JSON]:
        """Calls of a choice from number `start` on, each with an id that no other one has."""
        own = self.id.removeprefix("chatcmpl-")[:24]
        return [
            {
                "id": f"call_{own}_{index}_{place}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
            }
            for place, call in enumerate(calls, start)
        ]

    def _head(self, kind: str) -> JSON:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.request.model,
            "system_fingerprint": None,
        }

    def _chunk(self, index: int, delta: JSON, logprobs: JSON | None = None, reason: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "finish_reason": reason, "logprobs": logprobs}
        return sse({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _logprobs(self, scores: Sequence[TokenLogprob]) -> JSON | None:
        """None where none were asked for; an answer without a token has an empty list."""
        if self.request.logprobs is None:
            return None
        return {"content": [{**_token(e.token), "top_logprobs": list(map(_token, e.alternatives))} for e in scores]}


def _reason(reason: FinishReason | None, *, called: bool) -> str | None:
    """An answer that was cut short says so, calls or not."""
    return "tool_calls" if called and reason == "stop" else reason


def _token(token: RankedToken) -> JSON:
    return {"token": shown(token), "logprob": token.logprob, "bytes": list(token.text)}


def shown(token: RankedToken) -> str:
    """A token as text, U+FFFD for a part of a character."""
    return token.text.decode("utf-8", "replace")


def used(lasts: Sequence[ChatEvent], choices: int) -> JSON:
    """The counters of all answers together; each prompt counts once, however many answers it has."""
    return usage(sum(last.prompt_tokens for last in lasts[::choices]), sum(last.completion_tokens for last in lasts))
