"""ChatEvent: one piece of an answer, the output of all engines."""

from dataclasses import dataclass
from typing import Literal

from groundup.errors import GroundupError
from groundup.tokenizer.tools import ToolCall

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class RankedToken:
    """A token and its log-probability."""

    id: int
    text: bytes
    """Its bytes, perhaps an incomplete character; the name of a control token."""
    logprob: float | None
    """ln P, before temperature, penalties and filters; None: of the first token of a prompt, before
    which there is nothing.
    """


@dataclass(frozen=True)
class TokenLogprob:
    """The token at one position of an answer or a prompt, and its alternatives."""

    token: RankedToken
    alternatives: tuple[RankedToken, ...]
    """The most probable tokens there, best first; they may include the chosen one."""


@dataclass(frozen=True)
class ChatEvent:
    """A piece of text and the counters so far.

    The last event of an answer, and no other, has a finish reason.
    """

    text: str
    """The new piece; the joined pieces are the answer's text. Never split inside a character."""
    finish_reason: FinishReason | None
    """"stop": an end-of-turn token or a stop string; "length": `max_tokens` reached or the context
    full.
    """
    prompt_tokens: int
    """Tokens of the whole prompt."""
    completion_tokens: int
    """Tokens generated so far, the end-of-turn token included."""
    dropped_messages: int = 0
    """Oldest messages dropped because the conversation exceeded the context."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Logprobs of the tokens since the last event, where requested; the end-of-turn token's only
    with `Request.logprob_of_end`.
    """
    calls: tuple[ToolCall, ...] = ()
    """Tool calls, where the request has tools; their source is not part of any event's text."""
    context: tuple[int, ...] = ()
    """The ids of the prompt and the answer's text, in the last event, where requested of `groundup
    serve`.
    """


class AnswerFailed(GroundupError):
    """A bug that ended one answer of a batch; the log has it. The other answers go on."""


StepOutput = ChatEvent | GroundupError
"""What a step of an engine returns for a request: an event, or the error that ended it."""
