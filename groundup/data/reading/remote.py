"""Remote sources: data sets of the Hugging Face hub (hf:OWNER/NAME[@revision][:config][/split],
extra `hub`) or laid out like one on disk (hf:./FOLDER), and files in object stores (s3://, gs://,
by fsspec).

A split becomes a file of JSON lines whose bytes are made as they are read, so that rows go the way
of all others: `sniff`, `records`. Files of an object store are read as a stream, too. No code of a
data set is run, and of its formats only those with rows are read (FORMATS).
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import IO, Any

from groundup.data.reading.containers import (
    BUILD,
    BUILD_FILES,
    EVERYTHING,
    Pattern,
    Skip,
    stream_of,
)
from groundup.data.reading.download import HTTPS
from groundup.data.reading.records import SourceFile
from groundup.errors import ConfigError, DataError, GroundupError, MissingExtra, NetworkError
from groundup.files import sha256_text

HUB = "hf:"
HUB_FORM = "hf:OWNER/NAME[:config][/split], or hf:./FOLDER[:config][/split] for one on disk"
FORMATS = ("arrow", "csv", "json", "parquet", "text")
"""The formats of data sets that are read; others hold pictures and sounds, or are read by libraries
that may use pickle.
"""
TRAIN = "train"
OTHER_SPLIT = "a split that was not named"
# scheme -> the package that fsspec needs for it, which is an extra of the same name as the second
STORES: Mapping[str, tuple[str, str]] = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "memory": ("", ""),
}
READ_BYTES = 2**20

_NAMED = re.compile(r"([\w.-]+(?:/[\w.-]+)?)(?:@([\w.-]+))?(?::([^/:]+))?(?:/([\w.-]+))?")
_LOCAL = re.compile(r"([./~][^:]*)()(?::([^/:]+)(?:/([\w.-]+))?)?")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True)
class HubAddress:
    name: str
    """OWNER/NAME, or a folder on disk."""
    revision: str
    config: str
    split: str

    @property
    def folder(self) -> str:
        """The folder on disk, "" for a data set of the hub."""
        if self.name[0] not in "./~":
            return ""
        return os.path.expanduser(self.name)


def parse_hub(address: str) -> HubAddress:
    """Return the parts of a hf: address. Raises ConfigError, DataError (no such folder).

    >>> parse_hub("hf:roneneldan/TinyStories/validation")
    HubAddress(name='roneneldan/TinyStories', revision='', config='', split='validation')
    """
    rest = address.removeprefix(HUB)
    form = _NAMED
    if rest.startswith((".", "/", "~")):
        form = _LOCAL
    found = form.fullmatch(rest)
    if not found:
        raise ConfigError(
            f"{address!r} is not an address of a data set.", fix=f"Write it as {HUB_FORM}."
        )
    made = HubAddress(*(part or "" for part in found.groups()))
    if not made.folder or os.path.isdir(made.folder):
        return made
    above, _, last = made.name.rpartition("/")
    if not made.config and os.path.isdir(os.path.expanduser(above or "/")):
        return HubAddress(above or "/", "", "", last)
    raise DataError(
        f"{address}: there is no folder {made.name}.", fix=f"A data set is named as {HUB_FORM}."
    )


def hub_files(address: str, skip: Skip) -> Iterator[SourceFile]:
    """Yield the splits of a data set as files of JSON lines: the one named, else "train", else the
    only one; `skip` gets the others.

    Raises ConfigError, DataError, NetworkError, MissingExtra.
    """
    parts = parse_hub(address)
    builder = _builder(parts, address)
    with _library_errors(address):
        streams = builder.as_streaming_dataset()
    chosen = parts.split or _default_split(list(streams))
    if chosen not in streams:
        what = "names no split"
        if chosen:
            what = f"has no split {chosen!r}"
        raise DataError(
            f"{address} {what}; there are: {', '.join(streams)}.",
            fix="Name one behind a slash: /train.",
        )
    shown = ":".join(filter(None, (parts.name.rstrip("/"), parts.config)))
    for split in streams:
        if split != chosen:
            skip(OTHER_SPLIT, f"{shown}/{split}")
    pieces = partial(_json_lines, streams[chosen], address)
    yield SourceFile(f"{shown}/{chosen}", ".jsonl", lambda: stream_of(pieces()))


def _default_split(names: Sequence[str]) -> str:
    if TRAIN in names:
        return TRAIN
    if len(names) == 1:
        return names[0]
    return ""


def hub_fingerprint(address: str) -> str:
    """Return a hash that changes with the files of a data set of the hub."""
    builder = _builder(parse_hub(address), address)
    files = {
        split: found.origin_metadata for split, found in (builder.config.data_files or {}).items()
    }
    return sha256_text(repr((address, builder.hash, sorted(files.items()))))


def _builder(parts: HubAddress, address: str) -> Any:
    if find_spec("datasets") is None:
        raise MissingExtra("datasets", "hub")
    import datasets
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # each of its retries would be a line
    with _library_errors(address):
        builder = datasets.load_dataset_builder(
            parts.folder or parts.name, parts.config or None, revision=parts.revision or None
        )
    if builder.name not in FORMATS:
        raise DataError(
            f"{address} is a data set of format {builder.name!r}; those read: {', '.join(FORMATS)}."
        )
    return builder


def _json_lines(rows: Any, address: str) -> Iterator[bytes]:
    """Yield the rows as JSON lines: classes by name, times as text; bytes, which are pictures or
    sounds, as null.
    """
    with _library_errors(address):
        rows = rows.decode(False)
        classes = {
            column: kind.names
            for column, kind in (rows.features or {}).items()
            if type(kind).__name__ == "ClassLabel"
        }
        for row in rows:
            named = {
                column: _class_name(row[column], names)
                for column, names in classes.items()
                if column in row
            }
            text = json.dumps({**row, **named}, ensure_ascii=False, default=_text_or_null)
            yield text.encode("utf-8", "backslashreplace") + b"\n"


def _class_name(value: Any, names: list[str]) -> str | None:
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return None


def _text_or_null(value: Any) -> str | None:
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return None


@dataclass(frozen=True)
class StoredFile:
    name: str
    """Within the folder or glob."""
    size_bytes: int
    version: str
    """Changes with its bytes."""
    address: str

    def open(self) -> IO[bytes]:
        return stream_of(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        with _library_errors(self.address):
            system, path = _file_system(self.address)
            with system.open(path, "rb") as stream:
                while piece := stream.read(READ_BYTES):
                    yield piece


def is_store(address: str) -> bool:
    """Return whether an address is one of an object store.

    Raises ConfigError for a scheme that is not read.
    """
    found = _SCHEME.match(address)
    if not found or address.startswith(HTTPS):
        return False
    scheme = found[1].lower()
    if scheme == "http":
        fix = "Use https:, if the server has it; or fetch the file yourself and name it."
        raise ConfigError(
            f"{address} is not fetched: what comes by http: can be altered on the way.", fix=fix
        )
    if scheme not in STORES or "::" in address:
        known = [HTTPS, *(f"{name}://" for name, (package, _) in STORES.items() if package)]
        raise ConfigError(
            f"{address}: {found[0]} is not read.",
            fix=f"Addresses that are read: {', '.join(known)}.",
        )
    return True


def store_files(address: str, skip: Skip) -> Iterator[StoredFile]:
    """Yield the files of an address in an object store, by the rules for folders and globs on disk
    (`folders`), sorted by name.

    Raises DataError (nothing there), NetworkError, MissingExtra.
    """
    with _library_errors(address):
        system, path = _file_system(address)
        if not system.isdir(path) and system.isfile(path):
            yield _stored_file(path.rpartition("/")[2], system.info(path), system, path)
            return
        parts: tuple[str, ...] = EVERYTHING
        root, magic = path, _MAGIC.search(path)
        if magic and not system.isdir(path):
            root = path[: magic.start()].rpartition("/")[0]
            parts = tuple(path[len(root) :].strip("/").split("/"))
        files = _list_files(system, root, parts)
        found = {key[len(root) :].strip("/"): (key, info) for key, info in files.items()}
    if not found:
        raise DataError(f"{address} does not exist, or is empty.", fix="Check the address.")
    builds: list[str] = []
    if parts == EVERYTHING:
        builds = _builds(found)
    for build in builds:
        skip(BUILD, build.rstrip("/") or ".")
    for name, (key, info) in sorted(found.items()):
        if name and Pattern(parts).matches(name) and not name.startswith(tuple(builds)):
            yield _stored_file(name, info, system, key)


def _list_files(system: Any, root: str, parts: tuple[str, ...]) -> dict[str, Mapping[str, Any]]:
    depth: int | None = len(parts)
    if "**" in parts:
        depth = None
    found: dict[str, Mapping[str, Any]] = system.find(root, maxdepth=depth, detail=True)
    return {key: info for key, info in found.items() if info["type"] == "file"}


def _builds(names: Mapping[str, Any]) -> list[str]:
    """Return the folders that are builds, each with a slash behind it; "": all is one."""
    heads = [name.rpartition("/") for name in names if name.rpartition("/")[2] in BUILD_FILES]
    folders = [head + slash for head, slash, _ in heads]
    return sorted({folder for folder in folders if folders.count(folder) == len(BUILD_FILES)})


def _stored_file(name: str, info: Mapping[str, Any], system: Any, path: str) -> StoredFile:
    address = system.unstrip_protocol(path)
    return StoredFile(name, info["size"] or 0, str(system.ukey(path)), address)


def _file_system(address: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    package, extra = STORES[_SCHEME.match(address)[1].lower()]  # type: ignore[index]
    if package and find_spec(package) is None:
        raise MissingExtra(package, extra)
    system, path = url_to_fs(address)
    return system, path.rstrip("/")


@contextmanager
def _library_errors(address: str) -> Iterator[None]:
    """Turn what `datasets` and the file systems raise into one sentence."""
    try:
        yield
    except GroundupError:
        raise
    except Exception as error:  # a library raises anything
        what = " ".join(str(error).split())[:400] or type(error).__name__
        reason = f"{address} can't be read: {what}."
        names, form = "AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS", ""
        is_network = not isinstance(error, FileNotFoundError)
        if address.startswith(HUB):
            names, form = "HF_TOKEN", f": {HUB_FORM}"
            is_network = is_network and isinstance(error, OSError)
        if is_network:
            fix = f"Check the network, and the credentials that the library finds ({names}, ...)."
            raise NetworkError(reason, fix=fix) from error
        raise DataError(reason, fix=f"Check the address{form}.") from error
