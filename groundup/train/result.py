"""What a run of `fit()` came to."""

from dataclasses import dataclass

from groundup.train.checkpoint.state import TrainState
from groundup.train.config import FitConfig, Precision
from groundup.train.step_schedule import Rescale, Threads


@dataclass(frozen=True)
class FitResult:
    """What a run came to."""

    steps: int
    tokens: int
    """Tokens (or texts) whose loss was counted."""
    last_loss: float
    """Training loss of the last step, nats a token."""
    evaluation: dict[str, float]
    """Figures of the last evaluation; {} where there is none."""
    best_step: int | None
    """The step with the lowest validation loss, whose weights `RUN/checkpoints/step-N` holds."""
    best_loss: float | None
    elapsed_s: float
    """Seconds inside fit(), restarts added up."""
    tokens_per_s: float
    """In the steps alone."""
    precision: Precision
    muon_precision: Precision | None
    """In which Muon orthogonalised; None: another optimizer."""
    evaluation_s: float
    """Seconds of its evaluations and samples, which are among the elapsed."""
    compiled: bool
    skipped: int
    """Steps that changed nothing, for their loss or gradient was no number or a spike."""
    rolled_back: int
    """How often it went back to earlier weights, for its loss had risen."""
    turns: tuple[Rescale, ...]
    """Where its number of steps was changed, to keep a time."""
    threads: tuple[Threads, ...]
    """By how many threads its steps were computed: the first number, then each change."""


def fit_result(state: TrainState, precision: Precision, config: FitConfig, *, compiled: bool) -> FitResult:
    """The figures that a run stands at; it has done a step."""
    assert state.last_loss is not None
    return FitResult(
        steps=state.step,
        tokens=state.tokens,
        last_loss=state.last_loss,
        evaluation=state.evaluation,
        best_step=state.best_step,
        best_loss=state.best_loss,
        elapsed_s=state.elapsed_s,
        tokens_per_s=state.tokens / max(state.training_s, 1e-9),
        precision=precision,
        muon_precision=config.muon_precision if config.optimizer == "muon" else None,
        evaluation_s=state.evaluation_s,
        compiled=compiled,
        skipped=state.skipped,
        rolled_back=state.rolled_back,
        turns=tuple(state.turns),
        threads=tuple(state.threads),
    )
