"""The Python surface for texts and documents: `inspect_data`, `train_tokenizer`, `index`, `search`
and `ask`; the verbs of the same names call the same. Functions import what they need when they are
called: a search by words comes without torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from groundup.config import checked_arguments, require_instance
from groundup.errors import ConfigError
from groundup.progress import Progress, Silent

if TYPE_CHECKING:
    from groundup.data.preparation.inspection import Inspection
    from groundup.data.processing.steps import ProcessConfig
    from groundup.data.reading.data import Data
    from groundup.data.reading.decoding import CharsetErrors
    from groundup.data.reading.source_files import Source
    from groundup.data.reading.source_report import SourceReport
    from groundup.engine.engine import Engine
    from groundup.finetune.reader_tuning import ReaderTuning
    from groundup.retrieve.answer import Answer, AskConfig, Part
    from groundup.retrieve.calibration import Calibration
    from groundup.retrieve.given_passages import GivenPassages
    from groundup.retrieve.index import Index, IndexConfig, IndexCounts
    from groundup.retrieve.known_questions import KnownQuestion
    from groundup.retrieve.search import SearchResult
    from groundup.retrieve.update import UpdateReport
    from groundup.retrieve.updated_vectors import VectorsReport
    from groundup.tokenizer.fast import Tokenizer
    from groundup.tokenizer.kinds import Kind

AnyPath = str | Path
PASSAGES, DOCUMENTS_SHOWN = 5, 3
SAMPLE_BYTES = 256_000_000


class AnsweringModel(Protocol):
    """A model that answers are written by: an `api.Model` that is open."""

    @property
    def engine(self) -> "Engine": ...


@dataclass(frozen=True)
class IndexResults:
    """What `index` did, and what the index holds now."""

    index: Path
    update: "UpdateReport"
    counts: "IndexCounts"
    vectors: "VectorsReport"
    calibration: "Calibration | None" = None
    """Where it was calibrated."""
    second_reader: str = ""
    """The encoder of the reader that reads passages, too; "": none."""

    def to_plain(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "index": str(self.index),
            "encoder": self.vectors.encoder,
            "vectors_made": self.vectors.count,
            "vectors_s": self.vectors.elapsed_s,
        }
        if self.second_reader:
            own["second_reader"] = self.second_reader
        if self.calibration:
            own["calibration"] = self.calibration.to_plain()
        return {**own, **vars(self.update), **vars(self.counts)}


@checked_arguments
def inspect_data(
    data: "AnyPath | Data | Source | Sequence[AnyPath | Data | Source]",
    *,
    process: "ProcessConfig | None" = None,
    strict: bool = False,
    charset_errors: "CharsetErrors" = "replace",
    show: int = DOCUMENTS_SHOWN,
    seed: int = 0,
    progress: Progress | None = None,
) -> "tuple[Inspection, ...]":
    """Figures of texts or examples before training on them: an inspection of each source.

    `data`: one address or several (docs/data.md), or a .toml that lists them; any layout is
    recognised. `process`: the steps of a build, which are counted. `strict`: the first bad line is
    an error. Invalid bytes become U+FFFD, or nothing (`charset_errors` "drop"). Of each source the beginnings of `show` documents are kept;
    `seed` draws the random ones. Raises ConfigError, DataError, NetworkError, MissingExtra.

    >>> (found,) = groundup.inspect_data("my-texts")
    >>> found.documents, found.words
    (8, 4800)
    """
    from groundup.data.preparation.inspection import inspect_sources
    from groundup.data.processing.steps import ProcessConfig
    from groundup.data.reading.layouts import LAYOUTS
    from groundup.data.reading.options import options_of

    require_instance("inspect_data", "process", process, ProcessConfig)
    sources = []
    for source, reading in _readings_of("inspect_data", data):
        options = options_of(reading, LAYOUTS)
        options = replace(options, strict=strict, charset_errors=charset_errors)
        sources.append((source, options))
    found = inspect_sources(sources, process, show=show, seed=seed, progress=progress or Silent())
    return tuple(found)


@checked_arguments
def train_tokenizer(
    data: "AnyPath | Data | Source | Sequence[AnyPath | Data | Source]" = (),
    vocab_size: int = 4096,
    *,
    kind: "Kind" = "bpe",
    sample_bytes: int = SAMPLE_BYTES,
    strict: bool = False,
    report: "SourceReport | None" = None,
    progress: Progress | None = None,
) -> "Tokenizer":
    """A tokenizer made from texts, with at most `vocab_size` ids; its `save(folder)` writes it.

    `kind`: "bpe", or for teaching "character" or "byte", which needs no `data`. Of more text than
    `sample_bytes`, BPE is trained on so much, chosen at random. `strict`: the first bad line is an
    error. `report` counts what was read. Raises ConfigError, DataError, NetworkError.

    >>> tokenizer = groundup.train_tokenizer("my-texts", vocab_size=300)
    >>> tokenizer.decode(tokenizer.encode("to be"))
    'to be'
    """
    from groundup.data.reading.options import options_of
    from groundup.data.reading.source_report import SourceReport
    from groundup.data.reading.sources import describe_source, read_source
    from groundup.tokenizer.kinds import make_tokenizer, require_kind

    report, progress = report or SourceReport(), progress or Silent()
    read = []
    if require_kind(kind) != "byte":
        read = [
            (source, replace(options_of(reading), strict=strict))
            for source, reading in _readings_of("train_tokenizer", data)
        ]
        if not read:
            what = f"A tokenizer of kind {kind} is made from texts, and none are named."
            raise ConfigError(what, fix="Name `data`.")
    for source, options in read:
        describe_source(source, options, progress=progress)
    texts = (
        document.text
        for source, options in read
        for document in read_source(source, options, report, progress=progress)
    )
    return make_tokenizer(kind, texts, vocab_size, sample_bytes=sample_bytes, progress=progress)


def texts_of(data: "Data") -> list[str]:
    """Return the texts of a source. Raises ConfigError, DataError, NetworkError."""
    from groundup.data.reading.options import options_of
    from groundup.data.reading.source_report import SourceReport
    from groundup.data.reading.sources import read_source, source_of

    documents = read_source(source_of(data), options_of(data), SourceReport())
    return [document.text for document in documents]


def _readings_of(
    function: str, data: Any, *, follow_links: bool = False
) -> "list[tuple[Source, Data]]":
    from groundup.data.reading.data import Data
    from groundup.data.reading.source_files import Source
    from groundup.data.reading.sources import read_sources, require_distinct_names, source_of

    if isinstance(data, str | Path | Data | Source) or not isinstance(data, Sequence):
        data = [data]
    found: list[tuple[Source, Data]] = []
    for each in data:
        if isinstance(each, Source):
            found.append((each, Data(each.spec)))
            continue
        if isinstance(each, str | Path):
            each = Data(each, follow_links=follow_links)
        if not isinstance(each, Data):
            what = f"{function}: data must be an address, or a list of addresses"
            raise ConfigError(f"{what} (got {each!r:.80}).")
        if str(each.path).endswith(".toml"):
            listed = read_sources([str(each.path)], follow_links=each.follow_links)
            found += [(source, each) for source in listed]
        else:
            found.append((source_of(each), each))
    require_distinct_names([source for source, _ in found])
    return found


@checked_arguments
def index(
    data: "AnyPath | Data | Source | Sequence[AnyPath | Data | Source]" = (),
    out: AnyPath = "index",
    *,
    vectors: str | Path | tuple[str | Path | None, str | Path] | None = None,
    store: str = "",
    config: "IndexConfig | None" = None,
    follow_links: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> IndexResults:
    """Make documents searchable; the same again reads only what is new or changed, and takes out
    what is gone.

    `data`: one address or several (docs/data.md); none: those of the index. `vectors`: the encoder
    whose vectors are made of each passage, for search by meaning; None: of an index the one that
    made its vectors, of a new index all-minilm-l6-v2-ask, if all-minilm-l6-v2 is here and most
    passages are English; "none": none. Of two, as in (None, "all-mpnet-base-v2"), passages are
    read by the reader of the second, too (`retrieve/second_reader.py`).
    `store`: where new vectors are kept, "NAME" or "NAME:ADDRESS" (`retrieve/known_stores.py`), not
    in files beside the index. `config`: how documents become passages; None: as the index has it.
    `text` and `charset` of `Data` are those of the config. Files that can't be read are in
    `counts.faults`, with the reason.
    An index that was calibrated (`calibrate_index`) is so again where it changes. Raises
    ConfigError, DataError, DiskError, FormatError, ModelError.

    >>> results = groundup.index("my-texts", "texts.index")
    >>> results.counts.documents
    8
    """
    from groundup.retrieve.index import Index, IndexConfig
    from groundup.retrieve.updated_vectors import update_with_vectors

    require_instance("index", "config", config, IndexConfig)
    folder, progress = Path(out), progress or Silent()
    vectors, encoder = vectors if isinstance(vectors, tuple) else (vectors, None)
    if encoder:
        from groundup.retrieve.second_reader import require_second

        require_second(str(encoder), None if vectors is None else str(vectors))
    readings = _readings_of("index", data, follow_links=follow_links)
    report, made = update_with_vectors(
        folder,
        [source for source, _ in readings],
        _index_config([reading for _, reading in readings], config),
        None if vectors is None else str(vectors),
        store=store,
        device=device,
        progress=progress,
    )
    if made.note:
        progress.say(f"note: {made.note}. Vectors are added by: {made.fix}")
    is_new, second = _second_of(folder, str(encoder or ""), device, progress)
    with Index(folder) as opened:
        has_changed = any((report.files_read, report.files_removed, made.count, is_new))
        calibration = _calibrated_again(opened, device, progress) if has_changed else None
        return IndexResults(folder, report, opened.counts(), made, calibration, second)


def _second_of(folder: Path, encoder: str, device: str, progress: Progress) -> tuple[bool, str]:
    """Set the second reader of an index, if an encoder is named; return whether it is another one
    than before, and its encoder.
    """
    from groundup.retrieve.index import SECOND_READER_FILE

    if not encoder and not (folder / SECOND_READER_FILE).exists():
        return False, ""  # without torch
    from groundup.retrieve.second_reader import read_second, set_second

    is_new = bool(encoder) and set_second(folder, encoder, device, progress)
    return is_new, read_second(folder)


@checked_arguments
def tune_index(
    index: AnyPath,
    questions: AnyPath | None = None,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> "ReaderTuning":
    """Train the reader, which judges answers, on questions made from the documents of an index
    (`finetune/reader_tuning.py`), and keep it with the index if it is clearly better than the
    package's on the questions that the index was calibrated on (`calibrate_index`). `questions`: a
    file of further ones to train on, with their answers, as `make_questions` writes them.

    The index needs vectors of all-minilm-l6-v2-ask, and is calibrated again where it changes.
    Raises DataError (too few questions), DiskError, FormatError, ModelError (no vectors, or those of
    another encoder).

    >>> made = groundup.index("my-texts", "texts.index")
    >>> groundup.tune_index("texts.index")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    groundup.errors.ModelError: texts.index has no vectors, whose encoder the reader adapts.
    """
    from groundup.device import select_compute
    from groundup.finetune.reader_tuning import asked_in, tune_reader
    from groundup.retrieve.calibration import kept_questions
    from groundup.retrieve.index import TUNED, Index

    progress = progress or Silent()
    with Index(index) as opened:
        had_own = (opened.folder / TUNED).exists()
        known = kept_questions(opened.folder)
        asked = asked_in(Path(questions)) if questions else ()
        compute = select_compute(device)
        found = tune_reader(opened, known, asked, compute=compute, progress=progress)
        if found.is_kept or had_own:
            _calibrated_again(opened, device, progress)
    return found


def _calibrated_again(opened: "Index", device: str, progress: Progress) -> "Calibration | None":
    """Calibrate an index on the questions that it has; None: it has none."""
    from groundup.retrieve.known_questions import QUESTIONS_FILE

    if not (opened.folder / QUESTIONS_FILE).is_file():
        return None
    from groundup.retrieve.calibration import kept_questions

    return _calibrated(opened, kept_questions(opened.folder), device, progress)


def _calibrated(
    opened: "Index", known: "Sequence[KnownQuestion]", device: str, progress: Progress
) -> "Calibration":
    from groundup.retrieve.calibration import CalibrationQuestions, calibrate
    from groundup.retrieve.rankings import AUTO, vectors_for

    vectors = vectors_for(AUTO, opened.folder, device, progress)
    questions = CalibrationQuestions(known=tuple(known))
    return calibrate(opened, questions, PASSAGES, vectors, progress=progress)


@checked_arguments
def calibrate_index(
    index: AnyPath,
    questions: AnyPath,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> "Calibration":
    """Choose from how much evidence on an index answers, and which error rate it promises, on
    questions with known answers; both are kept with the index, and so are the questions.

    `questions`: a file of JSON lines, of customers' or hand-written ones
    (`retrieve/known_questions.py`). Raises ConfigError, DataError, DiskError, FormatError.

    >>> made = groundup.index("my-texts", "texts.index")
    >>> groundup.calibrate_index("texts.index", "questions.jsonl").known
    1
    """
    from groundup.retrieve.index import Index
    from groundup.retrieve.known_questions import read_known_questions

    known = read_known_questions(Path(questions))
    with Index(index) as opened:
        return _calibrated(opened, known, device, progress or Silent())


def _index_config(readings: "Sequence[Data]", config: "IndexConfig | None") -> "IndexConfig | None":
    """Return the config with what `Data` says of columns and charsets, the same of all.

    Raises ConfigError.
    """
    from groundup.retrieve.index import IndexConfig

    plain = IndexConfig()
    named = {(each.text, each.charset) for each in readings}
    if named <= {(plain.text, plain.charset)}:
        return config
    if len(named) > 1:
        what = "An index reads all documents in one way, and these have several."
        raise ConfigError(what, fix="Give each the same `text` and `charset`.")
    ((text, charset),) = named
    return replace(config or plain, text=text, charset=charset)


@checked_arguments
def search(
    index: AnyPath,
    words: str,
    count: int = PASSAGES,
    *,
    by: str = "auto",
    device: str = "auto",
    progress: Progress | None = None,
) -> "SearchResult":
    """The `count` passages of an index that fit some words best, each with its place and its score
    (BM25; of vectors, the cosine).

    `by`: "words", "vectors" (of an index that has them), "both", or "auto": both where it has
    vectors. Passages of files that were changed or deleted since they were read are left out, and
    the files named in `outdated`. Raises ConfigError, FormatError.

    >>> made = groundup.index("my-texts", "texts.index")
    >>> found = groundup.search("texts.index", "the prize", count=2)
    >>> len(found.passages), found.passages[0].score > 0
    (2, True)
    """
    from groundup.retrieve.index import Index
    from groundup.retrieve.rankings import ranking_of, vectors_for
    from groundup.retrieve.search import find

    progress = progress or Silent()
    with Index(index) as opened:
        if opened.note:
            progress.say(f"note: {opened.note}")
        vectors = vectors_for(by, opened.folder, device, progress)
        return find(opened, words, count, ranking_of(by, vectors))


@checked_arguments
def ask(
    index: AnyPath,
    question: str,
    *,
    model: "AnyPath | AnsweringModel | None" = None,
    by: str = "auto",
    config: "AskConfig | None" = None,
    out: AnyPath | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> "Answer":
    """Answer from the documents of an index: their best sentences word for word, then those of
    `model` as far as a passage supports them.

    `model`: None (quotations only), an open one, or what `open_model` opens. `by`: as in `search`.
    `config`: how many passages are read, what must speak for one, the longest text of the model.
    `out`: the answer is saved there, to be verified later (`groundup verify`). Where the documents
    hold no answer, `found` is False. Raises ConfigError, FormatError, ModelError.

    >>> made = groundup.index("my-texts", "texts.index")
    >>> answer = groundup.ask("texts.index", "When is the prize over?")
    >>> answer.found == bool(answer.quotes)
    True
    """
    from groundup.retrieve.answer import Answer
    from groundup.retrieve.index import Index
    from groundup.retrieve.saved import save_answer

    progress = progress or Silent()
    with Index(index) as opened:
        *_, answer = answer_parts(
            opened, question, model=model, by=by, config=config, device=device, progress=progress
        )
        assert isinstance(answer, Answer)
        if out is not None:
            save_answer(answer, opened, Path(out))
    return answer


def answer_parts(
    opened: "Index | GivenPassages",
    question: str,
    *,
    model: "AnyPath | AnsweringModel | None" = None,
    by: str = "auto",
    config: "AskConfig | None" = None,
    device: str = "auto",
    progress: Progress,
) -> "Iterator[Part]":
    """Yield the parts as they are made, and last the `Answer`; the rest is as in `ask`."""
    from groundup.retrieve.answer import AskConfig, ask
    from groundup.retrieve.follow_up import question_in_context
    from groundup.retrieve.index import Index
    from groundup.retrieve.rankings import ranking_of, vectors_for

    require_instance("ask", "config", config, AskConfig)
    if not question.strip():
        raise ConfigError("The question is empty.", fix="Write what is asked of the documents.")
    question = question_in_context([question])  # one turn, of however many lines
    vectors = None
    if isinstance(opened, Index):
        if opened.note:
            progress.say(f"note: {opened.note}")
        vectors = vectors_for(by, opened.folder, device, progress)
    engine = None if model is None else _engine(model, device, progress)
    yield from ask(
        opened, question, engine, config, rank_by=ranking_of(by, vectors), vectors=vectors
    )


def _engine(model: "AnyPath | AnsweringModel", device: str, progress: Progress) -> "Engine":
    """Raises ConfigError, and what opening it raises."""
    from groundup.device import select_compute
    from groundup.engine.engine import Engine
    from groundup.engine.precision import open_to_write

    if isinstance(model, str | Path):
        return Engine(*open_to_write(model, select_compute(device), progress=progress))
    engine = getattr(model, "engine", None)
    if not isinstance(engine, Engine):
        what = "ask: model must be a model of open_model, its name or its path"
        raise ConfigError(f"{what} (got {model!r:.80}).")
    return engine
