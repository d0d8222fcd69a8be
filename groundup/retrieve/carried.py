"""A copy of an index for another machine, with its documents: of `groundup app`.

    FOLDER/index.sqlite    the same passages; the place of each file begins with "./" (BESIDE) and
                           is below FOLDER, so no path of this machine is in it
    FOLDER/documents/N/    the files of source N, as they were read
    FOLDER/vectors/, reader/, evidence.json, second_reader.json    as they are

Wherever the folder lies, a quotation is compared with the file beside it. A source that is not on
this disk (https:, pypi:) keeps its address. Questions for calibration are left out: they may be
customers' own. Such a copy is not brought up to date (`update.py`).
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from groundup.errors import ConfigError, in_command
from groundup.files import disk_errors, write_manifest
from groundup.retrieve.database import (
    BESIDE,
    INDEX_FILE,
    SHOWN,
    SHOWN_FROM,
    connect,
    end_change,
    hash_of,
    reading,
)
from groundup.retrieve.index import SECOND_READER_FILE, TUNED, VECTORS_FOLDER, Index
from groundup.retrieve.known_stores import FILES
from groundup.retrieve.operating_points import EVIDENCE_FILE
from groundup.retrieve.search import is_current
from groundup.retrieve.update import DOCUMENTS
from groundup.retrieve.vectors_info import read_vectors_info


def carried_files(folder: Path) -> dict[Path, str]:
    """Return the files of an index's documents that are on this disk, with their places in a copy.

    Raises ConfigError where one was changed since it was read, or vectors are kept elsewhere.
    """
    known = read_vectors_info(folder)
    if known is not None and known.store != FILES:
        fix = f"Delete {known.place}, and make them again without --store."
        raise ConfigError(f"The vectors of {folder} are kept in {known.store!r}.", fix=fix)
    with Index(folder) as index:
        places = dict(_places(index))
        changed = [file for file in places if not is_current(index, str(file))]
    if changed:
        raise ConfigError(
            f"{len(changed)} documents were changed or deleted since they were read for {folder}, "
            f"the first: {changed[0]}.",
            fix=f"Bring it up to date: groundup index --out {in_command(folder)}",
        )
    return places


def _places(index: Index) -> Iterator[tuple[Path, str]]:
    """Yield the path of each file with text and its place in a copy."""
    query = """SELECT DISTINCT file.place, source.id, source.spec FROM document
        JOIN file ON file.id = document.file_id JOIN source ON source.id = file.source_id
        ORDER BY file.id"""
    for place, source, spec in index.rows(query):
        if os.path.isabs(place):
            yield Path(place), _carried(place, source, spec)


def _carried(place: str, source: int, spec: str) -> str:
    """Return the place of a file in a copy: below its source's number, as below its source.

    >>> _carried("/home/me/docs/fees/cards.md", 1, "/home/me/docs")
    './documents/1/fees/cards.md'
    """
    inner = os.path.basename(place)
    if place.startswith(spec.rstrip("/") + "/"):
        inner = os.path.relpath(place, spec)
    return f"{BESIDE}{DOCUMENTS}/{source}/{inner}"


def carry_index(folder: Path, out: Path) -> None:
    """Write a copy of the index in `folder`, with its documents, into the new folder `out`.

    Raises ConfigError as `carried_files` does, FormatError, DiskError.
    """
    places = carried_files(folder)
    with disk_errors(out):
        out.mkdir()
        for file, place in places.items():
            (out / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, out / place)
        for name in (EVIDENCE_FILE, SECOND_READER_FILE):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, out / name)
        for name in (VECTORS_FOLDER, TUNED):
            if (folder / name).is_dir():
                shutil.copytree(folder / name, out / name)
    with reading(folder / INDEX_FILE), closing(sqlite3.connect(out / INDEX_FILE)) as database:
        with closing(connect(folder / INDEX_FILE, read_only=True)) as original:
            original.backup(database)
        _place_anew(database, {str(file): place for file, place in places.items()})
        database.execute("PRAGMA journal_mode = DELETE")  # it is read where none may write
        database.execute("VACUUM")  # else pages with the old places stay in the file
    end_change(out)


def _place_anew(database: sqlite3.Connection, places: Mapping[str, str]) -> None:
    """Write the places of a copy in place of this machine's, and the hashes of its passages."""
    files = database.execute(
        "SELECT file.id, place, source.id, spec FROM file JOIN source ON source.id = source_id"
    ).fetchall()
    with database:
        for id, place, source, spec in files:
            if not os.path.isabs(place):
                continue
            new = places.get(place) or _carried(place, source, spec)
            database.execute("UPDATE file SET place = ?, state = '' WHERE id = ?", (new, id))
            query = "UPDATE document SET address = ? || substr(address, ?) WHERE file_id = ?"
            database.execute(query, (new, len(place) + 1, id))
            database.execute(
                "UPDATE source SET spec = ? WHERE id = ?",
                (f"{BESIDE}{DOCUMENTS}/{source}", source),
            )
        rows = database.execute(f"SELECT {SHOWN} {SHOWN_FROM}").fetchall()
        hashes = [(hash_of(row), row[0]) for row in rows]
        database.executemany("UPDATE passage_hash SET hash = ? WHERE id = ?", hashes)


def name_encoder(folder: Path, name: str) -> None:
    """Write by which name or path the encoder of a copy's vectors is opened there."""
    known = read_vectors_info(folder)
    assert known is not None
    replace(known, model=name).write()
    write_manifest(known.place)
