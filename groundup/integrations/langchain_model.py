"""What LangChain's chat model and LLM of groundup have in common: the model, the fields of
sampling, and the body of a request, which is what OpenAI's clients send (`serve/openai`): every
field means here what it means there. What neither the object nor the call sets is as the model's
authors recommend.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, PrivateAttr

from groundup.config import build_config
from groundup.engine.sampling import RULES, chat_sampling
from groundup.errors import ConfigError, did_you_mean
from groundup.serve.fields import Body, with_sampling_rules
from groundup.serve.local_server import NAME, LocalOptions, LocalServer, local_server
from groundup.serve.requests import GenerateRequest, Options
from groundup.serve.tool_prompt import ToolSetting

PROVIDER = "groundup"
SETTINGS = (*RULES, "max_tokens", "seed", "stop")
# What LangChain passes to every model, and what has no effect here: a tool's schema is always
# followed.
IGNORED = frozenset({"stream", "strict", "ls_structured_output_format"})


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
