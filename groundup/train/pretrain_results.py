"""`PretrainResults`: what a pretraining run found, as results.json has it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from groundup.config import build_config
from groundup.errors import ConfigError, FormatError


@dataclass(frozen=True, kw_only=True)
class PretrainResults:
    """The results of a pretraining run."""

    train_loss: float
    """Of the last step, nats per token."""
    validation_loss: float
    """Nats per token, of the weights that are kept."""
    bits_per_byte: float
    """Of validation text, by which the weights were chosen."""
    figures: dict[str, float] = field(default_factory=dict)
    """Further figures of validation: bits_per_byte:SOURCE, TASK:METRIC."""
    steps: int
    """Skipped ones included."""
    skipped_steps: int
    rolled_back: int
    """How often the run was rolled back."""
    best_step: int | None
    """The step with the lowest validation loss."""
    tokens: int
    """Tokens read, repeats counted."""
    epochs: float
    packing: dict[str, Any] = field(default_factory=dict)
    """Figures of packed rows."""
    parameters: int
    precision: str
    muon_precision: str | None = None
    """None: another optimizer."""
    compiled: bool
    elapsed_s: float
    evaluation_s: float
    tokens_per_s: float
    """In the steps alone."""
    rescales: list[dict[str, Any]] = field(default_factory=list)
    """Changes of the number of steps (`step_schedule.Rescale`)."""
    threads: list[dict[str, Any]] = field(default_factory=list)
    """The number of threads from each step on (`step_schedule.Threads`)."""
    start: dict[str, Any] = field(default_factory=dict)
    """Of continued training: model, its weights' hash, and its figures before."""
    forgetting: dict[str, Any] = field(default_factory=dict)
    """What was measured before and after (`evaluate.comparison.forgetting`)."""
    sources: list[dict[str, Any]] = field(default_factory=list)
    """What was read of each source (`data.batches.mixture.SourceReading`)."""
    test: dict[str, Any] = field(default_factory=dict)
    """Loss, bits_per_byte and tokens of the test split."""
    actual: dict[str, float] = field(default_factory=dict)
    """The figures of a plan as measured (`monitor/plan_vs_actual.py`)."""
    planned: dict[str, Any] = field(default_factory=dict)
    """Those of the plan."""
    same_weights: bool | None = None
    """Of a reproduction: whether the weights are those of the run, byte for byte."""

    def to_json(self) -> dict[str, Any]:
        """Return the values of results.json: `figures` among the others, and nothing that is
        empty.
        """
        plain = asdict(self)
        figures = plain.pop("figures")
        first = {name: plain.pop(name) for name in LOSSES}
        kept = {
            name: value
            for name, value in plain.items()
            if name == "best_step" or value not in (None, [], {})
        }
        return {**first, **figures, **kept}


LOSSES = ("train_loss", "validation_loss", "bits_per_byte")


def read_pretrain_results(
    values: Mapping[str, Any], file: Path | str = "results.json"
) -> PretrainResults:
    """Return the results from the values of results.json. Raises FormatError."""
    known = {each.name for each in fields(PretrainResults)}
    figures = {name: value for name, value in values.items() if name not in known}
    own = {name: value for name, value in values.items() if name in known}
    try:
        return build_config(PretrainResults, {**own, "figures": figures})
    except ConfigError as error:
        raise FormatError(file, "results", error.message) from error
