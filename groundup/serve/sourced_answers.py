"""SourcedAnswer: an answer from documents, on the server. The steps are those of
`retrieve.answer.answer_parts`; between them the answers of others go on.

    question -> a search, in a thread -> quotations -> the model under `QuoteConstraint`, in its
        BatchEngine -> each sentence scored there and checked

The parts come as they are made, and the last one is the whole `Answer`. For the translator of a
dialect they are the events of one text (`SourcedText`).
"""

import asyncio
import contextlib
import functools
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from groundup.actions.desk import ActionDesk
from groundup.engine.events import ChatEvent, FinishReason
from groundup.engine.request import Request
from groundup.engine.stream import earliest, longest_beginning
from groundup.packs.assistant_texts import AssistantTexts
from groundup.retrieve.answer import (
    Answer,
    AskConfig,
    Part,
    QuestionReading,
    answer_parts,
    with_changed_sources,
)
from groundup.retrieve.answer_text import part_text
from groundup.retrieve.assistant import read_conversation, searching
from groundup.retrieve.assistant_actions import hear_by_meaning
from groundup.retrieve.assistant_reply import AssistantReading, AssistantReply, reply_parts
from groundup.retrieve.caller import Caller
from groundup.retrieve.danger import DangerIn, hears_danger
from groundup.retrieve.generation import Draft, Omitted, Prompted, make_prompt, passages_that_fit
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
from groundup.serve.index_entries import passage_names
from groundup.serve.loaded_models import LoadedModel
from groundup.serve.model_registry import ModelAlias, ModelInfo
from groundup.serve.request_preparation import require_biased_ids, sampling_of
from groundup.serve.requests import GenerateRequest, Options, RequestError
from groundup.serve.server import ModelServer
from groundup.serve.streaming import AnswerStream, RequestTimer
from groundup.serve.worker import ModelSession
from groundup.tokenizer.chat import Message

if TYPE_CHECKING:
    from groundup.engine.score import Pair

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
    new_keep: Callable[[], Keep] = lambda: every
    """Makes for each search what says which passages it may find."""
    instructions: str = ""
    """The text of the request's system messages."""
    conversation: tuple[Message, ...] = ()
    """With `texts`: what an assistant replies to, in place of the question."""
    texts: AssistantTexts | None = None
    """What the assistant says in fixed words; None: documents alone answer."""
    acts: bool = True
    """Whether an assistant may do what it is asked for."""
    caller: Caller = field(default_factory=Caller)
    """Whose conversation it is, for what it asks to be done."""


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
            what = (
                "answers only from what it has learnt: it is no chat model, "
                "and answers from documents need one"
            )
            raise RequestError(f'"{alias.name}" {what}', param="model")
        server.worker.admit(1)
        if request.options.logit_bias:  # known before the first quotation is sent
            lease = server.loaded_models.lease(alias.base, info, None)
            loaded = await resources.enter_async_context(lease)
            require_biased_ids(request.options, loaded.engine.tokenizer)
    question = request.question[:MAX_QUESTION_CHARACTERS]

    reading: QuestionReading | AssistantReading
    if request.texts is None:
        search = functools.partial(_search, request, question, None)
        reading = await server.indexes.search(request.index, search)
    else:
        work = functools.partial(_conversation_reading, server, request, request.texts)
        reading = await server.indexes.converse(request.index, work)
    return SourcedAnswer(server, request, reading, resources)


def _search(
    request: AskRequest,
    question: str,
    passages: int | None,
    index: Index,
    vectors: Vectors | None,
) -> QuestionReading:
    """Return what an index holds on a question; `passages`: how many are read, None: as configured."""
    ranking = ranking_of(AUTO, vectors)
    search = searching(index, request.config, request.new_keep, rank_by=ranking, vectors=vectors)
    return search(question, passages)


def _hear_by_meaning(desk: ActionDesk | None, _: Index, vectors: Vectors | None) -> DangerIn:
    if desk is not None:
        hear_by_meaning(desk, vectors)
    return hears_danger(vectors)


def _conversation_reading(
    server: ModelServer, request: AskRequest, texts: AssistantTexts
) -> AssistantReading:
    """Return what an assistant replies; what it looks up is searched as all else is."""

    def search(question: str, passages: int | None = None) -> QuestionReading:
        work = functools.partial(_search, request, question, passages)
        return server.indexes.searched(request.index, work)

    desk = server.indexes.desks.get(request.index) if request.acts else None
    hears = functools.partial(_hear_by_meaning, desk)
    danger_in = server.indexes.searched(request.index, hears)
    return read_conversation(request.conversation, texts, search, desk, request.caller, danger_in)


class SourcedAnswer:
    """The parts of one answer, made by `retrieve.answer.answer_parts`. It is their `AnswerWriter`,
    and has the counters of the model's text afterwards.
    """

    _loaded: LoadedModel
    _options: Options

    def __init__(
        self,
        server: ModelServer,
        request: AskRequest,
        reading: QuestionReading | AssistantReading,
        resources: contextlib.AsyncExitStack,
    ) -> None:
        self.request = request
        self.assistant = reading if isinstance(reading, AssistantReading) else None
        """What an assistant replies."""
        self.reading = reading.documents if isinstance(reading, AssistantReading) else reading
        """What the documents hold."""
        self.last_event = ChatEvent("", "stop", 0, 0)
        """Of the model's text."""
        self.source_tokens = 0
        """Of its prompt, those of the sources."""
        self.reply_number = ""
        """By which the reply can be rated, once it has ended; "": it can't be."""
        self.server, self._resources = server, resources

    async def __aiter__(self) -> AsyncIterator[Part]:
        async for part in self._parts():
            if isinstance(part, Answer):
                await self._keep(part)
            yield part

    async def _keep(self, reply: Answer) -> None:
        """Keep what the operator keeps of replies."""
        index, server = self.request.index, self.server
        shapes = server.indexes.texts_of(index).personal
        if server.feedback is not None:
            self.reply_number = await server.feedback.keep(index, reply, shapes)
        if server.transcripts is not None and self.request.texts is not None:
            caller = self.request.caller
            await server.transcripts.keep(caller.owner, caller.conversation, index, reply, shapes)

    def _parts(self) -> AsyncIterator[Part]:
        writer, support = (
            None if self.request.writer is None else self,
            self.request.config.min_support,
        )
        if self.assistant is not None:
            return reply_parts(self.assistant, writer, support, self._recheck)
        return answer_parts(self.reading, writer, support, self._recheck)

    async def _recheck(self, answer: Answer) -> Answer:
        name = self.request.index
        return await self.server.indexes.use(
            name, lambda index: with_changed_sources(index, answer)
        )

    async def prompt(self, reading: QuestionReading) -> Prompted | Omitted:
        """Load the model and return the prompt. The slow masks of its constraint are computed here,
        so that no engine step waits for them. Raises RequestError, ModelError.
        """
        assert self.request.writer is not None
        alias, info = self.request.writer
        lease = self.server.loaded_models.lease(alias.base, info, None)
        self._loaded = await self._resources.enter_async_context(lease)
        self._options = self.request.options.over(alias.options).over(DEFAULTS)
        found = await asyncio.to_thread(
            make_prompt,
            self._loaded.engine,
            reading.question,
            reading.sources,
            reading.about,
            reading.quotes,
            self.request.config.max_tokens,
            self.request.instructions or alias.system,
        )
        if isinstance(found, Prompted):
            self.source_tokens = found.source_tokens
            await asyncio.to_thread(found.quotable.prepare)
        return found

    async def events(self, prompt: Prompted) -> AsyncIterator[ChatEvent]:
        """Yield the pieces of the model's text, written among the answers of others."""
        request = Request(
            uuid.uuid4().hex,
            prompt.ids,
            sampling_of(self._options, prompt.max_tokens),
            self._loaded.engine.tokenizer.special.stop_ids,
            constraint=prompt.constraint(),
        )
        answers = await self._session.open([request])
        self._resources.callback(answers.close)
        async for _, event in answers:
            if event.finish_reason is not None:
                self.last_event = event
                self.server.metrics.count_tokens(event.prompt_tokens, event.completion_tokens)
            yield event

    async def supports(
        self, prompt: Prompted, draft: Draft, passages: Sequence[Passage]
    ) -> list[float]:
        """Return how much each passage supports a sentence, computed in the engine's steps."""
        pairs = await asyncio.to_thread(
            support_pairs,
            self._loaded.engine,
            prompt.question,
            draft.before,
            draft.text,
            passages,
            prompt.instructions,
        )
        return support_values(pairs, await self._logprobs(pairs))

    async def _logprobs(self, pairs: "Sequence[Pair]") -> list[float]:
        from groundup.engine.score import logprob_of, scoring_request

        config = self._loaded.info.config
        requests = [
            scoring_request(
                *pair, vocab_size=config.vocab_size, context_tokens=config.context_tokens
            )
            for pair in pairs
        ]
        logprobs = [0.0] * len(pairs)
        async with self.server.checks:
            answers = await self._session.open(requests, admitted=True)
            with contextlib.closing(answers):
                async for index, event in answers:
                    logprobs[index] += logprob_of(event)
        return logprobs

    @property
    def _session(self) -> ModelSession:
        assert self._loaded.session is not None  # a language model has one
        return self._loaded.session


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
    instructions = answer.request.instructions or alias.system
    max_tokens = plain.options.max_tokens or info.config.context_tokens

    def read_sources() -> tuple[list[Passage], int]:
        engine, question = loaded.engine, reading.question
        read = passages_that_fit(engine, question, reading.about, max_tokens, instructions)
        all_ids = prompt_ids(engine, question, read, instructions)
        return read, len(all_ids) - len(prompt_ids(engine, question, [], instructions))

    read, answer.source_tokens = await asyncio.to_thread(read_sources)
    prompt = question_conversation(reading.question, read, instructions)
    return await server.stream(
        replace(plain, prompts=(prompt,), defaults=DEFAULTS, truncate=True), resources
    )


class SourcedText:
    """A sourced answer as a `streaming.EventStream` of one text: a line for each part, ending with
    the number of its source as "[1]".
    """

    count = 1

    def __init__(self, answer: SourcedAnswer, *, lists_sources: bool = False) -> None:
        """`lists_sources`: the text ends with a line for each source, for an API that has no other
        place for them.
        """
        self.answer, self.lists_sources = answer, lists_sources
        self.timer = RequestTimer()
        self.last_events: dict[int, ChatEvent] = {}

    @property
    def has_more(self) -> bool:
        """Each part is read of documents, or written, when it is asked for."""
        return False

    async def __aiter__(self) -> AsyncIterator[tuple[int, ChatEvent]]:
        """Yield the events, up to a stop string of the request."""
        stop = self.answer.request.options.stop or ()
        text, sent = "", 0
        async for part in self.answer:
            is_last = isinstance(part, Answer)
            text = _text_with(text, part)
            if isinstance(part, Answer) and self.lists_sources:
                listed = source_list(part, self.answer.request.texts)
                text = "\n".join([text, "", *listed] if listed else [text])
            end, reason = len(text), self._reason() if is_last else None
            stopped = earliest(text, stop)
            if stopped is not None:
                end, reason = stopped, "stop"
            elif not is_last:
                end -= longest_beginning(text, stop)
            event = replace(self.answer.last_event, text=text[sent:end], finish_reason=reason)
            if reason is not None:
                self.last_events[0] = event
            if event.text or reason:
                yield 0, event
            if stopped is not None:
                return
            sent = end

    def _reason(self) -> FinishReason:
        """Return why the answer ends: "length" is for the client's own limit; what is cut off at
        ours is left out, as is what fails a check.
        """
        limited = self.answer.request.options.max_tokens is not None
        return "length" if limited and self.answer.last_event.finish_reason == "length" else "stop"


def source_list(answer: Answer, texts: AssistantTexts | None) -> list[str]:
    """Return a line for each cited source, "[1] Cards > Lost cards (cards.md)", and of an
    assistant's reply one that names those that are related.
    """

    def place(passage: Passage) -> str:
        names = passage_names(passage)
        if names.title == names.document:
            return names.document
        return f"{names.title} ({names.document})"

    lines = [f"[{number}] {place(answer.sources[number - 1])}" for number in answer.cited]
    if texts is not None and isinstance(answer, AssistantReply):
        lines += filter(None, [answer.related_line(texts.language, place)])
    return lines


def _text_with(text: str, part: Part) -> str:
    """Return the text of an answer with one part more."""
    if isinstance(part, Answer):
        return text or part.text
    if isinstance(part, Omitted):
        return text
    return f"{text}\n{part_text(part)}" if text else part_text(part)
