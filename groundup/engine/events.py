"""ChatEvent: one step of an answer on its way to a reader, the only thing the engine sends."""

from dataclasses import dataclass
from typing import Literal

FinishReason = Literal["stop", "length"]


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
