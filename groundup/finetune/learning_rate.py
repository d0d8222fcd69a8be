"""The choice of a learning rate by the validation texts: a short run at each rate, in a folder of
its own, and the lowest validation loss.

The test texts play no part in it. A stopped choice is resumed: finished runs are only read.
"""

import shutil
from collections.abc import Callable, Sequence
from typing import Any

from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.train.loop import FitResult

RATES_FOLDER = "learning-rates"


def choose_learning_rate(
    train: Callable[[float, RunFolder], FitResult],
    run: RunFolder,
    progress: Progress,
    rates: Sequence[float],
) -> list[dict[str, Any]]:
    """Return the rates with the step and the validation loss of their best evaluation, the best
    rate first.
    """
    tried: list[dict[str, Any]] = []
    for rate in rates:
        state = train(rate, RunFolder(run.path / RATES_FOLDER / f"{rate:g}")).state
        tried.append(
            {
                "learning_rate": rate,
                "best_step": state.best_step,
                "validation_loss": state.best_loss,
            }
        )
    tried.sort(key=lambda each: each["validation_loss"])
    listed = ", ".join(
        f"{each['learning_rate']:g} ({each['validation_loss']:.4f})" for each in tried
    )
    progress.say(f"Learning rate chosen by the loss on the validation texts, best first: {listed}.")
    return tried


def remove_runs(run: RunFolder) -> None:
    """Remove the folders of the choice."""
    shutil.rmtree(run.path / RATES_FOLDER, ignore_errors=True)
