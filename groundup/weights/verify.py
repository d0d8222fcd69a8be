"""Check of sizes and hashes: below a path (`groundup verify`), or of one model before it is opened.

A folder of ours (run, checkpoint, shard set, model, export) has a manifest.json with the size and
SHA-256 of its files; a build has many. Weight files without a manifest have their headers checked.
"""

import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.errors import FormatError
from groundup.files import (
    MANIFEST,
    TMP_PREFIX,
    inside,
    own_hash_fault,
    read_errors,
    read_json,
    read_json_object,
    read_manifest,
    sha256_file,
    verify_entry,
    verify_folder,
)
from groundup.runs import BUILD_FILE, RECIPE_FILE, BuildResults, RunFolder, build_results
from groundup.tokenizer.fast import CONFIG_FILE as TOKENIZER_CONFIG_FILE
from groundup.tokenizer.fast import TEMPLATE_FILE, TOKENIZER_FILE
from groundup.weights.card import STACKED_FILE
from groundup.weights.hf_config import CONFIG_FILE
from groundup.weights.safetensors_header import INDEX_FILE, WEIGHTS_FILE, read_header

# An adapter in PEFT's format (`adapter.py`), and what is known of its base.
ADAPTER_CONFIG, ADAPTER_WEIGHTS, BASE_FILE = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "base.json",
)
# Files that change what a model does: where a manifest covers the folder, each must be listed in
# it.
MODEL_FILES = (
    *(CONFIG_FILE, WEIGHTS_FILE, INDEX_FILE, TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, TEMPLATE_FILE),
    *(ADAPTER_CONFIG, ADAPTER_WEIGHTS, STACKED_FILE),
)
# What lies only in folders that are written whole, manifest and all.
TABLES = {
    "shards.json": "shard set",
    "data.json": "data folder",
    "index.sqlite": "index",
    "vectors.json": "folder of vectors",
}
_REDO = "Put it back, or run the same build again: what is as it was made is kept."
STEPS = {"checkpoints": "checkpoint", "snapshots": "snapshot"}


def _read_gguf(file: Path) -> object:
    from groundup.weights.gguf_header import read_gguf_header  # numpy and the library's tables

    return read_gguf_header(file)


# Weight files -> the check of their header.
HEADERS: dict[str, Callable[[Path], object]] = {
    ".gguf": _read_gguf,
    ".safetensors": read_header,
}


@dataclass(frozen=True)
class Verified:
    manifests: int
    files: int
    size_bytes: int
    tables: int
    """Weight files whose headers alone were checked."""
    unlisted: int
    """Not checked."""


def verify_path(path: Path) -> Verified:
    """Check everything below a folder, or a weight file. Raises FormatError naming the first bad
    file.
    """
    if not path.exists():
        raise FormatError(path, "path", "does not exist", fix="Give an existing folder or file.")
    files = [path]
    if path.is_dir():
        files = sorted(files_below(path))
    listed: set[Path] = set()
    if path.is_dir():
        _require_manifests(files)
    manifests = [file for file in files if file.name == MANIFEST]
    for folder in (manifest.parent for manifest in manifests):
        listed |= {inside(folder, name) for name in verify_folder(folder)}
    for file in files:
        if path.is_dir() and file.name in (BUILD_FILE, RECIPE_FILE):
            listed |= _verify_build(file.parent)
    others = [file for file in files if file not in listed and file.name != MANIFEST]
    tables = [file for file in others if file.suffix in HEADERS]
    for file in tables:
        HEADERS[file.suffix](file)
    if not manifests and not tables:
        reason = "was not found, nor any weights: there is nothing to check against"
        raise FormatError(
            path, MANIFEST, reason, fix="Give a build, run, checkpoint, shard set or model."
        )
    size_bytes = sum(file.stat().st_size for file in listed)
    return Verified(len(manifests), len(listed), size_bytes, len(tables), len(others) - len(tables))


def _require_manifests(files: Sequence[Path]) -> None:
    """A folder that always gets a manifest has one."""
    folders = sorted({file.parent for file in files})
    found = [(folder, kind) for folder in folders if (kind := _always_listed(folder))]
    found += [(stage, "finished stage") for folder in folders for stage in _finished_stages(folder)]
    for folder, kind in found:
        if not (folder / MANIFEST).is_file() and covered(folder) is None:
            reason = f"is missing, which every {kind} has: it was removed, or what wrote the folder did not end"
            fix = "Put it back, or run the command that made the folder again."
            raise FormatError(folder / MANIFEST, "file", reason, fix=fix)


def _always_listed(folder: Path) -> str:
    """What a folder is, if of a kind that is never without a manifest."""
    if folder.name.startswith("step-") and folder.parent.name in STEPS:
        return STEPS[folder.parent.name]
    run = RunFolder(folder)
    if run.run_file.is_file() and run.results_file.is_file():
        return "finished run"
    return next((kind for name, kind in TABLES.items() if (folder / name).is_file()), "")


def _finished_stages(folder: Path) -> list[Path]:
    if not (folder / BUILD_FILE).is_file():
        return []
    found = [(inside(folder, name), files) for name, files in _outputs(_read_build(folder)).items()]
    return [stage for stage, files in found if stage.is_dir() or any("/" in name for name in files)]


def _read_build(folder: Path) -> BuildResults:
    file = folder / BUILD_FILE
    content = read_json_object(file)
    wrong = own_hash_fault(content)
    if wrong:
        raise FormatError(file, "sha256", f"{wrong}: build.json was altered or damaged", fix=_REDO)
    return build_results(content, file)


def _outputs(results: BuildResults) -> dict[str, Mapping[str, str]]:
    """Finished stages of a build: name -> file in the build -> SHA-256, of those that later stages
    read.
    """
    return {
        name: stage.outputs_sha256
        for name, stage in results.stages.items()
        if stage.status == "done"
    }


def _verify_build(folder: Path) -> set[Path]:
    """build.json, and the files beside the stages' folders against it; returns those that were
    checked.
    """
    file = folder / BUILD_FILE
    if not file.is_file():
        if not any((each / MANIFEST).is_file() for each in folder.iterdir()):
            return set()  # a recipe that someone wrote
        raise FormatError(
            file, "file", "is missing, which every build has", fix="Put it back, or build again."
        )
    results = _read_build(folder)
    hashes = {
        name: value
        for files in _outputs(results).values()
        for name, value in files.items()
        if "/" not in name
    }
    if results.recipe_sha256:
        hashes[RECIPE_FILE] = results.recipe_sha256
    for name, expected in hashes.items():
        beside = inside(folder, name)
        with read_errors(beside):
            if sha256_file(beside) != expected:
                raise FormatError(
                    beside,
                    "sha256",
                    "differs from build.json: it was altered or damaged",
                    fix=_REDO,
                )
    return {file, *(folder / name for name in hashes)}


def verify_covered(path: Path, *, by_size: Container[str] = ()) -> bool:
    """Check a model against the nearest manifest that lists it: its own, or one up to two folders
    above. Returns whether there was one. Files named in `by_size` are not going to be read, so only
    their sizes are checked. Raises FormatError.
    """
    found = covered(path)
    if found is None:
        return False
    for name, entry in found.entries.items():
        verify_entry(found.folder, name, entry, hashes=found.name_in_model(name) not in by_size)
    _refuse_unlisted(found.path, {found.folder / name for name in found.entries})
    return True


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no whole model."""
    return (folder / ADAPTER_CONFIG).is_file() and not (folder / CONFIG_FILE).is_file()


@contextmanager
def verified_meanwhile(path: Path) -> Iterator[None]:
    """`verify_covered` in a thread beside the block; its FormatError comes first, since damage has
    many symptoms.
    """
    with ThreadPoolExecutor(1, "verify") as pool:
        check = pool.submit(verify_covered, path)
        try:
            yield
        finally:
            check.result()


@dataclass(frozen=True)
class Covered:
    path: Path
    folder: Path
    """Where the manifest lies."""
    entries: dict[str, dict[str, Any]]
    """Name within `folder` -> size and SHA-256."""

    def name_in_model(self, name: str) -> str:
        return (self.folder / name).relative_to(self.path).as_posix()

    def hashes(self) -> dict[str, str]:
        return {self.name_in_model(name): entry["sha256"] for name, entry in self.entries.items()}


def covered(path: Path) -> Covered | None:
    """What the nearest manifest says of a model; None: no manifest covers it. Raises
    FormatError.
    """
    path = Path(os.path.abspath(path))  # a relative name has no parents
    for folder in ([path] if path.is_dir() else []) + list(path.parents)[:2]:
        if not (folder / MANIFEST).is_file() or (folder != path and not _is_ours(folder)):
            continue
        entries = read_manifest(folder)["files"]
        found = {
            name: entry for name, entry in entries.items() if (folder / name).is_relative_to(path)
        }
        if found or folder == path:
            return Covered(path, folder, found)
    return None


def _is_ours(folder: Path) -> bool:
    """Other programs write files of that name too."""
    content = read_json(folder / MANIFEST)
    return isinstance(content, dict) and "files" in content


def _refuse_unlisted(path: Path, listed: set[Path]) -> None:
    """Refuse a file that would change what the model does and is not in the manifest."""
    for name in MODEL_FILES if path.is_dir() else ():
        if (path / name).exists() and path / name not in listed:
            raise FormatError(path / name, "file", "is not in the manifest: it was added later")


def files_below(folder: Path) -> list[Path]:
    """All but those left by interrupted writes, and those that SQLite makes anew whenever an index
    is read.
    """
    return [
        file
        for file in folder.rglob("*")
        if file.is_file()
        and not any(part.startswith(TMP_PREFIX) for part in file.relative_to(folder).parts)
        and not (
            file.name.endswith("-shm") or (file.name.endswith("-wal") and not file.stat().st_size)
        )
    ]
