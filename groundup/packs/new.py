"""A new pack: a small, complete one about an invented workshop, to be replaced text by text."""

import re
from pathlib import Path

from groundup.errors import ConfigError
from groundup.files import safe_name, write_text
from groundup.packs.pack import FIELDS, PACK_FILE, PACKAGED, SKELETON

FILES = (PACK_FILE, "facts.toml", "documents/*.md", *(f"{part}.jsonl" for part in FIELDS))


def new_pack(name: str, folder: Path) -> list[str]:
    """Write the pack into a new folder; return the names of its files.

    Raises ConfigError, FormatError (of the name), DiskError.
    """
    safe_name(name)
    if folder.exists():
        raise ConfigError(
            f"{folder} exists already.", fix="Choose another name, or another folder with --out."
        )
    skeleton = PACKAGED / SKELETON
    files = sorted(file for pattern in FILES for file in skeleton.glob(pattern))
    names = [file.relative_to(skeleton).as_posix() for file in files]
    for file, place in zip(files, names, strict=True):
        text = file.read_text(encoding="utf-8")
        if place == PACK_FILE:
            text = re.sub(r'(?m)^name = ".*"$', f'name = "{name}"', text, count=1)
        write_text(folder / place, text)
    return names
