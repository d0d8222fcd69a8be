"""A folder that is written over several calls: what a killed one finished is kept, and the whole
appears at once.

    with partial_folder(path, key) as partial:          .partial-NAME beside `path`, of an earlier
                                                        call with the same key, or empty
        state = partial.state                           what was saved last; {} at the beginning
        ...append to files in partial.folder...
        partial.save({"done": 7}, files)                from here on a later call begins, the files
                                                        cut to their present lengths

At the end a manifest is written and the folder is renamed to `path`, as `files.atomic_folder` does
it. An error removes it, but for one of a disk, the network or another process: the same command
goes on after it.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.errors import DiskError, FormatError, GroundupError, NetworkError, WorkerError
from groundup.files import (
    disk_errors,
    read_json_object,
    replace_folder,
    require_free_bytes,
    sync_file,
    write_json,
    write_manifest,
)
from groundup.locks import only_one

PARTIAL_PREFIX = ".partial-"
STATE_FILE = "state.json"


@dataclass
class Partial:
    """The folder while it is written."""

    folder: Path
    key: str
    state: dict[str, Any] = field(default_factory=dict)

    def save(self, state: dict[str, Any], files: Sequence[Path]) -> None:
        """Keep `state` and the present lengths of `files`, whose writers were flushed."""
        for file in files:
            sync_file(file)
        sizes = {file.name: file.stat().st_size for file in files}
        write_json(self.folder / STATE_FILE, {"key": self.key, "sizes": sizes, "state": state})
        self.state = state

    def forget(self) -> None:
        """Remove the saved state: files that it relies on are about to be replaced."""
        (self.folder / STATE_FILE).unlink(missing_ok=True)

    def restore(self) -> None:
        """Read the state and cut the files to its lengths; empty the folder where it has none,
        another key's, or too short a file.
        """
        try:
            record = read_json_object(self.folder / STATE_FILE)
            sizes = {self.folder / name: size for name, size in record["sizes"].items()}
            if record["key"] != self.key or any(
                file.stat().st_size < size for file, size in sizes.items()
            ):
                raise ValueError("of another key, or damaged")
            self.state = dict(record["state"])
        except (FormatError, OSError, ValueError, KeyError, TypeError, AttributeError):
            self.state, sizes = {}, {}
        for entry in self.folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry not in sizes and (entry.name != STATE_FILE or not self.state):
                entry.unlink()
        for file, size in sizes.items():
            os.truncate(file, size)


def partial_path(path: Path) -> Path:
    return path.with_name(f"{PARTIAL_PREFIX}{path.name}")


@contextmanager
def partial_folder(path: Path, key: str, *, needed_bytes: int = 0) -> Iterator[Partial]:
    """Write the folder `path`, going on from what an earlier call with the same `key` saved.

    Raises DiskError, ConfigError (another process does).
    """
    require_free_bytes(path, needed_bytes)
    partial = Partial(partial_path(path), key)
    with only_one(partial.folder), disk_errors(path, needed_bytes or None):
        partial.restore()
        try:
            yield partial
            write_manifest(partial.folder, skip=(STATE_FILE,))
            partial.forget()
            replace_folder(partial.folder, path)
        except GroundupError as error:
            if not isinstance(error, DiskError | NetworkError | WorkerError):
                shutil.rmtree(partial.folder, ignore_errors=True)
            raise
