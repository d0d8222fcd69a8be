"""How long a training shall be: a time, steps, tokens or rounds over the text. One of them, from the command line to the plan."""

import math
from dataclasses import dataclass

from groundup.config import duration_s
from groundup.errors import ConfigError

# A run shorter than this is all overhead.
MIN_S = 3.0


@dataclass(frozen=True)
class Length:
    """Exactly one of the four is said. Raises ConfigError."""

    seconds: float | None = None
    steps: int | None = None
    tokens: int | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        said = {name: value for name, value in vars(self).items() if value is not None}
        if len(said) != 1:
            words = " and ".join(said) or "none"
            raise ConfigError(
                f"How long the training is must be said once (got {words}).",
                fix="Give one of --minutes (or --budget), --steps, --tokens, --epochs.",
            )
        name, value = next(iter(said.items()))
        if not 0 < value < math.inf:
            raise ConfigError(f"{name} must be above 0 and finite (got {value}).")
        if self.seconds is not None and self.seconds < MIN_S:
            raise ConfigError(
                f"{self.seconds:g} s is too short to train in.",
                fix=f"Give at least {MIN_S:g}s; minutes teach more.",
            )

    def steps_of(self, step_tokens: int, data_tokens: int) -> int | None:
        """Steps of `step_tokens`, at least one; None where only a clock can tell."""
        if self.steps is not None:
            return self.steps
        tokens = self.tokens if self.tokens is not None else self.epochs and self.epochs * data_tokens
        return None if tokens is None else max(1, round(tokens / step_tokens))


def length_of(
    *,
    budget: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    tokens: int | None = None,
    epochs: float | None = None,
    default_minutes: float | None = None,
) -> Length:
    """From the options of a verb; `default_minutes` where none is given. Raises ConfigError."""
    if budget is not None and minutes is not None:
        raise ConfigError("--budget and --minutes both say a time.", fix="Give one of them.")
    if all(value is None for value in (budget, minutes, steps, tokens, epochs)):
        minutes = default_minutes
    seconds = duration_s(budget) if budget is not None else None if minutes is None else 60 * minutes
    return Length(seconds, steps, tokens, epochs)
