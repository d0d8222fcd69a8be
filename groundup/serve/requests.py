"""Requests to the server and what it returns, independent of any API dialect.

A translator (`ollama/`, `openai/`) turns a body into one of these requests, and the `ChatEvent`s of
the answer into bytes. Everything between uses only these classes, so all dialects behave alike.

An option that is None is taken from the first of these that sets it: the request, the parameters of
the alias (`create`), the dialect's defaults.

`context` of /api/generate: the ids of a prompt and its answer, and a later prompt that goes on from
them. The ids end with the answer's text. What lies between it and the next answer (the end of the
turn, the new messages, the assistant's opening) is what the chat template writes there after any
answer. So a conversation held by `context` has the same prompts as one held by /api/chat, where the
answers' ids are those of their text.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, make_dataclass, replace
from typing import get_type_hints

from groundup.engine.events import ChatEvent
from groundup.engine.sampling import Sampling
from groundup.engine.structured_output import OutputConstraint
from groundup.errors import GroundupError
from groundup.http.json_object import JsonObject
from groundup.retrieve.caller import Caller
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.tools import Tool

FOREVER_S = math.inf
# Of the known models, in the error for an unknown one.
MAX_NAMES = 8
# The field of a request that asks for a capability; the others are asked for by the path, and it is
# the model that is wrong.
_ASKED_BY = {"tools": "tools", "insert": "suffix", "vision": "images", "thinking": "think"}
# The fields of `Sampling`, None where not set.
_SamplingOptions = make_dataclass(
    "_SamplingOptions",
    [(name, hint | None, None) for name, hint in get_type_hints(Sampling).items()],
    frozen=True,
)
# Any exchange: only what the template writes after it is used.
_EXCHANGE = (Message("user", "-"), Message("assistant", "-"))


class RequestError(GroundupError):
    """A refused request; the client gets the message in its dialect's shape.

    `status` is the HTTP status, `param` the field at fault.
    """

    def __init__(
        self, message: str, *, status: int = 400, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


def no_such_model(name: str, known: Sequence[str]) -> RequestError:
    """Return the error for an unknown model name; it lists some of the known ones."""
    there = "is none"
    if known:
        names = ", ".join(each.removesuffix(":latest") for each in known[:MAX_NAMES])
        there = f"are: {names}"
    if len(known) > MAX_NAMES:
        there += f" and {len(known) - MAX_NAMES:,} more"
    problem = f'model "{name[:120]}" not found; there {there}'
    return RequestError(problem, status=404, code="model_not_found", param="model")


def unsupported(name: str, capability: str) -> RequestError:
    """Return the error for a capability that the model lacks: `"tiny" does not support tools`."""
    return RequestError(
        f'"{name[:120]}" does not support {capability}', param=_ASKED_BY.get(capability, "model")
    )


@dataclass(frozen=True)
class Options(_SamplingOptions):  # type: ignore[misc, valid-type]
    """Options of an answer: the fields of `engine.sampling.Sampling`, None where not set
    (`max_tokens`: up to the end of the context).
    """

    context_tokens: int | None = None
    """A context shorter than the model's."""

    def over(self, other: "Options") -> "Options":
        """Return these options, with the other's where these are None."""
        own = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(other, **own)


@dataclass(frozen=True)
class TextPrompt:
    """A text to continue."""

    text: str
    rendered: bool = False
    """Whether the caller rendered it (`raw`): control tokens in it are parsed.

    Never set for text from users.
    """


@dataclass(frozen=True)
class TokenPrompt:
    """Token ids to continue, as they are."""

    ids: tuple[int, ...]


@dataclass(frozen=True)
class ContinuedPrompt:
    """Messages after an earlier answer."""

    ids: tuple[int, ...]
    """The `context` of that answer (see above)."""
    conversation: Conversation


Prompt = Conversation | TextPrompt | TokenPrompt | ContinuedPrompt


@dataclass(frozen=True)
class GenerateRequest:
    """A request for `choices` answers to each of the prompts."""

    model: str
    """The name as the client wrote it, echoed in the answer."""
    prompts: tuple[Prompt, ...]
    options: Options = field(default_factory=Options)
    defaults: Options = field(default_factory=Options)
    """The dialect's defaults, for what neither the request nor the alias sets."""
    stream: bool = False
    choices: int = 1
    logprobs: int | None = None
    """Number of alternatives for each token; 0: only the chosen token's logprob, None: no
    logprobs.
    """
    echo: bool = False
    """Begin each answer with its prompt, a text or ids; with `logprobs` the answer's last token has
    one too, also where it is no text.
    """
    returns_context: bool = False
    """Whether the last event of each answer has its `context`."""
    template: str = ""
    """A chat template in place of the model's; "": its own, or the alias's."""
    constraint: OutputConstraint | None = None
    """The constraint on answers other than tool calls; None: any text."""
    tools: tuple[Tool, ...] = ()
    """Tools that the model may call; the client executes them, never the server."""
    must_call: tuple[str, ...] = ()
    """Names of tools: the answer consists of calls of these and no text. (): the model chooses."""
    one_call: bool = False
    """Allow at most one call, as far as the constraint can enforce it."""
    truncate: bool = True
    """Truncate a prompt that is too long; False: refuse it."""
    usage_in_stream: bool = True
    """Whether a stream ends with token counts, where its dialect makes that optional."""
    keep_alive_s: float | None = None
    """How long the model stays loaded afterwards; None: the server's default."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The client's names of fields, where they differ from those of OpenAI's chat completions."""
    caller: Caller = field(default_factory=Caller)
    """Whose conversation it is, for an assistant that acts."""

    def public(self, name: str) -> str:
        """Return what the client calls a field of OpenAI's chat completions."""
        return self.names.get(name, name)


@dataclass(frozen=True)
class LoadRequest:
    """A request to load the model, or with `keep_alive_s` 0 to unload it."""

    model: str
    keep_alive_s: float | None = None


@dataclass(frozen=True)
class EmbedRequest:
    """A request for the embedding of each text."""

    model: str
    texts: tuple[str | tuple[int, ...], ...]
    """Texts, or the token ids of texts."""
    dimensions: int | None = None
    """Keep only the first d components, normalised again."""
    truncate: bool = True
    keep_alive_s: float | None = None


@dataclass(frozen=True)
class Embeddings:
    """Vectors of unit length in the order of the texts, and the number of prompt tokens."""

    vectors: list[list[float]]
    prompt_tokens: int
    warning: str = ""
    """How many texts were cut."""


def with_warning(answer: JsonObject, found: Embeddings) -> JsonObject:
    """Return an answer with the field `warning`, a field of ours, where texts were cut."""
    if found.warning:
        return {**answer, "warning": found.warning}
    return answer


@dataclass(frozen=True)
class ClassifyRequest:
    """A request for the class of each text."""

    model: str
    texts: tuple[str, ...]
    keep_alive_s: float | None = None


@dataclass(frozen=True)
class Timing:
    """The durations of the parts of an answer, in nanoseconds."""

    total_ns: int = 0
    load_ns: int = 0
    prompt_ns: int = 0
    """Until the first token, time in the queue included."""
    answer_ns: int = 0


class ContextRecorder:
    """The ids of one prompt, and the text of its answer as it grows."""

    def __init__(self, prompt_ids: Sequence[int], tokenizer: Tokenizer) -> None:
        self.prompt_ids = tuple(prompt_ids)
        self.tokenizer = tokenizer
        self.text = ""

    def record(self, event: ChatEvent) -> ChatEvent:
        """Add the text of an event; return it, the last one with the ids."""
        self.text += event.text
        if event.finish_reason is None:
            return event
        starts = self.tokenizer.starts_after(self.prompt_ids)
        ids = self.tokenizer.encode(self.text, starts=starts)
        return replace(event, context=(*self.prompt_ids, *ids))


def ids_after_context(prompt: ContinuedPrompt, tokenizer: Tokenizer) -> list[int]:
    """Return the ids of a prompt that goes on from a context.

    Raises RequestError, ModelError (from the chat template).
    """
    rendered = render(
        Conversation((*_EXCHANGE, *prompt.conversation.messages)),
        tokenizer,
        add_generation_prompt=True,
    )
    if not rendered.turns:
        raise RequestError(
            "context: this model's chat template drops earlier answers", param="context"
        )
    answer = rendered.turns[0]
    return [*prompt.ids, *rendered.ids[answer.end - answer.ended :]]
