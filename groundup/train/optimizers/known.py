"""The optimizers by name, and reading one from a table of fields."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainValidator

from groundup.config import build_config
from groundup.errors import ConfigError, did_you_mean
from groundup.train.optimizers.adamw import AdamW
from groundup.train.optimizers.muon import Muon
from groundup.train.optimizers.optimizer import Optimizer
from groundup.train.optimizers.sgd import SGD

OPTIMIZERS: dict[str, type[Optimizer]] = {each.name: each for each in (AdamW, Muon, SGD)}


def read_optimizer(value: object) -> Optimizer:
    """Return an optimizer from its fields, its name among them (none: AdamW), or from its name
    alone. Raises ConfigError.

    >>> read_optimizer("sgd"), read_optimizer({"learning_rate": 0.01}).name
    (SGD(name='sgd', learning_rate=0.002, weight_decay=0.1, momentum=0.9), 'adamw')
    """
    if isinstance(value, Optimizer):
        return value
    if not isinstance(value, str | Mapping):
        raise ConfigError(f"fit.optimizer must be a name or a table (got {value!r}).")
    fields: Mapping[str, Any] = {"name": value} if isinstance(value, str) else value
    return build_config(
        optimizer_class(fields.get("name", AdamW.name)), fields, where="fit.optimizer."
    )


def optimizer_class(name: object) -> type[Optimizer]:
    """Raises ConfigError for an unknown name."""
    kind = OPTIMIZERS.get(str(name))
    if kind is None:
        known = ", ".join(OPTIMIZERS)
        raise ConfigError(
            f"fit.optimizer.name must be one of {known} (got {str(name)!r}).",
            fix=did_you_mean(str(name), OPTIMIZERS),
        )
    return kind


AnyOptimizer = Annotated[Optimizer, PlainValidator(read_optimizer)]
"""The type of a config's field: pydantic reads the optimizer that its name says."""
