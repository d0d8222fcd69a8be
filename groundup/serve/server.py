"""What the server does with a request of `exchange`, whatever dialect it came in.

    ChatRequest + Translator -> answer() -> a response: whole, or a stream
    EmbedRequest, ClassifyRequest, LoadRequest -> values, which the dialect's route puts into its own shape

The way of an answer: the name is looked up, the model leased (and loaded), the prompt rendered and cut, the jobs given to the worker. All that can
be refused is refused before the first byte. A client that hangs up ends its jobs, streaming or not.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Sequence

from starlette.requests import Request
from starlette.responses import Response

from groundup.engine.classify import classifier_ids
from groundup.engine.embed import embed, embed_in_pieces, shortened
from groundup.engine.padding import batches_by_length
from groundup.engine.request import Constraint
from groundup.engine.request import Request as Job
from groundup.engine.structured_output import OutputConstraint
from groundup.engine.tool_call_grammar import constraint_with_calls
from groundup.engine.tool_calls import ToolCallParser
from groundup.http.limits import Limits
from groundup.http.metrics import Metrics
from groundup.model.heads import LanguageModel
from groundup.serve.loaded_models import LoadedModel, LoadedModels
from groundup.serve.model_info import ModelInfo
from groundup.serve.model_registry import ModelAlias, ModelRegistry
from groundup.serve.request_preparation import format_of_calls, prepare, require_able, require_within, with_name
from groundup.serve.requests import (
    ClassifyRequest,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    LoadRequest,
    Options,
    RequestError,
    Timing,
    unsupported,
)
from groundup.serve.streaming import (
    AnswerStream,
    HeldStreamingResponse,
    RequestTimer,
    Translator,
    complete_response,
    stream_bytes,
    until_disconnect,
)
from groundup.serve.worker import Worker
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.tools import CallFormat

# Texts that are embedded or classified between two steps of the engine: answers at work wait no longer than for these.
TEXTS_AT_ONCE_TOKENS = 128


class Server:
    """Models, the worker that runs them, and how much may be asked."""

    def __init__(
        self, shelf: ModelRegistry, residents: LoadedModels, worker: Worker, limits: Limits, metrics: Metrics
    ) -> None:
        self.shelf = shelf
        self.residents = residents
        self.worker = worker
        self.limits = limits
        self.metrics = metrics
        # Whoever asks for a form waits for the others that do, and never has more than one of the threads that all requests share.
        self._forming = asyncio.Lock()

    async def find(self, name: str, capability: str) -> tuple[ModelAlias, ModelInfo]:
        """The model of a name. Raises RequestError: 404, or 400 where it can't do that."""
        named = await asyncio.to_thread(self.shelf.find, name)
        facts = self.shelf.facts(named)
        if capability not in facts.capabilities:
            raise unsupported(name, capability)
        return named, facts

    async def answer(self, request: GenerateRequest, translator: Translator, client: Request) -> Response:
        """The answers to a request. Raises RequestError, ConfigError, DataError, ModelError for what is refused."""
        clock = RequestTimer()
        named, facts = await self.find(request.model, "completion")
        options = request.options.over(named.options).over(request.defaults)
        require_within(request, options, self.limits)
        require_able(request, facts)
        async with contextlib.AsyncExitStack() as stack:
            resident = await stack.enter_async_context(self._lease(named, facts, request.keep_alive_s, clock))
            turn: contextlib.AbstractAsyncContextManager[None] = (
                self._forming if request.form else contextlib.nullcontext()
            )
            async with turn:
                jobs = await asyncio.to_thread(_jobs, with_name(request, named), options, resident)
            assert resident.desk is not None  # a language model has one
            answers = await resident.desk.open(jobs)
            stack.callback(answers.close)
            told = AnswerStream(answers, clock, self.metrics, _splitters(request, resident))
            if request.stream:
                return HeldStreamingResponse(stream_bytes(told, translator), translator.media_type, stack.pop_all())
            return await until_disconnect(client, complete_response(told, translator))

    @contextlib.asynccontextmanager
    async def _lease(
        self, named: ModelAlias, facts: ModelInfo, keep_alive_s: float | None, clock: RequestTimer
    ) -> AsyncIterator[LoadedModel]:
        async with self.residents.lease(named.base, facts, keep_alive_s) as resident:
            clock.loaded()
            yield resident

    async def load(self, request: LoadRequest) -> str:
        """Load or unload; gives which of the two it was."""
        named = await asyncio.to_thread(self.shelf.find, request.model)
        if request.keep_alive_s == 0:
            self.residents.put_out(named.base)
            return "unload"
        async with self.residents.lease(named.base, self.shelf.facts(named), request.keep_alive_s):
            return "load"

    async def embed(self, request: EmbedRequest) -> tuple[Embeddings, Timing]:
        """A vector for each text. Raises RequestError."""
        clock = RequestTimer()
        named, facts = await self.find(request.model, "embedding")
        self._require_texts(len(request.texts))
        width = facts.config.width
        if request.dimensions is not None and request.dimensions > width:
            raise RequestError(f"dimensions: this model's vectors have {width}", param="dimensions")
        async with self._lease(named, facts, request.keep_alive_s, clock) as resident:
            rows = await asyncio.to_thread(_embedding_rows, resident, request, self.limits.embed_tokens)
            vectors: list[list[float]] = [[] for _ in rows]
            for batch in batches_by_length([len(row) for row in rows], TEXTS_AT_ONCE_TOKENS):
                found = await self._embedded(resident, [rows[i] for i in batch], request.dimensions)
                for index, vector in zip(batch, found, strict=True):
                    vectors[index] = vector
        read_tokens = sum(map(len, rows))
        self.metrics.tokens.labels("embedded").inc(read_tokens)
        return Embeddings(vectors, read_tokens), clock.timing()

    async def _embedded(
        self, resident: LoadedModel, rows: Sequence[Sequence[int]], dimensions: int | None
    ) -> list[list[float]]:
        model, compute = resident.opened.model, resident.engine.compute
        assert isinstance(model, LanguageModel)
        if len(rows[0]) > TEXTS_AT_ONCE_TOKENS:  # a long text is alone in its batch
            pieces = embed_in_pieces(model, rows[0], compute=compute)
            while (found := await self.worker.run(lambda: next(pieces, None))) is not None:
                vectors = found[None]
        else:
            vectors = await self.worker.run(lambda: embed(model, rows, compute=compute))
        listed: list[list[float]] = (vectors if dimensions is None else shortened(vectors, dimensions)).tolist()
        return listed

    async def classify(self, request: ClassifyRequest) -> list[dict[str, float]]:
        """The probabilities of each text's labels, most probable first. Raises RequestError."""
        named, facts = await self.find(request.model, "classification")
        self._require_texts(len(request.texts))
        found: list[dict[str, float]] = [{} for _ in request.texts]
        async with self._lease(named, facts, request.keep_alive_s, RequestTimer()) as resident:
            engine, context = resident.engine, facts.config.context_tokens
            rows = await asyncio.to_thread(
                lambda: [classifier_ids(engine.tokenizer, text, context) for text in request.texts]
            )
            for batch in batches_by_length([len(row) for row in rows], TEXTS_AT_ONCE_TOKENS):
                texts = [request.texts[i] for i in batch]
                labelled = await self.worker.run(functools.partial(engine.classify, texts))
                for index, labels in zip(batch, labelled, strict=True):
                    found[index] = labels
        return found

    def _require_texts(self, count: int) -> None:
        if count > self.limits.texts:
            raise RequestError(f"input: at most {self.limits.texts} texts are taken at once", param="input")

    def stop(self, within_s: float) -> None:
        """Take no more jobs; what is still at work after `within_s` ends with an error in its stream."""
        self.worker.stopping = True
        asyncio.get_running_loop().call_later(within_s, self._end_all)

    def _end_all(self) -> None:
        for resident in self.residents.held().values():
            if resident.desk is not None:
                resident.desk.fail_all(RequestError("the server is stopping", status=503))


def _jobs(request: GenerateRequest, options: Options, resident: LoadedModel) -> list[Job]:
    """The jobs of a request. Takes its time: not in the event loop."""
    tokenizer, context_tokens = resident.opened.require_tokenizer(), resident.facts.config.context_tokens
    calls = format_of_calls(request, tokenizer)
    form = request.form if calls is None else _form_with_calls(calls, request, tokenizer)

    def constraint() -> Constraint | None:
        return None if form is None else resident.grammars.constraint(form)

    return prepare(request, options, tokenizer, context_tokens, constraint)


def _form_with_calls(calls: CallFormat, request: GenerateRequest, tokenizer: Tokenizer) -> OutputConstraint | None:
    return constraint_with_calls(
        calls,
        request.tools,
        must_call=request.must_call,
        one_call=request.one_call,
        answer=request.form,
        control=tokenizer.special.tokens,
    )


def _splitters(request: GenerateRequest, resident: LoadedModel) -> list[ToolCallParser]:
    """One for each answer; none where no tools were given."""
    calls = format_of_calls(request, resident.opened.require_tokenizer())
    names = [tool["function"]["name"] for tool in request.tools]
    answers = len(request.prompts) * request.choices
    return [] if calls is None else [ToolCallParser(calls, names) for _ in range(answers)]


def _embedding_rows(resident: LoadedModel, request: EmbedRequest, most_tokens: int) -> list[list[int]]:
    """Ids of each text, cut to the context, or to `most_tokens` where that is less. Raises RequestError where that was not allowed."""
    engine, context = resident.engine, min(resident.facts.config.context_tokens, most_tokens)
    rows = [engine.prompt_ids(text) for text in request.texts]
    longest = max(map(len, rows), default=0)
    if longest > context and not request.truncate:
        raise RequestError(
            f"the input of {longest} tokens exceeds the context length of {context} for embeddings",
            code="context_length_exceeded",
        )
    return [row[:context] for row in rows]
