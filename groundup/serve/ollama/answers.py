"""Responses of /api/generate and /api/chat: events -> lines of JSON, or one object.

Every line is ASCII, as clients split a stream at characters that JSON may contain unescaped
(U+0085, U+2028). Only the last object has the counters. Durations are in nanoseconds.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from groundup.engine.events import ChatEvent, RankedToken, TokenLogprob
from groundup.http.json_object import JsonObject
from groundup.serve.requests import Timing
from groundup.tokenizer.tools import ToolCall

MEDIA_TYPE = "application/x-ndjson"


class OllamaAnswer:
    """The translator of one request's answer. `chat`: as a message, else as `response`.

    `now` returns the time of each object.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self, model: str, *, chat: bool, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.model = model
        self.chat = chat
        self.now = now

    def begin(self) -> bytes:
        return b""

    def chunk(self, index: int, event: ChatEvent) -> bytes:
        """Return a line for a piece of text; that of the last event comes from `end`."""
        if event.finish_reason is not None:
            return b""
        return self._line(event)

    def end(self, last_events: Sequence[ChatEvent], timing: Timing) -> bytes:
        """Return the last line, which has no text, after a line with the remaining text, if any."""
        [last] = last_events
        closing = line(self._closing(self._message(""), last, timing))
        if last.text or last.calls or last.logprobs:
            return self._line(last) + closing
        return closing

    def error(self, message: str, status: int) -> bytes:
        return line({"error": message})

    def complete(self, answers: Sequence[Sequence[ChatEvent]], timing: Timing) -> JsonObject:
        [events] = answers
        message = self._message(
            "".join(event.text for event in events),
            [call for event in events for call in event.calls],
        )
        scores = [score for event in events for score in event.logprobs]
        return {**self._closing(message, events[-1], timing), **_logprobs(scores)}

    def empty(self, reason: str) -> JsonObject:
        """Return the answer to a LoadRequest; `reason` is "load" or "unload"."""
        return {**self._head(), **self._message(""), "done": True, "done_reason": reason}

    def _head(self) -> JsonObject:
        return {"model": self.model, "created_at": rfc3339(self.now())}

    def _line(self, event: ChatEvent) -> bytes:
        """Return the line of a piece that is not the end."""
        message, scores = self._message(event.text, event.calls), _logprobs(event.logprobs)
        return line({**self._head(), **message, "done": False, **scores})

    def _message(self, text: str, calls: Sequence[ToolCall] = ()) -> JsonObject:
        if not self.chat:
            return {"response": text}
        message: JsonObject = {"role": "assistant", "content": text}
        if calls:
            message["tool_calls"] = [
                {"function": {"name": call.name, "arguments": call.arguments}} for call in calls
            ]
        return {"message": message}

    def _closing(self, message: JsonObject, last: ChatEvent, timing: Timing) -> JsonObject:
        closing = {**self._head(), **message, "done": True, "done_reason": last.finish_reason}
        if last.context:
            closing["context"] = list(last.context)
        return {
            **closing,
            "total_duration": timing.total_ns,
            "load_duration": timing.load_ns,
            "prompt_eval_count": last.prompt_tokens,
            "prompt_eval_duration": timing.prompt_ns,
            "eval_count": last.completion_tokens,
            "eval_duration": timing.answer_ns,
        }


def _logprobs(scores: Sequence[TokenLogprob]) -> JsonObject:
    """Return the logprobs field, or nothing when none were requested."""
    if not scores:
        return {}
    return {
        "logprobs": [
            {**_token(each.token), "top_logprobs": list(map(_token, each.alternatives))}
            for each in scores
        ]
    }


def _token(token: RankedToken) -> JsonObject:
    return {
        "token": token.text.decode("utf-8", "replace"),
        "logprob": token.logprob,
        "bytes": list(token.text),
    }


def line(value: JsonObject) -> bytes:
    """Return one object of a stream."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def rfc3339(time: datetime) -> str:
    """Return a time with microseconds and zone: 2026-11-24T23:00:00.000000Z."""
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def error_body(message: str) -> JsonObject:
    """Return an error in Ollama's shape."""
    return {"error": message}
