"""Packed weights as files (`packed.py`), and as arrays, without torch: where they lie, whether they
are those of the model beside them, and their numbers.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import get_args

import numpy as np

from groundup.errors import FormatError
from groundup.files import (
    MANIFEST,
    json_bytes,
    read_errors,
    read_manifest,
    sha256_text,
    verify_folder,
)
from groundup.locks import written_by_others
from groundup.model.packing import Bits
from groundup.weights.hf_config import CONFIG_FILE, read_hf_config
from groundup.weights.safetensors_header import (
    INDEX_FILE,
    WEIGHTS_FILE,
    TensorEntry,
    read_header,
)
from groundup.weights.verify import Covered, covered, verify_covered

FOLDER = "packed"
SUFFIX = ".safetensors"
# Raised when the arrangement of numbers in the file changes.
LAYOUTS: dict[Bits, int] = {"int8": 1, "int4": 2}
BITS: tuple[Bits, ...] = get_args(Bits)
# Matrices begin at multiples of this many bytes: a cache line.
ALIGNMENT = 64
# Packed weights are hashed again where they may have changed since they last were, and after this
# long in any case: a disk can damage what no program has written.
HASHED_EVERY_S = 24 * 3600
# Numbers of a file -> those of an array; what numpy has no name for is kept as integers.
NUMBERS: dict[str, type] = {"I8": np.int8, "U8": np.uint8, "BF16": np.uint16}


def packed_folder(model: Path, bits: Bits) -> Path:
    return model / FOLDER / f"{bits}-v{LAYOUTS[bits]}"


def packed_bits(folder: Path) -> Bits | None:
    """The precision of a folder whose only weights are packed ones. Raises FormatError for another
    layout.
    """
    if any((folder / name).exists() for name in (WEIGHTS_FILE, INDEX_FILE)):
        return None
    for bits in BITS:
        if packed_folder(folder, bits).is_dir():
            return bits
        if others := sorted((folder / FOLDER).glob(f"{bits}-v*")):
            fix = f"Make the folder again from the model: groundup convert MODEL --precision {bits} --out DIR."
            raise FormatError(
                others[-1],
                "layout",
                f"is not {packed_folder(folder, bits).name}, which is read",
                fix=fix,
            )
    return None


def keeps_packed(path: Path, bits: Bits) -> bool:
    """Whether a model has packed weights, or can be given them. Raises FormatError."""
    if not path.is_dir() or packed_bits(path) not in (None, bits):
        return False
    if covered(path) is None or not is_language_model(path):
        return False
    return packed_folder(path, bits).is_dir() or os.access(path, os.W_OK)


def refusal(folder: Path) -> str:
    """Why packed weights in a folder, or in where it would be made, may be another user's."""
    reasons = map(written_by_others, (folder, folder / MANIFEST, folder / WEIGHTS_FILE))
    return next(filter(None, reasons), "")


def is_language_model(folder: Path) -> bool:
    """A damaged config is left to those who verify it."""
    try:
        return (folder / CONFIG_FILE).is_file() and read_hf_config(folder).kind == "language"
    except FormatError:
        return False


def verify_kept(path: Path, bits: Bits, found: Covered) -> bool:
    """Check what packed weights that lie beside a model's own were made of: those weights by their
    hashes, where they may have changed since. Raises FormatError. Returns whether they may not.
    """
    written = packed_folder(path, bits) / MANIFEST
    weights = {name for name in found.hashes() if name.endswith(SUFFIX)}
    unchanged = {name for name in weights if changed_s(path / name) < changed_s(written)}
    verify_covered(path, by_size=unchanged)
    return unchanged == weights


def note_unchanged(path: Path, bits: Bits, now_s: float) -> None:
    """After hashes that are right: they are not computed the next time. `now_s`: when they were
    begun.
    """
    with suppress(OSError):
        os.utime(packed_folder(path, bits) / MANIFEST, (now_s, now_s))


def changed_s(file: Path) -> float:
    """When a file or its entry was last changed; of a packed manifest, when the packed weights were
    last hashed, or the model's own last seen to be those they were made of.
    """
    try:
        stat = file.stat()
    except OSError:  # missing: whoever reads it says so
        return 0.0
    if file.name == MANIFEST:
        return stat.st_mtime
    return max(stat.st_mtime, stat.st_ctime)


def made_of(found: Covered) -> str:
    hashes = found.hashes()
    names = [
        name
        for name in hashes
        if name == CONFIG_FILE or ("/" not in name and name.endswith(SUFFIX))
    ]
    return source_of({name: hashes[name] for name in names})


def source_of(hashes: Mapping[str, str]) -> str:
    """What identifies the files that packed weights were made of."""
    return sha256_text(json_bytes(dict(sorted(hashes.items()))).decode())


def verified_table(path: Path, bits: Bits, source: str) -> dict[str, TensorEntry]:
    """What the file of packed weights has, whose bytes are those of its manifest: hashed, or
    unchanged since they were (its inode's times, as git's index goes by; no program can set a
    ctime). Raises FormatError, also for weights that were made of other files.
    """
    folder, now_s = packed_folder(path, bits), time.time()
    kept = _was_hashed(folder, now_s)
    entries, manifest = verify_folder(folder, hashes=not kept), read_manifest(folder)
    if manifest.get("packed") != bits or manifest.get("of") != source:
        raise FormatError(
            folder / MANIFEST, "of", "is another model: config or weights have changed since"
        )
    if WEIGHTS_FILE not in entries:
        raise FormatError(folder / WEIGHTS_FILE, "file", "is not in the manifest")
    if not kept:
        note_unchanged(path, bits, now_s)
    return read_header(folder / WEIGHTS_FILE)


def _was_hashed(folder: Path, now_s: float) -> bool:
    hashed_s = changed_s(folder / MANIFEST)
    unchanged = changed_s(folder / WEIGHTS_FILE) < hashed_s
    return unchanged and 0 <= now_s - hashed_s < HASHED_EVERY_S


def read_arrays(path: Path, bits: Bits, source: str) -> dict[str, np.ndarray]:
    """All of them by their names. Raises FormatError."""
    file, table = packed_folder(path, bits) / WEIGHTS_FILE, verified_table(path, bits, source)
    for name, entry in table.items():
        if entry.dtype not in NUMBERS:
            raise FormatError(file, f"tensor {name!r}", f"is of {entry.dtype}")
    packed = {name for name in table if name.endswith((".numbers", ".by_block", ".pairs"))}
    found = read_memory(file, {name: table[name] for name in packed})
    with read_errors(file), file.open("rb") as handle:
        start = 8 + int.from_bytes(handle.read(8), "little")
        # mapped: of the embedding, only rows that are used are read
        whole = np.asarray(np.memmap(file, np.uint8, "r"))  # a slice of a memmap takes longer
    for name in table.keys() - packed:
        found[name] = whole[start + table[name].begin : start + table[name].end]
    return {
        name: each.view(NUMBERS[table[name].dtype]).reshape(table[name].shape)
        for name, each in found.items()
    }


def read_memory(file: Path, table: Mapping[str, TensorEntry]) -> dict[str, np.ndarray]:
    """Read the bytes of some tensors into one piece of memory, of huge pages where the system has
    them: decoding reads all of them for each token, 1.2 times as fast as from a mapped file
    (docs/log.md).
    """
    sizes = {name: entry.end - entry.begin for name, entry in table.items()}
    whole = sum(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes.values())
    memory = np.empty(whole + ALIGNMENT, np.uint8)  # numpy asks for huge pages
    found, start = {}, -memory.ctypes.data % ALIGNMENT
    with read_errors(file), file.open("rb") as handle:
        data_start = 8 + int.from_bytes(handle.read(8), "little")
        for name, entry in table.items():
            handle.seek(data_start + entry.begin)
            part = found[name] = memory[start : start + sizes[name]]
            if handle.readinto(part.data) != sizes[name]:
                raise FormatError(file, f"tensor {name!r}", "ends before its last byte")
            start += -(-sizes[name] // ALIGNMENT) * ALIGNMENT
    return found
