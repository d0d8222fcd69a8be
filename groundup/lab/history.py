"""A model as it was on its way: the snapshots of its run one after another or, where it has fewer than two, its checkpoints.

    for moment in moments(opened, progress):      oldest first
        moment.step, moment.model

Every byte is checked against its manifest. One that can't be read is passed over, and said: the others still show how it went.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from groundup.device import Compute
from groundup.errors import DataError, FormatError
from groundup.files import verify_folder
from groundup.lab.vectors import Model
from groundup.progress import Progress
from groundup.runs import RunFolder, read_lines, step_folders
from groundup.weights.hf import WEIGHTS_FILE
from groundup.weights.model_io import OpenModel, open_model
from groundup.weights.safetensors_header import read_header

MIN_COUNT = 2
HOW = "Train one that keeps them: groundup pretrain TEXTS --out RUN --set fit.snapshots=16"


@dataclass(frozen=True)
class Moment:
    """The model after `step` updates of its weights."""

    step: int
    model: Model


def kept_steps(opened: OpenModel) -> list[tuple[int, Path]]:
    """Step and folder of what the run behind a model kept of its way. Raises DataError where that is no way to speak of."""
    run = RunFolder(opened.path)
    if not run.run_file.is_file():
        raise DataError(f"{opened.path.name} has no training run behind it: nothing tells how it learned.", fix=HOW)
    snapshots = step_folders(run.snapshots)
    whole = run.read_run().get("kind") == "pretrain"  # a fine-tuning's checkpoints hold a part of the model
    checkpoints = step_folders(run.checkpoints) if whole else []
    found = snapshots if len(snapshots) >= MIN_COUNT else checkpoints
    if len(found) < MIN_COUNT:
        raise DataError(
            f"The run {opened.path.name} kept {len(snapshots)} snapshots and {len(checkpoints)} checkpoints; "
            f"to see it learn takes at least {MIN_COUNT} of them.",
            fix=HOW,
        )
    return found


def moments(opened: OpenModel, progress: Progress) -> Iterator[Moment]:
    """The model at each kept step, oldest first, one in memory at a time. Raises DataError where there are fewer than two that hold."""
    found = kept_steps(opened)
    held = 0
    with progress.track("film", len(found), "steps") as advance:
        for step, folder in found:
            try:
                model = _read(opened, folder)
            except FormatError as error:
                progress.say(f"Step {step} is passed over: {error.message}.")
            else:
                held += 1
                yield Moment(step, model)
            advance(1, f"step {step}")
    if held < MIN_COUNT:
        raise DataError(f"Of the {len(found)} steps that {opened.path.name} kept, {held} can be read.", fix=HOW)


def training_losses(opened: OpenModel) -> dict[int, float]:
    """Loss of every step in the run's log, nats a token."""
    lines = (line for line in read_lines(RunFolder(opened.path).metrics_file) if "event" not in line)
    figures = ((line.get("step"), line.get("loss")) for line in lines)
    return {step: float(loss) for step, loss in figures if isinstance(step, int) and isinstance(loss, int | float)}


def _read(opened: OpenModel, folder: Path) -> Model:
    """A snapshot is a model folder, a checkpoint holds the weights that train. Raises FormatError."""
    if folder.parent == RunFolder(opened.path).snapshots:
        model = open_model(folder, Compute(opened.model.transformer.embedding.weight.device)).model
        if model.config != opened.config:
            raise FormatError(folder, "config.json", "is another model's")
        return model
    verify_folder(folder)
    file, model = folder / WEIGHTS_FILE, copy.deepcopy(opened.model)
    read_header(file)
    try:
        model.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError) as error:
        raise FormatError(file, "tensors", "are not those of the whole model") from error
    return model
