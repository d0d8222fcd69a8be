"""The Python surface for questions made from documents: `make_questions`; `groundup data
make-questions` calls the same.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.api.documents import index as make_index
from groundup.config import checked_arguments
from groundup.data.reading.data import Data
from groundup.errors import ConfigError, DataError
from groundup.files import make_folder, write_text
from groundup.locks import temporary_folder
from groundup.packs.pack import require_pack_name
from groundup.progress import Progress, Silent
from groundup.retrieve.index import INDEX_FILE, Index
from groundup.retrieve.questions_config import QuestionsConfig
from groundup.retrieve.updated_vectors import is_here
from groundup.weights.catalog import DEFAULT_ENCODER

if TYPE_CHECKING:
    from groundup.data.reading.source_files import Source
    from groundup.retrieve.made_questions import MadeQuestions

AnyPath = str | Path


@checked_arguments
def make_questions(
    docs: "AnyPath | Data | Source | Sequence[AnyPath | Data | Source]",
    out: AnyPath,
    config: QuestionsConfig = QuestionsConfig(),
    *,
    by: str = "auto",
    device: str = "auto",
    progress: Progress | None = None,
) -> "MadeQuestions":
    """Questions made from documents by rules, each with the sentence that answers it, written to
    `out` as JSON lines (`retrieve/made_questions.py`); kept where the sentence is among the first
    few that `ask` finds for the question.

    `docs`: addresses as of `index`, or the folder of an index. `by`: what the sentence is found by,
    as of `ask`. Ctrl-C keeps those that there are. Raises ConfigError, DataError (nothing to ask
    about), DiskError, FormatError.

    >>> made = groundup.make_questions("hours.md", "pairs.jsonl", by="words")
    >>> [(each.question, each.answer) for each in made.questions]
    [('How long does an appointment last?', 'An appointment lasts 45 minutes.')]
    """
    from groundup.retrieve.made_questions import make_questions as make_from_index
    from groundup.retrieve.rankings import vectors_for

    progress, file = progress or Silent(), Path(out)
    with index_of(docs, file, by, device, progress) as index:
        vectors = vectors_for(by, index.folder, device, progress)
        found = make_from_index(index, config, vectors, progress=progress)
    if not found.drafts:
        raise nothing_to_ask(found.passages, config)
    if not found.questions:
        if found.is_stopped:
            raise KeyboardInterrupt
        what = f"None of {found.not_found:,} questions found its sentence again among the first"
        raise ConfigError(f"{what} {config.few}.", fix="Raise few, or give more text.")
    write_text(file, found.lines())
    return replace(found, files={"pairs": str(file)})


def nothing_to_ask(passages: int, config: QuestionsConfig) -> DataError:
    """Return the error for documents without a sentence that a rule has a question for."""
    where = "that a rule can ask about"
    if config.kinds:
        where = "of the kinds asked for"
    return DataError(
        f"Of {passages:,} passages of the documents none has a sentence {where}.",
        fix="Give whole sentences, tables with heads, or headings that ask (docs/questions.md).",
    )


def new_pack_from(
    name: str,
    docs: Sequence[AnyPath],
    folder: Path,
    config: QuestionsConfig = QuestionsConfig(),
    *,
    progress: Progress,
) -> "tuple[list[str], MadeQuestions]":
    """Begin a pack with one's own documents and questions made from them; return the names of its
    files, and the questions, which may be none. Ctrl-C keeps those that there are. Their sentences
    are found without the reader, a third of the time (docs/log.md). Raises as `make_questions`.
    """
    from groundup.retrieve.made_questions import make_questions as make_from_index
    from groundup.retrieve.pack_of_documents import write_pack
    from groundup.retrieve.rankings import vectors_for

    require_pack_name(name)
    if folder.exists():
        raise ConfigError(
            f"{folder} exists already.", fix="Choose another name, or another folder."
        )
    with index_of(docs, folder, "auto", "auto", progress) as index:
        vectors = vectors_for("auto", index.folder, "auto", progress)
        if vectors is not None:
            vectors.read = None
        made = make_from_index(index, config, vectors, progress=progress)
        return write_pack(name, folder, index, made.questions), made


@contextmanager
def index_of(
    docs: "AnyPath | Data | Source | Sequence[AnyPath | Data | Source]",
    out: Path,
    by: str,
    device: str,
    progress: Progress,
) -> Iterator[Index]:
    """Open an index, or make one of documents beside `out` for as long as it is needed."""
    one = docs
    if isinstance(docs, Data):
        one = docs.path
    if isinstance(docs, Sequence) and not isinstance(docs, str) and len(docs) == 1:
        (one,) = docs
    if isinstance(one, str | Path) and (Path(one) / INDEX_FILE).is_file():
        with Index(one) as opened:
            yield opened
        return
    make_folder(out.parent)
    with temporary_folder(out.parent) as temporary:
        vectors = None
        if by == "words":
            vectors = "none"
        elif by == "auto" and not is_here(DEFAULT_ENCODER):
            vectors = "none"
            progress.say(
                f"note: sentences are found by words alone, since the encoder {DEFAULT_ENCODER} "
                f"is not on this machine. Fetch it with: groundup pull {DEFAULT_ENCODER}"
            )
        made = make_index(
            docs, temporary / "index", vectors=vectors, device=device, progress=progress
        )
        for place, fault in made.counts.faults:
            progress.say(f"skipped: {place}: {fault}")
        with Index(made.index) as opened:
            yield opened
