"""/chat/completions: events -> a completion, or its chunks.

"full" chunks have the text so far and all results, each; of a "concise" stream the chunks have
pieces only, and the last one has the whole.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence

from groundup.engine.events import ChatEvent
from groundup.http.responses import JsonObject
from groundup.serve.openai.fields import DONE, MEDIA_TYPE, error_body, sse
from groundup.serve.perplexity.results import DocumentResult
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
        results: Sequence[DocumentResult] | None,
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
        self._text[index] += event.text
        if not self.concise:
            return sse(self._whole(CHUNK, event, index, delta=event.text))
        choice = self._choice(index, event, event.text)
        choice |= {"message": _message(""), "finish_reason": None}
        return sse({**self._head(CHUNK), "choices": [choice]})

    def end(self, last_events: Sequence[ChatEvent], timing: Timing) -> bytes:
        """Return the end of the stream; of a concise one with the whole answer before it."""
        if not self.concise:
            return DONE
        [last] = last_events
        return sse(self._whole(WHOLE, last)) + DONE

    def error(self, message: str, status: int) -> bytes:
        return sse(error_body(message, status)) + DONE

    def complete(self, answers: Sequence[Sequence[ChatEvent]], timing: Timing) -> JsonObject:
        [events] = answers
        self._text[0] = "".join(event.text for event in events)
        return self._whole(COMPLETION, events[-1])

    def _head(self, name: str) -> JsonObject:
        return {"id": self.id, "object": name, "created": self.created, "model": self.model}

    def _whole(self, name: str, event: ChatEvent, index: int = 0, delta: str = "") -> JsonObject:
        """Return an object with the text so far and all results."""
        choice = self._choice(index, event, delta)
        whole = {**self._head(name), "choices": [choice]}
        if self.results is not None:
            whole["citations"] = [each.url for each in self.results]
            whole["search_results"] = list(map(vars, self.results))
        return {**whole, "usage": self._usage(event)}

    def _choice(self, index: int, event: ChatEvent, delta: str) -> JsonObject:
        return {
            "index": index,
            "finish_reason": event.finish_reason,
            "message": _message(self._text[index]),
            "delta": _message(delta),
        }

    def _usage(self, event: ChatEvent) -> JsonObject:
        return {
            "prompt_tokens": event.prompt_tokens,
            "completion_tokens": event.completion_tokens,
            "total_tokens": event.prompt_tokens + event.completion_tokens,
            "search_context_size": self.size,
            "num_search_queries": int(self.results is not None),
            "citation_tokens": self.source_tokens(),
            "cost": COST,
        }


def _message(text: str) -> JsonObject:
    return {"role": "assistant", "content": text}
