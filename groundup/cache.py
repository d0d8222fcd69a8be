"""What is kept to be used again, its sizes and last use, and its removal down to a limit.

    CACHE/packages/ downloads/ models/ precision/ packing/ features/ ...
            an entry a file or folder in each of them (`files.cache_folder`)
    RUN/data/ .partial-*/ features.safetensors (of an older version) of runs that are named: they
        are made again when they are needed

What a command uses is never removed: it holds a shared lock on an entry of the cache (`locks.hold`)
until it ends, and the lock of its run (`locks.only_one`). The time of an entry is that of its last
use.
"""

import dataclasses
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from groundup.errors import ConfigError
from groundup.files import TMP_PREFIX, cache_folder
from groundup.locks import is_locked, remove_temporaries, unused
from groundup.operating_system import replace

KINDS = {
    "packages": "download",
    "downloads": "download",
    "models": "model",
    "precision": "measurement",
    "packing": "packing plan",
    "test_splits": "openings of a test split",
    "live": "model for a page",
}
RUN_FILE = "run.json"
PREPARED_DATA = "prepared data"
# Parts of a run: a glob and what it is.
RUN_PARTS = (
    ("data", PREPARED_DATA),
    (".partial-*", "unfinished prepared data"),
    ("features.safetensors", "features"),
)


@dataclass(frozen=True)
class CacheEntry:
    kind: str
    """download, model, measurement, packing plan, prepared data, features, or the name of its
    folder in the cache.
    """
    name: str
    path: Path
    num_bytes: int
    last_used: float
    """Seconds since 1970."""
    in_use: bool

    @property
    def lock(self) -> Path:
        """What a command that uses it has locked: the entry, or the run."""
        return self.path.parent if (self.path.parent / RUN_FILE).exists() else self.path


def entries(runs: Sequence[Path] = ()) -> list[CacheEntry]:
    """Return what the cache and the runs in these folders keep, the longest unused first.

    Raises ConfigError for a folder that does not exist.
    """
    found = [
        (KINDS.get(each.parent.name, each.parent.name), each.name, each)
        for each in cache_folder().glob("*/*")
    ]
    for folder in runs:
        if not folder.is_dir():
            raise ConfigError(
                f"{folder} is not a folder.", fix="Name a run, or a folder with runs in it."
            )
        for record in sorted(folder.rglob(RUN_FILE)):
            parts = ((kind, path) for glob, kind in RUN_PARTS for path in record.parent.glob(glob))
            found += [(kind, str(path), path) for kind, path in parts]
    listed = [_entry(*each) for each in found if not each[2].name.startswith(TMP_PREFIX)]
    return sorted(listed, key=lambda entry: entry.last_used)


def _entry(kind: str, name: str, path: Path) -> CacheEntry:
    size = stored_bytes(path)
    entry = CacheEntry(kind, name, path, size, path.stat().st_mtime, in_use=False)
    return dataclasses.replace(entry, in_use=bool(is_locked(entry.lock)))


def to_remove(found: Sequence[CacheEntry], limit_bytes: int) -> list[CacheEntry]:
    """Return the entries whose removal leaves at most `limit_bytes`, or as few as can be: the
    longest unused first, none in use.
    """
    left, chosen = sum(entry.num_bytes for entry in found), []
    for entry in found:
        if left <= limit_bytes:
            break
        if not entry.in_use:
            chosen.append(entry)
            left -= entry.num_bytes
    return chosen


def remove(chosen: Sequence[CacheEntry]) -> list[CacheEntry]:
    """Remove entries, each as a whole; return those that were: one that came into use meanwhile
    stays.
    """
    for folder in {entry.path.parent for entry in chosen}:
        remove_temporaries(folder)
    return [entry for entry in chosen if _remove(entry)]


def _remove(entry: CacheEntry) -> bool:
    aside = entry.path.with_name(f"{TMP_PREFIX}{entry.path.name}-{os.getpid()}")
    with suppress(FileNotFoundError), unused(entry.lock) as free:
        if free:
            replace(entry.path, aside)
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink()
        return free
    return False


def stored_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
