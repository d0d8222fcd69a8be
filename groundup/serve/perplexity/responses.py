"""/v1/responses: events -> a response, or the events of its stream, as OpenAI's and Perplexity's clients read them.

    response.created, response.in_progress -> response.reasoning.search_results, the item of the results -> the item of the message: its text in
    deltas, its annotations -> response.completed

The output has the results first (type `search_results`, Perplexity's) and then the message. Each number of a source in its text is an annotation.
"""

import json
import time
import uuid
from collections.abc import Sequence

from groundup.engine.events import ChatEvent
from groundup.serve.openai.fields import JSON, MEDIA_TYPE, error_body
from groundup.serve.perplexity.results import citation_marks
from groundup.serve.requests import Timing

COST = {"currency": "USD", "input_cost": 0.0, "output_cost": 0.0, "total_cost": 0.0}


class ResponsesAnswer:
    """The translator of one answer."""

    media_type = MEDIA_TYPE

    def __init__(
        self, model: str, question: str, results: list[JSON] | None, *, id: str = "", created: int = 0
    ) -> None:
        """`question`: what was searched; `results` None: an answer without a search."""
        self.model, self.question = model, question
        self.id = id or uuid.uuid4().hex
        self.created = created or int(time.time())
        self.results = None if results is None else [{"id": n, **each} for n, each in enumerate(results, start=1)]
        self._text = ""
        self._sequence = 0

    def begin(self) -> bytes:
        """Return the events before the text."""
        started = self._response("in_progress", [], None)
        events = [
            self._event("response.created", response=started),
            self._event("response.in_progress", response=started),
        ]
        for item in self._found():
            results = item["results"]
            events += [
                self._event("response.reasoning.search_results", results=results),
                self._event("response.output_item.added", output_index=0, item=item),
                self._event("response.output_item.done", output_index=0, item=item),
            ]
        message = {**self._message(), "status": "in_progress", "content": []}
        events += [
            self._event("response.output_item.added", output_index=self._place, item=message),
            self._event("response.content_part.added", **self._at, part=self._part()),
        ]
        return b"".join(events)

    def chunk(self, index: int, event: ChatEvent) -> bytes:
        """Return a piece of the text."""
        self._text += event.text
        if not event.text:
            return b""
        return self._event("response.output_text.delta", **self._at, delta=event.text, logprobs=[])

    def end(self, last_events: Sequence[ChatEvent], timing: Timing) -> bytes:
        """Return the events after the text."""
        part, name = self._part(), "response.output_text"
        events = [
            self._event(f"{name}.annotation.added", **self._at, annotation_index=number, annotation=each)
            for number, each in enumerate(part["annotations"])
        ]
        events += [
            self._event(f"{name}.done", **self._at, text=self._text, logprobs=[]),
            self._event("response.content_part.done", **self._at, part=part),
            self._event("response.output_item.done", output_index=self._place, item=self._message()),
        ]
        whole = self._completed(last_events[-1])
        return b"".join(events) + self._event(f"response.{whole['status']}", response=whole)

    def error(self, message: str, status: int) -> bytes:
        """Return the failure of a response that has begun."""
        error = error_body(message, status)["error"]
        failed = {**self._response("failed", [], None), "error": {"code": "server_error", "message": message}}
        return self._event("response.failed", error=error, response=failed)

    def complete(self, answers: Sequence[Sequence[ChatEvent]], timing: Timing) -> JSON:
        """Return the complete response."""
        [events] = answers
        self._text = "".join(event.text for event in events)
        return self._completed(events[-1])

    @property
    def _place(self) -> int:
        """The place of the message in the output."""
        return len(self._found())

    @property
    def _at(self) -> JSON:
        """The place of the text."""
        return {"item_id": f"msg_{self.id}", "output_index": self._place, "content_index": 0}

    def _found(self) -> list[JSON]:
        """The item of the results, where something was searched."""
        if self.results is None:
            return []
        item = {"type": "search_results", "id": f"search_{self.id}", "queries": [self.question]}
        return [{**item, "results": self.results}]

    def _message(self) -> JSON:
        message = {"type": "message", "id": f"msg_{self.id}", "role": "assistant", "status": "completed"}
        return {**message, "content": [self._part()]}

    def _part(self) -> JSON:
        annotations = [
            {"type": "url_citation", "start_index": start, "end_index": end, "url": each["url"], "title": each["title"]}
            for start, end, each in citation_marks(self._text, self.results or [])
        ]
        return {"type": "output_text", "text": self._text, "annotations": annotations, "logprobs": []}

    def _completed(self, last: ChatEvent) -> JSON:
        status = "incomplete" if last.finish_reason == "length" else "completed"
        return self._response(status, [*self._found(), self._message()], last)

    def _response(self, status: str, output: list[JSON], last: ChatEvent | None) -> JSON:
        reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": f"resp_{self.id}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "output": output,
            "error": None,
            "incomplete_details": reason,
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "store": False,
            "tool_choice": "auto",
            "tools": [],
            "usage": None if last is None else _usage(last, searches=self.results is not None),
        }

    def _event(self, kind: str, **fields: object) -> bytes:
        """Return one event of the stream, numbered."""
        data = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return f"event: {kind}\ndata: ".encode() + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def _usage(last: ChatEvent, *, searches: bool) -> JSON:
    return {
        "input_tokens": last.prompt_tokens,
        "output_tokens": last.completion_tokens,
        "total_tokens": last.prompt_tokens + last.completion_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
        "tool_calls_details": {"web_search": {"invocation": 1}} if searches else {},
        "cost": COST,
    }
