"""/v1/responses, and the responses that are kept: /v1/responses/{id}, to be read and deleted.

ResponsesAnswer: events -> a response, or the events of its stream, as OpenAI's and Perplexity's
clients read them.

    response.created, response.in_progress -> an item of what was searched -> items of the answer,
        each from response.output_item.added to .done
    -> response.completed | response.incomplete | response.failed

A message's text comes in deltas, and each number of a source in it is an annotation. A call of a
function is complete when the model has written it, so its arguments come in one delta. What was
searched is an item `web_search_call` for OpenAI's clients, `search_results` for Perplexity's.
"""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.engine.events import ChatEvent
from groundup.http.json_object import JsonObject
from groundup.http.responses import JsonResponse
from groundup.serve.openai.fields import MEDIA_TYPE, error_body, sse
from groundup.serve.perplexity.answers import DocumentResult, answer, citation_marks
from groundup.serve.requests import Timing
from groundup.serve.responses.kept import KeptResponses
from groundup.serve.responses.request import read_responses
from groundup.serve.server import ModelServer
from groundup.serve.sourced_answers import SourcedAnswer
from groundup.serve.streaming import Translator
from groundup.tokenizer.tools import ToolCall

COST = {"currency": "USD", "input_cost": 0.0, "output_cost": 0.0, "total_cost": 0.0}


def routes(server: ModelServer) -> list[Route]:
    api = _Api(server)
    return [
        Route("/v1/responses", api.create, methods=["POST"]),
        Route("/v1/responses/{id}", api.read, methods=["GET"]),
        Route("/v1/responses/{id}", api.delete, methods=["DELETE"]),
    ]


class _Api:
    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.kept = KeptResponses(server.limits)

    async def create(self, client: Request) -> Response:
        request = read_responses(await self.server.read_body(client), self.kept, self.server.limits)

        def keep(response: JsonObject) -> None:
            if request.keeps:
                self.kept.keep(response, request.items)

        def translate(
            results: list[DocumentResult] | None, found: SourcedAnswer | None
        ) -> Translator:
            searched = None
            if results is not None and found is not None:
                searched = Searched(found.reading.question, results, request.is_perplexitys)
            return ResponsesAnswer(request.search.plain.model, request.echo, searched, keep=keep)

        return await answer(self.server, request.search, translate, client)

    async def read(self, client: Request) -> Response:
        return JsonResponse(self.kept.find(client.path_params["id"]).response)

    async def delete(self, client: Request) -> Response:
        id = client.path_params["id"]
        self.kept.remove(id)
        return JsonResponse({"id": id, "object": "response", "deleted": True})


@dataclass(frozen=True)
class Searched:
    """What was searched, and found."""

    question: str
    results: Sequence[DocumentResult]
    is_perplexitys: bool = False
    """Whether the client reads it in Perplexity's form."""

    def item(self, id: str) -> JsonObject:
        """Return it as an item of the output; `id`: of the response."""
        queries = [self.question]
        if self.is_perplexitys:
            results = [{"id": n, **vars(each)} for n, each in enumerate(self.results, start=1)]
            item = {"type": "search_results", "id": f"search_{id}"}
            return {**item, "queries": queries, "results": results}
        sources = [{"type": "url", "url": each.url} for each in self.results]
        action = {"type": "search", "query": self.question, "queries": queries, "sources": sources}
        call = {"type": "web_search_call", "id": f"ws_{id}"}
        return {**call, "status": "completed", "action": action}


class ResponsesAnswer:
    """The translator of one answer."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        model: str,
        echo: JsonObject,
        searched: Searched | None = None,
        *,
        keep: Callable[[JsonObject], None] = lambda response: None,
        id: str = "",
        created: int = 0,
    ) -> None:
        """`echo`: fields that repeat the request's; `searched` None: an answer without a search;
        `keep` is called with the whole response.
        """
        self.model, self.echo, self.searched, self.keep = model, echo, searched, keep
        self.id = id or uuid.uuid4().hex
        self.created = created or int(time.time())
        self._output: list[JsonObject] = []
        self._message: JsonObject | None = (
            None  # the message that is being written, without its text
        )
        self._pieces: list[str] = []
        self._sequence = 0

    def begin(self) -> bytes:
        started = self._response("in_progress", None)
        events = self._event("response.created", response=started)
        events += self._event("response.in_progress", response=started)
        if self.searched is not None:
            events += self._search_item(self.searched)
        return events

    def chunk(self, index: int, event: ChatEvent) -> bytes:
        events = b""
        if event.text:
            events += self._add_text(event.text)
        for call in event.calls:
            events += self._close_message("completed") + self._add_call(call)
        return events

    def end(self, last_events: Sequence[ChatEvent], timing: Timing) -> bytes:
        events, response = self._finish(last_events[-1])
        return events + self._event(f"response.{response['status']}", response=response)

    def error(self, message: str, status: int) -> bytes:
        """Return the failure of a response that has begun."""
        error = error_body(message, status)["error"]
        failed = self._response("failed", None)
        failed["error"] = {"code": "server_error", "message": message}
        return self._event("response.failed", error=error, response=failed)

    def complete(self, answers: Sequence[Sequence[ChatEvent]], timing: Timing) -> JsonObject:
        """Return the complete response: the last one of its stream."""
        [events] = answers
        self.begin()
        for event in events:
            self.chunk(0, event)
        return self._finish(events[-1])[1]

    def _search_item(self, searched: Searched) -> bytes:
        """Return the events of the item of what was found."""
        item = searched.item(self.id)
        place = self._add(item)
        if searched.is_perplexitys:
            events = self._event("response.reasoning.search_results", results=item["results"])
            events += self._event("response.output_item.added", output_index=place, item=item)
        else:
            begun = {**item, "status": "in_progress", "action": {**item["action"], "sources": []}}
            events = self._event("response.output_item.added", output_index=place, item=begun)
            for step in ("in_progress", "searching", "completed"):
                events += self._event(
                    f"response.web_search_call.{step}", output_index=place, item_id=item["id"]
                )
        return events + self._event("response.output_item.done", output_index=place, item=item)

    def _add_text(self, text: str) -> bytes:
        """Return the events of a piece of text, which opens a message where none is."""
        events = b""
        if self._message is None:
            events += self._open_message()
        self._pieces.append(text)
        return events + self._event(
            "response.output_text.delta", **self._at(), delta=text, logprobs=[]
        )

    def _open_message(self) -> bytes:
        place = len(self._output)
        item: JsonObject = {"type": "message", "id": f"msg_{self.id}_{place}", "role": "assistant"}
        item |= {"status": "in_progress", "content": []}
        events = self._event("response.output_item.added", output_index=place, item=item)
        self._message, self._pieces = item, []
        return events + self._event("response.content_part.added", **self._at(), part=_part("", []))

    def _close_message(self, status: str) -> bytes:
        if self._message is None:
            return b""
        text, at, name = "".join(self._pieces), self._at(), "response.output_text"
        annotations = self._annotations(text)
        part = _part(text, annotations)
        message = {**self._message, "status": status, "content": [part]}
        events = b""
        for number, each in enumerate(annotations):
            events += self._event(
                f"{name}.annotation.added", **at, annotation_index=number, annotation=each
            )
        events += self._event(f"{name}.done", **at, text=text, logprobs=[])
        events += self._event("response.content_part.done", **at, part=part)
        self._message = None
        return events + self._event(
            "response.output_item.done", output_index=self._add(message), item=message
        )

    def _add_call(self, call: ToolCall) -> bytes:
        place, arguments = len(self._output), json.dumps(call.arguments, ensure_ascii=False)
        id, call_id = f"fc_{self.id}_{place}", f"call_{self.id[:24]}_{place}"
        begun = {"type": "function_call", "id": id, "call_id": call_id, "name": call.name}
        begun |= {"arguments": "", "status": "in_progress"}
        done = {**begun, "arguments": arguments, "status": "completed"}
        at, name = {"item_id": id, "output_index": place}, "response.function_call_arguments"
        self._add(done)
        events = self._event("response.output_item.added", output_index=place, item=begun)
        events += self._event(f"{name}.delta", **at, delta=arguments)
        events += self._event(f"{name}.done", **at, name=call.name, arguments=arguments)
        return events + self._event("response.output_item.done", output_index=place, item=done)

    def _finish(self, last: ChatEvent) -> tuple[bytes, JsonObject]:
        """Return the events that end the last message, an empty one where the model wrote nothing,
        and the whole response.
        """
        status = "incomplete" if last.finish_reason == "length" else "completed"
        events, num_searches = b"", int(self.searched is not None)
        if self._message is None and len(self._output) == num_searches:
            events += self._open_message()
        events += self._close_message(status)
        response = self._response(status, last)
        self.keep(response)
        return events, response

    def _at(self) -> JsonObject:
        assert self._message is not None
        return {
            "item_id": self._message["id"],
            "output_index": len(self._output),
            "content_index": 0,
        }

    def _add(self, item: JsonObject) -> int:
        """Add an item to the output; return its place."""
        self._output.append(item)
        return len(self._output) - 1

    def _annotations(self, text: str) -> list[JsonObject]:
        if self.searched is None:
            return []
        return [
            {
                "type": "url_citation",
                "start_index": start,
                "end_index": end,
                "url": each.url,
                "title": each.title,
            }
            for start, end, each in citation_marks(text, self.searched.results)
        ]

    def _response(self, status: str, last: ChatEvent | None) -> JsonObject:
        details, usage = None, None
        if status == "incomplete":
            details = {"reason": "max_output_tokens"}
        if last is not None:
            usage = _usage(last, searches=self.searched is not None)
        return {
            "id": f"resp_{self.id}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "output": list(self._output),
            "error": None,
            "incomplete_details": details,
            **self.echo,
            "usage": usage,
        }

    def _event(self, type_name: str, **fields: object) -> bytes:
        """Return one event of the stream, numbered."""
        data = {"type": type_name, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return f"event: {type_name}\n".encode() + sse(data)


def _part(text: str, annotations: Sequence[JsonObject]) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": []}


def _usage(last: ChatEvent, *, searches: bool) -> JsonObject:
    details: JsonObject = {}
    if searches:
        details["web_search"] = {"invocation": 1}
    return {
        "input_tokens": last.prompt_tokens,
        "output_tokens": last.completion_tokens,
        "total_tokens": last.prompt_tokens + last.completion_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
        "tool_calls_details": details,
        "cost": COST,
    }
