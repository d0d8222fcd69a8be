"""/v1/chat/completions: a body -> a GenerateRequest; events -> a completion, or its chunks."""

import json
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from groundup.engine.events import ChatEvent, FinishReason, RankedToken, TokenLogprob
from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint
from groundup.http.json_object import JsonObject
from groundup.serve.fields import Body, Whole, read_fields
from groundup.serve.messages import (
    Choice,
    ClientMessage,
    ToolBody,
    conversation,
    require_contents,
    with_tools,
)
from groundup.serve.openai.fields import (
    DEFAULTS,
    DONE,
    MEDIA_TYPE,
    CompletionFields,
    ConversationFields,
    error_body,
    sse,
)
from groundup.serve.requests import GenerateRequest, RequestError, Timing
from groundup.tokenizer.tools import ToolCall


class JsonSchema(Body):
    """A named schema. (Pydantic models have a method `schema`, so the field has another name.)"""

    wanted: dict[str, Any] = Field(alias="schema")


class ResponseFormat(Body):
    """The format of an answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatFields(CompletionFields):
    """The fields of every chat, here and in Perplexity's dialect."""

    messages: list[ClientMessage] = Field(min_length=1)
    max_completion_tokens: Whole | None = Field(None, ge=0)
    response_format: ResponseFormat = ResponseFormat(type="text")

    @property
    def longest_answer(self) -> int | None:
        """The most tokens of an answer, by the newer of the two names."""
        if self.max_completion_tokens is None:
            return self.max_tokens
        return self.max_completion_tokens


class ChatCompletionBody(ConversationFields, ChatFields):
    """The body of /v1/chat/completions."""

    logprobs: bool = False
    top_logprobs: Whole = Field(0, ge=0, le=20)
    tools: list[ToolBody] = []
    tool_choice: Choice = "auto"
    parallel_tool_calls: bool | None = None


def read_chat_completion(value: JsonObject) -> GenerateRequest:
    """Return the request of a body. Raises RequestError."""
    body = read_fields(ChatCompletionBody, value)
    require_contents(body.messages)
    logprobs = None
    if body.logprobs or body.top_logprobs:
        logprobs = body.top_logprobs
    request = GenerateRequest(
        body.model,
        (conversation(body.messages),),
        body.options(body.longest_answer),
        DEFAULTS,
        stream=body.stream,
        choices=body.n,
        logprobs=logprobs,
        constraint=body.constraint(constraint_of_format(body.response_format)),
        truncate=False,
        names=body.names(),
        usage_in_stream=body.stream_options.include_usage,
        caller=body.caller,
    )
    return with_tools(request, body.tools, body.tool_choice, parallel=body.parallel_tool_calls)


def constraint_of_format(given: ResponseFormat) -> OutputConstraint | None:
    """Return the constraint of a format; None: any text. Raises RequestError."""
    if given.type == "json_schema":
        if given.json_schema is None:
            raise RequestError(
                "response_format.json_schema: is missing", param="response_format.json_schema"
            )
        return OutputConstraint.schema(given.json_schema.wanted)
    if given.type == "json_object":
        return ANY_OBJECT
    return None


class CompletionTranslator:
    """The part that chat and text completions share; `id` and `created` are the same in all chunks
    of an answer.
    """

    media_type = MEDIA_TYPE
    id_prefix = object_name = chunk_name = ""

    def __init__(self, request: GenerateRequest, *, id: str = "", created: int = 0) -> None:
        self.request = request
        self.id = id or f"{self.id_prefix}-{uuid.uuid4().hex}"
        self.created = created or int(time.time())

    def end(self, last_events: Sequence[ChatEvent], timing: Timing) -> bytes:
        """Return the token counts, where requested, and the end of the stream."""
        if not self.request.usage_in_stream:
            return DONE
        usage = self._usage(last_events)
        return sse({**self._head(self.chunk_name), "choices": [], "usage": usage}) + DONE

    def error(self, message: str, status: int) -> bytes:
        return sse(error_body(message, status)) + DONE

    def complete(self, answers: Sequence[Sequence[ChatEvent]], timing: Timing) -> JsonObject:
        choices = [self._choice(index, events) for index, events in enumerate(answers)]
        usage = self._usage([events[-1] for events in answers])
        return {**self._head(self.object_name), "choices": choices, "usage": usage}

    def _usage(self, last_events: Sequence[ChatEvent]) -> JsonObject:
        """Return the counts of all answers together; each prompt counts once, however many answers
        it has.
        """
        prompt_tokens = sum(last.prompt_tokens for last in last_events[:: self.request.choices])
        tokens = sum(last.completion_tokens for last in last_events)
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": prompt_tokens + tokens,
        }

    def _head(self, name: str) -> JsonObject:
        return {"id": self.id, "object": name, "created": self.created, "model": self.request.model}

    def _choice(self, index: int, events: Sequence[ChatEvent]) -> JsonObject:
        raise NotImplementedError


class ChatCompletion(CompletionTranslator):
    """The translator of one request's answers."""

    id_prefix, object_name, chunk_name = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def __init__(self, request: GenerateRequest, *, id: str = "", created: int = 0) -> None:
        super().__init__(request, id=id, created=created)
        self._num_calls: Counter[int] = Counter()  # calls of each choice so far

    def begin(self) -> bytes:
        """Return the chunks that open the assistant's turn, one for each choice."""
        return b"".join(
            self._chunk(i, {"role": "assistant", "content": ""})
            for i in range(self.request.choices)
        )

    def chunk(self, index: int, event: ChatEvent) -> bytes:
        """Return a chunk with text, one with calls, and for the last event one with the finish
        reason.
        """
        chunks = b""
        if event.text or event.logprobs:
            delta = {"content": event.text}
            chunks += self._chunk(index, delta, self._logprobs(event.logprobs))
        if event.calls:
            first = self._num_calls[index]
            calls = self._calls(index, event.calls, start=first)
            numbered = [{"index": place, **call} for place, call in enumerate(calls, first)]
            chunks += self._chunk(index, {"tool_calls": numbered})
            self._num_calls[index] += len(calls)
        if event.finish_reason is not None:
            reason = choice_reason(event.finish_reason, called=self._num_calls[index] > 0)
            chunks += self._chunk(index, {}, reason=reason)
        return chunks

    def _choice(self, index: int, events: Sequence[ChatEvent]) -> JsonObject:
        text = "".join(event.text for event in events)
        scores = [score for event in events for score in event.logprobs]
        calls = self._calls(index, [call for event in events for call in event.calls])
        message: JsonObject = {"role": "assistant", "content": text, "refusal": None}
        if calls:
            message |= {"content": text or None, "tool_calls": calls}
        return {
            "index": index,
            "message": message,
            "finish_reason": choice_reason(events[-1].finish_reason, called=bool(calls)),
            "logprobs": self._logprobs(scores),
        }

    def _calls(self, index: int, calls: Sequence[ToolCall], start: int = 0) -> list[JsonObject]:
        """Return the calls of a choice, numbered from `start`, each with a unique id."""
        own = self.id.removeprefix("chatcmpl-")[:24]
        return [
            {
                "id": f"call_{own}_{index}_{place}",
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for place, call in enumerate(calls, start)
        ]

    def _head(self, name: str) -> JsonObject:
        return {**super()._head(name), "system_fingerprint": None}

    def _chunk(
        self,
        index: int,
        delta: JsonObject,
        logprobs: JsonObject | None = None,
        reason: str | None = None,
    ) -> bytes:
        choice = {"index": index, "delta": delta, "finish_reason": reason, "logprobs": logprobs}
        return sse({**self._head(self.chunk_name), "choices": [choice]})

    def _logprobs(self, scores: Sequence[TokenLogprob]) -> JsonObject | None:
        """Return the logprobs, or None when none were requested; an answer without tokens has an
        empty list.
        """
        if self.request.logprobs is None:
            return None
        return logprobs_content(scores)


def choice_reason(reason: FinishReason | None, *, called: bool) -> str | None:
    """Return the finish reason; "length" takes precedence over "tool_calls"."""
    if called and reason == "stop":
        return "tool_calls"
    return reason


def logprobs_content(scores: Sequence[TokenLogprob]) -> JsonObject:
    """Return the logprobs of tokens, each with its alternatives."""
    return {
        "content": [
            {**_token(each.token), "top_logprobs": list(map(_token, each.alternatives))}
            for each in scores
        ]
    }


def _token(token: RankedToken) -> JsonObject:
    return {"token": token_text(token), "logprob": token.logprob, "bytes": list(token.text)}


def token_text(token: RankedToken) -> str:
    """Return a token as text, with U+FFFD for an incomplete character."""
    return token.text.decode("utf-8", "replace")
