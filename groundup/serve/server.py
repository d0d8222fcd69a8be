"""The server: it answers the requests of `requests.py`, independent of the API dialect.

    GenerateRequest + Translator -> answer() -> a response: complete, or a stream
    EmbedRequest, ClassifyRequest, LoadRequest -> values, which the dialect's route puts into its
        own shape

The steps of an answer: look up the name, lease (and load) the model, render and truncate the
prompts, submit the engine's requests. Every refusal happens before the first byte. A client that
disconnects cancels its requests, streaming or not.
"""

import asyncio
import contextlib
import copy
import functools
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from groundup.engine.engine import cut_line
from groundup.engine.request import Constraint, Request
from groundup.engine.structured_output import constraint_with_calls
from groundup.engine.tool_calls import ToolCallParser
from groundup.errors import ConfigError, did_you_mean
from groundup.http.access_log import Metrics
from groundup.http.json_object import JsonObject
from groundup.http.keys import ALL, ClientKey, operator_key
from groundup.http.limits import Limits
from groundup.http.responses import read_object
from groundup.serve.indexes import ServedIndexes
from groundup.serve.loaded_models import LoadedModel, LoadedModels
from groundup.serve.messages import require_few_messages
from groundup.serve.model_registry import LATEST, AliasChanges, ModelAlias, ModelInfo, ModelRegistry
from groundup.serve.prompt_echo import echo_prompts
from groundup.serve.request_preparation import (
    format_of_calls,
    prepare,
    require_able,
    require_ids,
    require_within,
    with_name,
)
from groundup.serve.requests import (
    ClassifyRequest,
    ContextRecorder,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    LoadRequest,
    Options,
    RequestError,
    Timing,
    unsupported,
)
from groundup.serve.streaming import AnswerStream, RequestTimer, Translator, respond
from groundup.serve.templates import to_jinja_template
from groundup.serve.worker import Worker, in_own_thread
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.decision_rule import DecidedLabels

if TYPE_CHECKING:
    from groundup.serve.feedback import FeedbackRecorder
    from groundup.serve.transcripts import TranscriptStore

# Tokens that are embedded or classified between two steps of the engine: the longest delay of
# running answers.
TEXTS_AT_ONCE_TOKENS = 128
# Sentences of answers from documents that are checked at once; others wait.
CHECKS_AT_ONCE = 2
OPERATOR = operator_key("")


class ModelServer:
    """The models, the worker that runs them, the indexes of documents, and the limits of
    requests.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        loaded_models: LoadedModels,
        worker: Worker,
        limits: Limits,
        metrics: Metrics,
        indexes: ServedIndexes | None = None,
    ) -> None:
        self.client = OPERATOR
        """Whose requests are answered (see `seen_with`)."""
        self.registry = registry
        self.indexes = indexes or ServedIndexes({})
        self.loaded_models = loaded_models
        self.worker = worker
        self.limits = limits
        self.metrics = metrics
        self.feedback: FeedbackRecorder | None = None
        """Where the operator keeps what readers say; None: nothing is kept."""
        self.customer_header = ""
        """By which a proxy says who is signed in, for the rules of actions; "": nobody says it."""
        self.transcripts: TranscriptStore | None = None
        """Where the operator keeps conversations; None: they are not kept."""
        # Constraints are compiled, and clients' chat templates run, one at a time, so that they
        # never take more than one of the threads that all requests share, nor more than one
        # process.
        self._costly_lock = asyncio.Lock()
        self.parts_lock = asyncio.Lock()
        """Weights of a model are prepared for its page one at a time (`app/live_model.py`)."""
        # Each check of a sentence is some answers more.
        self.checks = asyncio.Semaphore(CHECKS_AT_ONCE)

    def seen_with(self, key: ClientKey) -> "ModelServer":
        """Return this server as it is for the clients of a key: names that it may not use are
        unknown, and none can be made or deleted; all else is shared.

        Raises ConfigError for a name that is not served.
        """
        view = copy.copy(self)
        view.client = key
        if key.public:  # any page can send the header
            view.customer_header = ""
        view.registry = LimitedRegistry(self.registry, key.models, key.assistants)
        own = {each.assistant for each in view.registry.aliases() if each.assistant}
        view.indexes = self.indexes.limited_to(key.indexes, own, public=key.public)
        return view

    async def read_body(self, request: HttpRequest) -> JsonObject:
        """Return the JSON object of a request within the limits. Raises RequestError."""
        value = read_object(await request.body(), self.limits)
        require_few_messages(value, self.limits)
        return value

    async def find(
        self, name: str, capability: str, template: str = ""
    ) -> tuple[ModelAlias, ModelInfo]:
        """Return the model of a name, with another chat template if one is given.

        Raises RequestError: 404, or 400 when it lacks the capability.
        """
        alias = await asyncio.to_thread(self.registry.find, name)
        alias = replace(alias, template=template or alias.template)
        info = self.registry.info(alias)
        if capability not in info.capabilities:
            raise unsupported(name, capability)
        return alias, info

    async def answer(
        self, request: GenerateRequest, translator: Translator, client: HttpRequest
    ) -> Response:
        """Return the response to a request.

        Raises RequestError, ConfigError, DataError, ModelError when it is refused.
        """
        async with contextlib.AsyncExitStack() as stack:
            stream = await self.stream(request, stack)
            return await respond(stream, translator, client, stack, in_pieces=request.stream)
        raise AssertionError("unreachable")  # the stack swallows no exception

    async def stream(
        self, request: GenerateRequest, resources: contextlib.AsyncExitStack
    ) -> AnswerStream:
        """Return the events of the answers; `resources` hold the model, and when closed cancel what
        has not ended. Raises as `answer` does.
        """
        timer = RequestTimer()
        alias, info = await self.find(request.model, "completion", request.template)
        options = request.options.over(alias.options).over(request.defaults)
        require_within(request, options, self.limits)
        require_able(request, info)
        loaded = await resources.enter_async_context(
            self.loaded_models.lease(alias.base, info, request.keep_alive_s)
        )
        timer.model_is_loaded()
        template = alias.template
        async with contextlib.AsyncExitStack() as lock:
            if request.constraint or template:
                await lock.enter_async_context(self._costly_lock)
            if request.template:
                template = await asyncio.to_thread(
                    to_jinja_template, template, loaded.tokenizer(), self.limits
                )
            tokenizer = loaded.tokenizer(template)
            prepared = await asyncio.to_thread(
                _engine_requests, with_name(request, alias), options, loaded, tokenizer
            )
        assert loaded.session is not None  # a language model has one
        answers = await loaded.session.open(prepared)
        resources.callback(answers.close)
        stream = AnswerStream(answers, timer, self.metrics)
        calls = format_of_calls(request, tokenizer)
        if calls is not None:
            names = [tool["function"]["name"] for tool in request.tools]
            stream.parsers = [ToolCallParser(calls, names) for _ in prepared]
        if request.echo:
            stream.echoes = echo_prompts(request, prepared, loaded, self.worker)
        if request.returns_context:
            stream.contexts = [ContextRecorder(each.prompt_ids, tokenizer) for each in prepared]
        return stream

    async def create(self, name: str, source: str, changes: AliasChanges) -> None:
        """Add an alias (see `ModelRegistry.create`).

        Raises RequestError, for a chat template that can't be used, too.
        """
        if changes.template:
            _, info = await self.find(source, "completion")
            async with self._costly_lock:
                template = await asyncio.to_thread(
                    _template_for, info, changes.template, self.limits
                )
            changes = replace(changes, template=template)
        await asyncio.to_thread(self.registry.create, name, source, changes)

    async def load(self, request: LoadRequest) -> str:
        """Load or unload the model; return "load" or "unload"."""
        alias = await asyncio.to_thread(self.registry.find, request.model)
        if request.keep_alive_s == 0:
            self.loaded_models.unload(alias.base)
            return "unload"
        async with self.loaded_models.lease(
            alias.base, self.registry.info(alias), request.keep_alive_s
        ):
            return "load"

    async def embed(self, request: EmbedRequest) -> tuple[Embeddings, Timing]:
        """Return a vector for each text. Raises RequestError."""
        from groundup.engine.padded_batch import batches_by_length

        timer = RequestTimer()
        alias, info = await self.find(request.model, "embedding")
        self._require_texts(len(request.texts))
        width = info.config.width
        if request.dimensions is not None and request.dimensions > width:
            raise RequestError(f"dimensions: this model's vectors have {width}", param="dimensions")
        async with self.loaded_models.lease(alias.base, info, request.keep_alive_s) as loaded:
            timer.model_is_loaded()
            rows, warning = await asyncio.to_thread(
                _embedding_ids, loaded, request, self.limits.embed_tokens
            )
            vectors: list[list[float]] = [[] for _ in rows]
            for batch in batches_by_length([len(row) for row in rows], TEXTS_AT_ONCE_TOKENS):
                found = await self._embed_batch(
                    loaded, [rows[i] for i in batch], request.dimensions
                )
                for index, vector in zip(batch, found, strict=True):
                    vectors[index] = vector
        num_tokens = sum(map(len, rows))
        self.metrics.tokens.labels("embedded").inc(num_tokens)
        return Embeddings(vectors, num_tokens, warning), timer.timing()

    async def _embed_batch(
        self, loaded: LoadedModel, rows: Sequence[Sequence[int]], dimensions: int | None
    ) -> list[list[float]]:
        from groundup.engine.padded_batch import embed, embed_in_chunks, truncate_vectors
        from groundup.model.heads import LanguageModel

        model = await in_own_thread(loaded.engine.embedding_model)
        compute = loaded.engine.compute
        # a long text is alone in its batch; an encoder's can't be computed in pieces, and is short
        if isinstance(model, LanguageModel) and len(rows[0]) > TEXTS_AT_ONCE_TOKENS:
            chunks = embed_in_chunks(model, rows[0], compute=compute)
            while (found := await self.worker.run(lambda: next(chunks, None))) is not None:
                vectors = found[None]
        else:
            vectors = await self.worker.run(lambda: embed(model, rows, compute=compute))
        if dimensions is not None:
            vectors = truncate_vectors(vectors, dimensions)
        values: list[list[float]] = vectors.tolist()
        return values

    async def classify(self, request: ClassifyRequest) -> list[DecidedLabels]:
        """Return for each text the label, or labels, that the classifier decides on, and all
        probabilities, highest first. Raises RequestError.
        """
        from groundup.engine.padded_batch import batches_by_length

        alias, info = await self.find(request.model, "classification")
        self._require_texts(len(request.texts))
        found: list[DecidedLabels] = [{} for _ in request.texts]
        async with self.loaded_models.lease(alias.base, info, request.keep_alive_s) as loaded:
            engine = loaded.engine
            lengths = await asyncio.to_thread(
                lambda: [sum(map(len, engine.windows(text))) for text in request.texts]
            )
            for batch in batches_by_length(lengths, TEXTS_AT_ONCE_TOKENS):
                texts = [request.texts[i] for i in batch]
                of_texts = await self.worker.run(functools.partial(engine.classify, texts))
                for index, probabilities in zip(batch, of_texts, strict=True):
                    found[index] = engine.opened.decision.decide(probabilities)
        return found

    def _require_texts(self, count: int) -> None:
        if count > self.limits.texts:
            raise RequestError(
                f"input: at most {self.limits.texts} texts are allowed in one request",
                param="input",
            )

    def stop(self, within_s: float) -> None:
        """Accept no more requests; answers that still run after `within_s` end with an error in
        their streams.
        """

        def end_all() -> None:
            for loaded in self.loaded_models.current().values():
                if loaded.session is not None:
                    loaded.session.fail_all(RequestError("the server is stopping", status=503))

        self.worker.stopping = True
        asyncio.get_running_loop().call_later(within_s, end_all)


def _engine_requests(
    request: GenerateRequest, options: Options, loaded: LoadedModel, tokenizer: Tokenizer
) -> list[Request]:
    """Return the engine's requests. It takes long, so it does not run in the event loop."""
    context_tokens = loaded.info.config.context_tokens
    calls, output = format_of_calls(request, tokenizer), request.constraint
    param = request.public("response_format")
    if calls is not None and output is None:
        param = request.public("tools")
    if calls is not None:
        output = constraint_with_calls(
            calls,
            request.tools,
            must_call=request.must_call,
            one_call=request.one_call,
            answer=request.constraint,
            control=tokenizer.special.tokens,
        )

    def constraint() -> Constraint | None:
        if output is None:
            return None
        try:
            return loaded.grammars.constraint(output)
        except ConfigError as error:
            raise RequestError(error.message, param=param) from error

    return prepare(request, options, tokenizer, context_tokens, constraint)


def _template_for(info: ModelInfo, template: str, limits: Limits) -> str:
    """Return a client's template in jinja. Raises RequestError."""
    from groundup.weights.formats import reader_of

    tokenizer = reader_of(info.path).tokenizer(info.path)
    if tokenizer is None:
        raise RequestError("template: this model has no tokenizer", param="template")
    return to_jinja_template(template, tokenizer, limits)


def _embedding_ids(
    loaded: LoadedModel, request: EmbedRequest, most_tokens: int
) -> tuple[list[list[int]], str]:
    """Return the ids of each text, truncated to the context or `most_tokens`, and how many were.

    Raises RequestError where truncation is not allowed.
    """
    engine, context = loaded.engine, min(loaded.info.config.context_tokens, most_tokens)
    for ids in request.texts:
        if not isinstance(ids, str):
            require_ids(ids, "input", engine.tokenizer)
    rows = [engine.embedding_ids(text) for text in request.texts]
    longest = max(map(len, rows), default=0)
    if longest > context and not request.truncate:
        raise RequestError(
            f"the input of {longest} tokens exceeds the context length of {context} for embeddings",
            code="context_length_exceeded",
            param="input",
        )
    warning = cut_line([len(row) for row in rows], context)
    return [engine.cut(row, context) for row in rows], warning


class LimitedRegistry(ModelRegistry):
    """Some models and assistants of a registry, whose tables it shares. Others are unknown to it,
    and no name can be made or deleted.
    """

    def __init__(
        self, whole: ModelRegistry, models: Collection[str], assistants: Collection[str]
    ) -> None:
        """Names as clients write them, or "*" for all of a kind.

        Raises ConfigError for a name that is not served.
        """
        vars(self).update(vars(whole))
        self._names = {
            False: _full_names(whole, models, of_assistants=False),
            True: _full_names(whole, assistants, of_assistants=True),
        }

    def shows(self, alias: ModelAlias) -> bool:
        """Whether its clients may use a model."""
        names = self._names[bool(alias.assistant)]
        return ALL in names or alias.name in names

    def copy(self, source: str, destination: str) -> None:
        """Raises RequestError (403)."""
        raise _not_the_operator()

    def create(self, name: str, source: str, changes: AliasChanges) -> None:
        """Raises RequestError (403)."""
        raise _not_the_operator()

    def delete(self, name: str) -> None:
        """Raises RequestError (403)."""
        raise _not_the_operator()


def _not_the_operator() -> RequestError:
    return RequestError("names are made and deleted with the operator's key", status=403)


def _full_names(
    whole: ModelRegistry, names: Collection[str], *, of_assistants: bool
) -> frozenset[str]:
    """Return the names with their tags. Raises ConfigError for one that is not served, or is of the
    other kind.
    """
    known = [each.name for each in whole.aliases() if bool(each.assistant) == of_assistants]
    full: set[str] = set()
    for name in names:
        found = name
        if name != ALL:
            with contextlib.suppress(RequestError):
                found = whole.find(name).name
            if found not in known:
                kind = "assistant" if of_assistants else "model"
                raise ConfigError(
                    f"A key is for the {kind} {name!r}, which is not served.",
                    fix=did_you_mean(name, [each.removesuffix(f":{LATEST}") for each in known]),
                )
        full.add(found)
    return frozenset(full)
