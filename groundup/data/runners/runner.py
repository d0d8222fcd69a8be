"""Runners: who reads the documents of a source and runs the steps over them. The result is the
same, to the byte.

    one          this process
    processes    as many as there are cores: parts of many small files are read by them; what is
                 large or packed is read here and processed by them
    ray          tasks of Ray Data, on one machine or many, which read the files themselves
                 (`processes`; extra `ray`)
    auto         processes where that is faster, else one

Exact repeats, the split, what the data card shows and all files that are written are this process's
work: it takes the batches in order.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from groundup.data.documents import Document
from groundup.data.processing.steps import ProcessConfig, Processed, Step, document_steps, run_steps
from groundup.data.reading.containers import archive_suffix, suffixes
from groundup.data.reading.extract import EXTRACTORS
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.records import SourceFile
from groundup.data.reading.source_files import (
    Source,
    SourceEntry,
    entries,
    entry_files,
    is_divisible,
    source_files,
)
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source, require_files
from groundup.data.runners.document_batches import (
    DocumentBatch,
    entries_task,
    read_batches,
    texts_task,
    unpack_batches,
    unpack_processed,
)
from groundup.data.runners.processes import Workers, ray_results
from groundup.errors import ConfigError, GroundupError, did_you_mean, require_extra
from groundup.progress import Progress
from groundup.threads import allowed_cores

Runner = Literal["auto", "one", "processes", "ray"]
RUNNERS: tuple[Runner, ...] = get_args(Runner)
# Bytes and files of a part; on Ray, where to hand one over costs more, it has more.
PART_BYTES, PART_FILES, RAY_PART_BYTES = 2**22, 500, 2**25
# What is larger is read here and handed on in batches, so that a single file keeps all processes
# busy.
LARGE_BYTES = 2**24
# Less is read in this process as fast: starting others takes about a second. Cleaning alone never
# pays: most of the time is this process's.
WORTH_BYTES = 2**24

Change = tuple[Counter[str], str, str]


@dataclass(frozen=True)
class ProcessedDocument:
    """A document, and what the steps made of it."""

    raw: Document
    made: Processed
    changed: Sequence[Change] | None
    """The changes by each step, the text before it and after it; None: another process made it."""

    def changes_by_step(self, steps: Sequence[Step]) -> Sequence[Change]:
        """Return `changed`, found again where another process made the document."""
        if self.changed is not None:
            return self.changed
        changed: list[Change] = []
        run_steps(self.raw.text, steps, lambda *change: changed.append(change))
        return changed


@dataclass
class SourceTask:
    message: bytes = b""
    """For `worker.work`; empty: the batches are whole."""
    batches: list[DocumentBatch] = field(default_factory=list)
    """What was read here."""

    def results(self, messages: Iterator[bytes]) -> Iterator[DocumentBatch]:
        """Yield the batches that messages of a worker hold, or make whole."""
        for message in messages:
            if not self.batches:
                yield from unpack_batches(message)
                continue
            documents = [each for batch in self.batches for each in batch.documents]
            made = unpack_processed(message, [each.raw for each in documents])
            for document, processed in zip(documents, made, strict=True):
                document.made = processed
        yield from self.batches


def check_runner(runner: Any) -> Runner:
    """Raises ConfigError, MissingExtra."""
    if runner not in RUNNERS:
        raise ConfigError(f"There is no runner {runner!r}.", fix=did_you_mean(runner, RUNNERS))
    if runner == "ray":
        require_extra("ray", "ray.data")
    return runner


def choose_runner(runner: Runner, source: Source, process: ProcessConfig) -> Runner:
    """Return the runner for a source: of `auto`, what is likely to be faster.

    Raises DataError for a source that does not exist.
    """
    if runner != "auto":
        return runner
    if allowed_cores() < 2:
        return "one"
    has_steps = len(document_steps(process)) > 1
    if is_divisible(source):
        work = [
            entry.size_bytes
            for entry in entries(source, SourceReport(), None)
            if has_steps or (suffixes(entry.name)[0] in EXTRACTORS and not _is_whole(entry))
        ]
        is_worth_it = sum(work) >= WORTH_BYTES
    else:
        is_worth_it = has_steps
    if is_worth_it:
        return "processes"
    return "one"


@dataclass
class DocumentReading:
    """How the documents of one source are made; `report` counts what was read."""

    source: Source
    options: SourceOptions
    process: ProcessConfig
    report: SourceReport
    progress: Progress
    advance: Callable[[int], None] = lambda read_bytes: None
    """Gets the bytes read since the last call."""
    passed: int = 0
    """The first files, which `report` has counted."""
    after_file: Callable[[int], None] = lambda files: None
    """Gets the number of files done whenever one is."""

    def documents(self, runner: Runner) -> Iterator[ProcessedDocument]:
        """Raises what `sources.read_source` raises, and WorkerError."""
        runner = choose_runner(runner, self.source, self.process)
        if runner == "one":
            yield from self._here()
            return
        files, refused = self.passed, list[GroundupError]()
        for batch in self._batches(runner):
            self.advance(batch.read_bytes)
            for each in batch.documents:
                assert each.made is not None
                raw = Document(each.raw, self.source.title, each.name)
                yield ProcessedDocument(raw, each.made, None)
            refused += batch.refused
            if batch.report:
                self.report.add(batch.report)
            if batch.is_file:
                files += 1
                self.after_file(files)
            if batch.error:
                raise batch.error
        require_files(self.source, self.report, refused, self.progress)

    def _here(self) -> Iterator[ProcessedDocument]:
        steps, seen = document_steps(self.process), self.report.read_bytes
        for raw in read_source(
            self.source,
            self.options,
            self.report,
            progress=self.progress,
            passed=self.passed,
            after_file=self.after_file,
        ):
            self.advance(self.report.read_bytes - seen)
            seen, changed = self.report.read_bytes, list[Change]()
            made = run_steps(raw.text, steps, lambda *change, to=changed: to.append(change))
            yield ProcessedDocument(raw, made, changed)

    def _batches(self, runner: Runner) -> Iterator[DocumentBatch]:
        if runner == "ray":
            yield from _with_ray(self._tasks(RAY_PART_BYTES, splits=False))
            return
        with Workers(allowed_cores()) as workers:
            tasks = ((task.message, task) for task in self._tasks(PART_BYTES, splits=True))
            for task, messages in workers.in_order(tasks):
                yield from task.results(messages)

    def _tasks(self, part_bytes: int, *, splits: bool) -> Iterator[SourceTask]:
        """Yield the parts of the source in order: entries, or with `splits`, the texts of large and
        packed ones.
        """
        if not is_divisible(self.source):
            yield from self._read(
                lambda report: source_files(self.source, report, self.progress), self.passed, splits
            )
            return
        group, group_bytes, left = list[SourceEntry](), 0, self.passed
        self.report.muted = left > 0
        for entry in entries(self.source, self.report, self.progress):
            if left or (splits and _is_whole(entry)):
                yield from self._part(group)
                group, group_bytes, count = [], 0, _CountedFiles(entry)
                yield from self._read(count.files, left, splits)
                left = max(0, left - count.seen)
                continue
            group.append(entry)
            group_bytes += entry.size_bytes
            if group_bytes >= part_bytes or len(group) == PART_FILES:
                yield from self._part(group)
                group, group_bytes = [], 0
        yield from self._part(group)

    def _part(self, group: list[SourceEntry]) -> Iterator[SourceTask]:
        if group:
            yield SourceTask(entries_task(group, self.options, self.process))

    def _read(
        self, files: Callable[[SourceReport], Iterator[SourceFile]], passed: int, splits: bool
    ) -> Iterator[SourceTask]:
        """Read files here; their texts are a worker's with `splits`, if there is more to do than
        cleaning, which is as fast as handing them over.
        """
        steps = document_steps(self.process)
        is_here = len(steps) == 1 or not splits
        own_steps = None
        if is_here:
            own_steps = steps
        for batches in read_batches(files, self.options, own_steps, passed=passed):
            texts = [each.raw for batch in batches for each in batch.documents]
            message = b""
            if texts and not is_here:
                message = texts_task(texts, self.process)
            yield SourceTask(message, batches)


class _CountedFiles:
    """The files of an entry, counted as they are read."""

    def __init__(self, entry: SourceEntry) -> None:
        self.entry, self.seen = entry, 0

    def files(self, report: SourceReport) -> Iterator[SourceFile]:
        for file in entry_files(self.entry, report):
            self.seen += 1
            yield file


def _is_whole(entry: SourceEntry) -> bool:
    """Return whether an entry is large or expands to an unknown size: it is not read by one worker
    before the others may go on.
    """
    suffix, compression = suffixes(entry.name)
    return bool(
        entry.size_bytes > LARGE_BYTES
        or archive_suffix(entry.name)
        or compression
        or suffix in (".parquet", ".mbox")
    )


def _with_ray(tasks: Iterator[SourceTask]) -> Iterator[DocumentBatch]:
    """Yield the batches of tasks: those that were read here come first, the others are worked at
    by Ray.
    """
    for task in tasks:
        if not task.message:
            yield from task.batches
            continue
        messages = [task.message, *(each.message for each in tasks)]
        for message in ray_results(messages):
            yield from unpack_batches(message)
