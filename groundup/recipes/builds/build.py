"""A build: the stages of a recipe in order, each once; an interrupted build continues where it
stopped.

A stage's key is the hash of its version, its part of the recipe, the seed, the budget (where it
counts), what it reads from outside, and the content of what it reads from other stages. A stage
that is done under the same key is left alone, after every hash of its manifest was checked. A stage
with a changed key is run again, and those that read changed outputs.

    OUT/recipe.toml  build.json  build.log  data/  tokenizer/  pretrain/  base/  spam/  chat/
                     evaluate/  export/  report.html

build.json has "kinds" (the stages and what each makes, in order) and "stages" (those that have
begun).
"""

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.device import Compute, choose_threads, peak_memory_bytes
from groundup.errors import ConfigError, FormatError, GroundupError
from groundup.files import (
    MANIFEST,
    remove_temporaries,
    sha256_file,
    verify_folder,
    write_hashed_json,
    write_text,
)
from groundup.locks import only_one
from groundup.migrations import BUILD
from groundup.progress import Progress
from groundup.recipes.build_log import LOG_FILE, LoggedStage, logged_stage
from groundup.recipes.recipe import Recipe, write_recipe
from groundup.recipes.stage import Stage, StageContext
from groundup.runs import BUILD_FILE, RECIPE_FILE, provenance


def build(
    recipe: Recipe,
    out: Path,
    stages: Sequence[Stage],
    *,
    compute: Compute,
    progress: Progress,
    fresh: bool = False,
) -> dict[str, Any]:
    """Run `stages` in order into `out`; returns the build's record (build.json).

    Raises whatever a stage raises; finished stages are kept, and the same call continues from
    there.
    """
    with only_one(out):
        if fresh and (out / BUILD_FILE).exists():  # else nothing in it is a build's to remove
            for stage in stages:
                shutil.rmtree(out / stage.name, ignore_errors=True)
            (out / BUILD_FILE).unlink()
        remove_temporaries(out)
        record = open_record(out, recipe) | {
            "kinds": {stage.name: stage.kind or stage.name for stage in stages}
        }
        names = max(len(stage.name) for stage in stages)
        running = _Build(recipe, out, record, compute, progress, names)
        write_text(out / RECIPE_FILE, write_recipe(recipe))
        record["recipe_sha256"] = sha256_file(out / RECIPE_FILE)
        started = time.monotonic()
        for number, stage in enumerate(stages, start=1):
            before, left = stages[: number - 1], sum(each.share for each in stages[number - 1 :])
            spent_s = sum(record["stages"][each.name]["elapsed_s"] for each in before)
            spare_s = recipe.budget_s - spent_s - MIN_SHARE * (left - stage.share) * recipe.budget_s
            planned_s = stage.share * recipe.budget_s
            if stage.sized_by_budget:
                planned_s = stage_seconds(stage.share, left, spent_s, recipe.budget_s)
            running.show(stage, number, len(stages), planned_s, spare_s)
        record["total_s"] = round(time.monotonic() - started, 1)
        running.save()
        return record


# A stage has at least this part of its share of the budget, however long the others took: with
# less, nothing is learned.
MIN_SHARE = 1 / 2


def stage_seconds(share: float, left_shares: float, spent_s: float, budget_s: float) -> float:
    """Return a stage's part of the remaining time, by its share among the remaining stages.

    >>> stage_seconds(0.25, 0.75, 30.0, 600.0), stage_seconds(0.25, 0.5, 500.0, 600.0)
    (190.0, 75.0)
    """
    return max(MIN_SHARE * share * budget_s, share / left_shares * (budget_s - spent_s))


def open_record(out: Path, recipe: Recipe) -> dict[str, Any]:
    """Return the contents of build.json, or a new record.

    Raises ConfigError where `out` holds something else.
    """
    file = out / BUILD_FILE
    if not file.exists():
        if any(
            entry.name not in (RECIPE_FILE, LOG_FILE) and not entry.name.startswith(".")
            for entry in out.iterdir()
        ):
            raise ConfigError(
                f"{out} has files in it but is not a build.",
                fix="Choose another folder with --out.",
            )
        record: dict[str, Any] = {"stages": {}}
    else:
        record = BUILD.read(out)
        stages = record.get("stages")
        if not isinstance(stages, dict) or not all(map(is_entry, stages.values())):
            problem = "is not a table of stages as a build writes it"
            raise FormatError(file, "stages", problem, fix="Start again with --fresh.")
    head = {
        "recipe": recipe.name,
        "description": recipe.description,
        "seed": recipe.seed,
        "budget_s": recipe.budget_s,
    }
    return BUILD.stamp({**head, **provenance(), "stages": record["stages"]})


# The fields of a stage's entry in build.json: those that it has from its start, and those of a
# stage that is done.
ENTRY = {
    "key": str,
    "key_parts": dict,
    "sizes": dict,
    "planned_s": float,
    "elapsed_s": float,
    "status": str,
}
DONE = {"line": str, "outputs_sha256": dict}


def is_entry(entry: Any) -> bool:
    """Whether a value has the fields of a stage's entry in build.json."""
    if not isinstance(entry, dict):
        return False
    fields = {**ENTRY, **(DONE if entry.get("status") == "done" else {})}
    return all(isinstance(entry.get(name), kind) for name, kind in fields.items())


@dataclass(frozen=True)
class _Build:
    """A build in progress; `record` is the contents of its build.json."""

    recipe: Recipe
    out: Path
    record: dict[str, Any]
    compute: Compute
    progress: Progress
    name_columns: int = 0

    def save(self) -> None:
        write_hashed_json(self.out / BUILD_FILE, self.record)

    def show(self, stage: Stage, number: int, of: int, planned_s: float, spare_s: float) -> None:
        """Run a stage unless it is done, shown as one line.

        Where it is stopped, that is said, and how it goes on.
        """
        title = f"[{number}/{of}] {stage.name.ljust(self.name_columns)}"
        shown: LoggedStage | None = None
        try:
            with logged_stage(self.progress, self.out, title) as shown:
                line = self.run_or_skip(stage, shown, planned_s, spare_s)
                spent = f"{self.record['stages'][stage.name]['elapsed_s']:.0f}"
                shown.end(f"{spent.rjust(4)} s  {line}")
        except (KeyboardInterrupt, SystemExit):
            after = f" {shown.stopped_after}" if shown and shown.stopped_after else ""
            kept = "what is done is kept, and the same command goes on from there"
            self.progress.say(f"Stopped in {stage.name} (stage {number} of {of}){after}: {kept}.")
            raise

    def run_or_skip(self, stage: Stage, shown: Progress, planned_s: float, spare_s: float) -> str:
        """Run a stage unless it is done under the same key; returns its line."""
        parts = key_parts(stage, self.recipe, self.record)
        parts |= {"choices": "fixed"} if self.compute.fixed_choices else {}
        key = digest(parts)
        entry = self.record["stages"].get(stage.name, {})
        if entry.get("key") == key and entry.get("status") == "done":
            check_unaltered(stage, self.out, entry)
            return f"{entry['line']} (as before)"
        if entry.get("key") != key:
            if entry:
                shown.say(
                    f"      run again: {changed_parts(entry.get('key_parts', {}), parts)} changed"
                )
            shutil.rmtree(self.out / stage.name, ignore_errors=True)
            entry = {
                "key": key,
                "key_parts": parts,
                "sizes": {},
                "elapsed_s": 0.0,
                "planned_s": round(planned_s, 1),
            }
        return self._run(stage, entry, shown, spare_s)

    def _run(self, stage: Stage, entry: dict[str, Any], shown: Progress, spare_s: float) -> str:
        self.record["stages"][stage.name] = entry
        entry["status"] = "running"
        choose_threads(self.compute)
        self.save()
        place = (self.out / stage.name, self.out, self.recipe)
        planned_s = entry["planned_s"]  # that of its start, where it is continued
        context = StageContext(
            *place, planned_s, self.compute, shown, entry["sizes"], self.save, spare_s
        )
        before_s, started = entry["elapsed_s"], time.monotonic()
        try:
            result = stage.run(context)
        except BaseException as error:
            entry.update(status="failed" if isinstance(error, GroundupError) else "stopped")
            entry["line"] = (
                str(error) if isinstance(error, GroundupError) else "stopped before its end"
            )
            raise
        else:
            hashes = output_hashes(stage, self.out)
            told = {"line": result.line, "facts": result.facts, "thin": list(result.thin)}
            entry.update(status="done", **told, outputs_sha256=hashes)
        finally:
            entry["elapsed_s"] = round(before_s + time.monotonic() - started, 1)
            entry["peak_memory_bytes"] = peak_memory_bytes()
            self.save()
        return result.line


def key_parts(stage: Stage, recipe: Recipe, record: dict[str, Any]) -> dict[str, Any]:
    """Return everything that a stage's result depends on, by name."""
    return {
        "version": stage.version,
        "recipe": digest(recipe.table(stage.name).key()),
        "seed": recipe.seed,
        "budget": recipe.budget_s if stage.sized_by_budget else None,
        "outside": dict(stage.outside(recipe)),
        "inputs": {name: record["stages"][name]["outputs_sha256"] for name in stage.needs},
    }


def changed_parts(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return the names of the parts that differ: "its part of the recipe and its inputs"."""
    words = {
        "version": "the stage's code",
        "recipe": "its part of the recipe",
        "seed": "the seed",
        "budget": "the budget",
        "outside": "what it reads",
        "inputs": "the stage before it",
        "choices": "--fixed-choices",
    }
    return " and ".join(words[name] for name in words if before.get(name) != now.get(name))


def digest(value: Any) -> str:
    """Return the hex SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def output_hashes(stage: Stage, out: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that later stages read, by its name in the build; from the
    manifest if there is one.
    """
    root = out / stage.name if stage.has_folder else out
    found = {file for pattern in stage.outputs for file in root.glob(pattern) if file.is_file()}
    files = sorted(file for file in found if file.name != MANIFEST)
    if not stage.has_folder:
        return {file.relative_to(out).as_posix(): sha256_file(file) for file in files}
    entries = verify_folder(root, hashes=False)["files"]
    names = [file.relative_to(root).as_posix() for file in files]
    hashes = {
        name: entries[name]["sha256"] if name in entries else sha256_file(root / name)
        for name in names
    }
    return {f"{stage.name}/{name}": value for name, value in hashes.items()}


def check_unaltered(stage: Stage, out: Path, entry: dict[str, Any]) -> None:
    """Check that a finished stage's files are unchanged.

    Raises FormatError; its fix is to run the stage again.
    """
    try:
        if stage.has_folder:
            verify_folder(out / stage.name)
        elif output_hashes(stage, out) != entry["outputs_sha256"]:
            raise FormatError(out / stage.outputs[0], "sha256", "differs from what the build made")
    except FormatError as error:
        redo = f"Make it again with --redo {stage.name}"
        fix = f"{redo}, or put the file back."
        raise FormatError(error.file, error.place, error.reason, fix=fix) from error


def forget(out: Path, names: Sequence[str], stages: Sequence[Stage]) -> None:
    """Have the next build run the named ones of `stages` again (`--redo`), and forget all others.

    Raises ConfigError for an unknown name.
    """
    known = [stage.name for stage in stages]
    for name in names:
        if name not in known:
            raise ConfigError(f"There is no stage '{name}'.", fix=f"Stages: {', '.join(known)}.")
    if not (out / BUILD_FILE).exists():
        return
    record = BUILD.read(out)
    before = record.get("stages")
    if not isinstance(before, dict):  # `build` refuses it
        return
    kept = {name: entry for name, entry in before.items() if name in set(known) - set(names)}
    if kept != before:
        write_hashed_json(out / BUILD_FILE, {**record, "stages": kept})
