"""`ChatGroundup`: a model of groundup as LangChain's chat model. `GroundupLLM`: as its LLM, which
continues texts without a chat template, as /v1/completions.

    ChatGroundup(model="smollm2-135m-instruct", temperature=0).invoke("Hello")

messages -> the body of /v1/chat/completions -> GenerateRequest -> `serve.local_server` ->
ChatEvents -> chunks, of which a whole answer is the sum. Every field means what it means in
`serve/openai`; what neither the object nor the call sets is as the model's authors recommend.
Inputs of a batch are computed together.
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
from dataclasses import replace
from operator import itemgetter
from typing import Any, ClassVar, Literal

from langchain_core.language_models.chat_models import (
    BaseChatModel,
    agenerate_from_stream,
    generate_from_stream,
)
from langchain_core.language_models.llms import BaseLLM
from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import (
    ChatGenerationChunk,
    ChatResult,
    Generation,
    GenerationChunk,
    LLMResult,
)
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.runnables.config import RunnableConfig
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ConfigDict, PrivateAttr

from groundup.config import build_config
from groundup.engine.events import ChatEvent
from groundup.engine.sampling import RULES, chat_sampling
from groundup.errors import ConfigError, did_you_mean
from groundup.serve.fields import Body, with_sampling_rules
from groundup.serve.local_server import NAME, TOGETHER, LocalOptions, LocalServer, local_server
from groundup.serve.openai.chat import (
    ChatCompletionBody,
    choice_reason,
    logprobs_content,
    read_chat_completion,
)
from groundup.serve.openai.completions import CompletionBody, read_completion
from groundup.serve.request_preparation import prepare
from groundup.serve.requests import GenerateRequest, Options
from groundup.serve.tool_prompt import ToolSetting

PROVIDER = "groundup"
SETTINGS = (*RULES, "max_tokens", "seed", "stop")
# What LangChain passes to every model, and what has no effect here: a tool's schema is always
# followed.
IGNORED = frozenset({"stream", "strict", "ls_structured_output_format"})
Method = Literal["json_schema", "function_calling", "json_mode"]


class _ModelFields(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str
    """A name that `groundup pull` knows, a run or Hugging Face folder, a .gguf file, or a build."""
    device: str = "auto"
    precision: str | None = None
    """float32, bf16, int8, int4, or auto (the fastest, measured once); None: int8 where the model
    has a fast path here, else float32.
    """
    tools: ToolSetting = "any"
    """Which models get tools: any, template (those whose chat template has them), forced (the
    others where a call is forced), off.
    """
    truncate: bool = False
    """Leave out the oldest messages, or the beginning of a text, where a prompt is too long; False:
    refuse it.
    """
    max_tokens: int | None = None
    """The longest answer, in tokens; None: to the end of the context."""
    seed: int | None = None
    stop: list[str] | str | None = None
    """The answer ends before the earliest of these."""

    own_settings: ClassVar[tuple[str, ...]] = ()
    """Further fields that are sent with each request."""
    _opened: dict[str, LocalServer] = PrivateAttr(default_factory=dict)

    @property
    def _llm_type(self) -> str:
        return PROVIDER

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model": self.model, "precision": self.precision, **self.settings()}

    @property
    def local(self) -> LocalServer:
        """Raises ConfigError, FormatError, ModelError, NetworkError."""
        return self.served(self.model)

    def served(self, model: str) -> LocalServer:
        """It stays open as long as this object."""
        if model not in self._opened:
            self._opened[model] = local_server(
                model, LocalOptions(self.device, self.precision, self.tools)
            )
        return self._opened[model]

    def get_token_ids(self, text: str) -> list[int]:
        """What LangChain counts with."""
        return self.local.tokenizer.encode(text)

    def settings(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in (*SETTINGS, *self.own_settings)}
        return {name: value for name, value in values.items() if value is not None}

    def body(
        self, given: Mapping[str, Any], stop: list[str] | None, body_type: type[Body]
    ) -> dict[str, Any]:
        """The fields of this object, changed by those `given` with a call. Raises ConfigError for
        unknown ones.
        """
        changes = {name: value for name, value in given.items() if name not in IGNORED}
        unknown = changes.keys() - body_type.model_fields.keys() - {"json_schema"}
        if unknown:
            known = body_type.model_fields.keys() - {"model", "messages", "prompt", "stream", "n"}
            raise ConfigError(
                f"The model has no option {min(unknown)!r}.", fix=did_you_mean(min(unknown), known)
            )
        if changes.get("n", 1) != 1:
            raise ConfigError(
                "n: one answer is given to each input.",
                fix="Call batch with the same input n times.",
            )
        if stop is not None:
            changes["stop"] = stop
        return {**self.settings(), **changes, "model": NAME}

    def with_defaults(self, request: GenerateRequest, local: LocalServer) -> GenerateRequest:
        return replace(
            request,
            defaults=build_config(Options, chat_sampling(local.path)),
            truncate=self.truncate,
        )


# Without the limits of numbers: these are refused with the request, in one sentence.
ModelFields = with_sampling_rules(_ModelFields, limits={name: {} for name in RULES})


class ChatGroundup(ModelFields, BaseChatModel):  # type: ignore[misc, valid-type]
    """Its fields are the fields of an answer. The model is opened by the first call. Raises
    GroundupError.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    streaming: bool = False
    """Whether `invoke`, too, hands its pieces to callbacks."""
    logprobs: bool | None = None
    """In `response_metadata`."""
    top_logprobs: int | None = None
    """Alternatives, up to 20."""

    own_settings: ClassVar[tuple[str, ...]] = ("logprobs", "top_logprobs")

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {**super()._get_ls_params(stop=stop, **kwargs), "ls_provider": PROVIDER}

    def request(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, given: Mapping[str, Any]
    ) -> tuple[LocalServer, GenerateRequest]:
        """To this model, or the `model` that is given. Raises RequestError, ConfigError."""
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
        """Of the prompt that these messages and tools become, however long (for
        `trim_messages`).
        """
        given = {"tools": [convert_to_openai_tool(tool) for tool in tools or ()]}
        local, request = self.request(messages, None, given)
        (prepared,) = prepare(request, request.options, local.tokenizer, sys.maxsize, lambda: None)
        return len(prepared.prompt_ids)

    def batch(self, inputs: list[Any], config: Any = None, **kwargs: Any) -> list[Any]:
        """As many together as the engine takes, unless `max_concurrency` says otherwise."""
        return super().batch(inputs, _together(config), **kwargs)

    async def abatch(self, inputs: list[Any], config: Any = None, **kwargs: Any) -> list[Any]:
        return await super().abatch(inputs, _together(config), **kwargs)

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[Any, Any]:
        """`tool_choice`: "auto", "none", "any" (or "required", True), or the name of one. A forced
        call is one call, as small models repeat it, unless `parallel_tool_calls` is True.
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
        """Answers that fit `schema`: a pydantic class (then its objects), a TypedDict, a JSON schema or a
        tool's (then dicts). `method`: "json_schema" allows no other token, "json_mode" any JSON object,
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
    """Without the tool calls among its content's blocks (`output_version` "v1"), which its
    `tool_calls` have.
    """
    if isinstance(message.content, str) or not getattr(message, "tool_calls", None):
        return message
    kept = [
        each for each in message.content if isinstance(each, str) or each.get("type") != "tool_call"
    ]
    return message.model_copy(update={"content": kept})


def _together(config: RunnableConfig | list[RunnableConfig] | None) -> Any:
    """With the number of its threads, which only wait."""
    if isinstance(config, list):
        return [{"max_concurrency": TOGETHER, **each} for each in config]
    return {"max_concurrency": TOGETHER, **(config or {})}


def _response_format(schema: Any, method: Method) -> dict[str, object]:
    """OpenAI's field. Raises ConfigError."""
    if method == "json_mode":
        return {"type": "json_object"}
    try:
        named = convert_to_json_schema(schema)
    except ValueError as error:
        raise ConfigError(f"The schema can't be read: {str(error).splitlines()[0]}") from error
    return {
        "type": "json_schema",
        "json_schema": {"name": named.get("title", "answer"), "schema": named},
    }


def _with_parser(model: Runnable[Any, Any], parser: Any, include_raw: bool) -> Runnable[Any, Any]:
    """With `include_raw` as LangChain's own models do: {"raw", "parsed", "parsing_error"}."""
    if not include_raw:
        return model | parser
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")


class Chunks:
    def __init__(self, model: str) -> None:
        self.model = model
        self._id = uuid.uuid4().hex[:24]
        self._num_calls = 0

    def of(self, event: ChatEvent) -> ChatGenerationChunk:
        """The last one has the token usage and the finish reason."""
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
    prompt, answer = last.prompt_tokens, last.completion_tokens
    return UsageMetadata(input_tokens=prompt, output_tokens=answer, total_tokens=prompt + answer)


class GroundupLLM(ModelFields, BaseLLM):  # type: ignore[misc, valid-type]
    """Its fields are the fields of an answer. The model is opened by the first call. Raises
    GroundupError.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    max_tokens: int | None = 256
    """Many models that only continue texts never end one."""
    logprobs: int | None = None
    """Of each token, and of this many alternatives, in `generation_info`."""

    own_settings: ClassVar[tuple[str, ...]] = ("logprobs",)

    def requests(
        self, prompts: Sequence[str], stop: list[str] | None, given: Mapping[str, Any]
    ) -> tuple[LocalServer, list[GenerateRequest]]:
        """One for each prompt. Raises RequestError, ConfigError."""
        local = self.served(given.get("model", self.model))
        body = self.body(given, stop, CompletionBody)
        requests = [read_completion({**body, "prompt": prompt}) for prompt in prompts]
        return local, [self.with_defaults(request, local) for request in requests]

    def _stream(
        self, prompt: str, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[GenerationChunk]:
        local, (request,) = self.requests([prompt], stop, kwargs)
        with closing(local.events(request)) as events:  # type: ignore[type-var]
            for event in events:
                chunk = GenerationChunk(text=event.text, generation_info=self._info([event]))
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self, prompt: str, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[GenerationChunk]:
        local, (request,) = await asyncio.to_thread(self.requests, [prompt], stop, kwargs)
        async with aclosing(local.events_async(request)) as events:  # type: ignore[type-var]
            async for event in events:
                chunk = GenerationChunk(text=event.text, generation_info=self._info([event]))
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> LLMResult:
        local, requests = self.requests(prompts, stop, kwargs)
        return self._result(local.answers(requests))

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> LLMResult:
        local, requests = await asyncio.to_thread(self.requests, prompts, stop, kwargs)
        return self._result(await local.answers_async(requests))

    def _result(self, answers: Sequence[Sequence[ChatEvent]]) -> LLMResult:
        texts = ["".join(event.text for event in events) for events in answers]
        found = [
            [Generation(text=text, generation_info=self._info(events))]
            for text, events in zip(texts, answers, strict=True)
        ]
        usages = [usage_of(events[-1]) for events in answers]
        usage = {
            name: sum(each[name] for each in usages)
            for name in ("input_tokens", "output_tokens", "total_tokens")
        }
        return LLMResult(
            generations=found, llm_output={"token_usage": usage, "model_name": self.model}
        )

    def _info(self, events: Sequence[ChatEvent]) -> dict[str, Any] | None:
        scores = [score for event in events for score in event.logprobs]
        info: dict[str, Any] = {}
        if scores:
            info["logprobs"] = logprobs_content(scores)
        if events[-1].finish_reason is not None:
            info |= {"finish_reason": events[-1].finish_reason, "usage": dict(usage_of(events[-1]))}
        return info or None
