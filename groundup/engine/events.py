"""ChatEvent: one step of an answer on its way to a reader, the only thing the engine sends."""

from dataclasses import dataclass
from typing import Literal

from groundup.errors import GroundupError
from groundup.tokenizer.tools import ToolCall

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class RankedToken:
    """A token and how probable it was."""

    id: int
    text: bytes
    """Its own bytes: perhaps a part of a character only; of a control token, its name."""
    logprob: float
    """ln P, before temperature, penalties and filters."""


@dataclass(frozen=True)
class TokenLogprob:
    """What was chosen at one place of an answer, and what else could have been."""

    token: RankedToken
    alternatives: tuple[RankedToken, ...]
    """The most probable tokens there, best first, the chosen one among them if it is one of them."""


@dataclass(frozen=True)
class ChatEvent:
    """A piece of text and the counters so far. The last event of an answer, and no other, has a finish reason."""

    text: str
    """The new piece; the pieces of an answer joined are its text. Never cut inside a character."""
    finish_reason: FinishReason | None
    """"stop": an end-of-turn token or a stop string; "length": `max_tokens` reached or the context full."""
    prompt_tokens: int
    """Tokens of the whole prompt."""
    completion_tokens: int
    """Tokens generated so far, the end-of-turn token included."""
    dropped_messages: int = 0
    """Oldest messages left out because the conversation had outgrown the context."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of the tokens since the last event, where they were asked for; the end-of-turn token is not among them."""
    calls: tuple[ToolCall, ...] = ()
    """What the model wants called, where it was told of tools; their text is in no event's text."""


StepOutput = ChatEvent | GroundupError
"""What a step of an engine returns for a request: an event, or the error that ended it."""
