"""A build: the stages of a recipe in order, each once; an interrupted build continues where it
stopped.

A stage's key is the hash of its version, its part of the recipe, the seed, the budget (where it
counts), and the content of what it reads from outside and from other stages. What is done under the
same key is left alone, after every hash of its manifest was checked. build.json has what is done so
far (`runs.BuildResults`), build.log what the stages said; no result depends on it.
"""

import gc
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from groundup.actions.world import WORLD_FILE
from groundup.device import Compute, choose_threads, peak_memory_bytes, release_memory
from groundup.errors import ConfigError, FormatError, GroundupError
from groundup.files import MANIFEST, disk_errors, sha256_file, verify_folder, write_text
from groundup.locks import only_one, remove_temporaries
from groundup.progress import Advance, Progress, StageProgress, stage_of
from groundup.recipes.recipe import Recipe, write_recipe
from groundup.recipes.stage import Stage, StageContext, stage_seconds
from groundup.runs import (
    BUILD_FILE,
    RECIPE_FILE,
    BuildResults,
    BuiltStage,
    provenance,
    read_build,
)

LOG_FILE = "build.log"
# How a training run says that it was stopped and saved (train/loop.py).
STOPPED = "Stopped after "


class LoggedStage:
    """The Progress of a stage: what it says goes into the log, too."""

    def __init__(self, shown: StageProgress, log: Path, title: str) -> None:
        self._shown, self._log, self._last = shown, log, ""
        self._write(title)

    def say(self, text: str) -> None:
        self._last = text.strip()
        self._write(text)
        self._shown.say(text)

    def track(self, what: str, total: float, unit: str = "") -> AbstractContextManager[Advance]:
        return self._shown.track(what, total, unit)

    def end(self, result: str) -> None:
        self._write(f"      {result}")
        self._shown.end(result)

    @property
    def stopped_after(self) -> str:
        """Where a stopped training run has saved its state: "after step 3 of 50"."""
        if not self._last.startswith(STOPPED):
            return ""
        return self._last.removeprefix("Stopped ").partition(",")[0]

    def _write(self, text: str) -> None:
        with (
            disk_errors(self._log),
            self._log.open("a", encoding="utf-8", errors="backslashreplace") as log,
        ):
            log.write(f"{time.strftime('%H:%M:%S')} {text}\n")


@contextmanager
def logged_stage(progress: Progress, out: Path, title: str) -> Iterator[LoggedStage]:
    with stage_of(progress, title) as shown:
        yield LoggedStage(shown, out / LOG_FILE, title)


def build(
    recipe: Recipe,
    out: Path,
    stages: Sequence[Stage],
    *,
    compute: Compute,
    progress: Progress,
    fresh: bool = False,
    redo: Sequence[str] = (),
) -> BuildResults:
    """Run `stages` into `out`, those that are done only where `redo` names them; `fresh` removes
    what an earlier build left.

    Raises whatever a stage raises; finished stages are kept.
    """
    names = [stage.name for stage in stages]
    for name in redo:
        if name not in names:
            raise ConfigError(f"There is no stage '{name}'.", fix=f"Stages: {', '.join(names)}.")
    with only_one(out):
        if fresh and (out / BUILD_FILE).exists():  # else nothing in it is a build's to remove
            for name in names:
                shutil.rmtree(out / name, ignore_errors=True)
            (out / BUILD_FILE).unlink()
        remove_temporaries(out)
        kept = {
            name: built
            for name, built in read_stages(out).items()
            if name in names and name not in redo
        }
        write_text(out / RECIPE_FILE, write_recipe(recipe))
        made_by = provenance()
        made_by = replace(made_by, machine={**made_by.machine, **compute.arithmetic()})
        results = BuildResults(
            **asdict(made_by),
            recipe=recipe.name,
            description=recipe.description,
            seed=recipe.seed,
            budget_s=recipe.budget_s,
            kinds={stage.name: stage.kind or stage.name for stage in stages},
            stages=kept,
            recipe_sha256=sha256_file(out / RECIPE_FILE),
        )
        return _Build(recipe, out, stages, results, compute, progress).run()


# A stage has at least this part of its share of the budget, however long the others took: with
# less, nothing is learned.
MIN_SHARE = 1 / 2


def read_stages(out: Path) -> dict[str, BuiltStage]:
    """Return the stages that an earlier build has begun. Raises ConfigError where `out` holds
    something else, FormatError.
    """
    if (out / BUILD_FILE).exists():
        return dict(read_build(out).stages)
    if any(
        entry.name not in (RECIPE_FILE, LOG_FILE) and not entry.name.startswith((".", WORLD_FILE))
        for entry in out.iterdir()
    ):
        raise ConfigError(
            f"{out} has files in it but is not a build.", fix="Choose another folder."
        )
    return {}


@dataclass
class _Build:
    """A build in progress; `results` is the content of its build.json."""

    recipe: Recipe
    out: Path
    stages: Sequence[Stage]
    results: BuildResults
    compute: Compute
    progress: Progress

    def run(self) -> BuildResults:
        started, budget_s = time.monotonic(), self.recipe.budget_s
        spent_s, left = 0.0, sum(stage.share for stage in self.stages)
        for number, stage in enumerate(self.stages, start=1):
            spare_s = budget_s - spent_s - MIN_SHARE * (left - stage.share) * budget_s
            planned_s = stage.share * budget_s
            if stage.sized_by_budget:
                given = stage_seconds(self.stages[number - 1 :], budget_s - spent_s)
                planned_s = max(MIN_SHARE * planned_s, given[stage.name])
            self.show(stage, number, planned_s, spare_s)
            spent_s += self.results.stages[stage.name].elapsed_s
            left -= stage.share
        self.results = replace(self.results, total_s=round(time.monotonic() - started, 1))
        self.results.write(self.out)
        return self.results

    def record(self, stage: Stage, built: BuiltStage) -> None:
        self.results = replace(self.results, stages={**self.results.stages, stage.name: built})
        self.results.write(self.out)

    def show(self, stage: Stage, number: int, planned_s: float, spare_s: float) -> None:
        """Run a stage unless it is done, shown as one line; where it is stopped, that is said."""
        columns, of = max(len(each.name) for each in self.stages), len(self.stages)
        shown: LoggedStage | None = None
        try:
            title = f"[{number}/{of}] {stage.name.ljust(columns)}"
            with logged_stage(self.progress, self.out, title) as shown:
                line = self.run_or_skip(stage, shown, planned_s, spare_s)
                spent_s = self.results.stages[stage.name].elapsed_s
                shown.end(f"{spent_s:4.0f} s  {line}")
        except (KeyboardInterrupt, SystemExit):
            after = ""
            if shown and shown.stopped_after:
                after = f" {shown.stopped_after}"
            kept = "what is done is kept, and the same command goes on from there"
            self.progress.say(f"Stopped in {stage.name} (stage {number} of {of}){after}: {kept}.")
            raise

    def run_or_skip(self, stage: Stage, shown: Progress, planned_s: float, spare_s: float) -> str:
        """Run a stage unless it is done under the same key; returns its line."""
        parts = key_parts(stage, self.recipe, self.results)
        if self.compute.fixed_choices:
            parts["choices"] = "fixed"
        key = digest(parts)
        built = self.results.stages.get(stage.name)
        if built is not None and built.key == key:
            if built.status == "done":
                check_unaltered(stage, self.out, built)
                return f"{built.line} (as before)"
            return self._run(stage, built, shown, spare_s)
        if built is not None:
            shown.say(f"      run again: {changed_parts(built.key_parts, parts)} changed")
        shutil.rmtree(self.out / stage.name, ignore_errors=True)
        built = BuiltStage(key, parts, planned_s=round(planned_s, 1))
        return self._run(stage, built, shown, spare_s)

    def _run(self, stage: Stage, built: BuiltStage, shown: Progress, spare_s: float) -> str:
        """Run a stage from its start or from where it was stopped, in the time planned then."""
        built = replace(built, status="running")
        choose_threads(self.compute)
        self.record(stage, built)
        context = StageContext(
            self.out / stage.name,
            self.out,
            self.recipe,
            built.planned_s,
            self.compute,
            shown,
            built.sizes,
            lambda: self.record(stage, built),
            spare_s,
        )
        started, trained_s = time.monotonic(), 0.0
        try:
            result = stage.run(context)
            # a run knows its time before a `kill -9`, of which nothing was recorded here
            trained_s = float(result.facts.get("elapsed_s", 0.0))
            done = replace(
                built,
                status="done",
                line=result.line,
                facts=result.facts,
                thin=result.thin,
                outputs_sha256=output_hashes(stage, self.out),
            )
        except BaseException as error:
            done = replace(built, status="stopped", line="stopped before its end")
            if isinstance(error, GroundupError):
                done = replace(built, status="failed", line=str(error))
            raise
        finally:
            elapsed_s = max(built.elapsed_s + time.monotonic() - started, trained_s)
            peak_bytes = peak_memory_bytes()
            done = replace(done, elapsed_s=round(elapsed_s, 1), peak_memory_bytes=peak_bytes)
            self.record(stage, done)
            gc.collect()
            release_memory()  # what a training run freed is kept for its next step (`train.loop.fit`)
        return result.line


def key_parts(stage: Stage, recipe: Recipe, results: BuildResults) -> dict[str, object]:
    """Return everything that a stage's result depends on, by name."""
    budget_s = None
    if stage.sized_by_budget:
        budget_s = recipe.budget_s
    return {
        "version": stage.version,
        "recipe": digest(recipe.table(stage.name).key()),
        "seed": recipe.seed,
        "budget": budget_s,
        "outside": dict(stage.outside(recipe)),
        "inputs": {name: results.stages[name].outputs_sha256 for name in stage.needs},
    }


def changed_parts(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Return the names of the parts that differ: "its part of the recipe and its inputs"."""
    words = {
        "version": "the stage's code",
        "recipe": "its part of the recipe",
        "seed": "the seed",
        "budget": "the budget",
        "outside": "what it reads",
        "inputs": "the stage before it",
        "choices": "fixed_choices",
    }
    return " and ".join(words[name] for name in words if before.get(name) != now.get(name))


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def output_hashes(stage: Stage, out: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that later stages read, by its name in the build."""
    root, known = out, {}
    if stage.has_folder:
        root = out / stage.name
        entries = verify_folder(root, hashes=False)
        known = {root / name: entry["sha256"] for name, entry in entries.items()}
    found = {file for pattern in stage.outputs for file in root.glob(pattern) if file.is_file()}
    files = sorted(file for file in found if file.name != MANIFEST)
    return {
        file.relative_to(out).as_posix(): known.get(file) or sha256_file(file) for file in files
    }


def check_unaltered(stage: Stage, out: Path, built: BuiltStage) -> None:
    """Raises FormatError; its fix is to run the stage again."""
    try:
        if stage.has_folder:
            verify_folder(out / stage.name)
        elif output_hashes(stage, out) != built.outputs_sha256:
            raise FormatError(out / stage.outputs[0], "sha256", "differs from what the build made")
    except FormatError as error:
        fix = f"Make it again with `redo` {stage.name}, or put the file back."
        raise FormatError(error.file, error.place, error.reason, fix=fix) from error
