"""The run folder: names and formats of its files. No torch.

    RUN/run.json               provenance: version of the format (migrations.py), kind, resolved
                               config, inputs with hashes, versions, argv, time (before the first
                               step)
    RUN/plan.json              of planned pretraining: what was asked, model and fit chosen, the
                               figures planned (before run.json)
    RUN/fit.json               the run's identity, and what was measured before the first step
                               (train.checkpoint.identity)
    RUN/metrics.jsonl          a line per step: step, tokens, loss, lr, grad_norm, tokens_per_s,
                               elapsed_s; evaluations have "event": "evaluation" (others: "skipped",
                               "rolled back", "re-aimed" with the new number of steps, "threads"
                               with that of threads)
    RUN/samples.jsonl          samples of each evaluation: step, prompt, text, repetition,
                               longest_copy, copied_text
    RUN/logs/                  for TensorBoard and Weights & Biases (train.monitor.loggers), if
                               enabled
    RUN/results.json           the final figures
    RUN/trained_on.json        hashes of training examples: of fine-tuning, of pretraining whose
                               data were removed (data.reading)
    RUN/checkpoints/step-N/    for resuming (train.checkpoint.state)
    RUN/snapshots/step-N/      the weights after step N as a Hugging Face folder, for pictures of
                               the training (lab.training_animation)
    RUN/model.safetensors, config.json, tokenizer.json, ...   the model, as a Hugging Face folder
                                                              (weights.model_io)
    RUN/manifest.json          size and SHA-256 of the finished run's files (not of checkpoints and
                               snapshots, which have their own)

Every training stage of a build, pretraining or fine-tuning, is a run folder.
"""

import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

from groundup import __version__
from groundup.errors import ConfigError, FormatError
from groundup.files import (
    MANIFEST,
    disk_errors,
    json_bytes,
    make_folder,
    read_json_object,
    sha256_file,
    verify_folder,
    write_hashed_json,
    write_json,
)
from groundup.migrations import BUILD, RUN

MAX_LINE_BYTES = 2**20
TRAINED_ON_FILE = "trained_on.json"
BUILD_FILE, RECIPE_FILE = "build.json", "recipe.toml"
# A file of a folder -> what the folder is.
PLACES = {BUILD_FILE: "build", "run.json": "run", "index.sqlite": "index", "config.json": "model"}
MAX_NAMES, SHOWN_NAMES = 200, 12
LOGS = "logs"  # written by other programs, so in no manifest
PLAN_FILE = "plan.json"
PLAN_TABLES = ("asked", "model", "fit", "planned")
_STEP_FOLDER = re.compile(r"step-(\d{1,12})")


@dataclass(frozen=True)
class _PathInRun:
    """A path in the run folder, as an attribute of `RunFolder`."""

    name: str

    def __get__(self, run: "RunFolder", owner: type | None = None) -> Path:
        return run.path / self.name


@dataclass(frozen=True)
class RunFolder:
    """Paths and records of one run. Only methods that write touch the disk; `create()` makes the
    folder.
    """

    path: Path

    run_file = _PathInRun("run.json")
    plan_file = _PathInRun(PLAN_FILE)
    fit_file = _PathInRun("fit.json")
    metrics_file = _PathInRun("metrics.jsonl")
    samples_file = _PathInRun("samples.jsonl")
    results_file = _PathInRun("results.json")
    checkpoints = _PathInRun("checkpoints")
    snapshots = _PathInRun("snapshots")

    def snapshot(self, step: int) -> Path:
        """Return the folder of the snapshot of `step`, zero-padded so that listings are in
        order.
        """
        return self.snapshots / f"step-{step:06d}"

    def create(self, kind: str, config: dict[str, Any], inputs: dict[str, Any]) -> None:
        """Make the folder and write `run.json` (kind, config, inputs with their hashes, provenance)
        before the first step.
        """
        make_folder(self.path)
        record = {"kind": kind, "config": config, "inputs": inputs, **provenance()}
        write_json(self.run_file, RUN.stamp(record))

    def clear(self) -> None:
        """Remove the records of an earlier run, its checkpoints last.

        Its model files will be overwritten.
        """
        records = (
            self.results_file,
            self.samples_file,
            self.metrics_file,
            self.fit_file,
            self.run_file,
        )
        for file in (self.path / MANIFEST, self.path / TRAINED_ON_FILE, *records):
            file.unlink(missing_ok=True)
        for folder in (self.path / LOGS, self.snapshots, self.checkpoints):
            shutil.rmtree(folder, ignore_errors=True)

    def require_whole(self) -> None:
        """Check every file of a finished run against its manifest.

        Raises FormatError; its fix is to resume from the last checkpoint.
        """
        try:
            verify_folder(self.path)
        except FormatError as error:
            fix = (
                f"To write the run's files again from its last checkpoint, remove {self.path / MANIFEST} and run the same "
                "command; --fresh starts again from the beginning."
            )
            raise FormatError(error.file, error.place, error.reason, fix=fix) from error

    def write_plan(
        self,
        asked: dict[str, Any],
        *,
        model: dict[str, Any],
        fit: dict[str, Any],
        planned: dict[str, Any],
    ) -> None:
        """Write `plan.json`: the command's settings, the configs of model and training, and planned
        time and loss.
        """
        write_json(self.plan_file, {"asked": asked, "model": model, "fit": fit, "planned": planned})

    def read_plan(self) -> dict[str, dict[str, Any]] | None:
        """Return the four tables of plan.json; None where it is missing. Raises FormatError."""
        if not self.plan_file.exists():
            return None
        record = read_json_object(self.plan_file)
        if not all(isinstance(record.get(name), dict) for name in PLAN_TABLES):
            fix = "Start again with --fresh."
            raise FormatError(self.plan_file, ", ".join(PLAN_TABLES), "are not all tables", fix=fix)
        return record

    def read_run(self) -> dict[str, Any]:
        """Return run.json as a table. Raises FormatError, also for a run of a later version."""
        return RUN.read(self.path)

    def write_results(self, results: dict[str, Any]) -> None:
        """Write the final figures."""
        write_json(self.results_file, results)

    def read_results(self) -> dict[str, Any]:
        """Return results.json as a table. Raises FormatError."""
        return read_json_object(self.results_file)


def read_stage_kinds(build: Path) -> dict[str, str]:
    """Return the stages of a build, in order, and what each makes, as build.json has them; {} for
    anything but a build. Raises FormatError.
    """
    if not (build / BUILD_FILE).is_file():
        return {}
    return kinds_of_stages(BUILD.read(build))


def kinds_of_stages(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the stages of a build, in order, and what each makes, by the content of its
    build.json; without those whose kind is damaged.

    >>> kinds_of_stages({"kinds": {"base": "base", "intents": "classifier"}})
    {'base': 'base', 'intents': 'classifier'}
    """
    kinds = record.get("kinds")
    if not isinstance(kinds, dict):
        return {}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, str)}


def kind_of_place(path: Path) -> str:
    """Return what a path is, by the files in it: build, run, index, model, file or folder; "" where
    there is nothing.
    """
    if not os.path.exists(path):
        return ""
    if os.path.isfile(path):
        return "file"
    return next((kind for name, kind in PLACES.items() if (path / name).is_file()), "folder")


def nearest_names(path: Path, *kinds: str) -> str:
    """Return a sentence with those of these kinds whose names are like a path's: beside it, here
    and in runs/; "" where there are none.
    """
    beside = {path.parent, Path(), Path("runs")}
    folders = (
        each
        for folder in beside
        if os.path.isdir(folder)
        for each in islice(folder.iterdir(), MAX_NAMES)
    )
    found = {each.name: str(each) for each in folders if kind_of_place(each) in kinds}
    if not found:
        return ""
    near = [repr(found[name]) for name in get_close_matches(path.name, found, cutoff=0.6)]
    return (
        f"Did you mean {' or '.join(near)}?"
        if near
        else f"There are: {', '.join(sorted(found.values())[:SHOWN_NAMES])}."
    )


def require_place(path: Path, fix: str) -> None:
    """Raise ConfigError where there is nothing at a path; the nearest name of a build or run is
    said, else `fix`.
    """
    if not kind_of_place(path):
        raise ConfigError(f"{path} does not exist.", fix=nearest_names(path, "build", "run") or fix)


def record_page(build: Path, page: Path) -> None:
    """Note the hash of a page that was written again into a build, by which `verify` knows it;
    nothing where `build` is none. Raises FormatError.
    """
    file = build / BUILD_FILE
    record = read_json_object(file) if file.is_file() else {}
    stages = record.get("stages")
    for entry in stages.values() if isinstance(stages, dict) else ():
        if isinstance(entry, dict) and page.name in (entry.get("outputs_sha256") or {}):
            entry["outputs_sha256"] = {page.name: sha256_file(page)}
            write_hashed_json(file, record)


def step_folders(folder: Path) -> list[tuple[int, Path]]:
    """Return the checkpoints or snapshots in a folder by step, oldest first."""
    found = (
        (_STEP_FOLDER.fullmatch(path.name), path) for path in folder.glob("step-*") if path.is_dir()
    )
    return sorted((int(match[1]), path) for match, path in found if match)


class LineLog:
    """An append-only JSON-lines file that can be truncated to a recorded length (a resumed run
    repeats no line).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        make_folder(path.parent)
        with disk_errors(path):
            self._handle = path.open("ab")

    def append(self, record: dict[str, Any]) -> None:
        """Write one record as one line."""
        with disk_errors(self.path):
            self._handle.write(json_bytes(record) + b"\n")
            self._handle.flush()

    def length_bytes(self) -> int:
        """Force all lines to the disk and return their bytes, for a checkpoint to record."""
        self._handle.flush()
        os.fsync(self._handle.fileno())
        return self._handle.tell()

    def cut(self, length_bytes: int) -> None:
        """Truncate to `length_bytes`: drop the lines after the checkpoint that is being resumed."""
        self._handle.truncate(length_bytes)
        self._handle.seek(length_bytes)

    def close(self) -> None:
        self._handle.close()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a JSON-lines file of ours, without a half-written last line; none if
    there is no file.
    """
    if not path.exists():
        return
    with path.open("rb") as handle:
        for raw in handle:
            record = read_line(raw)
            if record is not None:
                yield record


def read_line(raw: bytes) -> dict[str, Any] | None:
    """Return the record of one line; None if it is half-written, too long or not a JSON object."""
    if not raw.endswith(b"\n") or len(raw) > MAX_LINE_BYTES:
        return None
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def provenance() -> dict[str, Any]:
    """Return what is needed to repeat a run: versions, machine, command, time (UTC)."""
    names = ("torch", "tokenizers", "tiktoken", "safetensors", "gguf", "numpy")
    return {
        "groundup": __version__,
        "python": platform.python_version(),
        "packages": {name: version for name in names if (version := package_version(name))},
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "argv": sys.argv,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def package_version(name: str) -> str | None:
    """Return the installed version of a distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
