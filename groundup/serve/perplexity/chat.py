"""/chat/completions: events -> a completion, or its chunks.

"full" chunks have the text so far and all results, each; of a "concise" stream the chunks have
pieces only, and the last one has the whole.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from groundup.engine.events import ChatEvent
from groundup.serve.openai.fields import DONE, JSON, MEDIA_TYPE, error_body, sse
from groundup.serve.requests import Timing

COMPLETION, CHUNK, WHOLE = "chat.completion", "chat.completion.chunk", "chat.completion.done"
COST = {"input_tokens_cost": 0.0, "output_tokens_cost": 0.0, "request_cost": 0.0, "total_cost": 0.0}


class SonarAnswer:
    """The translator of one answer."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        model: str,
        size: str,
        results: list[JSON] | None,
        *,
        concise: bool = False,
        source_tokens: Callable[[], int] = lambda: 0,
        id: str = "",
        created: int = 0,
    ) -> None:
        """`results` None: an answer without a search; `source_tokens` of the prompt, known once the
        model has read them.
        """
        self.model, self.size, self.results, self.concise = model, size, results, concise
        self.id = id or str(uuid.uuid4())
        self.created = created or int(time.time())
        self.source_tokens = source_tokens
        self._text: defaultdict[int, str] = defaultdict(str)

    def begin(self) -> bytes:
        """Return a chunk without text, so that a client has the results before the first word."""
        return self.chunk(0, ChatEvent("", None, 0, 0))

    def chunk(self, index: int, event: ChatEvent) -> bytes:
        """Return a chunk."""
        self._text[index] += event.text
        if not self.concise:
            return sse(self._whole(CHUNK, [self._choice(index, event)], event))
        piece = {**self._choice(index, event), "message": _said("")}
        return sse({**self._head(CHUNK), "choices": [{**piece, "finish_reason": None}]})

    def end(self, last_events: Sequence[ChatEvent], timing: Timing) -> bytes:
        """Return the end of the stream; of a concise one with the whole answer before it."""
        if not self.concise:
            return DONE
        [last] = last_events
        return sse(self._whole(WHOLE, [self._choice(0, last, delta="")], last)) + DONE

    def error(self, message: str, status: int) -> bytes:
        """Return an error after the first byte, and the end of the stream."""
        return sse(error_body(message, status)) + DONE

    def complete(self, answers: Sequence[Sequence[ChatEvent]], timing: Timing) -> JSON:
        """Return the complete answer as one object."""
        [events] = answers
        self._text[0] = "".join(event.text for event in events)
        return self._whole(COMPLETION, [self._choice(0, events[-1], delta="")], events[-1])

    def _head(self, name: str) -> JSON:
        return {"id": self.id, "object": name, "created": self.created, "model": self.model}

    def _whole(self, name: str, choices: list[JSON], event: ChatEvent) -> JSON:
        results: dict[str, Any] = {}
        if self.results is not None:
            results = {
                "citations": [each["url"] for each in self.results],
                "search_results": self.results,
            }
        return {**self._head(name), "choices": choices, **results, "usage": self._usage(event)}

    def _choice(self, index: int, event: ChatEvent, delta: str | None = None) -> JSON:
        return {
            "index": index,
            "finish_reason": event.finish_reason,
            "message": _said(self._text[index]),
            "delta": _said(event.text if delta is None else delta),
        }

    def _usage(self, event: ChatEvent) -> JSON:
        return {
            "prompt_tokens": event.prompt_tokens,
            "completion_tokens": event.completion_tokens,
            "total_tokens": event.prompt_tokens + event.completion_tokens,
            "search_context_size": self.size,
            "num_search_queries": int(self.results is not None),
            "citation_tokens": self.source_tokens(),
            "cost": COST,
        }


def _said(text: str) -> JSON:
    return {"role": "assistant", "content": text}
