"""An update of an index together with its vectors.

    encoder named    that one; what can't be opened is refused before the work
    "none"           no vectors are made
    an index         the encoder that made its vectors; one without vectors stays so
    a new index      DEFAULT_ENCODER, where it is on this machine and most passages are in its
                     language; else by words alone

What it does without being asked costs nobody a download: an encoder that is not here is only
named, with the command that fetches it. torch is imported where vectors are made.
"""

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.data.reading.source_files import Source
from groundup.errors import GroundupError, in_command
from groundup.files import cache_path, verify_folder
from groundup.language.stop_words import UNKNOWN
from groundup.progress import Progress
from groundup.retrieve.database import without_manifest
from groundup.retrieve.index import INDEX_FILE, VECTORS_FOLDER, Index, IndexConfig
from groundup.retrieve.known_stores import FILES, require_store
from groundup.retrieve.update import UpdateReport, update_index
from groundup.retrieve.vectors_info import NO_VECTORS, lacking_vectors, read_vectors_info
from groundup.weights.catalog import CATALOG, DEFAULT_ENCODER, ENCODER_LANGUAGE, untuned

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Embed

# So many passages take some two seconds.
SAID_FROM = 200


@dataclass(frozen=True)
class VectorsReport:
    """What an update did about vectors."""

    encoder: str = ""
    """Whose vectors the index has; "": it is searched by words alone."""
    count: int = 0
    """Vectors that were made."""
    elapsed_s: float = 0.0
    note: str = ""
    """Why none are made; "": they are there, or not wanted."""
    fix: str = ""
    """The command that makes them."""


def is_here(model: str) -> bool:
    """Whether a model can be opened without a network: a path, or a name that was pulled."""
    if os.path.exists(model):
        return True
    if model not in CATALOG:
        return False
    try:
        verify_folder(cache_path("models", untuned(model)), hashes=False)
    except GroundupError:
        return False
    return True


def update_with_vectors(
    folder: Path,
    sources: Sequence[Source],
    config: IndexConfig | None = None,
    wanted: str | None = None,
    *,
    store: str = "",
    is_required: bool = True,
    device: str = "auto",
    progress: Progress,
) -> tuple[UpdateReport, VectorsReport]:
    """Bring an index up to date (`update_index`), and its vectors with it.

    `wanted`: an encoder, "none", or None for the default (see the module). Raises what
    `update_index`, `embed_with` and `make_vectors` raise; of an encoder that is not named, or not
    `is_required`, and can't be opened the report has a note.
    """
    require_store(store or FILES)
    encoder, note = _encoder(folder, wanted)
    making = _Making(folder, encoder, store, device, progress)
    is_named = wanted not in (None, NO_VECTORS)
    if is_named and is_required:
        making.open()  # what can't be opened is refused before the work
    elif is_named or (encoder and not (folder / INDEX_FILE).exists()):
        note = making.open_or_say_why()
    before = making.begin if making.embed else None
    report = update_index(folder, sources, config, before=before, progress=progress)
    if not encoder or note:
        return report, VectorsReport(note=note, fix=_fix(folder, encoder))
    return report, making.refresh(is_named=is_named)


def _encoder(folder: Path, wanted: str | None) -> tuple[str, str]:
    """Return the encoder that makes the vectors, or "" and why there is none."""
    if wanted == NO_VECTORS:
        return "", ""
    if wanted is not None:
        return wanted, ""
    known = read_vectors_info(folder)
    if known is not None:
        return known.model, ""
    if not is_here(DEFAULT_ENCODER):
        why = f"since the encoder {DEFAULT_ENCODER} (90 MB) is not on this machine"
        return "", f"searched by words alone, {why}"
    if (folder / INDEX_FILE).exists():
        return "", "searched by words alone, as it was made"
    return DEFAULT_ENCODER, ""


def _fix(folder: Path, encoder: str) -> str:
    return f"groundup index --out {in_command(folder)} --vectors {encoder or DEFAULT_ENCODER}"


@dataclass
class _Making:
    """The vectors of an index, made by one encoder."""

    folder: Path
    encoder: str
    store: str
    device: str
    progress: Progress
    embed: "Embed | None" = None

    def open(self) -> None:
        from groundup.device import select_compute
        from groundup.retrieve.vectors import embed_with

        self.embed = embed_with(self.encoder, select_compute(self.device), self.progress)

    def open_or_say_why(self) -> str:
        """Open the encoder; return "", or why it can't be opened."""
        try:
            self.open()
        except GroundupError as error:
            return f"searched by words alone, which finds less: {error.message.rstrip('.')}"
        return ""

    def begin(self) -> None:
        """Write that the index has vectors, so that the same command goes on after kill -9."""
        from groundup.retrieve.vectors import begin_vectors

        assert self.embed is not None
        begin_vectors(self.folder, self.embed, self.encoder, self.store)

    def refresh(self, *, is_named: bool) -> VectorsReport:
        """Make the vectors that are missing."""
        vectors = self.folder / VECTORS_FOLDER
        with Index(self.folder) as index:
            lacking, languages = lacking_vectors(index), index.languages
        total = sum(languages.values())
        fit = languages.get(ENCODER_LANGUAGE, 0) + languages.get(UNKNOWN, 0)
        is_default = not is_named and self.encoder == DEFAULT_ENCODER
        if is_default and lacking == total > 2 * fit:
            shutil.rmtree(vectors)
            return VectorsReport(note=self._other_language(next(iter(languages))), fix=self.fix)
        is_whole = not lacking and not without_manifest(vectors)
        if is_whole and not is_named:
            return VectorsReport(self.encoder)
        if self.embed is None:
            if not is_here(self.encoder):
                return VectorsReport(self.encoder, note=self._not_here(lacking), fix=self.fix)
            if note := self.open_or_say_why():
                return VectorsReport(self.encoder, note=note, fix=self.fix)
        return self._make(lacking)

    def _make(self, lacking: int) -> VectorsReport:
        from groundup.retrieve.vectors import make_vectors

        assert self.embed is not None
        started = time.monotonic()
        if lacking >= SAID_FROM:
            self.progress.say(
                f"{self.folder} can be searched by words; vectors of {lacking:,} passages follow "
                f"({self.encoder}). Ctrl-C stops, the same command goes on, and "
                f"--vectors {NO_VECTORS} leaves them out."
            )
        made = make_vectors(
            self.folder, self.embed, self.encoder, store=self.store, progress=self.progress
        )
        return VectorsReport(self.encoder, made, time.monotonic() - started)

    @property
    def fix(self) -> str:
        return _fix(self.folder, self.encoder)

    def _other_language(self, most: str) -> str:
        return (
            f"searched by words alone, since most passages are in another language ({most}) than "
            f"{self.encoder} knows ({ENCODER_LANGUAGE})"
        )

    def _not_here(self, lacking: int) -> str:
        return (
            f"{lacking:,} passages have no vector yet, since their encoder {self.encoder} is not on "
            "this machine"
        )
