"""Update of an index: files that are new or changed are read, those that are gone are taken out,
unchanged ones are not opened.

    sources -> files: state as in the index? -> not opened;   same SHA-256? -> not read;
            else documents -> passages -> terms -> index.sqlite

One process writes an index at a time (`locks.only_one`). Each file is put in whole or not at all,
and a commit follows every few seconds: after kill -9 or on a full disk the index is as it was at
the last commit, and the same command goes on from there. A file that can't be read is left
out and listed with the reason.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from groundup.data.reading.source_files import (
    NOT_READ,
    PIN,
    Source,
    nothing_to_read,
    readable_suffixes,
)
from groundup.data.reading.source_report import SourceReport
from groundup.errors import ConfigError, DataError, GroundupError, in_command
from groundup.language.terms import analysis
from groundup.locks import only_one
from groundup.progress import Progress, Silent
from groundup.retrieve.database import BESIDE
from groundup.retrieve.doc_files import DocFile, doc_files, read_documents
from groundup.retrieve.index import INDEX_FILE, IndexConfig
from groundup.retrieve.passages import language_of_text, split
from groundup.retrieve.writer import IndexWriter, KnownFile, NewDocument, writing
from groundup.runs import kind_of_place
from groundup.tokenizer.spec import well_formed

# Files of the index's own that are read as its documents (`integrations.langchain_retriever`);
# all others in its folder are not.
DOCUMENTS = "documents"
CHANGED_WHILE_READ = "was changed while it was read"
SHOWN_FAULT_CHARACTERS = 300


@dataclass(frozen=True)
class UpdateReport:
    """What an update did."""

    files_read: int = 0
    files_unchanged: int = 0
    files_removed: int = 0
    read_bytes: int = 0
    elapsed_s: float = 0.0


def update_index(
    folder: Path,
    sources: Sequence[Source],
    config: IndexConfig | None = None,
    *,
    before: Callable[[], None] | None = None,
    progress: Progress,
) -> UpdateReport:
    """Bring an index up to date with `sources` (none: with those that it has); it is made where
    there is none.

    `config` None: as the index has it, else the defaults. `before` is called when the folder is
    there and nothing is read yet. Raises ConfigError, DataError, DiskError,
    FormatError.
    """
    started = time.monotonic()
    given = [_absolute(source) for source in sources]
    if not given and not (folder / INDEX_FILE).exists():
        raise ConfigError(
            f"{folder} is no index yet.",
            fix=f"Name documents: groundup index DOCS --out {in_command(folder)}",
        )
    kind = kind_of_place(folder)
    if kind in ("build", "run", "model") and not (folder / INDEX_FILE).exists():
        fix = "Name a new folder, such as docs.index."
        raise ConfigError(f"{folder} is a {kind}, expected an index or a new folder.", fix=fix)
    _require_outside(given, folder)
    _require_files(given, is_new=not (folder / INDEX_FILE).exists())  # before anything is written
    with only_one(folder), writing(folder / INDEX_FILE) as writer:
        update = _Update(writer, folder.absolute(), progress)
        update.prepare(config)
        if before:
            before()
        for source in given or update.known_sources():
            update.bring_up_to_date(source)
    return replace(update.report, elapsed_s=time.monotonic() - started)


def _require_outside(sources: Sequence[Source], folder: Path) -> None:
    """Raise ConfigError for documents in the folder of the index, whose own files are not read."""
    own = folder.resolve()
    for source in sources:
        place = Path(source.spec).resolve()
        if source.is_local and place.is_relative_to(own) and place != own / DOCUMENTS:
            raise ConfigError(
                f"{source.spec} is in {folder}, which was given as the folder of the index.",
                fix="Name a new folder for the index: groundup index DOCS --out NAME.index",
            )


def _require_files(sources: Sequence[Source], *, is_new: bool) -> None:
    """Raise DataError for a source that does not exist, and where a new index would have no file to
    read.
    """
    reports = {source: SourceReport() for source in sources}
    has_files = False
    for source, report in reports.items():
        for file in doc_files(source, report):
            has_files |= file.may_have_text
            if not file.may_have_text:
                report.skip(NOT_READ, file.shown_place)
    if is_new and sources and not has_files:
        raise nothing_to_read(*next(iter(reports.items())))


def make_index(folder: Path, config: IndexConfig) -> None:
    """Make an index without documents.

    Raises DiskError, FormatError, ConfigError for one that is there and has another config.
    """
    with only_one(folder), writing(folder / INDEX_FILE) as writer:
        _Update(writer, folder.absolute(), Silent()).prepare(config)


def _absolute(source: Source) -> Source:
    """Return the source as it is kept: a path that holds from everywhere, an address with its
    hash.
    """
    if source.is_local:
        return Source(
            str(Path(source.spec).expanduser().absolute()), follow_links=source.follow_links
        )
    spec = f"{source.address}{PIN}{source.pin}" if source.pin else source.address
    return Source(spec, follow_links=source.follow_links)


class _Update:
    """One update of an index."""

    def __init__(self, writer: IndexWriter, folder: Path, progress: Progress) -> None:
        self._writer, self._folder, self._progress = writer, folder, progress
        self._config = IndexConfig()
        self._retries = False
        self._decoded = SourceReport()
        """Which files were read in another charset than UTF-8."""
        self.report = UpdateReport()

    def prepare(self, config: IndexConfig | None) -> None:
        """Take the config of the index; make its terms again where another version made them.

        Raises ConfigError.
        """
        kept = self._writer.setting("config")
        self._config = config or IndexConfig()
        if kept:
            self._config = IndexConfig(**kept)
        if config and config != self._config:
            options = ", ".join(f"{name} {value!r}" for name, value in kept.items())
            fix = "Leave these options out, or make a new index in another folder."
            raise ConfigError(f"{self._folder} was made with other options: {options}.", fix=fix)
        with self._writer.transaction():
            if not self._writer.words_are_current():
                self._progress.say(
                    "The words of this index were made by another version; they are made again."
                )
                self._writer.make_words()
            # A new reader may read what could not be read before.
            self._retries = self._writer.setting("formats") != readable_suffixes()
            self._writer.set("analysis", analysis())
            self._writer.set("config", vars(self._config))
            self._writer.set("formats", readable_suffixes())

    def known_sources(self) -> list[Source]:
        """Return the sources of the index. Raises ConfigError for none."""
        found = [Source(spec, follow_links=follow) for spec, follow in self._writer.sources()]
        if not found:
            fix = f"Name some: groundup index DOCS --out {in_command(self._folder)}."
            raise ConfigError(f"{self._folder} has no documents yet.", fix=fix)
        if any(each.spec.startswith(BESIDE) for each in found):
            documents = in_command(self._folder / DOCUMENTS)
            fix = f"Make a new one of its documents: groundup index {documents} --out NEW.index"
            raise ConfigError(f"{self._folder} is the copy of an index in an app.", fix=fix)
        return found

    def bring_up_to_date(self, source: Source) -> None:
        """Read what is new or changed of a source, take out what is gone."""
        try:
            listed = [
                file for file in doc_files(source, SourceReport()) if not self._is_own(file, source)
            ]
        except DataError as error:
            self._progress.say(f"{error.message} Its documents are taken out of the index.")
            listed = []
        known = self._writer.files()
        with (
            self._writer.transaction(),
            self._progress.track("indexing", len(listed), "files") as advance,
        ):
            source_id = self._writer.source_id(source.spec, source.follow_links)
            for file in listed:
                self._update_file(file, source_id, known.get(file.shown_place))
                self._writer.commit_now_and_then()
                advance(1, note=f"{self.report.read_bytes / 1e6:.1f} MB")
            present = {file.shown_place for file in listed}
            for place, each in known.items():
                if each.source_id == source_id and place not in present:
                    self._writer.remove_file(each.id)
                    self._count(files_removed=1)
                    self._writer.commit_now_and_then()
        for line in self._decoded.take().decoded_lines():
            self._progress.say(f"{source.spec}: {line}.")

    def _count(self, **more: int) -> None:
        """Add to the figures of the report."""
        counted = {name: getattr(self.report, name) + each for name, each in more.items()}
        self.report = replace(self.report, **counted)

    def _is_own(self, file: DocFile, source: Source) -> bool:
        """Whether a file is of the index itself, which may be in the folder of the documents."""
        inside = file.entry is not None and Path(file.place).is_relative_to(self._folder)
        return inside and source.spec != str(self._folder / DOCUMENTS)

    def _update_file(self, file: DocFile, source_id: int, known: KnownFile | None) -> None:
        """Read a file unless it is unchanged; what can't be read is kept with the reason."""

        def replace_known(fault: str, state: str = "", sha256: str = "") -> int:
            """Put a file without documents in the place of the known one; return its id."""
            if known:
                self._writer.remove_file(known.id)
            return self._writer.add_file(source_id, file.shown_place, state, sha256, fault)

        try:
            state, sha256 = _state_and_hash(file, known)
        except OSError as error:
            replace_known(f"can't be read: {error.strerror}")
            return
        if known and not (known.fault and self._retries) and known.is_same(state, sha256):
            self._writer.change_file(known.id, state=state, fault=known.fault)
            self._count(files_unchanged=1)
            return
        try:
            with self._writer.undone_on_error():
                documents = self._read(file, replace_known("", state, sha256), state)
            self._count(files_read=int(bool(documents)))
        except GroundupError as error:
            replace_known(_shorten(error.message), state, sha256)
        except OSError as error:
            replace_known(f"can't be read: {error.strerror}")

    def _read(self, file: DocFile, id: int, state: str) -> int:
        """Add the documents of a file; return how many have text. Raises GroundupError, OSError."""
        if file.place != file.shown_place:
            raise DataError("its name is not UTF-8")
        report, documents = SourceReport(), 0
        for name, stem, text in read_documents(file, self._config.options, report):
            text = well_formed(text)
            passages = split(text, self._config.max_tokens)
            if not passages:
                continue
            documents += 1
            made = NewDocument(
                name=well_formed(name),
                address=well_formed(file.address_of(name)),
                stem=well_formed(stem),
                language=language_of_text(text),
                text=text,
                passages=passages,
            )
            self._writer.add_document(id, made)
        self._count(read_bytes=report.read_bytes)
        self._decoded.add(SourceReport(charsets=report.charsets))
        if file.entry and state and file.state() != state:
            raise DataError(CHANGED_WHILE_READ)
        self._writer.change_file(id, state=state, fault=_shorten(_faults(report)))
        return documents


def _state_and_hash(file: DocFile, known: KnownFile | None) -> tuple[str, str]:
    """Return the state of a file and its SHA-256, "" where its format is not read; the hash is
    only computed where the state has changed. Raises OSError.
    """
    state = file.state()
    if known and state and state == known.state:
        return state, known.sha256
    if not file.may_have_text:
        return state, ""
    return state, file.sha256()


def _faults(report: SourceReport) -> str:
    """Return what of a file could not be read, or ""."""
    found = []
    for reason, tally in report.skipped.items():
        more = f": {tally.shown()}" if tally.count > 1 else ""
        found.append(f"{reason}{more}")
    for tally in (report.bad_files, report.bad_lines):
        if tally.count == 1:
            found.append(tally.shown())
        elif tally.count:
            found.append(f"{tally.count} not read ({tally.shown()})")
    return "; ".join(found)


def _shorten(reason: str) -> str:
    return well_formed(reason[:SHOWN_FAULT_CHARACTERS])
