"""The learning rate as a pure function of the place in the schedule: a straight rise, then down.

cosine   half a cosine from the highest to the lowest (Loshchilov & Hutter 2017, eq. 5, one cycle)
wsd      warm-up, stable, decay: the highest rate for most of the run, then straight down (Hu et al. 2024, "MiniCPM", section 4;
         Hägele et al. 2024: as good as a cosine with a decay over a fifth of the steps). A checkpoint of the stable part suits a run of any length.
"""

import math

from groundup.train.config import FitConfig


def learning_rate(step: int | float, config: FitConfig) -> float:
    """The learning rate of the update that leads from `step` to `step + 1` (0 <= step < config.steps).

    The rise ends at the highest rate in the last step of the warm-up; the last step of all has the lowest. Where a run's number of steps was
    changed on its way (`step_schedule.py`), a step may lie between two.
    """
    if step + 1 <= config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    falls_from = config.steps - config.decay if config.schedule == "wsd" else config.warmup
    way = (step - falls_from) / max(1, config.steps - 1 - falls_from)  # 0 .. 1; wsd: below 0 before the decay
    way = max(0.0, min(1.0, way))
    low, high = config.lowest_learning_rate, config.learning_rate
    if config.schedule == "wsd":
        return low + (high - low) * (1 - way)
    # eq. 5: low + (high - low) (1 + cos(pi way)) / 2
    return low + (high - low) * (1 + math.cos(math.pi * way)) / 2
