"""Reproduction of a pretraining run from its folder alone: the same shape, config, tokens and
arithmetic, into another folder. A run with a time budget (`time_budget.py`) changes its number of
steps by the clock, and its number of threads (`step_callbacks.py`); the reproduction makes the same
changes at the same steps.

On the same machine with the same packages and number of threads the weights are the same, byte for
byte; `same_weights` compares them.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from groundup.config import build_config
from groundup.data.batches.shards import TABLE_FILE, open_shards
from groundup.device import Compute
from groundup.errors import ConfigError, FormatError
from groundup.files import sha256_file
from groundup.model.config import ModelConfig
from groundup.planning.corpus import PREPARED, SHARDS
from groundup.progress import Progress
from groundup.runs import RunFolder, step_folders
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer
from groundup.train.checkpoint.identity import (
    machine,
    machine_changes,
    read_record,
    with_muon_precision,
)
from groundup.train.checkpoint.state import read_state
from groundup.train.monitor.time_budget import StepControl
from groundup.train.pretrain import PretrainInputs, pretrain
from groundup.train.pretrain_results import PretrainResults
from groundup.train.run_lifecycle import claim_folder
from groundup.train.starting_model import StartingModel, starting_model
from groundup.train.steps.config import Compile, FitConfig
from groundup.train.steps.process_group import SINGLE_PROCESS, ProcessGroup
from groundup.train.steps.step_schedule import Rescale, Threads
from groundup.weights.card import ModelCard
from groundup.weights.hf import WEIGHTS_FILE

T = TypeVar("T", Rescale, Threads)


@dataclass(frozen=True)
class Reproduction:
    """Everything that a run was trained from."""

    inputs: PretrainInputs
    """Precisions and compilation are those that were measured for the run, not measured again."""
    rescales: tuple[Rescale, ...]
    """Changes of its number of steps."""
    threads: tuple[Threads, ...]
    """The number of threads from each step on; none on a GPU."""
    changes: tuple[str, ...]
    """Differences between the machines, one phrase each; they may change the last bits."""


def reproduce(
    run: RunFolder,
    out: RunFolder,
    compute: Compute,
    progress: Progress,
    *,
    fresh: bool,
    group: ProcessGroup = SINGLE_PROCESS,
) -> PretrainResults:
    """Train as `run` was trained, into `out`; the results say whether the weights are the same.

    Raises ConfigError where `out` is the run itself or has files of others, and what `parts_of`
    raises.
    """
    if out.path.resolve() == run.path.resolve():
        raise ConfigError(f"{out.path} is the run itself.", fix="Choose another folder for `out`.")
    made = parts_of(run, compute, group)
    group.first(lambda: claim_folder(out, fresh=fresh, also=PREPARED))
    if made.changes:
        changes = ", ".join(made.changes)
        progress.say(
            f"note: this machine differs from that of the run ({changes}): "
            "the last bits may differ."
        )
    results = pretrain(
        made.inputs,
        out,
        compute=compute,
        progress=progress,
        card=_card(run, out, made.inputs.start),
        group=group,
        control=StepControl(rescales=made.rescales, threads=made.threads),
    )
    same = group.first(lambda: same_weights(run, out))
    if same is not None:
        words = "identical" if same else "NOT identical"
        progress.say(f"The weights are {words} to those of {run.path}, byte for byte.")
    return dataclasses.replace(results, same_weights=same)


def _card(run: RunFolder, out: RunFolder, start: StartingModel | None) -> ModelCard:
    name, other = out.path.resolve().name, run.path.resolve().name
    if start is None:
        return ModelCard(name, f"Trained from random weights, as {other} was.")
    summary = f"Continued training of {start.base}, as {other} was."
    if start.cut_from:
        summary = f"Cut from {start.cut_from} and trained, as {other} was."
    return ModelCard(name, summary, base=start.base, license=start.license)


def parts_of(
    run: RunFolder, compute: Compute, group: ProcessGroup = SINGLE_PROCESS
) -> Reproduction:
    """Read a run's folder.

    Raises ConfigError (no pretraining run, or its data have changed) and FormatError (damaged).
    """
    inputs, config = _inputs_and_config(run)
    shards = open_shards(_shards_folder(run, inputs))
    beside = (run.path / TOKENIZER_FILE).is_file()
    tokenizer = Tokenizer.load(run.path if beside else shards.folder.parent)
    for name, found in (("shards", shards.fingerprint), ("tokenizer", tokenizer.fingerprint)):
        known = inputs.get(name)
        if known != found:
            raise ConfigError(
                f"{run.path} was trained with other {name} ({str(known)[:12]}, now {found[:12]}).",
                fix="Restore what it was trained with; without it the run can't be reproduced.",
            )
    fit, shape = (
        build_config(FitConfig, config["fit"], where="fit."),
        build_config(ModelConfig, config["model"], where="model."),
    )
    before = now = machine(compute, fit, group)
    fitted = read_record(run)
    if fitted is not None:
        before = fitted["machine"]
        compile: Compile = "on" if fitted["compiled"] else "off"
        fit = dataclasses.replace(fit, precision=fitted["precision"], compile=compile)
        fit = with_muon_precision(fit, fitted)
    rescales, threads = recorded_changes(run)
    if threads and compute.thread_counts:  # they are set as they were
        now["threads"] = before["threads"]
    changes = machine_changes(before, now)
    made = PretrainInputs(shards, tokenizer, shape, fit, _start(run, inputs))
    return Reproduction(made, rescales, threads, tuple(changes))


def recorded_changes(run: RunFolder) -> tuple[tuple[Rescale, ...], tuple[Threads, ...]]:
    """The changes of steps and of threads, from the results of a finished run or the newest
    checkpoint. Raises FormatError.
    """
    if not run.results_file.is_file():
        checkpoints = step_folders(run.checkpoints)
        if not checkpoints:
            return (), ()
        state = read_state(checkpoints[-1][1])
        return tuple(state.rescales), tuple(state.threads)
    results = run.read_results()
    threads = _read_list(run, results, "threads", Threads)
    if threads and threads[0].step != 0:
        raise FormatError(run.results_file, "threads", "does not begin with the first step's")
    return _read_list(run, results, "rescales", Rescale), threads


def _read_list(run: RunFolder, results: dict[str, Any], name: str, kind: type[T]) -> tuple[T, ...]:
    """A list of tables in results.json; empty where it is missing. Raises FormatError."""
    found = results.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise FormatError(run.results_file, name, "is not a list of tables")
    try:
        return tuple(build_config(kind, each) for each in found)
    except ConfigError as error:
        raise FormatError(run.results_file, name, error.message) from error


def _inputs_and_config(run: RunFolder) -> tuple[dict[str, Any], dict[str, Any]]:
    """Raises ConfigError, FormatError."""
    if not run.run_file.is_file():
        raise ConfigError(f"{run.path} is not a run: it has no {run.run_file.name}.")
    record = run.read_run()
    if record.get("kind") != "pretrain":
        raise ConfigError(
            f"{run.path} is a run of kind '{record.get('kind')}', expected 'pretrain'."
        )
    inputs, config = record.get("inputs"), record.get("config")
    parts = [config.get(name) for name in ("fit", "model")] if isinstance(config, dict) else []
    if not parts or not all(isinstance(table, dict) for table in (inputs, *parts)):
        raise FormatError(run.run_file, "inputs, config", "are not the tables of a pretraining run")
    assert isinstance(inputs, dict) and isinstance(config, dict)
    return inputs, config


def _start(run: RunFolder, inputs: dict[str, Any]) -> StartingModel | None:
    """Return the model whose training was continued.

    Raises ConfigError where it has other weights now.
    """
    known = inputs.get("start")
    if not isinstance(known, dict):
        return None
    found = starting_model(str(known.get("model")))
    if "cut_from" in known:
        found = dataclasses.replace(found, cut_from=str(known["cut_from"]))
    if found.weights != known.get("weights"):
        raise ConfigError(
            f"{run.path} went on with {found.name}, whose weights are not the same now.",
            fix="Restore that model; without it the run can't be reproduced.",
        )
    return found


def _shards_folder(run: RunFolder, inputs: dict[str, Any]) -> Path:
    """Return the run's own shards, or the folder that it was given. Raises ConfigError."""
    known = [run.path / SHARDS, Path(str(inputs.get("folder", run.path / SHARDS)))]
    for folder in known:
        if (folder / TABLE_FILE).is_file():
            return folder
    raise ConfigError(
        f"The shards that {run.path} was trained on are missing: they were in {known[-1]}."
    )


def same_weights(run: RunFolder, other: RunFolder) -> bool | None:
    """Whether the weight files of two runs are the same, byte for byte; None where one has no
    model.
    """
    files = [folder.path / WEIGHTS_FILE for folder in (run, other)]
    if not all(file.is_file() for file in files):
        return None
    return sha256_file(files[0]) == sha256_file(files[1])
