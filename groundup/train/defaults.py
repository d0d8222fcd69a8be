"""Defaults of pretraining by optimizer, measured on small models (docs/log.md).

`FitConfig`'s own defaults suit any training, fine-tuning too; these suit random initial weights. `benchmarks/pretrain.py` measures their gain.
"""

from collections.abc import Mapping
from typing import Any

from groundup.config import build_config
from groundup.train.config import FitConfig, OptimizerName

# Muon at AdamW's number of steps was 0.2 bits per byte better on quickstart, at 1.2 times the time a step.
OPTIMIZER: OptimizerName = "muon"
BY_OPTIMIZER: dict[OptimizerName, dict[str, Any]] = {
    "muon": {
        "learning_rate": 6e-3,  # of tables, head and vectors, which AdamW takes: 3e-3 to 1e-2 are level
        "muon_learning_rate": 0.015,  # 0.01 and 0.02 are a little behind
        "muon_momentum": 0.9,  # 0.85 is ahead for some hundred steps, 0.95 still behind after 1,200
        "beta2": 0.95,
        "schedule": "wsd",
        "min_learning_rate": 0.0,
    },
    "adamw": {},
    "sgd": {},
}


def pretraining_config(steps: int, fields: Mapping[str, Any] | None = None) -> FitConfig:
    """Return a config of `steps` steps with these `fields` and the chosen optimizer's defaults for the others. Raises ConfigError.

    >>> pretraining_config(100).optimizer, pretraining_config(100, {"optimizer": "adamw"}).learning_rate
    ('muon', 0.002)
    """
    given = {"steps": steps, "optimizer": OPTIMIZER, **(fields or {})}
    return build_config(FitConfig, {**BY_OPTIMIZER.get(given["optimizer"], {}), **given}, where="fit.")
