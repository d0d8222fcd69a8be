"""What a model was trained on: hashes of its training examples, in a file beside the model, so that
`evaluate` can leave them out.

    RUN/trained_on.json   {"format": 1, "hashes": HEX, "beginnings": [N, ...], "process": {...}}
                          of a fine-tuned run, listed in its manifest

    write_trained_on(RUN, examples, base=MODEL)        its examples, and what the base was trained
                                                       on as far as that is known
    read_trained_on(MODEL) -> TrainedOn | None         of a pretraining run: the documents of its
                                                       data/train.jsonl, and its start's
    keep_trained_on(RUN)                               before the data folder of a pretraining run
                                                       is removed
    read_trained_on(MODEL).has(item)

A hash is the first 16 bytes of the SHA-256 of what the user says (see `distinct`), of conversations
after each of the user's messages; of documents that of the text as the steps left it, which stand
beside. All are sorted and joined to one string. The file stays in the run: exports do not have it,
as everyone who has it can test whether a given text was among the private ones of its owner.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from groundup.config import build_config
from groundup.data.clean import clean
from groundup.data.documents import Example
from groundup.data.processing.steps import (
    PERSONAL_DATA,
    RAW_STEPS,
    RULES,
    ProcessConfig,
    Step,
    document_steps,
    run_steps,
)
from groundup.data.reading.example_rows import AnyExample
from groundup.data.reading.example_splits import same_text_key, user_turns
from groundup.data.split import TRAIN, split_file
from groundup.errors import ConfigError, FormatError
from groundup.files import read_json, read_json_object, write_json
from groundup.runs import TRAINED_ON_FILE, RunFolder

FORMAT = 1
HASH_BYTES = 16
# 32 million examples.
MAX_FILE_BYTES = 2**30
# As a data folder writes its lines (`split.SplitWriter`).
_HASH_OF_LINE = re.compile(rb'"sha256": ?"([0-9a-f]{64})"}\s*$')
# The data folder of a run, its card, and what a build has beside its stages.
DATA, CARD_FILE, BUILD_FILE = "data", "data.json", "build.json"
# Of the steps over documents, those that may leave another text.
CHANGING_STEPS = (*RAW_STEPS, RULES, PERSONAL_DATA)


@dataclass(frozen=True)
class TrainedOn:
    hashes: frozenset[bytes]
    beginnings: tuple[int, ...] = ()
    """Characters of documents of which only the beginning was trained on (see `split.Cut`)."""
    process: ProcessConfig = field(default_factory=ProcessConfig)
    """The steps that changed documents before they were trained on: an item is compared as they
    leave it, too.
    """

    def has(self, item: AnyExample | str) -> bool:
        """Return whether an example, or a document's text, was trained on.

        Raises MissingExtra where a step that changed documents needs one.
        """
        if not isinstance(item, str | Example):
            return text_hash("\n".join(user_turns(item))) in self.hashes
        if isinstance(item, Example):
            raw = text = item.text
        else:
            raw, text = item, clean(item).text
        texts = [text]
        if self.process.names:
            texts.append(run_steps(raw, self._steps, lambda *_: None).text)
        parts = [part for text in texts for part in self._parts(text)]
        return any(text_hash(part) in self.hashes for part in parts)

    def _parts(self, text: str) -> Iterator[str]:
        yield from (text, same_text_key(text))
        yield from (text[:end].strip("\n") for end in self.beginnings if end < len(text))

    @cached_property
    def _steps(self) -> list[Step]:
        return document_steps(self.process)


def text_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:HASH_BYTES]


def example_hashes(examples: Iterable[AnyExample]) -> Iterator[bytes]:
    """Yield the hashes of examples: of a conversation one after each message of the user, as all of
    its answers are learned from.
    """
    for example in examples:
        turns = user_turns(example)
        for end in range(1, len(turns) + 1):
            yield text_hash("\n".join(turns[:end]))


def write_trained_on(folder: Path, examples: Sequence[AnyExample], *, base: Path) -> None:
    """Write the hashes of the examples, and of what the model at `base` was trained on.

    Raises DiskError.
    """
    before = read_trained_on(base) or TrainedOn(frozenset())
    _write(folder, replace(before, hashes=before.hashes.union(example_hashes(examples))))


def keep_trained_on(run: Path) -> None:
    """Write what a pretraining run was trained on into its folder, as its data folder is about to
    be removed. Raises DiskError, FormatError.
    """
    if (run / TRAINED_ON_FILE).is_file():
        return
    known = read_trained_on(run)
    if known is not None:
        _write(run, known)


def _write(folder: Path, known: TrainedOn) -> None:
    values: dict[str, Any] = {
        "format": FORMAT,
        "hashes": b"".join(sorted(known.hashes)).hex(),
        "beginnings": list(known.beginnings),
    }
    if known.process.names:
        values["process"] = asdict(known.process)
    write_json(folder / TRAINED_ON_FILE, values)


def read_trained_on(model: Path, later: frozenset[Path] = frozenset()) -> TrainedOn | None:
    """Return what the model at a path was trained on; None where nothing is recorded.

    `later`: runs that went on with it. Raises FormatError.
    """
    file = model / TRAINED_ON_FILE
    if not file.is_file():
        return _documents(model, later)
    record = read_json(file, max_bytes=MAX_FILE_BYTES)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise FormatError(file, "format", f"is not {FORMAT}")
    hashes, ends = record.get("hashes"), record.get("beginnings")
    try:
        joined = bytes.fromhex(hashes)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise FormatError(file, "hashes", "is not a string of hexadecimal digits") from error
    are_ends = isinstance(ends, list) and all(type(end) is int for end in ends)
    if len(joined) % HASH_BYTES or not are_ends:
        reason = f"are not hashes of {HASH_BYTES} bytes and a list of numbers"
        raise FormatError(file, "hashes, beginnings", reason)
    split = (joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES))
    return TrainedOn(frozenset(split), tuple(ends or ()), _changing_steps(record, file))


def _documents(model: Path, later: frozenset[Path]) -> TrainedOn | None:
    """Raises FormatError."""
    folder = data_folder(model)
    if folder is None:
        return None
    with split_file(folder, TRAIN).open("rb") as lines:
        hashes = frozenset(filter(None, map(_hash_in, lines)))
    card: dict[str, Any] = {}
    if (folder / CARD_FILE).is_file():
        card = read_json_object(folder / CARD_FILE)
    steps = _changing_steps(card.get("config"), folder / CARD_FILE)
    own = TrainedOn(hashes, _beginnings(card), steps)
    base = _read_start(RunFolder(model), later | {model.resolve()})
    if base is None:
        return own
    # of steps that changed texts those of the run, or where it had none those of its base
    if not steps.names:
        steps = base.process
    ends = {*own.beginnings, *base.beginnings}
    return TrainedOn(own.hashes | base.hashes, tuple(sorted(ends)), steps)


def data_folder(model: Path) -> Path | None:
    """Return the data folder of a pretraining run: in it or, as in a build, beside it; None where
    it is gone. Raises FormatError.
    """
    run = RunFolder(model)
    if not run.run_file.is_file() or run.read_run().get("kind") != "pretrain":
        return None
    folders, build = [model / DATA], model.resolve().parent
    if (build / BUILD_FILE).is_file():
        folders.append(build / DATA)
    return next((folder for folder in folders if split_file(folder, TRAIN).is_file()), None)


def _read_start(run: RunFolder, later: frozenset[Path]) -> TrainedOn | None:
    """Return what the model was trained on whose training the run continued; None where that is not
    known. Raises FormatError.
    """
    inputs = run.read_run().get("inputs")
    if not isinstance(inputs, dict) or not isinstance(inputs.get("start"), dict):
        return None
    model = Path(str(inputs["start"].get("model")))
    if model.resolve() in later:  # two folders may name each other
        return None
    return read_trained_on(model, later)


def _hash_in(line: bytes) -> bytes | None:
    """Return the hash of the document in a line of a data folder, where it stands at the end; the
    line is not parsed.
    """
    found = _HASH_OF_LINE.search(line[-100:])
    if not found:
        return None
    return bytes.fromhex(found[1].decode())[:HASH_BYTES]


def _beginnings(card: dict[str, Any]) -> tuple[int, ...]:
    """Return where documents were cut, by the data card; its train part is what stands before the
    cut.
    """
    cuts = card.get("cuts")
    if not isinstance(cuts, list):
        return ()
    ends = [cut.get("at_character") for cut in cuts if isinstance(cut, dict)]
    return tuple(sorted({end for end in ends if isinstance(end, int)}))


def _changing_steps(holder: Any, file: Path) -> ProcessConfig:
    """Return those of the steps in `holder["process"]` that change texts. Raises FormatError."""
    if not isinstance(holder, dict) or "process" not in holder:
        return ProcessConfig()
    values = holder["process"]
    try:
        kept = tuple(name for name in values["steps"] if name in CHANGING_STEPS)
        others = {"languages": (), "decontaminate": ()}
        return build_config(ProcessConfig, {**values, **others, "steps": kept})
    except (ConfigError, KeyError, TypeError) as error:
        raise FormatError(file, "process", "is not a configuration of steps") from error
