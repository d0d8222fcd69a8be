"""SourcedAnswer: an answer from documents, on the server. The steps are those of
`retrieve.answer.ask`; between them the answers of others go on.

    question -> a search, in a thread -> quotations -> the model under `QuoteConstraint`, in its
        BatchEngine -> each sentence scored there and checked

The parts come as they are made, and the last one is the whole `Answer`. For the translator of a
dialect they are the events of one text (`SourcedText`).
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from groundup.engine.engine import Engine
from groundup.engine.events import ChatEvent, FinishReason
from groundup.engine.forced_tokens import logprob_of, scoring_request
from groundup.engine.request import Request
from groundup.engine.score import Pair
from groundup.engine.stream import earliest, longest_beginning
from groundup.retrieve.answer import (
    Answer,
    AskConfig,
    Part,
    QuestionReading,
    part_text,
    read,
    with_changed_sources,
)
from groundup.retrieve.generation import (
    Draft,
    Drafts,
    Omitted,
    Prompted,
    Sentence,
    citable,
    judge_draft,
    make_prompt,
    passages_that_fit,
)
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.rankings import AUTO, ranking_of
from groundup.retrieve.search import Keep, every
from groundup.retrieve.support import (
    prompt_ids,
    question_conversation,
    support_pairs,
    support_values,
)
from groundup.retrieve.vectors import Vectors
from groundup.serve.loaded_models import LoadedModel
from groundup.serve.model_registry import ModelAlias, ModelInfo
from groundup.serve.request_preparation import require_biased_ids, sampling_of
from groundup.serve.requests import GenerateRequest, Options, RequestError
from groundup.serve.server import ModelServer
from groundup.serve.streaming import AnswerStream, RequestTimer

# A model's own words from a source are the most probable ones, unless a client wants others.
DEFAULTS = Options(temperature=0.0)
# Of a question; a search reads its first 256 words.
MAX_QUESTION_CHARACTERS = 8000


@dataclass(frozen=True)
class AskRequest:
    """A question to an index."""

    index: str
    """The index's name."""
    question: str
    """In its context: see `retrieve.follow_up`."""
    writer: tuple[ModelAlias, ModelInfo] | None = None
    """The model that also answers in its own words; None: quotations only."""
    config: AskConfig = field(default_factory=AskConfig)
    options: Options = field(default_factory=Options)
    keep: Keep = every
    """Which passages are searched."""
    instructions: str = ""
    """What the model is told besides, by system messages."""


async def sourced_answer(
    server: ModelServer, request: AskRequest, resources: contextlib.AsyncExitStack
) -> "SourcedAnswer":
    """Return an answer to be iterated over, once the documents were searched. It holds what it
    needs, as the model, in `resources`.

    Raises RequestError for a model that does not chat, 503 where the server is too busy for it, and
    500 for a damaged index.
    """
    if request.writer is not None:
        alias, info = request.writer
        if not info.chats:
            what = "answers only from what it has learnt: it is no chat model, and answers from documents need one"
            raise RequestError(f'"{alias.name}" {what}', param="model")
        server.worker.admit(1)
        if request.options.logit_bias:  # known before the first quotation is sent
            lease = server.loaded_models.lease(alias.base, info, None)
            loaded = await resources.enter_async_context(lease)
            require_biased_ids(request.options, loaded.engine.tokenizer)
    question = request.question[:MAX_QUESTION_CHARACTERS]

    def searched(index: Index, vectors: Vectors | None) -> QuestionReading:
        ranking = ranking_of(AUTO, vectors)
        return read(index, question, request.config, request.keep, rank_by=ranking, vectors=vectors)

    reading = await server.indexes.search(request.index, searched)
    return SourcedAnswer(server, request, reading, resources)


class SourcedAnswer:
    """The parts of one answer.

    Afterwards it has the counters of the model's part, and the `Answer`.
    """

    def __init__(
        self,
        server: ModelServer,
        request: AskRequest,
        reading: QuestionReading,
        resources: contextlib.AsyncExitStack,
    ) -> None:
        self.request, self.reading = request, reading
        self.answer: Answer | None = None
        self.last_event = ChatEvent("", "stop", 0, 0)
        """Of the model's text."""
        self.source_tokens = 0
        """Of its prompt, those of the sources."""
        self.server, self._resources = server, resources

    async def __aiter__(self) -> AsyncIterator[Part]:
        for quote in self.reading.quotes:
            yield quote
        made: list[Sentence | Omitted] = []
        if self.request.writer is not None and self.reading.about:
            async for part in self._written(*self.request.writer):
                made.append(part)
                yield part
        answer = self.reading.answer(made)
        self.answer = await self.server.indexes.use(
            self.request.index, lambda index: with_changed_sources(index, answer)
        )
        yield self.answer

    async def _written(
        self, alias: ModelAlias, info: ModelInfo
    ) -> AsyncIterator[Sentence | Omitted]:
        """Yield the sentences of the model, each checked. Raises RequestError, ModelError."""
        lease = self.server.loaded_models.lease(alias.base, info, None)
        loaded = await self._resources.enter_async_context(lease)
        told = self.request.instructions or alias.system
        given = await asyncio.to_thread(
            _prompted, loaded.engine, self.reading, self.request.config.max_tokens, told
        )
        if isinstance(given, Omitted):
            yield given
            return
        self.source_tokens = given.source_tokens
        drafts = Drafts()
        async for event in self._events(given, loaded, alias):
            for draft in drafts.push(event):
                yield await self._checked(given, draft, loaded)

    async def _events(
        self, given: Prompted, loaded: LoadedModel, alias: ModelAlias
    ) -> AsyncIterator[ChatEvent]:
        """Yield the pieces of the model's text."""
        options = self.request.options.over(alias.options).over(DEFAULTS)
        sampling = sampling_of(options, given.max_tokens)
        stop_ids = loaded.engine.tokenizer.special.stop_ids
        request = Request(
            uuid.uuid4().hex, given.ids, sampling, stop_ids, constraint=given.constraint()
        )
        assert loaded.session is not None  # a language model has one
        answers = await loaded.session.open([request])
        self._resources.callback(answers.close)
        async for _, event in answers:
            if event.finish_reason is not None:
                self.last_event = event
                self.server.metrics.tokens.labels("prompt").inc(event.prompt_tokens)
                self.server.metrics.tokens.labels("answer").inc(event.completion_tokens)
            yield event

    async def _checked(
        self, given: Prompted, draft: Draft, loaded: LoadedModel
    ) -> Sentence | Omitted:
        """Return a sentence checked; its scores are computed in the engine's steps, among the
        answers of others.
        """
        allowed = citable(given, draft)
        if isinstance(allowed, Omitted):
            return allowed
        passages = [given.passages[place] for place in allowed]
        pairs = await asyncio.to_thread(
            support_pairs,
            loaded.engine,
            given.question,
            draft.before,
            draft.text,
            passages,
            given.instructions,
        )
        found = support_values(pairs, await self._logprobs(pairs, loaded))
        return judge_draft(given, draft, allowed, found, self.request.config.min_support)

    async def _logprobs(self, pairs: Sequence[Pair], loaded: LoadedModel) -> list[float]:
        """Return ln P of each pair's continuation."""
        config = loaded.info.config
        requests = [
            scoring_request(
                *pair, vocab_size=config.vocab_size, context_tokens=config.context_tokens
            )
            for pair in pairs
        ]
        logprobs = [0.0] * len(pairs)
        assert loaded.session is not None  # a language model has one
        async with self.server.checks:
            answers = await loaded.session.open(requests, admitted=True)
            with contextlib.closing(answers):
                async for index, event in answers:
                    logprobs[index] += logprob_of(event)
        return logprobs


async def formatted_answer(
    answer: SourcedAnswer, plain: GenerateRequest, resources: contextlib.AsyncExitStack
) -> AnswerStream:
    """Return the events of the model's own text in the format of `plain`, written with the sources
    that fit its context. It is not checked.

    Raises what `Server.answer` does.
    """
    assert answer.request.writer is not None
    (alias, info), server, reading = answer.request.writer, answer.server, answer.reading
    loaded = await resources.enter_async_context(server.loaded_models.lease(alias.base, info, None))
    told = answer.request.instructions or alias.system
    max_tokens = plain.options.max_tokens or info.config.context_tokens

    def read_sources() -> tuple[list[Passage], int]:
        engine, question = loaded.engine, reading.question
        read = passages_that_fit(engine, question, reading.about, max_tokens, told)
        with_them, without = (prompt_ids(engine, question, given, told) for given in (read, []))
        return read, len(with_them) - len(without)

    read, answer.source_tokens = await asyncio.to_thread(read_sources)
    prompt = question_conversation(reading.question, read, told)
    return await server.stream(
        replace(plain, prompts=(prompt,), defaults=DEFAULTS, truncate=True), resources
    )


def _prompted(
    engine: Engine, reading: QuestionReading, max_tokens: int, instructions: str
) -> Prompted | Omitted:
    """Return the prompt, with the masks of its constraint that take long, which the engine's steps
    would else wait for. Raises ModelError.
    """
    given = make_prompt(
        engine,
        reading.question,
        reading.sources,
        reading.about,
        reading.quotes,
        max_tokens,
        instructions,
    )
    if isinstance(given, Prompted):
        given.quotable.prepare()
    return given


class SourcedText:
    """A sourced answer as a `streaming.EventStream` of one text: a line for each part, ending with
    the number of its source as "[1]".
    """

    count = 1

    def __init__(self, answer: SourcedAnswer) -> None:
        self.answer = answer
        self.timer = RequestTimer()
        self.last_events: dict[int, ChatEvent] = {}

    async def __aiter__(self) -> AsyncIterator[tuple[int, ChatEvent]]:
        """Yield the events. "length" is for the client's own limit: what is cut off at ours is left
        out, as what fails a check.
        """
        options = self.answer.request.options
        stop = options.stop or ()
        text, sent = "", 0
        async for part in self.answer:
            is_last = isinstance(part, Answer)
            if isinstance(part, Answer):
                text = text or part.text
            elif not isinstance(part, Omitted):
                text = f"{text}\n{part_text(part)}" if text else part_text(part)
            start = earliest(text, stop)
            end = (
                len(text) - (0 if is_last else longest_beginning(text, stop))
                if start is None
                else start
            )
            model, is_stopped = self.answer.last_event, start is not None
            is_cut = (
                is_last
                and not is_stopped
                and options.max_tokens is not None
                and model.finish_reason == "length"
            )
            reason: FinishReason | None = (
                "length" if is_cut else "stop" if is_last or is_stopped else None
            )
            event = replace(model, text=text[sent:end], finish_reason=reason)
            if reason is not None:
                self.last_events[0] = event
            if event.text or reason:
                yield 0, event
            if is_stopped:
                return
            sent = end
