"""The token ids of one answer -> its text in pieces (`TextStream`), and `ChatEvent`s with stop
conditions (`StreamedAnswer`).

A token may hold an incomplete character (byte-level BPE) or a part of a stop string, so bytes that
don't yet form a character and text that could begin a stop string are held back. Control tokens
have no text, as in llama.cpp's server.
"""

import codecs
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from groundup.engine.events import ChatEvent, FinishReason, TokenLogprob
from groundup.tokenizer.fast import Tokenizer

Ends = Sequence[tuple[Callable[[str, Any], int | None], Any]]
"""Rules that end an answer by its text (`Sampling.ends`)."""


class TextStream:
    """`push` every id, then `finish`. `stopped`: after a stop string, or where a rule has ended the
    text.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stop: Sequence[str] = (),
        shown_ids: Collection[int] = (),
        ends: Ends = (),
    ) -> None:
        """`shown_ids`: control tokens that are part of the text."""
        self._tokenizer = tokenizer
        self._control = frozenset(tokenizer.special.tokens.values()) - frozenset(shown_ids)
        self._stop, self._ends = tuple(stop), ends
        self._shown = ""  # what was returned, for the rules
        # "replace" as in Tokenizer.decode: one U+FFFD for each maximal part of an invalid sequence.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.stopped = False

    def push(self, token_id: int) -> str:
        """The text that this id completes: "" while it is held back, or after the end."""
        if self.stopped or token_id in self._control:
            return ""
        return self._release(self._decoder.decode(self._tokenizer.token_bytes(token_id)))

    def finish(self) -> str:
        """The text still held back."""
        if self.stopped:
            return ""
        piece = self._release(self._decoder.decode(b"", final=True)) + self._held
        self._held = ""
        return piece

    def _release(self, new: str) -> str:
        text = self._held + new
        start = self._end_of(text)
        if start is not None:
            self.stopped, self._held = True, ""
            return text[:start]
        kept = len(text) - longest_beginning(text, self._stop)
        self._held = text[kept:]
        if self._ends:
            self._shown += text[:kept]
        return text[:kept]

    def _end_of(self, text: str) -> int | None:
        """Where the answer ends in the text that was not returned yet."""
        places = [earliest(text, self._stop)]
        for end, value in self._ends:
            place = end(self._shown + text, value)
            places.append(None if place is None else max(0, place - len(self._shown)))
        return min((place for place in places if place is not None), default=None)


def earliest(text: str, stop: Sequence[str]) -> int | None:
    return min((text.index(word) for word in stop if word in text), default=None)


def longest_beginning(text: str, stop: Sequence[str]) -> int:
    """How many characters at the end of `text` could be the beginning of a stop string.

    >>> longest_beginning("so a", ["ab"])
    1
    """
    lengths = (n for word in stop for n in range(1, len(word)) if text.endswith(word[:n]))
    return max(lengths, default=0)


class StreamedAnswer:
    """`push` every id; it has ended once `reason` is set. `start` holds the initial counters."""

    def __init__(
        self,
        stream: TextStream,
        stop_ids: frozenset[int],
        start: ChatEvent,
        *,
        logprob_of_end: bool = False,
    ) -> None:
        self._stream, self._stop_ids, self._logprob_of_end = stream, stop_ids, logprob_of_end
        self._start, self._tokens = start, start.completion_tokens
        # since the last event
        self._text, self._logprobs = start.text, start.logprobs
        self.reason: FinishReason | None = None

    def push(self, token_id: int, logprob: TokenLogprob | None = None) -> ChatEvent | None:
        """None while the text is held back. A stop id or stop string ends the answer."""
        stops = token_id in self._stop_ids
        if not stops:
            self._text += self._stream.push(token_id)
        if logprob is not None and (self._logprob_of_end or not stops):
            self._logprobs += (logprob,)
        self._tokens += 1
        if stops or self._stream.stopped:
            return self.end("stop")
        if not self._text:
            return None
        return self._event()

    def end(self, reason: FinishReason) -> ChatEvent:
        """With the text held back."""
        self.reason = reason
        self._text += self._stream.finish()
        return self._event()

    def _event(self) -> ChatEvent:
        """What came since the last one. (`replace` takes four times as long.)"""
        start, text, logprobs = self._start, self._text, self._logprobs
        self._text, self._logprobs = "", ()
        return ChatEvent(
            text,
            self.reason,
            start.prompt_tokens,
            self._tokens,
            start.dropped_messages,
            logprobs,
        )


def answer_events(
    ids: Iterator[int], stream: TextStream, stop_ids: frozenset[int], start: ChatEvent
) -> Iterator[ChatEvent]:
    """One for each piece of text, and a last one with the finish reason."""
    answer = StreamedAnswer(stream, stop_ids, start)
    for token_id in ids:
        event = answer.push(token_id)
        if event is not None:
            yield event
        if answer.reason is not None:
            return
    yield answer.end("length")
