"""Answer: the token ids of one request -> ChatEvents, with stop conditions and the visible text."""

from collections.abc import Iterator
from dataclasses import replace

from groundup.engine.events import ChatEvent, FinishReason, TokenLogprob
from groundup.engine.stream import TextStream


class Answer:
    """The text of one answer as it grows: `push` every id; it has ended once `reason` is set. `start` holds the initial counters."""

    def __init__(self, stream: TextStream, stop_ids: frozenset[int], start: ChatEvent) -> None:
        self._stream, self._stop_ids = stream, stop_ids
        self._event = start  # what was pushed since the last event
        self.reason: FinishReason | None = None

    def push(self, token_id: int, logprob: TokenLogprob | None = None) -> ChatEvent | None:
        """Return the event of this id, or None while its text is held back. A stop id or stop string ends the answer: "stop"."""
        stops = token_id in self._stop_ids
        self._event = replace(
            self._event,
            text=self._event.text + ("" if stops else self._stream.push(token_id)),
            completion_tokens=self._event.completion_tokens + 1,
            logprobs=self._event.logprobs if stops or logprob is None else (*self._event.logprobs, logprob),
        )
        if stops or self._stream.stopped:
            return self.end("stop")
        return self._released() if self._event.text else None

    def end(self, reason: FinishReason) -> ChatEvent:
        """Return the last event, with the text held back."""
        self.reason = reason
        self._event = replace(self._event, text=self._event.text + self._stream.finish(), finish_reason=reason)
        return self._event

    def _released(self) -> ChatEvent:
        event, self._event = self._event, replace(self._event, text="", logprobs=())
        return event


def answer_events(
    ids: Iterator[int], stream: TextStream, stop_ids: frozenset[int], start: ChatEvent
) -> Iterator[ChatEvent]:
    """Yield one event for each piece of text, and a last one with the finish reason."""
    answer = Answer(stream, stop_ids, start)
    for token_id in ids:
        event = answer.push(token_id)
        if event is not None:
            yield event
        if answer.reason is not None:
            return
    yield answer.end("length")
