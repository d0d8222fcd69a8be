"""Every hash and length below a path: what `groundup verify` does.

A folder of ours (run, checkpoint, shard set, model, export) has a manifest.json with the size and SHA-256 of its files; a build holds
many of them. All are checked. Weights that no manifest covers (a foreign model) have at least their tables checked.
"""

from dataclasses import dataclass
from pathlib import Path

from groundup.errors import FormatError
from groundup.files import MANIFEST, TMP_PREFIX, inside, verify_folder
from groundup.weights.gguf_header import read_gguf_header
from groundup.weights.safetensors_header import read_header


@dataclass(frozen=True)
class Verified:
    """What was found in order."""

    manifests: int
    files: int
    """Files whose length and hash are as their manifest says."""
    size_bytes: int
    tables: int
    """Weight files without a manifest whose tables were checked."""
    unlisted: int
    """Other files that no manifest covers; nothing is known of them."""


def verify_path(path: Path) -> Verified:
    """Check everything below `path` (a folder, a .gguf or a .safetensors). Raises FormatError naming the first file at fault."""
    if not path.exists():
        raise FormatError(path, "path", "does not exist")
    files = [path] if path.is_file() else sorted(_files_below(path))
    listed: set[Path] = set()
    manifests = [file for file in files if file.name == MANIFEST]
    for manifest in manifests:
        listed |= _check_manifest(manifest.parent)
    others = [file for file in files if file not in listed and file.name != MANIFEST]
    tables = [file for file in others if _check_table(file)]
    if not manifests and not tables:
        raise FormatError(path, MANIFEST, "is nowhere here, nor are weights: there is nothing to check against")
    size_bytes = sum(file.stat().st_size for file in listed)
    return Verified(len(manifests), len(listed), size_bytes, len(tables), len(others) - len(tables))


def _files_below(folder: Path) -> list[Path]:
    """All files but what interrupted writes left behind."""
    return [
        file
        for file in folder.rglob("*")
        if file.is_file() and not any(part.startswith(TMP_PREFIX) for part in file.relative_to(folder).parts)
    ]


def _check_manifest(folder: Path) -> set[Path]:
    return {inside(folder, name) for name in verify_folder(folder)["files"]}


def _check_table(file: Path) -> bool:
    """Check a weight file's table; False for a file of another kind."""
    readers = {".gguf": read_gguf_header, ".safetensors": read_header}
    if file.suffix not in readers:
        return False
    readers[file.suffix](file)
    return True
