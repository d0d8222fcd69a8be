"""The start and the end of a training run's folder, the same for pretraining and fine-tuning.
run.json (config and inputs) is written before the first step, the model, results.json and last the
manifest at the end: with it a run is finished.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from groundup.errors import ConfigError, FormatError
from groundup.files import MANIFEST, TMP_PREFIX, json_bytes, write_manifest
from groundup.model.heads import Classifier, LanguageModel
from groundup.progress import Progress
from groundup.runs import LOGS, RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.checkpoint.identity import FRESH, changed_fields
from groundup.train.checkpoint.state import load_weights, step_folder
from groundup.train.loop import FitResult
from groundup.train.steps.config import decisive_fields
from groundup.weights.decision_rule import DecisionRule
from groundup.weights.model_io import ModelCard, save_model
from groundup.weights.stacked import Stacked

# Parts of a run folder with manifests of their own, or changed afterwards.
APART = ("checkpoints", "data", LOGS, "packed", "prepared.json", "shards", "snapshots", "tokenizer")


def claim_folder(
    run: RunFolder, *, kind: str = "", fresh: bool = False, also: Sequence[str] = ()
) -> None:
    """Check that the folder may be written to; with `fresh` remove what an earlier run left. `also`
    names what may lie in it before run.json, and is removed too. Raises ConfigError where it has
    other files and no run, or without `fresh` a run of another `kind`.
    """
    if kind and not fresh and run.run_file.exists():
        found = run.read_run().get("kind")
        if found not in (None, kind):
            fix = "Choose another folder for `out`, or `fresh` to start again in this one."
            message = f"{run.path} holds a run of the kind {found}, expected {kind}."
            raise ConfigError(message, fix=fix)
    if run.path.exists() and not run.run_file.exists():
        others = [
            p.name
            for p in sorted(run.path.iterdir())
            if p.name not in also and not p.name.startswith(TMP_PREFIX)
        ]
        if others:
            raise ConfigError(
                f"{run.path} has files in it ('{others[0]}') but is not a run.",
                fix="Choose another folder for `out`.",
            )
    if fresh:
        run.clear()
        for path in (run.path / name for name in also):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def begin_or_finished(
    run: RunFolder,
    kind: str,
    config: dict[str, Any],
    inputs: dict[str, Any],
    require_same: Callable[[], None] | None = None,
) -> dict[str, Any] | None:
    """results.json of this very run if it is finished, else None; run.json is then written.
    `require_same` raises ConfigError for another run; None: when its run.json differs. Raises
    FormatError when a finished run was altered.
    """
    finished = (run.path / MANIFEST).exists()
    if finished:
        run.require_whole()
    if not run.run_file.exists():
        run.create(kind, config, inputs)
    elif require_same is not None:
        require_same()
    else:
        _require_same(run, kind, config, inputs)
    return run.read_results() if finished else None


def _require_same(
    run: RunFolder, kind: str, config: dict[str, Any], inputs: dict[str, Any]
) -> None:
    """Refuse a folder whose run.json differs."""
    before = run.read_run()
    was, read = (before.get(name) or {} for name in ("config", "inputs"))
    if not isinstance(was, dict) or not isinstance(read, dict):
        raise FormatError(run.run_file, "config, inputs", "are not tables", fix=FRESH)
    now = json.loads(json_bytes(config))  # lists for tuples
    found = changed_fields(
        {"kind": before.get("kind"), **decisive_fields(was)},
        {"kind": kind, **decisive_fields(now)},
    )
    others = [name for name in sorted({**read, **inputs}) if read.get(name) != inputs.get(name)]
    if others:
        found.append(f"inputs ({', '.join(others)})")  # hashes say nothing to people
    if found:
        raise ConfigError(f"{run.path} holds another run: {'; '.join(found)}.", fix=FRESH)


def load_best(
    model: nn.Module,
    fitted: FitResult,
    run: RunFolder,
    progress: Progress,
    measured: str = "Validation loss",
) -> bool:
    """Load the weights with the lowest validation loss, unless they are the last; whether it
    did. `measured`: its name.
    """
    best = fitted.state.best_step
    if best is None or best == fitted.steps:
        return False
    load_weights(model, step_folder(run.checkpoints, best))
    loss = fitted.state.best_loss
    when = f"after step {best} of {fitted.steps}" if best else "before the first step"
    progress.say(f"{measured} was lowest {when} ({loss:.3f}): those weights are kept.")
    return True


def with_figures(card: ModelCard | None, figures: Mapping[str, str]) -> ModelCard | None:
    if card is None:
        return None
    return dataclasses.replace(card, figures={**card.figures, **figures})


def finish(
    run: RunFolder,
    model: LanguageModel | Classifier,
    tokenizer: Tokenizer,
    results: dict[str, Any],
    card: ModelCard | None,
    labels: tuple[str, ...] = (),
    decision: DecisionRule | None = None,
    stacked: Stacked | None = None,
) -> None:
    if card is not None:
        card = dataclasses.replace(card, labels=labels)
    save_model(
        model, run.path, tokenizer, labels=labels, decision=decision, stacked=stacked, card=card
    )
    write_finished(run, results)


def write_finished(run: RunFolder, results: dict[str, Any]) -> None:
    """Results, then the manifest: killed in between, the run counts as unfinished and not as
    altered.
    """
    (run.path / MANIFEST).unlink(missing_ok=True)
    run.write_results(results)
    write_manifest(run.path, skip=APART)
