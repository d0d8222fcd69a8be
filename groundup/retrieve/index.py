"""Index: the passages of documents in one SQLite file, read. (`update.py` writes it.)

    FOLDER/index.sqlite    sources, files, documents, passages, and the words of the passages (FTS5,
                           which is in every Python)

An index is a folder, so that vectors can stand beside the file: a matrix with a row for each
passage, found by the passage's id, which is never used twice. The text of a document is that of its
passages, joined. `database.py` has the tables.
"""

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from groundup.data.reading.decoding import AUTO
from groundup.data.reading.layouts import LAYOUTS
from groundup.data.reading.options import SourceOptions
from groundup.errors import ConfigError, FormatError, in_command, require
from groundup.retrieve.database import (
    BESIDE,
    INDEX_FILE,
    SHOWN,
    SHOWN_FROM,
    connect,
    hash_of,
    reading,
    require_index,
    require_undamaged,
    without_manifest,
)
from groundup.retrieve.index_folders import index_folders
from groundup.retrieve.passages import MAX_TOKENS, Passage
from groundup.runs import kind_of_place, nearest_names


@dataclass(frozen=True)
class IndexConfig:
    """How documents become passages; kept with the index, so that later updates do the same."""

    max_tokens: int = MAX_TOKENS
    """The longest passage, in tokens (estimated by its bytes)."""
    text: str = ""
    """The field or column with the text of tables; "": it is recognised."""
    charset: str = AUTO
    """The charset of text files without a byte order mark."""

    def __post_init__(self) -> None:
        require(
            16 <= self.max_tokens <= 4096,
            "The longest passage",
            self.max_tokens,
            "16 to 4096 tokens",
        )

    @property
    def options(self) -> SourceOptions:
        """How files are read; whatever rows they have, they are texts here."""
        return SourceOptions(text=self.text, charset=self.charset, wanted=LAYOUTS, headings=True)


# Names the encoder of a second reader (`second_reader.py`).
SECOND_READER_FILE = "second_reader.json"
# Where an index has vectors (see `vectors.py`).
VECTORS_FOLDER, VECTORS_FILE = "vectors", "vectors.json"
# The folder of an index with the reader that was tuned on its documents, and its adapter there.
TUNED, ADAPTER_FILE = "reader", "reader.safetensors"
_PASSAGES = f"""SELECT {SHOWN}, passage_hash.hash {SHOWN_FROM}
    LEFT JOIN passage_hash ON passage_hash.id = passage.id"""
_TEXT, _ADDRESS, _PLACE, _START = 1, 4, 5, 7
MAKE = "groundup index DOCS --out"
_FAULTS = "SELECT place, fault FROM file WHERE fault != '' ORDER BY place"


@dataclass(frozen=True)
class IndexCounts:
    """What an index holds."""

    files: int
    """Files with text."""
    documents: int
    passages: int
    faults: tuple[tuple[str, str], ...]
    """(path, reason) of each file that could not be read."""
    sources: tuple[str, ...]
    languages: dict[str, int]
    """Passages in each language, most first."""


class Index:
    """An open index, to be searched; threads may share it. Raises FormatError for what is none, or
    is damaged.

    When it is opened its files are compared with their manifest, and each passage that is read with
    its hash.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.file = self.folder / INDEX_FILE
        self._lock = threading.RLock()
        self._seen_version = -1
        self._cached: dict[Any, Any] = {}
        if not self.file.is_file():
            raise missing_index(self.folder)
        self.note = ""
        if not require_undamaged(self.folder):
            self.note = without_manifest(self.folder)
        with reading(self.file):
            self._database = connect(self.file, read_only=True)
            require_index(self._database, self.file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of an SQL query. Raises FormatError for a damaged file."""
        with self._lock, reading(self.file):
            return self._database.execute(query, values).fetchall()

    def cached_rows(
        self, key: Any, query: str, values: Sequence[Any] = (), *, check: bool = True
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a query, from memory while no one has changed the index; without
        `check` as of the last check.
        """
        with self._lock:
            version = self.rows("PRAGMA data_version")[0][0] if check else self._seen_version
            if version != self._seen_version:
                self._seen_version, self._cached = version, {}
            if key not in self._cached:
                self._cached[key] = self.rows(query, values)
            found: list[tuple[Any, ...]] = self._cached[key]
            return found

    @property
    def config(self) -> IndexConfig:
        """How its documents became passages."""
        kept = self.cached_rows("config", "SELECT value FROM setting WHERE name = 'config'")
        if not kept:
            return IndexConfig()
        try:
            return IndexConfig(**json.loads(kept[0][0]))
        except (ConfigError, TypeError, ValueError, RecursionError) as error:
            raise FormatError(self.file, "setting", "config is not that of an index") from error

    @property
    def passage_count(self) -> int:
        """The number of passages."""
        return sum(self.languages.values())

    @property
    def mean_terms(self) -> float:
        """The mean number of terms of a passage."""
        total = self.cached_rows("terms", "SELECT coalesce(sum(terms), 0) FROM language")[0][0]
        return float(total) / max(1, self.passage_count)

    @property
    def languages(self) -> dict[str, int]:
        """Passages in each language, most first."""
        query = (
            "SELECT code, passages FROM language WHERE passages > 0 ORDER BY passages DESC, code"
        )
        found = self.cached_rows("languages", query)
        if not all(isinstance(count, int) for _, count in found):
            raise FormatError(self.file, "language", "a number of passages is none")
        return dict(found)

    def passages_with(self, term: str) -> int:
        """Return in how many passages a term occurs, as of the last look at `passage_count`; "東*"
        is any term that begins with 東.
        """
        where, values = "term = ?", [term]
        if term.endswith("*"):
            where, values = "term >= ? AND term < ?", [term[:-1], f"{term[:-1]}\U0010ffff"]
        query = f"SELECT coalesce(sum(doc), 0) FROM vocabulary WHERE {where}"
        return int(self.cached_rows(("term", term), query, values, check=False)[0][0])

    def terms_from(self, beginning: str) -> dict[str, int]:
        """Return the terms that begin so, with the number of passages of each, as of the last look
        at `passage_count`.
        """
        query = "SELECT term, doc FROM vocabulary WHERE term >= ? AND term < ?"
        values = (beginning, f"{beginning}\U0010ffff")
        return dict(self.cached_rows(("terms", beginning), query, values, check=False))

    def matching(self, terms: Sequence[str], limit: int) -> list[int]:
        """Return the ids of the passages that FTS5's BM25 ranks first among those with any of these
        terms; a tie goes to the earlier one.
        """
        quoted = [f'"{term}"' for term in terms]
        wanted = " OR ".join(f'{term[:-2]}" *' if term[-2] == "*" else term for term in quoted)
        query = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank, rowid LIMIT ?"
        return [row[0] for row in self.rows(query, (wanted, limit))]

    def passages(self, ids: Sequence[int]) -> list[Passage]:
        """Return passages in the order of `ids`, without those that are gone; outer spaces are not
        part of them.
        """
        where = f"WHERE passage.id IN ({','.join('?' * len(ids))})"
        found = {row[0]: passage_of(row) for row in self._read_passages(where, ids)}
        return [found[id] for id in ids if id in found]

    def all_passages(self, after: int = 0, limit: int = 1000) -> list[Passage]:
        """Return the passages with the lowest ids above `after`: what vectors are made of."""
        where = "WHERE passage.id > ? ORDER BY passage.id LIMIT ?"
        return [passage_of(row) for row in self._read_passages(where, (after, limit))]

    def _read_passages(self, where: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the values of SHOWN of passages.

        Raises FormatError for one that is not as it was written.
        """
        found = []
        for *shown, kept in self.rows(f"{_PASSAGES} {where}", values):
            if hash_of(shown) != kept:
                fault = "differs from its hash: the index is damaged"
                fix = f"Delete {self.folder} and make it again: {MAKE} {self.folder}"
                raise FormatError(self.file, f"passage {shown[0]}", fault, fix=fix)
            for column in (_ADDRESS, _PLACE):
                shown[column] = self._here(shown[column])
            found.append(tuple(shown))
        return found

    def _here(self, place: str) -> str:
        """Return a place as it is on this machine: that of a carried index is in its folder."""
        if not place.startswith(BESIDE):
            return place
        return str(self.folder.absolute() / place)

    def document_text(self, document_id: int) -> str:
        """Return a document's whole text, in which the spans of its passages stand; "" for one that
        is gone.
        """
        where = "WHERE passage.document_id = ? ORDER BY passage.start"
        return "".join(row[_TEXT] for row in self._read_passages(where, (document_id,)))

    def document_window(self, document_id: int, start: int, end: int) -> tuple[int, str]:
        """Return the text of the passages of a document that touch a span, and its place in the
        document's text.
        """
        before = "SELECT max(start) FROM passage WHERE document_id = ? AND start <= ?"
        inside = f"passage.start >= coalesce(({before}), 0) AND passage.start < ?"
        where = f"WHERE passage.document_id = ? AND {inside} ORDER BY passage.start"
        rows = self._read_passages(where, (document_id, document_id, start, end))
        if not rows:
            return 0, ""
        return rows[0][_START], "".join(row[_TEXT] for row in rows)

    def neighbours(self, passage: Passage) -> tuple[int | None, int | None]:
        """Return the ids of the passages before and after one in its document; None where there is
        none.
        """

        def neighbour(sign: str, order: str) -> int | None:
            where = f"document_id = ? AND start {sign} ? AND id != ?"
            query = f"SELECT id FROM passage WHERE {where} ORDER BY start {order} LIMIT 1"
            rows = self.rows(query, (passage.document_id, passage.start, passage.id))
            return next((row[0] for row in rows), None)

        return neighbour("<=", "DESC"), neighbour(">", "ASC")

    def file_state(self, place: str) -> tuple[str, str] | None:
        """Return the state (see `update.state_of`) and SHA-256 that a file had when it was read."""
        beside = BESIDE + place.removeprefix(f"{self.folder.absolute()}{os.sep}")
        query = "SELECT state, sha256 FROM file WHERE place IN (?, ?)"
        rows = self.rows(query, (place, beside))
        return next(((state, sha256) for state, sha256 in rows), None)

    def counts(self) -> IndexCounts:
        """Return what the index holds."""
        files, documents = self.rows("SELECT count(DISTINCT file_id), count(*) FROM document")[0]
        faults = tuple((place, fault) for place, fault in self.rows(_FAULTS))
        sources = tuple(row[0] for row in self.rows("SELECT spec FROM source ORDER BY id"))
        return IndexCounts(files, documents, self.passage_count, faults, sources, self.languages)


def passage_of(row: tuple[Any, ...]) -> Passage:
    """Return the passage of a row of SHOWN."""
    id, text, title, name, address, place, sha256, start, language, document = row
    inner = text.strip()
    start += len(text) - len(text.lstrip())
    end = start + len(inner)
    return Passage(id, inner, title, name, address, place, sha256, start, end, language, document)


def missing_index(folder: Path) -> FormatError:
    """Return the error for a folder without an index: what it is instead, and what to do."""
    kind = kind_of_place(folder)
    if kind:
        reason = f"is missing: this is a {kind}, and no index"
        return FormatError(folder, INDEX_FILE, reason, fix=_how_to_index(folder, kind))
    fix = f"{nearest_names(folder, 'index')} Make one of documents: {MAKE} {in_command(folder)}".strip()
    return FormatError(folder, INDEX_FILE, "is missing: this folder does not exist", fix=fix)


def _how_to_index(folder: Path, kind: str) -> str:
    """Return what helps where a folder of another kind was named as an index."""
    if kind == "build":
        there = ", ".join(map(str, index_folders(folder)))
        if there:
            return f"Name its index: {there}."
    if kind in ("build", "run", "model"):
        return (
            f"Make one of documents: {MAKE} NAME.index. A model is asked with: "
            f"groundup generate {in_command(folder)} TEXT, or groundup chat {in_command(folder)}"
        )
    named = in_command(f"{folder.name or 'docs'}.index")
    return f"Make an index of it: groundup index {in_command(folder)} --out {named}"
