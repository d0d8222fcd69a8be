"""The run folder: names and formats of its files. No torch.

    RUN/run.json               provenance: version of the format (migrations.py), kind, resolved
                               config, inputs with hashes, versions, argv, time (before the first
                               step)
    RUN/plan.json              of planned pretraining: what was asked, model and fit chosen, the
                               figures planned (before run.json)
    RUN/fit.json               the run's identity, and what was measured before the first step
                               (train.checkpoint.identity)
    RUN/metrics.jsonl          a line per step: step, tokens, loss, learning_rate, grad_norm,
                               elapsed_s; evaluations have "event": "evaluation", those of
                               pretraining also the nats and tokens of pieces of validation text
                               (others: "skipped", "rolled back", "re-aimed" with the new number of
                               steps, "threads" with that of threads)
    RUN/samples.jsonl          samples of each evaluation: step, prompt, text, repetition,
                               longest_copy, copied_text
    RUN/logs/                  for TensorBoard and Weights & Biases (train.monitor.callbacks), if
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from groundup import __version__
from groundup.config import build_config
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
from groundup.migrations import BUILD, FIELD, RUN

MAX_LINE_BYTES = 2**20
RECORDED_PACKAGES = ("torch", "tokenizers", "tiktoken", "safetensors", "gguf", "numpy")
TRAINED_ON_FILE = "trained_on.json"
BUILD_FILE, RECIPE_FILE = "build.json", "recipe.toml"
# Of a build, the page with its own model inside.
LIVE_NAME = "model.html"
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
        record = {"kind": kind, "config": config, "inputs": inputs, **asdict(provenance())}
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
            self.plan_file,
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
                "command; `fresh` starts again from the beginning."
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
            fix = "Start again with `fresh`."
            raise FormatError(self.plan_file, ", ".join(PLAN_TABLES), "are not all tables", fix=fix)
        return record

    def read_run(self) -> dict[str, Any]:
        """Return run.json as a table. Raises FormatError, also for a run of a later version."""
        return RUN.read(self.path)

    def write_results(self, results: dict[str, Any]) -> None:
        write_json(self.results_file, results)

    def read_results(self) -> dict[str, Any]:
        """Return results.json as a table. Raises FormatError."""
        return read_json_object(self.results_file)


@dataclass(frozen=True)
class Provenance:
    """What is needed to repeat a run or a build."""

    groundup: str = ""
    python: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Installed versions by name."""
    machine: Mapping[str, Any] = field(default_factory=dict)
    argv: Sequence[str] = ()
    created: str = ""
    """UTC."""


@dataclass(frozen=True)
class BuiltStage:
    """A stage of a build that has begun."""

    key: str = ""
    """Hash of `key_parts`."""
    key_parts: Mapping[str, Any] = field(default_factory=dict)
    """Everything that its result depends on, by name."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Numbers that were measured once, such as steps: a resumed build does the same work."""
    planned_s: float = 0.0
    elapsed_s: float = 0.0
    status: Literal["running", "done", "failed", "stopped"] = "running"
    line: str = ""
    """The result in one line, or why there is none."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the result, for scripts."""
    thin: Sequence[str] = ()
    """Notes on figures from little data."""
    outputs_sha256: Mapping[str, str] = field(default_factory=dict)
    """Of each file that later stages read, by its name in the build."""
    peak_memory_bytes: int | None = None


@dataclass(frozen=True)
class BuildResults(Provenance):
    recipe: str = ""
    """The recipe's name."""
    description: str = ""
    seed: int = 0
    budget_s: float = 0.0
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The stages, in order, and what each makes: {"base": "base", "intents": "classifier"}."""
    stages: Mapping[str, BuiltStage] = field(default_factory=dict)
    """Those that have begun."""
    recipe_sha256: str = ""
    """Of recipe.toml."""
    total_s: float | None = None
    """Of the last run of the build, at its end."""

    def of_kind(self, kind: str) -> list[str]:
        """Return the stages that make a kind of thing: "chat", "classifier", "index"."""
        return [name for name, made in self.kinds.items() if made == kind]

    def plain(self) -> dict[str, Any]:
        return BUILD.stamp(asdict(self))

    def write(self, build: Path) -> None:
        """Write build.json with the hash of its content. Raises DiskError."""
        write_hashed_json(build / BUILD_FILE, self.plain())


def read_build(build: Path) -> BuildResults:
    """Return what build.json says; its hash is not checked. Raises FormatError."""
    return build_results(read_json_object(build / BUILD_FILE), build / BUILD_FILE)


def build_results(content: dict[str, Any], file: Path) -> BuildResults:
    """Return the content of a build.json as results. Raises FormatError."""
    values = BUILD.upgrade(content, file)
    values = {name: value for name, value in values.items() if name not in (FIELD, "sha256")}
    try:
        return build_config(BuildResults, values)
    except ConfigError as error:
        reason = f"is not a record that a build writes ({error.message.removesuffix('.')})"
        raise FormatError(file, "content", reason, fix="Start again with `fresh`.") from error


def read_stage_kinds(build: Path) -> Mapping[str, str]:
    """Return the stages of a build, in order, and what each makes; {} for anything but a build.

    Raises FormatError.
    """
    if not (build / BUILD_FILE).is_file():
        return {}
    return read_build(build).kinds


def kind_of_place(path: Path) -> str:
    """Return what a path is, by the files in it: build, run, index, model, file or folder; "" where
    there is nothing.
    """
    if not os.path.exists(path):
        return ""
    if os.path.isfile(path):
        return "file"
    files = (kind for name, kind in PLACES.items() if os.path.isfile(path / name))
    return next(files, "folder")


def nearest_names(path: Path, *kinds: str) -> str:
    """Return a sentence with those of these kinds whose names are like a path's: beside it, here
    and in runs/; "" where there are none.
    """
    beside = {path.parent, Path(), Path("runs")}
    folders = (
        each
        for folder in beside
        if os.path.isdir(folder) and os.access(folder, os.R_OK)
        for each in islice(folder.iterdir(), MAX_NAMES)
    )
    found = {each.name: str(each) for each in folders if kind_of_place(each) in kinds}
    if not found:
        return ""
    near = [repr(found[name]) for name in get_close_matches(path.name, found, cutoff=0.6)]
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"There are: {', '.join(sorted(found.values())[:SHOWN_NAMES])}."


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
    if not (build / BUILD_FILE).is_file():
        return
    results = read_build(build)
    written = {
        name: replace(stage, outputs_sha256={page.name: sha256_file(page)})
        for name, stage in results.stages.items()
        if page.name in stage.outputs_sha256
    }
    if written:
        replace(results, stages={**results.stages, **written}).write(build)


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
    if isinstance(record, dict):
        return record
    return None


def provenance() -> Provenance:
    """Return versions, machine, command and time of this process."""
    versions = {name: package_version(name) for name in RECORDED_PACKAGES}
    return Provenance(
        groundup=__version__,
        python=platform.python_version(),
        packages={name: version for name, version in versions.items() if version},
        machine={
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        argv=sys.argv,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def package_version(name: str) -> str | None:
    """Return the installed version of a distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
