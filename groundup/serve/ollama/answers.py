"""What /api/generate and /api/chat answer: events -> lines of JSON, or one object.

Every line is ASCII: clients split a stream at characters that JSON could hold as they are (U+0085, U+2028). The last object, and no other, has the
counters. Durations are nanoseconds.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from groundup.engine.events import ChatEvent, RankedToken, TokenLogprob
from groundup.serve.requests import Timing
from groundup.tokenizer.tools import ToolCall

MEDIA_TYPE = "application/x-ndjson"
JSON = dict[str, Any]


class OllamaAnswer:
    """The answer to one request. `chat`: as a message, else as `response`. `now` gives the time of each object."""

    media_type = MEDIA_TYPE

    def __init__(self, model: str, *, chat: bool, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.model = model
        self.chat = chat
        self.now = now

    def begin(self) -> bytes:
        """Before the first event: nothing."""
        return b""

    def piece(self, index: int, event: ChatEvent) -> bytes:
        """A line for a piece of text; the last event's comes with `end`."""
        if event.finish_reason is not None:
            return b""
        return line({**self._head(), **self._said(event.text, event.calls), "done": False, **_logprobs(event.logprobs)})

    def end(self, lasts: Sequence[ChatEvent], timing: Timing) -> bytes:
        """The last line, or two: what was still held back has a line of its own, so that the last one has no text."""
        [last] = lasts
        rest = {**self._head(), **self._said(last.text, last.calls), "done": False, **_logprobs(last.logprobs)}
        held = line(rest) if last.text or last.calls or last.logprobs else b""
        return held + line(self._closing(self._said(""), last, timing))

    def failure(self, message: str, status: int) -> bytes:
        """A line for what went wrong after the first byte."""
        return line({"error": message})

    def whole(self, answers: Sequence[Sequence[ChatEvent]], timing: Timing) -> JSON:
        """All at once."""
        [events] = answers
        said = self._said("".join(event.text for event in events), [call for event in events for call in event.calls])
        scores = [score for event in events for score in event.logprobs]
        return {**self._closing(said, events[-1], timing), **_logprobs(scores)}

    def nothing(self, reason: str) -> JSON:
        """The answer to a LoadRequest: "load" or "unload"."""
        return {**self._head(), **self._said(""), "done": True, "done_reason": reason}

    def _head(self) -> JSON:
        return {"model": self.model, "created_at": rfc3339(self.now())}

    def _said(self, text: str, calls: Sequence[ToolCall] = ()) -> JSON:
        called = [{"function": {"name": call.name, "arguments": call.arguments}} for call in calls]
        message = {"role": "assistant", "content": text, **({"tool_calls": called} if called else {})}
        return {"message": message} if self.chat else {"response": text}

    def _closing(self, said: JSON, last: ChatEvent, timing: Timing) -> JSON:
        counters = {
            "total_duration": timing.total_ns,
            "load_duration": timing.load_ns,
            "prompt_eval_count": last.prompt_tokens,
            "prompt_eval_duration": timing.prompt_ns,
            "eval_count": last.completion_tokens,
            "eval_duration": timing.answer_ns,
        }
        return {**self._head(), **said, "done": True, "done_reason": last.finish_reason, **counters}


def _logprobs(scores: Sequence[TokenLogprob]) -> JSON:
    """Nothing where none were asked for."""
    if not scores:
        return {}
    return {
        "logprobs": [{**_token(each.token), "top_logprobs": list(map(_token, each.alternatives))} for each in scores]
    }


def _token(token: RankedToken) -> JSON:
    return {"token": token.text.decode("utf-8", "replace"), "logprob": token.logprob, "bytes": list(token.text)}


def line(value: JSON) -> bytes:
    """One object of a stream."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def rfc3339(time: datetime) -> str:
    """With microseconds and zone: 2026-11-24T23:00:00.000000Z."""
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def error_body(message: str) -> JSON:
    """The shape of every refusal."""
    return {"error": message}
