"""ChatEvent: one piece of an answer, the output of all engines."""

from dataclasses import dataclass
from typing import Literal

from groundup.errors import GroundupError
from groundup.tokenizer.tools import ToolCall

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class RankedToken:
    id: int
    text: bytes
    """Perhaps an incomplete character; the name of a control token."""
    logprob: float | None
    """ln P, before temperature, penalties and filters; None: of the first token of a prompt."""


@dataclass(frozen=True)
class TokenLogprob:
    """One position of an answer or a prompt."""

    token: RankedToken
    alternatives: tuple[RankedToken, ...]
    """Best first; they may include the chosen one."""


@dataclass(frozen=True)
class ChatEvent:
    """A piece of text and the counters so far. The last event alone has a finish reason."""

    text: str
    """Never split inside a character."""
    finish_reason: FinishReason | None
    """"stop": an end-of-turn token or a stop string; "length": `max_tokens` or the context is full.
    """
    prompt_tokens: int
    completion_tokens: int
    """The end-of-turn token included."""
    dropped_messages: int = 0
    """Because the conversation exceeded the context."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of the tokens since the last event; of the end-of-turn token with `Request.logprob_of_end`.
    """
    calls: tuple[ToolCall, ...] = ()
    """Their source is not part of any event's text."""
    context: tuple[int, ...] = ()
    """In the last event: the ids of the prompt and the answer, where requested."""


class AnswerFailed(GroundupError):
    """A bug that ended one answer of a batch."""


StepOutput = ChatEvent | GroundupError
"""An event, or the error that ended the request."""
