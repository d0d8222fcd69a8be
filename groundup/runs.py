"""THE run folder: where each thing of a run lies, and how it is written and read. No torch.

    RUN/run.json               what made it: kind, resolved config, inputs with hashes, versions, argv, when (before the first step)
    RUN/plan.json              where pretraining was planned: what was asked, the model and fit chosen, the figures planned (before run.json)
    RUN/fit.json               what makes it this run and no other, and what was measured before the first step (train.checkpoint.identity)
    RUN/metrics.jsonl          a line per step: step, tokens, loss, lr, grad_norm, tokens_per_s, elapsed_s; evaluations have "event": "evaluation"
                               (others: "skipped", "rolled back", "re-aimed", with the steps that the whole run has from there on, and
                              "threads", with how many compute from there on)
    RUN/samples.jsonl          what the model wrote at each evaluation: step, prompt, text, repetition, longest_copy, copied_text
    RUN/logs/                  what TensorBoard and Weights & Biases show (train.monitor.loggers), where they were asked for
    RUN/results.json           the figures it ended with
    RUN/checkpoints/step-N/    for resuming (train.checkpoint.state)
    RUN/snapshots/step-N/      the model alone as it was after step N, a Hugging Face folder, for looking at how it learned (lab.film)
    RUN/model.safetensors, config.json, tokenizer.json, ...   the model itself, laid out as a Hugging Face folder (weights.model_io)
    RUN/manifest.json          size and SHA-256 of the finished run's files (not of checkpoints and snapshots, which have their own)

A stage of a build that trains is a run folder; pretraining and fine-tuning make the same kind of thing.
"""

import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from groundup import __version__
from groundup.errors import FormatError
from groundup.files import MANIFEST, disk_errors, json_bytes, read_json, verify_folder, write_json

MAX_LINE_BYTES = 2**20
# Of other programs' making, so in no manifest.
LOGS = "logs"
PLAN_FILE = "plan.json"
PLAN_TABLES = ("asked", "model", "fit", "planned")
_STEP_FOLDER = re.compile(r"step-(\d{1,12})")


@dataclass(frozen=True)
class RunFolder:
    """Paths and records of one run. Making the object touches no disk; `create()` does."""

    path: Path

    @property
    def run_file(self) -> Path:
        return self.path / "run.json"

    @property
    def plan_file(self) -> Path:
        return self.path / PLAN_FILE

    @property
    def fit_file(self) -> Path:
        return self.path / "fit.json"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def samples_file(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def results_file(self) -> Path:
        return self.path / "results.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    def snapshot(self, step: int) -> Path:
        """Where the snapshot of `step` lies; its number is padded, so that a listing has them in order."""
        return self.snapshots / f"step-{step:06d}"

    def create(self, kind: str, config: dict[str, Any], inputs: dict[str, Any]) -> None:
        """Make the folder and write `run.json` (kind, config, inputs with their hashes, provenance) before the first step."""
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.run_file, {"kind": kind, "config": config, "inputs": inputs, **provenance()})

    def clear(self) -> None:
        """Remove what an earlier run left here, its checkpoints last: records, results, manifest. The model files are overwritten."""
        for file in (
            self.path / MANIFEST,
            self.results_file,
            self.samples_file,
            self.metrics_file,
            self.fit_file,
            self.run_file,
        ):
            file.unlink(missing_ok=True)
        for folder in (self.path / LOGS, self.snapshots):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def require_whole(self) -> None:
        """Check every file of a finished run against its manifest. Raises FormatError, which offers the last checkpoint."""
        try:
            verify_folder(self.path)
        except FormatError as error:
            fix = (
                f"To write the run's files again from its last checkpoint, remove {self.path / MANIFEST} and run the same "
                "command; --fresh begins anew."
            )
            raise FormatError(error.file, error.place, error.reason, fix=fix) from error

    def write_plan(
        self, asked: dict[str, Any], *, model: dict[str, Any], fit: dict[str, Any], planned: dict[str, Any]
    ) -> None:
        """Write `plan.json`: the command's own settings, the model's and the training's config, and what was planned of time and loss."""
        write_json(self.plan_file, {"asked": asked, "model": model, "fit": fit, "planned": planned})

    def read_plan(self) -> dict[str, dict[str, Any]] | None:
        """plan.json as its four tables; None where there is none. Raises FormatError."""
        if not self.plan_file.exists():
            return None
        record = _table(self.plan_file)
        if not all(isinstance(record.get(name), dict) for name in PLAN_TABLES):
            raise FormatError(
                self.plan_file, ", ".join(PLAN_TABLES), "are not its tables", fix="Begin anew with --fresh."
            )
        return record

    def read_run(self) -> dict[str, Any]:
        """run.json as a table. Raises FormatError."""
        return _table(self.run_file)

    def write_results(self, results: dict[str, Any]) -> None:
        """Write the figures the run ended with."""
        write_json(self.results_file, results)

    def read_results(self) -> dict[str, Any]:
        """results.json as a table. Raises FormatError."""
        return _table(self.results_file)


def step_folders(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints or snapshots in a folder by step, oldest first."""
    found = ((_STEP_FOLDER.fullmatch(path.name), path) for path in folder.glob("step-*") if path.is_dir())
    return sorted((int(match[1]), path) for match, path in found if match)


def _table(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise FormatError(path, "top", "is not a JSON object")
    return value


class LineLog:
    """An append-only JSON-lines file whose length can be recorded and cut back to (a resumed run repeats no line)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = path.open("ab")

    def append(self, record: dict[str, Any]) -> None:
        """Write one record as one line."""
        with disk_errors(self.path):
            self._handle.write(json_bytes(record) + b"\n")
            self._handle.flush()

    def length_bytes(self) -> int:
        """Bytes so far, after forcing them to the disk: what a checkpoint records."""
        self._handle.flush()
        os.fsync(self._handle.fileno())
        return self._handle.tell()

    def cut(self, length_bytes: int) -> None:
        """Drop everything after `length_bytes` (lines written after the checkpoint that is being resumed)."""
        self._handle.truncate(length_bytes)
        self._handle.seek(length_bytes)

    def close(self) -> None:
        self._handle.close()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a JSON-lines file of ours; a half-written last line is passed over. Empty when there is no file."""
    if not path.exists():
        return
    with path.open("rb") as handle:
        for raw in handle:
            record = read_line(raw)
            if record is not None:
                yield record


def read_line(raw: bytes) -> dict[str, Any] | None:
    """The record in one line of such a file; None when it is half-written, too long or no JSON object."""
    if not raw.endswith(b"\n") or len(raw) > MAX_LINE_BYTES:
        return None
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def provenance() -> dict[str, Any]:
    """What is needed to judge or repeat a run: versions, machine, command, time (UTC)."""
    names = ("torch", "tokenizers", "tiktoken", "safetensors", "gguf", "numpy")
    return {
        "groundup": __version__,
        "python": platform.python_version(),
        "packages": {name: version for name in names if (version := package_version(name))},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "argv": sys.argv,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def package_version(name: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
