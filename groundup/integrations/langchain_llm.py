"""`GroundupLLM`: a model of groundup as LangChain's LLM, which continues texts: no chat template,
as /v1/completions.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any

from langchain_core.language_models.llms import BaseLLM
from langchain_core.outputs import Generation, GenerationChunk, LLMResult
from pydantic import ConfigDict

from groundup.engine.events import ChatEvent
from groundup.integrations.langchain_chat import PROVIDER, usage_of
from groundup.integrations.langchain_model import ModelFields
from groundup.serve.local_server import LocalServer
from groundup.serve.openai.chat import logprobs_content
from groundup.serve.openai.completions import CompletionBody, read_completion
from groundup.serve.requests import GenerateRequest


class GroundupLLM(ModelFields, BaseLLM):  # type: ignore[misc, valid-type]
    """A language model; its fields are the fields of an answer.

    The model is opened by the first call. Raises GroundupError.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    max_tokens: int | None = 256
    """The longest answer, in tokens: many models that only continue texts never end one."""
    logprobs: int | None = None
    """Return the log-probability of each token, and of this many alternatives, in
    `generation_info`.
    """

    def settings(self) -> dict[str, Any]:
        return super().settings() | self.set_fields("logprobs")

    @property
    def _llm_type(self) -> str:
        return PROVIDER

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model": self.model, "precision": self.precision, **self.settings()}

    def requests(
        self, prompts: Sequence[str], stop: list[str] | None, given: Mapping[str, Any]
    ) -> tuple[LocalServer, list[GenerateRequest]]:
        """Return a request for each prompt and where they go: to this model, or the `model` that is
        given. Raises RequestError, ConfigError.
        """
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
        """Return what is known beside the text of these events."""
        scores = [score for event in events for score in event.logprobs]
        info: dict[str, Any] = {}
        if scores:
            info["logprobs"] = logprobs_content(scores)
        if events[-1].finish_reason is not None:
            info |= {"finish_reason": events[-1].finish_reason, "usage": dict(usage_of(events[-1]))}
        return info or None
