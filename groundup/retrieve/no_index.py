"""What is said where an index is expected and something else is there."""

from pathlib import Path

from groundup.errors import FormatError
from groundup.retrieve.index_manifest import INDEX_FILE
from groundup.runs import kind_of_place, nearest_names, read_stage_kinds

MAKE = "Make one of documents: groundup index DOCS --out"


def no_index(folder: Path) -> FormatError:
    """Return the error for a folder without an index: what it is instead, and what to do."""
    kind = kind_of_place(folder)
    if not kind:
        fix = f"{nearest_names(folder, 'index')} {MAKE} {folder}".strip()
        return FormatError(folder, INDEX_FILE, "is missing: this folder does not exist", fix=fix)
    return FormatError(
        folder, INDEX_FILE, f"is missing: this is a {kind}, and no index", fix=_fix(folder, kind)
    )


def _fix(folder: Path, kind: str) -> str:
    name = f"{folder.name or 'docs'}.index"
    if kind == "build":
        indexes = [stage for stage, made in read_stage_kinds(folder).items() if made == "index"]
        there = [folder / stage for stage in indexes if (folder / stage / INDEX_FILE).is_file()]
        if there:
            return f"Name its index: {', '.join(map(str, there))}."
    if kind in ("build", "run", "model"):
        return f"{MAKE} NAME.index. A model is asked with: groundup generate {folder} TEXT, or groundup chat {folder}"
    return f"Make an index of it: groundup index {folder} --out {name}"
