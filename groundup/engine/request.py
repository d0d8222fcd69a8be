"""Request: a prompt to be continued by a `BatchEngine`; Constraint: the tokens that its answer may
consist of.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from groundup.engine.sampling import Sampling
from groundup.errors import require

# The limit of OpenAI's API.
MAX_LOGPROBS = 20


@runtime_checkable
class Constraint(Protocol):
    """The allowed next tokens of one answer: `mask`, then `accept` the chosen token."""

    @property
    def finished(self) -> bool:
        """Nothing may follow: the answer ends with the reason "stop"."""

    def mask(self) -> Any:
        """True for each allowed id, an array or a tensor [V]; None: all are."""

    def accept(self, token_id: int) -> None:
        """Not called for the id that ends the answer."""


@dataclass(frozen=True)
class Request:
    """Raises ConfigError for invalid values."""

    id: str
    """Unique among running requests."""
    prompt_ids: tuple[int, ...]
    sampling: Sampling = field(default_factory=Sampling)
    stop_ids: frozenset[int] = frozenset()
    """They end the answer and are not part of its text."""
    logprobs: int | None = None
    """Of each token and of this many alternatives, 0 to 20."""
    logprob_of_end: bool = False
    """Also of the id that ends the answer."""
    constraint: Constraint | None = None
    shown_ids: frozenset[int] = frozenset()
    """Control tokens that are part of the text: marks of tool calls."""
    dropped_messages: int = 0

    def __post_init__(self) -> None:
        allowed = self.logprobs is None or 0 <= self.logprobs <= MAX_LOGPROBS
        require(allowed, "logprobs", self.logprobs, f"0 to {MAX_LOGPROBS}")
