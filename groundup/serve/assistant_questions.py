"""What a request of a chat API asks of an assistant, and its reply as the events of an answer.

What an assistant replies does not depend on the sampling options of a request nor on its system
messages. What it can't do is refused, and the name of its plain model is told: tools, several
answers, a format, texts to continue.
"""

import contextlib
from collections.abc import Callable

from groundup.retrieve.answer import PASSAGES
from groundup.retrieve.search import Keep, every
from groundup.serve.model_registry import ModelAlias, ModelInfo
from groundup.serve.request_preparation import require_within
from groundup.serve.requests import ContinuedPrompt, GenerateRequest, RequestError
from groundup.serve.server import ModelServer
from groundup.serve.sourced_answers import AskRequest, SourcedText, sourced_answer
from groundup.tokenizer.chat import Conversation, Message


async def reply(
    server: ModelServer,
    request: GenerateRequest,
    alias: ModelAlias,
    info: ModelInfo,
    resources: contextlib.AsyncExitStack,
) -> SourcedText:
    """Return the events of an assistant's reply. Raises what `ModelServer.stream` does."""
    writer = (alias, info) if server.indexes.own_words else None
    asked = question_of(server, request, alias, writer)
    return SourcedText(await sourced_answer(server, asked, resources), lists_sources=True)


def question_of(
    server: ModelServer,
    request: GenerateRequest,
    alias: ModelAlias,
    writer: tuple[ModelAlias, ModelInfo] | None,
    passages: int = PASSAGES,
    new_keep: Callable[[], Keep] = lambda: every,
) -> AskRequest:
    """Return what a request asks of an assistant. `writer`: the model that also answers in its own
    words. Raises RequestError for what an assistant can't do.
    """
    require_within(request, request.options, server.limits)
    index = server.indexes.find(alias.assistant)
    shown = server.indexes.shown(index)

    def new_keep_of_shown() -> Keep:
        keep = new_keep()
        return lambda passage: shown(passage) and keep(passage)

    return AskRequest(
        index,
        "",
        writer,
        server.indexes.ask_config(passages),
        request.options,
        new_keep_of_shown,
        conversation=_conversation(request, alias),
        texts=server.indexes.texts_of(index),
        caller=request.caller,
    )


def _conversation(request: GenerateRequest, alias: ModelAlias) -> tuple[Message, ...]:
    """Return what was said, with what the alias has said before. Raises RequestError for what an
    assistant can't do.
    """
    [prompt, *others] = request.prompts
    if isinstance(prompt, ContinuedPrompt):
        prompt = prompt.conversation
    refused = {
        "messages": bool(others) or not isinstance(prompt, Conversation),
        "n": request.choices > 1,
        "response_format": request.constraint is not None,
        "tools": bool(request.tools),
    }
    for name, is_asked in refused.items():
        if is_asked:
            param = request.public(name)
            what = f'"{request.model[:120]}" is an assistant, which answers conversations in text'
            raise RequestError(f"{param}: {what}; {alias.base} has it", param=param)
    assert isinstance(prompt, Conversation)
    messages = (*alias.messages, *prompt.messages)
    if not any(each.role == "user" for each in messages):
        param = request.public("messages")
        raise RequestError(f"{param}: no message of a user is among them", param=param)
    return messages
