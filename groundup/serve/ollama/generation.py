"""Requests to /api/generate and /api/chat: a body -> a GenerateRequest, or a LoadRequest when there
is no prompt. And to /api/embed and the older /api/embeddings: a body -> an EmbedRequest, vectors ->
an object.
"""

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint
from groundup.http.json_object import JsonObject
from groundup.serve.fields import Body, Texts, Whole, read_fields, with_sampling_rules
from groundup.serve.messages import ClientMessage, ToolBody, conversation, with_tools
from groundup.serve.requests import (
    FOREVER_S,
    ContinuedPrompt,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    LoadRequest,
    Options,
    Prompt,
    RequestError,
    TextPrompt,
    Timing,
    unsupported,
    with_warning,
)
from groundup.tokenizer.chat import Conversation, Message

# Ollama's own (api/types.go, DefaultOptions).
DEFAULTS = Options(temperature=0.8, top_k=40, top_p=0.9, repetition_penalty=1.0, repeat_last_n=64)
# A duration in Go's notation: "1h30m", "500ms"; without a unit, seconds.
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")

KeepAlive = float | str


# Names of our options that differ in Ollama's API.
OPTION_NAMES = {
    "repetition_penalty": "repeat_penalty",
    "max_tokens": "num_predict",
    "context_tokens": "num_ctx",
}


# What OpenAI's names of fields are here.
NAMES = {"response_format": "format", "stop": "options.stop"}
# Of these any value means something: top_k of 0 or less is all tokens, top_p above 1 is 1, and of 0
# or less the best token.
FREE: dict[str, dict[str, Any]] = {"top_k": {}, "top_p": {}}


class OptionsBody(with_sampling_rules(Body, names=OPTION_NAMES, limits=FREE)):  # type: ignore[misc]
    """The supported `options`; all others are ignored."""

    repeat_last_n: Whole | None = None
    seed: Whole | None = None
    num_predict: Whole | None = None
    num_ctx: Whole | None = None
    stop: Texts | None = None

    def options(self) -> Options:
        """Return them as Options, with Ollama's special values (-1, 0) translated."""
        names = {each.name: OPTION_NAMES.get(each.name, each.name) for each in fields(Options)}
        values = {name: getattr(self, theirs, None) for name, theirs in names.items()}
        given = {name: value for name, value in values.items() if value is not None}
        if "top_k" in given:
            given["top_k"] = max(given["top_k"], 0)
        if "top_p" in given:
            given["top_p"] = min(given["top_p"], 1.0)
        if "stop" in given:
            given["stop"] = tuple(filter(None, given["stop"]))
        unset = {"seed": given.get("seed") == -1}
        unset["max_tokens"] = given.get("max_tokens", 0) < 0
        unset["context_tokens"] = given.get("context_tokens", 1) <= 0
        return Options(**{name: given[name] for name in given if not unset.get(name)})


class _Generation(Body):
    """The fields common to both bodies."""

    model: str = Field(min_length=1)
    stream: bool = True
    format: str | dict[str, Any] | None = None
    options: OptionsBody = Field(default_factory=OptionsBody)  # one object would be built now
    keep_alive: KeepAlive | None = None
    think: bool | str = False
    logprobs: bool = False
    top_logprobs: Whole = Field(0, ge=0, le=20)
    truncate: bool = True

    def request(self, prompt: Prompt, tools: Sequence[ToolBody] = ()) -> GenerateRequest:
        """Return the request with the common fields. Raises RequestError."""
        if self.think:
            raise unsupported(self.model, "thinking")
        logprobs = None
        if self.logprobs or self.top_logprobs:
            logprobs = self.top_logprobs
        request = GenerateRequest(
            self.model,
            (prompt,),
            self.options.options(),
            DEFAULTS,
            stream=self.stream,
            logprobs=logprobs,
            constraint=_constraint(self.format),
            truncate=self.truncate,
            keep_alive_s=keep_alive_s(self.keep_alive),
            names=NAMES,
        )
        return with_tools(request, tools)

    def load(self) -> LoadRequest:
        """Return the request of a body without a prompt, which only loads the model."""
        return LoadRequest(self.model, keep_alive_s(self.keep_alive))


class GenerateBody(_Generation):
    """The body of /api/generate."""

    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: list[Whole] = []
    raw: bool = False
    images: list[str] = []


class OllamaChatBody(_Generation):
    """The body of /api/chat."""

    messages: list[ClientMessage] = []
    tools: list[ToolBody] = []


def read_generate(value: JsonObject) -> GenerateRequest | LoadRequest:
    """Return the request of an /api/generate body. Raises RequestError."""
    body = read_fields(GenerateBody, value)
    for field, capability in ((body.suffix, "insert"), (body.images, "vision")):
        if field:
            raise unsupported(body.model, capability)
    if body.raw and (body.system or body.template or body.context):
        raise RequestError("raw mode does not support system, template or context", param="raw")
    if not body.prompt:
        return body.load()
    if body.raw:
        return _with_prompt_name(body.request(TextPrompt(body.prompt, rendered=True)))
    messages = [Message("user", body.prompt)]
    if body.system:
        messages.insert(0, Message("system", body.system))
    asked = Conversation(tuple(messages))
    prompt: Prompt = asked
    if body.context:
        prompt = ContinuedPrompt(tuple(body.context), asked)
    request = _with_prompt_name(body.request(prompt))
    return replace(request, returns_context=True, template=body.template)


def _with_prompt_name(request: GenerateRequest) -> GenerateRequest:
    return replace(request, names={**NAMES, "messages": "prompt"})


def read_chat(value: JsonObject) -> GenerateRequest | LoadRequest:
    """Return the request of an /api/chat body. Raises RequestError."""
    body = read_fields(OllamaChatBody, value)
    if not body.messages:
        return body.load()
    if any(message.images for message in body.messages):
        raise unsupported(body.model, "vision")
    return body.request(conversation(body.messages), body.tools)


def _constraint(given: str | dict[str, Any] | None) -> OutputConstraint | None:
    """Return the constraint of `format`; "" means none, as LangChain sends it."""
    if given in (None, ""):
        return None
    if isinstance(given, dict):
        return OutputConstraint.schema(given)
    if given == "json":
        return ANY_OBJECT
    raise RequestError('format: expected "json" or a JSON schema', param="format")


def keep_alive_s(given: KeepAlive | None) -> float | None:
    """Return the seconds of a `keep_alive`; negative values mean forever. Raises RequestError.

    >>> keep_alive_s("1m30s"), keep_alive_s("-1"), keep_alive_s(0)
    (90.0, inf, 0.0)
    """
    if given is None:
        return None
    seconds: float | None
    if isinstance(given, str):
        seconds = _duration_s(given)
    else:
        seconds = float(given)
    if seconds is None or seconds != seconds:
        raise RequestError(
            'keep_alive: expected seconds, or a time such as "5m"', param="keep_alive"
        )
    if seconds < 0:
        return FOREVER_S
    return seconds


def _duration_s(text: str) -> float | None:
    """Return the seconds of a duration, or None when it is none."""
    unsigned = text.removeprefix("-")
    sign = -1.0 if unsigned != text else 1.0
    if re.fullmatch(r"\d{1,12}(\.\d{0,9})?", unsigned):
        return sign * float(unsigned)
    if len(unsigned) > 64 or not re.fullmatch(rf"(?:{_DURATION.pattern})+", unsigned):
        return None
    parts = _DURATION.findall(unsigned)
    return sign * sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def _texts(value: Any) -> Any:
    """Return the texts; "" is none, and [""] one without characters (server/routes.go,
    EmbedHandler).
    """
    if isinstance(value, str):
        return list(filter(None, [value]))
    return value


class EmbedBody(Body):
    """The body of /api/embed."""

    model: str = Field(min_length=1)
    input: Annotated[list[str], BeforeValidator(_texts)] = []
    truncate: bool = True
    dimensions: Whole | None = Field(None, ge=1)
    keep_alive: KeepAlive | None = None


class OllamaEmbeddingsBody(Body):
    """The body of /api/embeddings."""

    model: str = Field(min_length=1)
    prompt: str = ""
    keep_alive: KeepAlive | None = None


def read_embed(value: JsonObject) -> EmbedRequest:
    """Return the request of an /api/embed body. Raises RequestError."""
    body = read_fields(EmbedBody, value)
    alive = keep_alive_s(body.keep_alive)
    return EmbedRequest(body.model, tuple(body.input), body.dimensions, body.truncate, alive)


def read_embeddings(value: JsonObject) -> EmbedRequest:
    """Return the request of an /api/embeddings body. Raises RequestError."""
    body = read_fields(OllamaEmbeddingsBody, value)
    return EmbedRequest(body.model, (body.prompt,), keep_alive_s=keep_alive_s(body.keep_alive))


def embed_answer(model: str, found: Embeddings, timing: Timing) -> JsonObject:
    """Return all vectors, in the order of the texts."""
    answer: JsonObject = {
        "model": model,
        "embeddings": found.vectors,
        "total_duration": timing.total_ns,
        "load_duration": timing.load_ns,
        "prompt_eval_count": found.prompt_tokens,
    }
    return with_warning(answer, found)
