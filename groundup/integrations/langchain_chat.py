"""`ChatGroundup`: a model of groundup as LangChain's chat model.

    ChatGroundup(model="smollm2-135m-instruct", temperature=0).invoke("Hello")

messages -> the body of /v1/chat/completions -> GenerateRequest -> `serve.local_server` ->
ChatEvents -> chunks, of which a whole answer is the sum. Inputs of a batch are computed together.
Structured output is a constraint on the tokens ("json_schema", "json_mode") or a forced call of a
tool ("function_calling"). Other kinds of content than text are refused; one answer is given to each
input.
"""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from operator import itemgetter
from typing import Any, Literal

from langchain_core.language_models.chat_models import (
    BaseChatModel,
    agenerate_from_stream,
    generate_from_stream,
)
from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.runnables.config import RunnableConfig
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import ConfigDict

from groundup.engine.events import ChatEvent
from groundup.errors import ConfigError
from groundup.integrations.langchain_model import ModelFields
from groundup.serve.local_server import TOGETHER, LocalServer
from groundup.serve.openai.chat import (
    ChatCompletionBody,
    choice_reason,
    logprobs_content,
    read_chat_completion,
)
from groundup.serve.request_preparation import prepare
from groundup.serve.requests import GenerateRequest

PROVIDER = "groundup"
# Keys of a JSON schema whose values are schemas by name.
NAMED = ("properties", "$defs", "definitions")
Method = Literal["json_schema", "function_calling", "json_mode"]


class ChatGroundup(ModelFields, BaseChatModel):  # type: ignore[misc, valid-type]
    """A chat model; its fields are the fields of an answer.

    The model is opened by the first call. Raises GroundupError.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    streaming: bool = False
    """Whether `invoke`, too, hands its pieces to callbacks as they come."""
    logprobs: bool | None = None
    """Whether the answer's `response_metadata` has the log-probability of each token."""
    top_logprobs: int | None = None
    """And those of this many alternatives, up to 20."""

    def settings(self) -> dict[str, Any]:
        return super().settings() | self.set_fields("logprobs", "top_logprobs")

    @property
    def _llm_type(self) -> str:
        return PROVIDER

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model": self.model, "precision": self.precision, **self.settings()}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {**super()._get_ls_params(stop=stop, **kwargs), "ls_provider": PROVIDER}

    def request(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, given: Mapping[str, Any]
    ) -> tuple[LocalServer, GenerateRequest]:
        """Return the request of a call and where it goes: to this model, or the `model` that is
        given. Raises RequestError, ConfigError.
        """
        local = self.served(given.get("model", self.model))
        body = self.body(given, stop, ChatCompletionBody)
        body["messages"] = convert_to_openai_messages(
            [_without_call_blocks(each) for each in messages]
        )
        return local, self.with_defaults(read_chat_completion(body), local)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        local, request = self.request(messages, stop, kwargs)
        chunks = Chunks(str(kwargs.get("model", self.model)))
        with closing(local.events(request)) as events:  # type: ignore[type-var]
            for event in events:
                yield chunks.of(event)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        local, request = await asyncio.to_thread(self.request, messages, stop, kwargs)
        chunks = Chunks(str(kwargs.get("model", self.model)))
        async with aclosing(local.events_async(request)) as events:  # type: ignore[type-var]
            async for event in events:
                yield chunks.of(event)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Return how many tokens the prompt has that these messages and tools become, however long
        (for `trim_messages`).
        """
        given = {"tools": [convert_to_openai_tool(tool) for tool in tools or ()]}
        local, request = self.request(messages, None, given)
        (prepared,) = prepare(request, request.options, local.tokenizer, sys.maxsize, lambda: None)
        return len(prepared.prompt_ids)

    def batch(self, inputs: list[Any], config: Any = None, **kwargs: Any) -> list[Any]:
        """Answer all inputs, as many together as the engine takes, unless `max_concurrency` says
        otherwise.
        """
        return super().batch(inputs, _together(config), **kwargs)

    async def abatch(self, inputs: list[Any], config: Any = None, **kwargs: Any) -> list[Any]:
        """`batch`, in the event loop of the caller."""
        return await super().abatch(inputs, _together(config), **kwargs)

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[Any, Any]:
        """Return the model with tools that it may call; `tool_choice`: "auto", "none", "any" (or
        "required", True), or the name of one.

        A forced call is one call, as small models repeat it, unless `parallel_tool_calls` is True.
        """
        if tool_choice in ("any", True):
            tool_choice = "required"
        if tool_choice not in (None, False, "auto", "none"):
            kwargs.setdefault("parallel_tool_calls", False)
        if isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        **kwargs: Any,
    ) -> Runnable[Any, Any]:
        """Return the model with answers that fit `schema`: a pydantic class (then its objects), a
        TypedDict, a JSON schema or a tool's (then dicts).

        `method`: "json_schema" allows no other token, "json_mode" any JSON object,
        "function_calling" forces a call. Raises ConfigError.
        """
        kwargs.pop("strict", None)
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if method not in ("json_schema", "json_mode") or (
            schema is None and method == "json_schema"
        ):
            raise ConfigError(
                f"Structured output by {method!r} of {schema!r} is not possible.",
                fix="Give a schema, and as method json_schema, json_mode or function_calling.",
            )
        bound = self.bind(
            response_format=_response_format(schema, method),
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
            **kwargs,
        )
        parser: Any = JsonOutputParser()
        if isinstance(schema, type) and is_basemodel_subclass(schema):
            parser = PydanticOutputParser(pydantic_object=schema)
        return _with_parser(bound, parser, include_raw)


def _without_call_blocks(message: BaseMessage) -> BaseMessage:
    """Return a message without the tool calls among its content's blocks (`output_version` "v1"),
    which its `tool_calls` have.
    """
    if isinstance(message.content, str) or not getattr(message, "tool_calls", None):
        return message
    kept = [
        each for each in message.content if isinstance(each, str) or each.get("type") != "tool_call"
    ]
    return message.model_copy(update={"content": kept})


def _together(config: RunnableConfig | list[RunnableConfig] | None) -> Any:
    """Return the configuration of a batch with the number of its threads, which only wait."""
    if isinstance(config, list):
        return [{"max_concurrency": TOGETHER, **each} for each in config]
    return {"max_concurrency": TOGETHER, **(config or {})}


def _response_format(schema: Any, method: Method) -> dict[str, Any]:
    """Return OpenAI's field. Raises ConfigError for what can't be read as a schema."""
    if method == "json_mode":
        return {"type": "json_object"}
    try:
        named = convert_to_json_schema(schema)
    except ValueError as error:
        raise ConfigError(f"The schema can't be read: {str(error).splitlines()[0]}") from error
    return {
        "type": "json_schema",
        "json_schema": {"name": named.get("title", "answer"), "schema": _close(named)},
    }


def _close(schema: Any) -> Any:
    """Return a schema whose objects have no other properties than it names, unless it says so: a
    small model would make some up without end.
    """
    if isinstance(schema, list):
        return [_close(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed: dict[str, Any] = {}
    if "properties" in schema:
        closed["additionalProperties"] = False
    for name, each in schema.items():
        close = _close_each if name in NAMED else _close
        closed[name] = close(each)
    return closed


def _close_each(schemas: Any) -> Any:
    if not isinstance(schemas, dict):
        return schemas
    return {name: _close(each) for name, each in schemas.items()}


def _with_parser(model: Runnable[Any, Any], parser: Any, include_raw: bool) -> Runnable[Any, Any]:
    """Return the model with its answers parsed, with `include_raw` as LangChain's own models do:
    {"raw", "parsed", "parsing_error"}.
    """
    if not include_raw:
        return model | parser
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")


class Chunks:
    """The chunks of one answer."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._id = uuid.uuid4().hex[:24]
        self._num_calls = 0

    def of(self, event: ChatEvent) -> ChatGenerationChunk:
        """Return the chunk of an event; the last one has the token usage and the finish reason."""
        calls = [self._call(call.name, call.arguments) for call in event.calls]
        info: dict[str, Any] = {}
        if event.logprobs:
            info["logprobs"] = logprobs_content(event.logprobs)
        if event.finish_reason is None:
            return ChatGenerationChunk(
                message=AIMessageChunk(event.text, tool_call_chunks=calls), generation_info=info
            )
        reason = choice_reason(event.finish_reason, called=self._num_calls > 0)
        info |= {"finish_reason": reason, "model_name": self.model, "model_provider": PROVIDER}
        message = AIMessageChunk(
            event.text,
            tool_call_chunks=calls,
            usage_metadata=usage_of(event),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message, generation_info=info)

    def _call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        place = self._num_calls
        self._num_calls += 1
        text = json.dumps(arguments, ensure_ascii=False)
        return tool_call_chunk(name=name, args=text, id=f"call_{self._id}_{place}", index=place)


def usage_of(last: ChatEvent) -> UsageMetadata:
    """Return the token counts of an answer, from its last event."""
    prompt, answer = last.prompt_tokens, last.completion_tokens
    return UsageMetadata(input_tokens=prompt, output_tokens=answer, total_tokens=prompt + answer)
