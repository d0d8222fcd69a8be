"""The learning rate as a pure function of the step: a straight rise, then half a cosine down (Loshchilov & Hutter 2017, eq. 5, one cycle)."""

import math

from groundup.train.config import FitConfig


def learning_rate(step: int, config: FitConfig) -> float:
    """The learning rate of the update that leads from `step` to `step + 1` (0 <= step < config.steps).

    The rise ends at the highest rate in the last step of the warm-up; the last step of all has the lowest.
    """
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    low, high = config.lowest_learning_rate, config.learning_rate
    way = (step - config.warmup) / max(1, config.steps - 1 - config.warmup)  # 0 .. 1
    # eq. 5: low + (high - low) (1 + cos(pi way)) / 2
    return low + (high - low) * (1 + math.cos(math.pi * min(1.0, way))) / 2
