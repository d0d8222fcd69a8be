"""Request: one answer that is wanted from a `BatchEngine`, and Constraint: what it may consist of."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Bool
from torch import Tensor

from groundup.engine.sampling import Sampling
from groundup.errors import ConfigError

# As many alternatives as OpenAI's API gives.
MAX_LOGPROBS = 20


@runtime_checkable
class Constraint(Protocol):
    """Which tokens may come next in one answer: a JSON schema, a grammar, an expression. It is asked for a mask, then told what was chosen."""

    @property
    def finished(self) -> bool:
        """Whether the answer is complete and nothing may follow; it then ends with the reason "stop"."""

    def mask(self) -> Bool[Tensor, " V"] | None:
        """True for each id that may come next; None: any may."""

    def accept(self, token_id: int) -> None:
        """This id was chosen. Not called for the id that ends the answer."""


@dataclass(frozen=True)
class Request:
    """A prompt to be continued. Checks itself; raises ConfigError."""

    id: str
    """Names it among those that run; its events carry it."""
    prompt_ids: tuple[int, ...]
    sampling: Sampling = field(default_factory=Sampling)
    stop_ids: frozenset[int] = frozenset()
    """Ids that end the answer, without being part of its text."""
    logprobs: int | None = None
    """With each token its logprob and those of so many of the most probable ones, 0 to 20; None: none."""
    constraint: Constraint | None = None
    shown_ids: frozenset[int] = frozenset()
    """Control tokens that are part of the text: marks of a call, in families that have tokens for them."""
    dropped_messages: int = 0
    """Passed on to its events."""

    def __post_init__(self) -> None:
        if self.logprobs is not None and not 0 <= self.logprobs <= MAX_LOGPROBS:
            raise ConfigError(f"logprobs is {self.logprobs}; expected 0 to {MAX_LOGPROBS}.")
