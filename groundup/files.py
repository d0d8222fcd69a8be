"""Reading and writing files so that nothing is lost: atomic writes, manifests with hashes, safe
names, the cache folder.

A file:            write_text, write_json, write_bytes       temporary name, fsync, rename, fsync of
                                                             the folder
A folder:          with atomic_folder(path) as tmp: ...      the same, with manifest.json
Verification:      verify_folder(path)                       every size and SHA-256 of the manifest
Untrusted names:   safe_name(name), inside(root, name)       the only two ways in which one becomes
                                                             a path
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from groundup.errors import DiskError, FormatError
from groundup.operating_system import IS_WINDOWS, NO_FOLLOW, replace, sync_folder

MANIFEST = "manifest.json"
TMP_PREFIX = ".tmp-"
OLD_PREFIX = f"{TMP_PREFIX}old-"  # a folder moved aside while its replacement is renamed
MAX_JSON_BYTES = 64 * 2**20
# Of a file larger than this, a manifest also has the SHA-256 of each part of this size, so that all
# cores can check it at once.
PART_BYTES = 16 * 2**20
PARTS = "sha256_per_16_mib"
CACHE_FIX = (
    "Set the environment variable GROUNDUP_CACHE to a folder of your own that can be written to."
)


def cache_path(*parts: str) -> Path:
    """Return where the user's cache is: $GROUNDUP_CACHE, else $XDG_CACHE_HOME/groundup, else
    ~/.cache/groundup. Raises DiskError: no home folder.
    """
    if root := os.environ.get("GROUNDUP_CACHE"):
        return Path(root, *parts)
    try:
        above = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:
        raise DiskError(
            "There is no place for the cache: HOME is not set, and this user has no home folder.",
            fix=CACHE_FIX,
        ) from error
    return Path(above, "groundup", *parts)


def cache_folder(*parts: str) -> Path:
    """Return the user's cache (`cache_path`), made if missing. Raises DiskError."""
    return make_folder(cache_path(*parts))


def make_folder(folder: Path) -> Path:
    """Make a folder, and those above it, where they are missing. Raises DiskError."""
    with disk_errors(folder):
        _mkdir(folder, parents=True, exist_ok=True)
    return folder


def _mkdir(folder: Path, **options: bool) -> None:
    try:
        folder.mkdir(**options)
    except FileNotFoundError as error:  # of a file system that is not on a disk, such as /proc
        raise OSError(errno.EACCES, "No folder can be made there") from error


@contextlib.contextmanager
def disk_errors(path: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn a full disk, a file-size limit, a missing permission or an invalid name into a
    `DiskError` that names `path`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise no_room(path, needed_bytes) from error
        fix = "Choose another name."
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            fix = "Choose another folder, or change its permissions."
            if IS_WINDOWS:
                fix = "Close the program that has it open, or choose another folder."
        elif error.errno not in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG):
            raise
        if is_cached(path):
            fix = CACHE_FIX
        raise DiskError(f"{path} can't be written: {error.strerror}.", fix=fix) from error


def is_cached(path: Path) -> bool:
    try:
        return path.is_relative_to(cache_path())
    except DiskError:
        return False


def no_room(path: Path, needed_bytes: int | None = None) -> DiskError:
    need = ""
    if needed_bytes:
        need = f" ({needed_bytes / 1e6:.1f} MB needed)"
    return DiskError(
        f"No space left to write {path}{need}; everything saved before is unchanged.",
        fix="Free some space and run the same command again: it resumes from there.",
    )


def require_free_bytes(path: Path, needed_bytes: int) -> None:
    """Raise DiskError before a save that would not fit."""
    folder = path
    with disk_errors(path, needed_bytes):
        while not folder.exists():
            folder = folder.parent
        free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise no_room(path, needed_bytes)


def write_bytes(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write `data` to `path` atomically: a reader sees the old file or the new one, never a part.
    Raises DiskError.

    `mode`: the permissions, from which those are taken that the user's umask denies.
    """
    with atomic_file(path, needed_bytes=len(data), mode=mode) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def atomic_file(path: Path, *, needed_bytes: int = 0, mode: int = 0o666) -> Iterator[Path]:
    """`write_bytes` for a file too large for memory: yields a temporary file to write, which then
    replaces `path`.

    The temporary file is a new one, never what stands under its name, as a link.
    On any error the temporary file is removed and `path` is unchanged. Raises DiskError.
    """
    make_folder(path.parent)
    require_free_bytes(path, needed_bytes)
    temporary = path.with_name(f"{TMP_PREFIX}{path.name}-{os.getpid()}")
    with disk_errors(path, needed_bytes):
        temporary.unlink(missing_ok=True)  # of an earlier process with this number
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, mode))
        try:
            yield temporary
            sync_file(temporary)
            replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of indented JSON."""
    write_bytes(path, json_bytes(value, indent=2) + b"\n")


def json_bytes(value: Any, *, indent: int | None = None) -> bytes:
    """Return JSON in UTF-8; lone surrogates (Python's form of file names that are not UTF-8) are
    escaped, so that they can be read back.
    """
    return json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "backslashreplace")


@contextlib.contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Turn a missing file or permission, a folder in place of a file or an invalid name into a
    FormatError that names `path`.
    """
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise FormatError(path, "file", "is missing") from error
    except OSError as error:
        raise FormatError(path, "file", f"can't be read: {error.strerror}") from error


def read_text(path: Path, *, max_bytes: int) -> str:
    """Read a UTF-8 file; every line end becomes a newline.

    Raises FormatError when it can't be read, is over `max_bytes` or not UTF-8.
    """
    try:
        with read_errors(path):
            size = path.stat().st_size
            if size > max_bytes:
                raise FormatError(path, "size", f"{size} bytes, at most {max_bytes} expected")
            text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(path, f"byte {error.start}", "is not UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Parse a JSON file.

    Raises FormatError when it can't be read, is over `max_bytes`, not UTF-8, not JSON or nested too
    deeply.
    """
    try:
        return json.loads(read_text(path, max_bytes=max_bytes))
    except json.JSONDecodeError as error:
        raise FormatError(path, f"line {error.lineno}", f"is not JSON ({error.msg})") from error
    except RecursionError as error:
        raise FormatError(path, "nesting", "is nested too deep") from error
    except ValueError as error:  # a number with more digits than Python converts
        raise FormatError(path, "number", f"can't be parsed ({error})") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """`read_json` of an object. Raises FormatError for another value, too."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise FormatError(path, "top", "is not a JSON object")
    return value


def sync_file(path: Path) -> None:
    """Force a file's bytes to the disk."""
    with path.open("rb+") as handle:
        os.fsync(handle.fileno())


def sha256_file(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes; `hashlib.file_digest` waits for Python's lock after
    every 256 KB while another thread works.
    """
    digest = hashlib.sha256()
    for part in _parts(path):
        digest.update(part)
    return digest.hexdigest()


def sha256_parts(path: Path) -> list[str]:
    """Return the hex SHA-256 of each PART_BYTES of a file, computed by all cores."""
    count, cores = -(-path.stat().st_size // PART_BYTES), os.cpu_count() or 1
    digests = [""] * count

    def compute(first: int) -> None:
        for number, part in zip(
            range(first, count, cores), _parts(path, first, cores), strict=True
        ):
            digests[number] = hashlib.sha256(part).hexdigest()

    with ThreadPoolExecutor(cores, "hash") as pool:
        list(pool.map(compute, range(min(cores, count))))
    return digests


def _parts(path: Path, first: int = 0, step: int = 1) -> Iterator[memoryview]:
    """Yield every `step`-th PART_BYTES of a file from the `first` on, each valid until the next.

    Raises OSError.
    """
    size = path.stat().st_size
    room = memoryview(bytearray(min(size, PART_BYTES)))
    with path.open("rb", buffering=0) as handle:
        for begin in range(first * PART_BYTES, size, step * PART_BYTES):
            handle.seek(begin)
            wanted, found = min(PART_BYTES, size - begin), 0
            while found < wanted:
                more = handle.readinto(room[found:wanted])
                if not more:
                    raise OSError(errno.EIO, "it became shorter while it was read")
                found += more
            yield room[:wanted]


def sha256_text(text: str) -> str:
    """Return the hex SHA-256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@contextlib.contextmanager
def atomic_folder(
    path: Path, *, needed_bytes: int = 0, extra: dict[str, Any] | None = None
) -> Iterator[Path]:
    """Write a folder completely or not at all.

    Yields a temporary folder to write into. On success every file is synced, `manifest.json` (size
    and SHA-256 of every file, and `extra`) is written, and the folder is renamed to `path`,
    replacing one that exists. On any error the temporary folder is removed and `path` is unchanged.
    """
    make_folder(path.parent)
    require_free_bytes(path, needed_bytes)
    temporary = path.with_name(f"{TMP_PREFIX}{path.name}-{os.getpid()}")
    with disk_errors(path, needed_bytes or None):
        shutil.rmtree(temporary, ignore_errors=True)
        _mkdir(temporary)
        try:
            yield temporary
            write_manifest(temporary, extra=extra)
            replace_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(new: Path, path: Path) -> None:
    """Rename `new` to `path`; a folder that exists there is moved aside first and then removed, or
    restored on an error.
    """
    aside = path.with_name(f"{OLD_PREFIX}{path.name}-{os.getpid()}")
    if path.exists():
        shutil.rmtree(aside, ignore_errors=True)
        replace(path, aside)
    try:
        replace(new, path)
    except OSError:
        if aside.exists() and not path.exists():
            replace(aside, path)
        raise
    sync_folder(path.parent)
    shutil.rmtree(aside, ignore_errors=True)


def write_manifest(
    folder: Path, *, extra: dict[str, Any] | None = None, skip: Sequence[str] = ()
) -> None:
    """Sync every file below `folder` and write its manifest: {"files": {name: {"bytes", "sha256",
    PARTS}}, **extra, "sha256": of all this}.

    `skip` names top-level entries that are not part of it (a run's "checkpoints", which have
    manifests of their own).
    """
    entries = {}
    for file in sorted(folder.rglob("*")):
        inner = file.relative_to(folder)
        if inner.parts[0] in skip or any(part.startswith(TMP_PREFIX) for part in inner.parts):
            continue
        if file.is_file() and inner.as_posix() != MANIFEST:
            sync_file(file)
            entries[inner.as_posix()] = _entry(file)
    for inner in [*(p for p in folder.rglob("*") if p.is_dir()), folder]:
        sync_folder(inner)
    write_hashed_json(folder / MANIFEST, {**(extra or {}), "files": entries})


def write_hashed_json(path: Path, content: dict[str, Any]) -> None:
    """Write an object with the hash of what it says, `sha256`. Raises DiskError."""
    content = {name: value for name, value in content.items() if name != "sha256"}
    write_json(path, {**content, "sha256": _content_hash(content)})


def own_hash_fault(content: dict[str, Any]) -> str:
    """Return what is wrong with the hash of an object that `write_hashed_json` wrote; "" where it
    is right.
    """
    if "sha256" not in content:
        return "is missing"
    bare = {name: value for name, value in content.items() if name != "sha256"}
    if content["sha256"] != _content_hash(bare):
        return "is not the hash of the content"
    return ""


def _entry(file: Path) -> dict[str, int | str | list[str]]:
    """Return the entry of a file; PARTS only for a large one."""
    size = file.stat().st_size
    entry: dict[str, int | str | list[str]] = {"bytes": size, "sha256": sha256_file(file)}
    if size > PART_BYTES:
        entry[PARTS] = sha256_parts(file)
    return entry


def _content_hash(content: dict[str, Any]) -> str:
    """SHA-256 of what a manifest says, whatever white space and order it is written in."""
    return sha256_text(json.dumps(content, sort_keys=True))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder, its structure and its own hash checked. Raises
    FormatError.
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise FormatError(file, "file", "is missing")
    try:
        manifest = read_json_object(file)
    except FormatError as error:
        raise FormatError(file, error.place, _damaged(error.reason)) from error
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(map(_is_entry, files.values())):
        raise FormatError(file, "files", _damaged("is not a table of names with bytes and sha256"))
    if wrong := own_hash_fault(manifest):
        raise FormatError(file, "sha256", _damaged(wrong))
    manifest.pop("sha256", None)
    return manifest


def _is_entry(entry: Any) -> bool:
    """Whether a value has what is said of a file."""
    if not isinstance(entry, dict):
        return False
    return isinstance(entry.get("bytes"), int) and isinstance(entry.get("sha256"), str)


def _damaged(reason: str) -> str:
    return f"{reason}: damaged manifest, the files beside it can't be checked"


def verify_folder(folder: Path, *, hashes: bool = True) -> dict[str, dict[str, Any]]:
    """Check that every file of a folder's manifest exists and has the recorded size and (with
    `hashes`) SHA-256.

    Returns the files' entries. Raises FormatError naming the first bad file.
    """
    entries: dict[str, dict[str, Any]] = read_manifest(folder)["files"]
    for name, entry in entries.items():
        verify_entry(folder, name, entry, hashes=hashes)
    return entries


def verify_entry(folder: Path, name: str, entry: dict[str, Any], *, hashes: bool = True) -> None:
    """Check one file against its entry of the manifest. Raises FormatError."""
    file = inside(folder, name)
    with read_errors(file):
        if not file.is_file():
            raise FormatError(file, "file", "is in the manifest but missing")
        if file.stat().st_size != entry["bytes"]:
            raise FormatError(
                file, "size", f"is {file.stat().st_size} bytes, the manifest says {entry['bytes']}"
            )
        if hashes and _hashes_of(file, parts=PARTS in entry) != entry.get(PARTS, [entry["sha256"]]):
            raise FormatError(
                file, "sha256", "differs from the manifest: the file was altered or damaged"
            )


# Hashes of files by device, inode, size and times, for this process: a model that was verified by
# name is not read once more when it is opened.
known_hashes: dict[tuple[int, ...], list[str]] = {}
SETTLED_S = 2.0


def _hashes_of(file: Path, *, parts: bool) -> list[str]:
    """Return a file's SHA-256, or those of its parts, known or computed.

    Computed again where the file may have changed: its clock may not tell changes of the last
    moment apart.
    """
    stat, now = file.stat(), time.time()
    key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, parts)
    if key in known_hashes:
        return known_hashes[key]
    if parts:
        digests = sha256_parts(file)
    else:
        digests = [sha256_file(file)]
    if now - max(stat.st_mtime, stat.st_ctime) > SETTLED_S:
        known_hashes[key] = digests
    return digests


_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# Names of devices on Windows, whatever ending they have.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def safe_name(name: str) -> str:
    """Return `name` if it is a single safe path component. Raises FormatError."""
    if (
        not _SAFE_NAME.fullmatch(name)
        or name.endswith(".")
        or (IS_WINDOWS and _DEVICE.fullmatch(name))
    ):
        reason = (
            "may have letters, digits, '.', '_' and '-' only, and begins with a letter or digit"
        )
        raise FormatError(repr(name[:80]), "name", reason)
    return name


def inside(root: Path, name: str) -> Path:
    """Return `root/name`, refused if it is outside `root` (absolute, '..', or through a link).

    Raises FormatError.
    """
    path = root / name
    try:
        stays = not Path(name).is_absolute() and path.resolve().is_relative_to(root.resolve())
    except (
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # too long; NUL or surrogates; a loop of links
        raise FormatError(repr(name[:80]), "path", f"is not valid in the folder {root}") from error
    if not stays:
        raise FormatError(repr(name[:80]), "path", f"would leave the folder {root}")
    return path
