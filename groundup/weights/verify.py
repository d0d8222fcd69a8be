"""Check of sizes and hashes: below a path (`groundup verify`), or of one model before it is opened.

A folder of ours (run, checkpoint, shard set, model, export) has a manifest.json with the size and SHA-256 of its files; a build has
many. Weight files without a manifest (a foreign model) have their headers checked.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from groundup.errors import FormatError
from groundup.files import MANIFEST, TMP_PREFIX, inside, read_json, read_manifest, verify_entry, verify_folder
from groundup.tokenizer.fast import CONFIG_FILE as TOKENIZER_CONFIG_FILE
from groundup.tokenizer.fast import TEMPLATE_FILE, TOKENIZER_FILE
from groundup.weights.gguf_header import read_gguf_header
from groundup.weights.hf import INDEX_FILE, WEIGHTS_FILE
from groundup.weights.hf_config import CONFIG_FILE
from groundup.weights.safetensors_header import read_header

# Files that change what a model does: where a manifest covers the folder, each must be listed in it.
MODEL_FILES = (CONFIG_FILE, WEIGHTS_FILE, INDEX_FILE, TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, TEMPLATE_FILE)


@dataclass(frozen=True)
class Verified:
    """Counts of what was checked."""

    manifests: int
    files: int
    """Files whose size and hash match their manifest."""
    size_bytes: int
    tables: int
    """Weight files without a manifest whose headers were checked."""
    unlisted: int
    """Other files without a manifest, not checked."""


def verify_path(path: Path) -> Verified:
    """Check everything below `path` (a folder, a .gguf or a .safetensors). Raises FormatError naming the first bad file."""
    if not path.exists():
        raise FormatError(path, "path", "does not exist", fix="Give an existing folder or file.")
    files = [path] if path.is_file() else sorted(_files_below(path))
    listed: set[Path] = set()
    manifests = [file for file in files if file.name == MANIFEST]
    for folder in (manifest.parent for manifest in manifests):
        listed |= {inside(folder, name) for name in verify_folder(folder)["files"]}
    others = [file for file in files if file not in listed and file.name != MANIFEST]
    tables = [file for file in others if _check_table(file)]
    if not manifests and not tables:
        reason = "was not found, nor any weights: there is nothing to check against"
        raise FormatError(path, MANIFEST, reason, fix="Give a build, run, checkpoint, shard set or model.")
    size_bytes = sum(file.stat().st_size for file in listed)
    return Verified(len(manifests), len(listed), size_bytes, len(tables), len(others) - len(tables))


def verify_covered(path: Path) -> bool:
    """Check a model (a folder or a file) against the nearest manifest that lists it: its own, or one up to two folders above.

    An export has one manifest for several models. Returns whether there was one. Raises FormatError naming the bad file.
    """
    path = Path(os.path.abspath(path))  # a relative name has no parents
    for folder in ([path] if path.is_dir() else []) + list(path.parents)[:2]:
        if not (folder / MANIFEST).is_file() or (folder != path and not _is_ours(folder)):
            continue
        entries = read_manifest(folder)["files"]
        covered = {name: entry for name, entry in entries.items() if (folder / name).is_relative_to(path)}
        if covered or folder == path:
            for name, entry in covered.items():
                verify_entry(folder, name, entry)
            _refuse_unlisted(path, {folder / name for name in covered})
            return True
    return False


def _is_ours(folder: Path) -> bool:
    """Whether a folder's manifest.json is ours; other programs write files of that name too."""
    content = read_json(folder / MANIFEST)
    return isinstance(content, dict) and "files" in content


def _refuse_unlisted(path: Path, listed: set[Path]) -> None:
    """Refuse a file that would change what the model does and is not in the manifest."""
    for name in MODEL_FILES if path.is_dir() else ():
        if (path / name).exists() and path / name not in listed:
            raise FormatError(path / name, "file", "is not in the manifest: it was added later")


def _files_below(folder: Path) -> list[Path]:
    """Return all files but those left by interrupted writes."""
    return [
        file
        for file in folder.rglob("*")
        if file.is_file() and not any(part.startswith(TMP_PREFIX) for part in file.relative_to(folder).parts)
    ]


def _check_table(file: Path) -> bool:
    """Check a weight file's header; return False for another kind of file."""
    readers = {".gguf": read_gguf_header, ".safetensors": read_header}
    if file.suffix not in readers:
        return False
    readers[file.suffix](file)
    return True
