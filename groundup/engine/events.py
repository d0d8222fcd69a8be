"""ChatEvent: one step of an answer on its way to a reader, the only thing the engine sends."""

from dataclasses import dataclass
from typing import Literal

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class TokenScore:
    """One token of an answer and how probable it was, before temperature and filters."""

    raw: bytes
    """Its bytes; half a character where it is one. A control token's text."""
    logprob: float
    """ln P(token | everything before it)."""
    alternatives: tuple["TokenScore", ...] = ()
    """The most probable tokens at this place, best first; they have none themselves."""

    @property
    def text(self) -> str:
        """The bytes as text, U+FFFD for what is no character."""
        return self.raw.decode("utf-8", "replace")


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
    scores: tuple[TokenScore, ...] = ()
    """One for each token since the event before, where they were asked for; the end-of-turn token has none."""
