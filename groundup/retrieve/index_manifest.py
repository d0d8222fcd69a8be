"""The manifests of an index: size and SHA-256 of its files, by which damage is found when it is
opened.

    FOLDER/manifest.json            of index.sqlite, evidence.json and calibration.jsonl
    FOLDER/vectors/manifest.json    of the vectors
    FOLDER/reader/manifest.json     of the reader that was tuned on its documents

A writer removes the manifest before its first change and writes it anew when it has ended, so that
none ever lies beside other files than its own:
without one, a write is going on or was interrupted. SQLite itself has no checksums, and most single
wrong bytes give other results in silence.
"""

from contextlib import suppress
from pathlib import Path

from groundup.errors import FormatError
from groundup.files import MANIFEST, disk_errors, sync_folder, verify_folder, write_manifest
from groundup.locks import is_locked

INDEX_FILE = "index.sqlite"
# What SQLite makes whenever the index is read; folders with manifests of their own, or of
# documents.
NOT_LISTED = (
    f"{INDEX_FILE}-wal",
    f"{INDEX_FILE}-shm",
    "vectors",
    "reader",
    "documents",
    "metadata",
)


def require_undamaged(folder: Path) -> bool:
    """Check the files of an index (or of its vectors) against their manifest; False: there is none.
    Raises FormatError.
    """
    while (manifest := _manifest(folder)) is not None:
        try:
            verify_folder(folder)
            return True
        except FormatError as error:
            if _manifest(folder) != manifest:  # a writer has begun or ended meanwhile
                continue
            index = folder
            if folder.name == "vectors":
                index = folder.parent
            fix = f"Delete {folder} and make it again: groundup index DOCS --out {index}"
            raise FormatError(error.file, error.place, error.reason, fix=fix) from error
    return False


def _manifest(folder: Path) -> bytes | None:
    with suppress(FileNotFoundError, NotADirectoryError):
        return (folder / MANIFEST).read_bytes()
    return None


def without_manifest(folder: Path) -> str:
    """Return a note on an index whose last writer did not end; "" while one is at work."""
    if (folder / MANIFEST).exists() or is_locked(folder):
        return ""
    command = f"groundup index --out {folder}"
    if folder.name == "vectors":
        command = f"groundup index --out {folder.parent} --vectors ENCODER"
    return (
        f"The last update of {folder} did not end, so damage of it would not be found. "
        f"Let it end: {command}"
    )


def begin_change(folder: Path) -> None:
    """Remove the manifest: what it lists is about to change. Raises DiskError."""
    if (folder / MANIFEST).exists():
        with disk_errors(folder):
            (folder / MANIFEST).unlink()
            sync_folder(folder)


def end_change(folder: Path) -> None:
    """Write the manifest; not while SQLite's log has what the file lacks, as where a reader kept
    the writer from moving it. Raises DiskError.
    """
    log = folder / NOT_LISTED[0]
    if not log.exists() or not log.stat().st_size:
        write_manifest(folder, skip=NOT_LISTED)
