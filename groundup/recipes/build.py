"""Carry out a recipe: its stages in order, each once, going on where a killed build was.

A stage's key is the hash of its version, its part of the recipe, the seed, the budget (where it counts), what it reads
from outside, and the content of what it reads from other stages. A stage that is done under the same key is left alone,
after every hash of its manifest was checked; a changed key redoes it, and what hangs on it when its outputs changed.

    OUT/recipe.toml  build.json  data/  tokenizer/  pretrain/  base/  spam/  chat/  evaluate/  export/  report.html
"""

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundup.config import to_plain
from groundup.device import Compute, choose_threads, peak_memory_bytes
from groundup.errors import ConfigError, FormatError, GroundupError
from groundup.files import (
    MANIFEST,
    only_one,
    read_json,
    remove_temporaries,
    sha256_file,
    verify_folder,
    write_json,
    write_text,
)
from groundup.progress import Progress
from groundup.recipes.recipe import Recipe, write_recipe
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.runs import provenance

BUILD_FILE = "build.json"
RECIPE_FILE = "recipe.toml"


def build(
    recipe: Recipe, out: Path, stages: Sequence[Stage], *, compute: Compute, progress: Progress, fresh: bool = False
) -> dict[str, Any]:
    """Run `stages` in order into `out`; returns the build's record (build.json).

    Raises whatever a stage raises; what was finished before stays, and the same call goes on from there.
    """
    with only_one(out):
        if fresh and (out / BUILD_FILE).exists():  # else nothing in it is a build's to remove
            clear(out, stages)
        remove_temporaries(out)
        record = open_record(out, recipe)
        write_text(out / RECIPE_FILE, write_recipe(recipe))
        started = time.monotonic()
        for number, stage in enumerate(stages, start=1):
            progress.say(f"[{number}/{len(stages)}] {stage.name}")
            before, left = stages[: number - 1], sum(each.share for each in stages[number - 1 :])
            spent_s = sum(record["stages"][each.name]["elapsed_s"] for each in before)
            planned_s = stage.share * recipe.budget_s
            if stage.sized_by_budget:
                planned_s = stage_seconds(stage.share, left, spent_s, recipe.budget_s)
            line = _run_or_skip(stage, recipe, out, record, planned_s, compute=compute, progress=progress)
            progress.say(f"      {line}")
        record["total_s"] = round(time.monotonic() - started, 1)
        write_json(out / BUILD_FILE, record)
        return record


# A stage has at least this part of what the recipe's budget gives it, however long those before it took: with less it would teach nothing.
MIN_SHARE = 1 / 2


def stage_seconds(share: float, left_shares: float, spent_s: float, budget_s: float) -> float:
    """A stage's part of the time that is left, by its share among the stages that are left: what quick stages leave over goes to later ones.

    >>> stage_seconds(0.25, 0.75, 30.0, 600.0), stage_seconds(0.25, 0.5, 500.0, 600.0)
    (190.0, 75.0)
    """
    return max(MIN_SHARE * share * budget_s, share / left_shares * (budget_s - spent_s))


def clear(out: Path, stages: Sequence[Stage]) -> None:
    """Remove what a build made (`--fresh`), and nothing else."""
    for stage in stages:
        shutil.rmtree(out / stage.name, ignore_errors=True)
    (out / BUILD_FILE).unlink(missing_ok=True)


def open_record(out: Path, recipe: Recipe) -> dict[str, Any]:
    """build.json as it stands, or a new one. Raises ConfigError where `out` holds something that is no build."""
    file = out / BUILD_FILE
    if not file.exists():
        if any(entry.name != RECIPE_FILE and not entry.name.startswith(".") for entry in out.iterdir()):
            raise ConfigError(f"{out} has files in it but is no build.", fix="Choose another folder with --out.")
        record: dict[str, Any] = {"stages": {}}
    else:
        record = read_json(file)
        stages = record.get("stages") if isinstance(record, dict) else None
        if not isinstance(stages, dict) or not all(map(is_entry, stages.values())):
            raise FormatError(
                file, "stages", "is not a table of stages as a build writes it", fix="Start again with --fresh."
            )
    head = {"recipe": recipe.name, "description": recipe.description, "seed": recipe.seed, "budget_s": recipe.budget_s}
    return {**head, **provenance(), "stages": record["stages"]}


# What every stage's entry has from its start.
ENTRY = {"key": str, "key_parts": dict, "sizes": dict, "elapsed_s": float, "status": str}


def is_entry(entry: Any) -> bool:
    """Whether a value has the form of a stage's entry in build.json."""
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), kind) for name, kind in ENTRY.items()):
        return False
    if not isinstance(entry.get("planned_s", 0.0), int | float):
        return False
    return entry["status"] != "done" or (
        isinstance(entry.get("line"), str) and isinstance(entry.get("outputs_sha256"), dict)
    )


def _run_or_skip(
    stage: Stage,
    recipe: Recipe,
    out: Path,
    record: dict[str, Any],
    planned_s: float,
    *,
    compute: Compute,
    progress: Progress,
) -> str:
    parts = key_parts(stage, recipe, record)
    key = digest(parts)
    entry = record["stages"].get(stage.name, {})
    if entry.get("key") == key and entry.get("status") == "done":
        check_unaltered(stage, out, entry)
        return f"{entry['line']} (as before)"
    if entry.get("key") != key:
        if entry:
            progress.say(f"      again, as {changed_parts(entry.get('key_parts', {}), parts)} changed")
        shutil.rmtree(out / stage.name, ignore_errors=True)
        entry = {"key": key, "key_parts": parts, "sizes": {}, "elapsed_s": 0.0, "planned_s": round(planned_s, 1)}
    return _run(stage, recipe, out, record, entry, compute=compute, progress=progress)


def _run(
    stage: Stage,
    recipe: Recipe,
    out: Path,
    record: dict[str, Any],
    entry: dict[str, Any],
    *,
    compute: Compute,
    progress: Progress,
) -> str:
    record["stages"][stage.name] = entry
    # One that goes on keeps its time.
    planned_s = entry.setdefault("planned_s", round(stage.share * recipe.budget_s, 1))
    entry["status"] = "running"
    choose_threads(compute)
    save = lambda: write_json(out / BUILD_FILE, record)  # noqa: E731 (handed on as a value)
    save()
    context = StageContext(out / stage.name, out, recipe, planned_s, compute, progress, entry["sizes"], save)
    before_s, started = entry["elapsed_s"], time.monotonic()
    try:
        outcome = stage.run(context)
    except BaseException as error:
        entry.update(status="failed" if isinstance(error, GroundupError) else "stopped")
        entry["line"] = str(error) if isinstance(error, GroundupError) else "stopped before its end"
        raise
    else:
        entry.update(status="done", **described(outcome), outputs_sha256=output_hashes(stage, out))
    finally:
        entry["elapsed_s"] = round(before_s + time.monotonic() - started, 1)
        entry["peak_memory_bytes"] = peak_memory_bytes()
        save()
    return outcome.line


def described(outcome: StageResult) -> dict[str, Any]:
    """An outcome as build.json keeps it."""
    return {"line": outcome.line, "facts": outcome.facts, "thin": list(outcome.thin)}


def key_parts(stage: Stage, recipe: Recipe, record: dict[str, Any]) -> dict[str, Any]:
    """Everything that a stage's result depends on, by name."""
    return {
        "version": stage.version,
        "recipe": digest(to_plain(getattr(recipe, stage.name))),
        "seed": recipe.seed,
        "budget": recipe.budget_s if stage.sized_by_budget else None,
        "outside": dict(stage.outside(recipe)),
        "inputs": {name: record["stages"][name]["outputs_sha256"] for name in stage.needs},
    }


def changed_parts(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Names of the parts that differ: "its part of the recipe and its inputs"."""
    words = {
        "version": "the stage's code",
        "recipe": "its part of the recipe",
        "seed": "the seed",
        "budget": "the budget",
        "outside": "what it reads",
        "inputs": "the stage before it",
    }
    return " and ".join(words[name] for name in now if before.get(name) != now[name])


def digest(value: Any) -> str:
    """Hex SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def output_files(stage: Stage, out: Path) -> list[Path]:
    """The files that later stages read."""
    root = out / stage.name if stage.has_folder else out
    found = {file for pattern in stage.outputs for file in root.glob(pattern) if file.is_file()}
    return sorted(file for file in found if file.name != MANIFEST)


def output_hashes(stage: Stage, out: Path) -> dict[str, str]:
    """SHA-256 of each output, by its name inside the build; taken from the stage's manifest where it has one."""
    if not stage.has_folder:
        return {file.relative_to(out).as_posix(): sha256_file(file) for file in output_files(stage, out)}
    entries = verify_folder(out / stage.name, hashes=False)["files"]
    names = [file.relative_to(out / stage.name).as_posix() for file in output_files(stage, out)]
    return {f"{stage.name}/{name}": entries[name]["sha256"] for name in names}


def check_unaltered(stage: Stage, out: Path, entry: dict[str, Any]) -> None:
    """Refuse to build on a finished stage whose files were altered or lost. Raises FormatError that says how to redo it."""
    try:
        if stage.has_folder:
            verify_folder(out / stage.name)
        elif output_hashes(stage, out) != entry["outputs_sha256"]:
            raise FormatError(out / stage.outputs[0], "sha256", "differs from what the build made")
    except FormatError as error:
        fix = (
            f"Remove {out / stage.name} and its entry by running again with --redo {stage.name}, or put the file back."
        )
        raise FormatError(error.file, error.place, error.reason, fix=fix) from error


def forget(out: Path, names: Sequence[str], stages: Sequence[Stage]) -> None:
    """Have the named stages done again by the next build (`--redo`). Raises ConfigError for an unknown name."""
    known = [stage.name for stage in stages]
    for name in names:
        if name not in known:
            raise ConfigError(f"There is no stage '{name}'.", fix=f"Stages: {', '.join(known)}.")
    if names and (out / BUILD_FILE).exists():
        record = read_json(out / BUILD_FILE)
        record["stages"] = {name: entry for name, entry in record["stages"].items() if name not in names}
        write_json(out / BUILD_FILE, record)
