"""Answers to a SearchRequest: from documents, or of the model alone where nothing is to be searched
or nothing is indexed.

From documents a client gets quotations, and the model's own sentences, checked, only where it asks
for them (`own_words`, or `serve --own-words`); then with a format (a JSON schema, ...) the model's
own text alone, which is not checked, and system messages are read. Else both are refused. An
assistant (`serve/assistants.py`) replies as it does everywhere.

Results are, of each document, the passage that fits best, word for word, with the address that
opens it in its document. Their `source` is "web", the one value that Perplexity's types have; what
it is here, a document of an index, stands in `origin`.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from groundup.retrieve.answer import AskConfig, QuestionReading
from groundup.retrieve.follow_up import question_in_context
from groundup.retrieve.passages import BYTES_PER_TOKEN, Passage
from groundup.retrieve.requests_to_reader import marked_text
from groundup.serve import assistants
from groundup.serve.assistant_questions import question_of
from groundup.serve.index_entries import passage_names, passage_path
from groundup.serve.model_registry import ModelAlias, ModelInfo
from groundup.serve.perplexity.search_request import SearchRequest, changed_at, is_own_name
from groundup.serve.request_preparation import require_within
from groundup.serve.requests import GenerateRequest, RequestError, no_such_model
from groundup.serve.server import ModelServer
from groundup.serve.sourced_answers import (
    MAX_QUESTION_CHARACTERS,
    AskRequest,
    SourcedAnswer,
    SourcedText,
    formatted_answer,
    sourced_answer,
)
from groundup.serve.streaming import EventStream, Translator, respond

# A source's number at the end of a line, where `SourcedText` puts it.
MARK = re.compile(r"\[(\d{1,4})\]$", re.MULTILINE)
Writer = tuple[ModelAlias, ModelInfo]


@dataclass(frozen=True)
class DocumentResult:
    """One result, with the fields that clients read, in their order."""

    title: str
    url: str
    snippet: str
    date: str | None
    """Of publication; None: a file has no such date."""
    last_updated: str | None
    source: str = "web"
    origin: str = "document"


def search_results(index: str, passages: Sequence[Passage], base_url: str) -> list[DocumentResult]:
    """Return one result for each passage. `base_url`: of this server.

    Looks at the files, so it runs in a thread.
    """
    return [_result(index, passage, base_url) for passage in passages]


def _result(index: str, passage: Passage, base_url: str) -> DocumentResult:
    title = passage_names(passage).document
    if passage.title:
        title = f"{passage.title} ({title})"
    changed, day = changed_at(passage), None
    if changed is not None:
        day = changed.date().isoformat()
    return DocumentResult(title, base_url + passage_path(index, passage), passage.text, None, day)


def cut(snippet: str, max_tokens: int) -> str:
    """Return the beginning of a snippet, at most `max_tokens` long (estimated by its bytes), cut
    between words.
    """
    data = snippet.encode()
    if len(data) <= max_tokens * BYTES_PER_TOKEN:
        return snippet
    text = data[: max_tokens * BYTES_PER_TOKEN].decode("utf-8", "ignore")
    return text.rpartition(" ")[0] or text


def citation_marks(
    text: str, results: Sequence[DocumentResult]
) -> list[tuple[int, int, DocumentResult]]:
    """Return (start, end, result) of each number of a source in an answer's text."""
    marks = ((found.span(), int(found[1])) for found in MARK.finditer(text))
    return [(*span, results[number - 1]) for span, number in marks if 1 <= number <= len(results)]


Translate = Callable[[list[DocumentResult] | None, SourcedAnswer | None], Translator]
"""A function of the results and the answer from them (None: nothing is searched) that returns the
answer's translator.
"""


async def answer(
    server: ModelServer, request: SearchRequest, translate: Translate, client: Request
) -> Response:
    """Return the response. Raises RequestError."""
    writer, plain = await _writer(server, request.plain.model), request.plain
    if writer is not None:
        plain = replace(plain, model=writer[0].name)
    require_within(plain, plain.options, server.limits)
    name = await _index(server, request, writer)
    if name is None:
        if writer is None:
            raise no_such_model(plain.model, [])
        return await assistants.answer(server, plain, translate(None, None), client)
    async with contextlib.AsyncExitStack() as stack:
        writes = _own_words(server, request, writer)
        if writer is not None and writer[0].assistant == name:
            count, keep = request.num_passages, request.filters.keep
            plain = replace(plain, caller=assistants.caller_of(server, plain.caller, client))
            question = question_of(server, plain, writer[0], writes, count, keep)
        else:
            config = server.indexes.ask_config(request.num_passages)
            question = _question(request, name, writes, config)
        found = await sourced_answer(server, question, stack)
        read, base_url = _results_of(found.reading, plain), base_url_of(client)
        results = await server.indexes.use(name, lambda _: search_results(name, read, base_url))
        stream: EventStream = SourcedText(found)
        if plain.constraint is not None:
            stream = await formatted_answer(found, plain, stack)
        return await respond(
            stream, translate(results, found), client, stack, in_pieces=plain.stream
        )
    raise AssertionError("unreachable")  # the stack swallows no exception


def _results_of(reading: QuestionReading, plain: GenerateRequest) -> Sequence[Passage]:
    """Return the passages that a client gets as results, their requests to the reader marked: of
    what is not found the nearest one, and none with a format, which the model then writes without
    any.
    """
    sources = tuple(
        replace(source, text=marked_text(source, spans))
        for source, spans in zip(reading.sources, reading.requests, strict=True)
    )
    if reading.about:
        return sources
    if reading.nearest is None or plain.constraint is not None:
        return ()
    return (sources[reading.nearest.source - 1],)


def base_url_of(client: Request) -> str:
    """Return the address of this server as the client wrote it; the guard has checked its host."""
    return str(client.base_url).rstrip("/")


async def _writer(server: ModelServer, model: str) -> Writer | None:
    """Return the model of a name; None where Perplexity's own name is given and no chat model is
    served. Raises RequestError.
    """
    try:
        return await server.find(model, "completion")
    except RequestError as error:
        if error.status != 404 or not is_own_name(model):
            raise
    alias = await asyncio.to_thread(server.registry.default)
    if alias is None:
        return None
    return await server.find(alias.name, "completion")


async def _index(server: ModelServer, request: SearchRequest, writer: Writer | None) -> str | None:
    """Return the name of the index to be searched, or None.

    Raises RequestError for one that does not exist.
    """
    indexes, own = server.indexes, None
    if writer is not None:
        own = writer[0].assistant or None
    if request.searches == "never" or (request.searches == "assistant" and own is None):
        return None
    if request.index is None and not indexes.names:
        return None
    name = indexes.find(request.index or own)
    if await indexes.use(name, lambda index: index.passage_count):
        return name
    return None


def _own_words(server: ModelServer, request: SearchRequest, writer: Writer | None) -> Writer | None:
    """Return the model that also writes; None: quotations only, as where nobody request for a model's
    own words. Raises RequestError.
    """
    if request.own_words and writer is None:
        raise RequestError("own_words: no chat model is served that could write", param="own_words")
    if request.own_words or (request.own_words is None and server.indexes.own_words):
        return writer
    return None


def _question(
    request: SearchRequest, name: str, writer: Writer | None, config: AskConfig
) -> AskRequest:
    """Return what is request of an index.

    Raises RequestError for what only a model that writes can do.
    """
    turns = [message.content for message in request.conversation.messages if message.role == "user"]
    if not turns:
        raise RequestError(
            "input: no message of a user is among them, so nothing can be searched", param="input"
        )
    max_tokens = request.plain.options.max_tokens
    if max_tokens == 0:
        writer = None
    if writer is None and request.plain.constraint is not None:
        raise _needs_writer(request.plain.public("response_format"))
    if writer is None and request.instructions:
        raise _needs_writer(request.system_param)
    if max_tokens is not None:
        config = replace(config, max_tokens=max(1, max_tokens))
    return AskRequest(
        name,
        question_in_context([turn[:MAX_QUESTION_CHARACTERS] for turn in turns]),
        writer,
        config,
        request.plain.options,
        request.filters.keep,
        request.instructions,
    )


def _needs_writer(param: str) -> RequestError:
    problem = (
        "this answer is of quotations alone, which can't follow it; "
        'ask for a chat model\'s own words, too ("own_words": true)'
    )
    return RequestError(f"{param}: {problem}", param=param)
