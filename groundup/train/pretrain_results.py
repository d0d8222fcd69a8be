"""`PretrainResults`: what a pretraining run found, as results.json has it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from groundup.config import build_config
from groundup.errors import ConfigError, FormatError


@dataclass(frozen=True, kw_only=True)
class PretrainResults:
    train_loss: float
    """Of the last step, nats per token."""
    validation_loss: float
    """Nats per token, of the weights that are kept."""
    bits_per_byte: float
    figures: dict[str, float] = field(default_factory=dict)
    """Further figures of validation: bits_per_byte:SOURCE, TASK:METRIC."""
    steps: int
    """Skipped ones included."""
    skipped_steps: int
    rolled_back: int
    best_step: int | None
    tokens: int
    """Tokens read, repeats counted."""
    epochs: float
    packing: dict[str, Any] = field(default_factory=dict)
    parameters: int
    precision: str
    muon_precision: str | None = None
    compiled: bool
    elapsed_s: float
    evaluation_s: float
    tokens_per_s: float
    """In the steps alone."""
    rescales: list[dict[str, Any]] = field(default_factory=list)
    threads: list[dict[str, Any]] = field(default_factory=list)
    start: dict[str, Any] = field(default_factory=dict)
    """Of continued training: model, its weights' hash, and its figures before."""
    forgetting: dict[str, Any] = field(default_factory=dict)
    """`evaluate.comparison.forgetting`."""
    sources: list[dict[str, Any]] = field(default_factory=list)
    """`data.batches.mixture.SourceReading`."""
    test: dict[str, Any] = field(default_factory=dict)
    test_openings: int = 0
    """How often this test split was opened on this machine, with this run (`data.test_openings`);
    0: not known.
    """
    actual: dict[str, float] = field(default_factory=dict)
    """The figures of a plan as measured."""
    planned: dict[str, Any] = field(default_factory=dict)
    same_weights: bool | None = None
    """Of a reproduction."""

    def to_json(self) -> dict[str, Any]:
        """`figures` among the others, and nothing that is empty."""
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
    """From the values of results.json. Raises FormatError."""
    known = {each.name for each in fields(PretrainResults)}
    figures = {name: value for name, value in values.items() if name not in known}
    own = {name: value for name, value in values.items() if name in known}
    try:
        return build_config(PretrainResults, {**own, "figures": figures})
    except ConfigError as error:
        raise FormatError(file, "results", error.message) from error


# name in a plan's figures -> (words, unit's divisor, format)
FIGURES = {
    "minutes": ("minutes", 1, ".1f"),
    "memory_bytes": ("memory, GB", 1e9, ".2f"),
    "tokens_per_s": ("tokens per second", 1, ",.0f"),
    "bits_per_byte": ("validation bits per byte", 1, ".3f"),
}


def planned_and_actual(planned: dict[str, Any], actual: dict[str, float]) -> list[list[str]]:
    """Rows of name, planned, actual, difference; a figure that was not planned is left out."""
    rows = []
    for name, (words, divisor, form) in FIGURES.items():
        before, after = planned.get(name), actual.get(name)
        if isinstance(before, int | float) and isinstance(after, int | float) and before > 0:
            cells = [format(value / divisor, form) for value in (before, after)]
            rows.append([words, *cells, f"{100 * (after / before - 1):+.0f} %"])
    return rows


def card_figures(results: PretrainResults) -> dict[str, str]:
    test = results.test
    on_test = {}
    if test:
        name = f"test bits per byte, on {test['tokens']:,} tokens"
        on_test = {name: f"{test['bits_per_byte']:.3f}"}
    return {
        **on_test,
        "validation bits per byte, by which the weights were chosen": (
            f"{results.bits_per_byte:.3f}"
        ),
        "validation loss, nats per token": f"{results.validation_loss:.3f}",
        "tokens read": f"{results.tokens:,}",
    }
