"""What is asked of a model and what comes back, in no client's dialect.

A translator (`ollama/`, `openai/`, a third one beside them) makes one of these requests of a body, and bytes of the `ChatEvent`s that answer
it. Everything between knows these classes only, so that the dialects can't differ in what they do.

What a request leaves open is None. It is filled in this order: the request, the parameters of the model's name (`create`), the dialect's defaults.
"""

import math
from dataclasses import dataclass, field, fields

from groundup.engine.structured_output import OutputConstraint
from groundup.errors import GroundupError
from groundup.tokenizer.chat import Conversation
from groundup.tokenizer.tools import Tool

FOREVER_S = math.inf


class RequestError(GroundupError):
    """A request that is refused; the client gets the sentence in its dialect's shape. `status` is HTTP's, `param` the field at fault."""

    def __init__(self, message: str, *, status: int = 400, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


def no_such_model(name: str) -> RequestError:
    """For a name that the server does not have."""
    return RequestError(f'model "{name[:120]}" not found', status=404, code="model_not_found", param="model")


def unsupported(name: str, capability: str) -> RequestError:
    """For what this model can't do: `"tiny" does not support tools`."""
    return RequestError(f'"{name[:120]}" does not support {capability}', param=capability)


@dataclass(frozen=True)
class Options:
    """How answers are drawn. The fields are those of `engine.sampling.Sampling`; None: not said."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    repeat_last_n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    """None: up to the end of the context."""
    stop: tuple[str, ...] | None = None
    context_tokens: int | None = None
    """A context below the model's own."""

    def over(self, other: "Options") -> "Options":
        """These options, and the other's where these say nothing."""
        mine = {each.name: getattr(self, each.name) for each in fields(self)}
        return Options(**{name: getattr(other, name) if value is None else value for name, value in mine.items()})


@dataclass(frozen=True)
class TextPrompt:
    """A text to go on from."""

    text: str
    rendered: bool = False
    """The caller rendered it (`raw`): control tokens in it are taken as such. Never for text from users."""


Prompt = Conversation | TextPrompt


@dataclass(frozen=True)
class GenerateRequest:
    """Answers wanted: `choices` to each of the prompts, all at once."""

    model: str
    """As the client wrote it, and echoed so."""
    prompts: tuple[Prompt, ...]
    options: Options = field(default_factory=Options)
    defaults: Options = field(default_factory=Options)
    """The dialect's, for what neither the request nor the model's name says."""
    stream: bool = False
    choices: int = 1
    logprobs: int | None = None
    """How many alternatives to each token; 0: the chosen one's probability only, None: none wanted."""
    form: OutputConstraint | None = None
    """What the answers must be, where they are no calls; None: any text."""
    tools: tuple[Tool, ...] = ()
    """What the model may have called; the client calls it, never the server."""
    must_call: tuple[str, ...] = ()
    """Names of tools: the answer consists of calls of these, and no text. (): the model chooses."""
    one_call: bool = False
    """At most one call, as far as an answer's form can be kept to that."""
    truncate: bool = True
    """What is too long is cut; False: it is refused."""
    usage_in_stream: bool = True
    """Whether a stream ends with the counters, where its dialect leaves that open."""
    keep_alive_s: float | None = None
    """How long the model stays loaded afterwards; None: as long as the server says."""


@dataclass(frozen=True)
class LoadRequest:
    """No answer wanted: load the model, or with `keep_alive_s` 0 unload it."""

    model: str
    keep_alive_s: float | None = None


@dataclass(frozen=True)
class EmbedRequest:
    """A vector for each text."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    """The first d components only, made unit length again."""
    truncate: bool = True
    keep_alive_s: float | None = None


@dataclass(frozen=True)
class Embeddings:
    """Vectors of unit length in the order of the texts, and how many tokens were read."""

    vectors: list[list[float]]
    prompt_tokens: int


@dataclass(frozen=True)
class ClassifyRequest:
    """The class of each text."""

    model: str
    texts: tuple[str, ...]
    keep_alive_s: float | None = None


@dataclass(frozen=True)
class Timing:
    """Where the time of an answer went, in nanoseconds."""

    total_ns: int = 0
    load_ns: int = 0
    prompt_ns: int = 0
    """Until the first token; waiting for others counts."""
    answer_ns: int = 0
