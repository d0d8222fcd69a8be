"""/v1/responses, and the responses that are kept: /v1/responses/{id}, to be read and deleted."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundup.http.responses import JsonObject, JsonResponse
from groundup.serve.perplexity.answers import answer
from groundup.serve.perplexity.results import DocumentResult
from groundup.serve.responses.answer import ResponsesAnswer, Searched
from groundup.serve.responses.kept import KeptResponses
from groundup.serve.responses.request import read_responses
from groundup.serve.server import ModelServer
from groundup.serve.sourced_answers import SourcedAnswer
from groundup.serve.streaming import Translator


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
