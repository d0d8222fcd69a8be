"""The texts that a command names (token shards, a data folder, or sources) as token shards and
their tokenizer, and the folder they are written to.

    RUN/data/            the texts, cleaned and split         RUN/shards/          the tokens
    RUN/tokenizer/       the tokenizer, if it was trained      RUN/prepared.json    what they were
                         made of

The same command again finds them and reads no text, as long as the names, sizes and times of the
texts are those recorded, or at least their hashes; so does a finished run whose texts are gone.
They depend on the texts alone: `fit` refuses a run whose texts were changed. What a killed command
finished is kept: the files read, the tokenizer, the tokens of the texts encoded.

At the end: the sources in a plan, of each what is there, wanted and read, and which will be
memorised.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from groundup.config import build_config
from groundup.data.batches.mixture import SourceReading
from groundup.data.batches.mixture_config import MixtureConfig
from groundup.data.batches.shards import TABLE_FILE, ShardSet, data_key, open_shards, write_shards
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.file_steps import items_of
from groundup.data.preparation.pipeline import VERSION, prepare
from groundup.data.processing.steps import ProcessConfig, depends_on
from groundup.data.reading.source_files import (
    PINNED,
    Source,
    content_hash,
    quick_hash,
    readable_suffixes,
)
from groundup.data.reading.sources import read_sources
from groundup.data.resumable_folder import PARTIAL_PREFIX
from groundup.data.runners.runner import Runner
from groundup.data.split import TRAIN, read_split, split_file
from groundup.errors import ConfigError, DataError, FormatError, NetworkError
from groundup.files import (
    MANIFEST,
    atomic_folder,
    json_bytes,
    read_json_object,
    sha256_text,
    verify_folder,
    write_json,
)
from groundup.locks import only_one
from groundup.planning import scaling_law
from groundup.progress import Progress
from groundup.runs import PLAN_FILE, RunFolder
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer, train_tokenizer
from groundup.train.cut.cut_start import CUT_FOLDER

T = TypeVar("T")
# Parts of a run folder.
DATA, SHARDS, TOKENIZER, PREPARED_FILE = "data", "shards", "tokenizer", "prepared.json"
# Options of reading, which texts that are prepared already would ignore.
READING = ("text", "charset", "test_fraction", "keep_dropped")
# What is written into a run folder before run.json.
PREPARED = (
    DATA,
    SHARDS,
    TOKENIZER,
    PREPARED_FILE,
    CUT_FOLDER,
    f"{PARTIAL_PREFIX}{DATA}",
    f"{PARTIAL_PREFIX}{SHARDS}",
    PLAN_FILE,
)
# More lines would hide the rest of a plan: of the others, the sum.
SHOWN = 20
# A source that is read this many times as often as the whole text has its own warning; below, that
# of the whole says it.
MORE_OFTEN = 1.5
HEAD = ("", "tokens", "there", "wanted", "read", "epochs")


def corpus(
    specs: Sequence[str],
    run: RunFolder,
    config: DataConfig,
    *,
    tokenizer: Path | Tokenizer | None,
    vocab_size: int,
    runner: Runner = "auto",
    progress: Progress,
) -> tuple[ShardSet, Tokenizer]:
    """The shards of `specs`, with the `tokenizer`, the one in its folder, or one of `vocab_size`
    ids trained on the train split.

    `runner`: who reads and processes texts (`data.runners`).
    Raises ConfigError (shards without their tokenizer, prepared texts that are not alone or with
    steps; another process in the run), FormatError (shards or data that were altered) and what
    reading the texts raises.
    """
    folder = _prepared(specs)
    if folder and config.process != ProcessConfig():
        fix = (
            "Leave `process`, `rules`, `languages` and `decontaminate` out, "
            "or name the texts that it was made of."
        )
        raise ConfigError(
            f"{folder} is prepared already: no steps run over its documents.", fix=fix
        )
    asked = [f"`{name}`" for name in READING if getattr(config, name) != getattr(DataConfig, name)]
    if folder and asked:
        fix = f"Leave {' and '.join(asked)} out, or name the texts that it was made of."
        raise ConfigError(f"{folder} is prepared already: its texts are not read again.", fix=fix)
    if folder and (folder / TABLE_FILE).is_file():
        return open_shards(folder), _load(tokenizer or tokenizer_near(folder))
    given = _load(tokenizer) if tokenizer else vocab_size
    with only_one(run.path):
        texts = folder or read_sources(specs, follow_links=config.follow_links)
        return _encode(specs, texts, run.path, config, given, runner, progress)


def _load(tokenizer: Path | Tokenizer) -> Tokenizer:
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    return Tokenizer.load(tokenizer)


def _encode(
    specs: Sequence[str],
    texts: Path | Sequence[Source],
    run: Path,
    config: DataConfig,
    tokenizer: Tokenizer | int,
    runner: Runner,
    progress: Progress,
) -> tuple[ShardSet, Tokenizer]:
    """The shards of a data folder or of sources, with a tokenizer or one of that number of ids;
    what the run holds of them is used.
    """
    asked = {
        "texts": [_absolute(spec) for spec in specs],
        "reading": json.loads(json_bytes(asdict(config))),
        "tokenizer": getattr(tokenizer, "fingerprint", tokenizer),
        "formats": readable_suffixes(),
        "version": VERSION,
    }
    asked |= depends_on(config.process)
    if not isinstance(texts, Path) and any(source.name for source in texts):
        asked["names"] = [source.name for source in texts]  # they stand beside each document
    inputs = texts
    if not isinstance(texts, Path):
        # what documents are compared with changes them as the texts do
        inputs = [*texts, *items_of(config.process)]
    kept = _KeptParts(run, asked, inputs, progress)

    def data() -> Path:
        if isinstance(texts, Path):
            if (texts / MANIFEST).is_file():
                verify_folder(texts)
            return texts
        return kept.part(
            DATA, _verify, lambda path: _prepare(texts, path, config, runner, progress)
        )

    def chosen() -> Tokenizer:
        if isinstance(tokenizer, Tokenizer):
            return tokenizer
        return kept.part(
            TOKENIZER, Tokenizer.load, lambda path: _train(data(), tokenizer, path, progress)
        )

    shards = kept.part(
        SHARDS, open_shards, lambda path: write_shards(data(), chosen(), path, progress=progress)
    )
    return shards, chosen()


def _absolute(spec: str) -> str:
    if re.match(r"\w+:", spec):
        return spec
    return os.path.abspath(spec)


def _verify(folder: Path) -> Path:
    verify_folder(folder)
    return folder


def _prepare(
    sources: Sequence[Source], out: Path, config: DataConfig, runner: Runner, progress: Progress
) -> Path:
    prepare(sources, out, config, runner=runner, progress=progress)
    return out


def _train(data: Path, vocab_size: int, out: Path, progress: Progress) -> Tokenizer:
    texts = (document.text for document in read_split(data, TRAIN))
    trained = train_tokenizer(texts, vocab_size, progress=progress)
    with atomic_folder(out) as folder:
        trained.save(folder)
    return trained


@dataclass
class _PreparedRecord:
    """What prepared.json holds."""

    asked: dict[str, Any]
    quick: str | None
    content: str = ""
    done: list[str] = field(default_factory=list)


class _KeptParts:
    """The parts of a run folder that were made of these texts, as its prepared.json says; none
    where the texts were changed.
    """

    def __init__(
        self,
        folder: Path,
        asked: dict[str, Any],
        texts: Path | Sequence[Source],
        progress: Progress,
    ) -> None:
        self.folder, self.file = folder, folder / PREPARED_FILE
        kept = _PreparedRecord({}, None)
        with suppress(FormatError, ConfigError):  # missing or damaged
            kept = build_config(_PreparedRecord, read_json_object(self.file))
        self.record, quick = kept, _quick_hash(texts)
        if kept.asked != asked or quick not in (None, kept.quick):
            self.record = _PreparedRecord(asked, quick, _content_hash(texts))
            if kept.asked == asked and kept.content == self.record.content:
                self.record.done = kept.done
        elif quick is None:
            named = ", ".join(asked["texts"])
            progress.say(f"{named}: gone or out of reach; what was prepared of it is used.")

    def part(self, name: str, opened: Callable[[Path], T], make: Callable[[Path], T]) -> T:
        """Return a part: opened, or where it is missing, of other texts or damaged, made."""
        path = self.folder / name
        if name in self.record.done:
            with suppress(FormatError):
                return opened(path)
        made = make(path)
        self.record.done = sorted({*self.record.done, name})
        write_json(self.file, asdict(self.record))
        return made


def _quick_hash(texts: Path | Sequence[Source]) -> str | None:
    """Return what changes with the texts, without reading them; None where they are gone or can't
    be reached.
    """
    if isinstance(texts, Path):
        return data_key(texts)
    try:
        return sha256_text(repr([quick_hash(source) for source in texts]))
    except (DataError, NetworkError):
        return None


def _content_hash(texts: Path | Sequence[Source]) -> str:
    """Return what changes with the bytes of the texts; of an https: address without a hash, with
    the address.
    """
    if isinstance(texts, Path):
        return data_key(texts)
    return sha256_text(repr([_known_hash(source) for source in texts]))


def _known_hash(source: Source) -> str:
    if source.pin or not source.spec.startswith(PINNED):
        return content_hash(source)
    return quick_hash(source)


def licences(specs: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return name and licence of each source, for the model card; texts on disk are the user's own
    where nothing is stated.
    """
    return tuple((each.title, _licence(each)) for each in read_sources(specs))


def _licence(source: Source) -> str:
    if source.is_local and source.licence == Source.licence:
        return "the user's own"
    return source.licence


def _prepared(specs: Sequence[str]) -> Path | None:
    """The folder of shards or splits that `specs` names; None: texts.

    Raises ConfigError for one that is not alone.
    """
    prepared = [
        spec
        for spec in specs
        if (Path(spec) / TABLE_FILE).is_file() or split_file(Path(spec), TRAIN).is_file()
    ]
    if prepared and len(specs) > 1:
        fix = "Name it alone, or the texts that it was made of."
        raise ConfigError(
            f"{prepared[0]} is prepared already and can't be joined to other texts.", fix=fix
        )
    return next(map(Path, prepared), None)


def tokenizer_near(shards: Path) -> Path:
    """The folder of the tokenizer: beside the shards as in a build, or above them as in a run.

    Raises ConfigError.
    """
    for folder in (shards, shards.resolve().parent, shards.resolve().parent / TOKENIZER):
        if (folder / TOKENIZER_FILE).is_file():
            return folder
    raise ConfigError(
        f"{shards} has shards but no tokenizer.", fix="Name its folder in `tokenizer`."
    )


def mixture_line(config: MixtureConfig) -> str:
    if config.max_epochs is None:
        return config.describe()
    return f"{config.describe()}, each read {config.max_epochs:g} times at most"


def source_lines(sources: Sequence[SourceReading]) -> list[str]:
    """Return the table of the sources; no lines for none. Of many, those that are read most."""
    if not sources:
        return []
    total = max(1, sum(each.read_tokens for each in sources))
    shown = sorted(sources, key=lambda each: -each.read_tokens)[:SHOWN]
    rows = [
        (
            each.name,
            f"{each.tokens:,}",
            *map(_percent, (each.share, each.wanted, each.read_tokens / total)),
            f"{each.epochs:.2f}",
        )
        for each in shown
    ]
    widths = [max(len(row[column]) for row in (HEAD, *rows)) for column in range(len(HEAD))]
    lines = []
    for name, *numbers in (HEAD, *rows):
        cells = [cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells]))
    if len(sources) > SHOWN:
        lines.append(f"and {len(sources) - SHOWN} more")
    return [" " * 12 + line for line in lines]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def source_warnings(sources: Sequence[SourceReading], epochs: float) -> list[str]:
    """Return a warning for the sources that are read much more often than the whole text
    (`epochs`).
    """
    often = [
        each
        for each in sources
        if each.epochs > max(scaling_law.HARMLESS_EPOCHS, MORE_OFTEN * epochs)
    ]
    if not often:
        return []
    named = ", ".join(
        f"{each.name} ({each.tokens:,} tokens) {each.epochs:.0f} times" for each in often[:SHOWN]
    )
    return [
        f"The run reads {named}: after about {scaling_law.HARMLESS_EPOCHS} times repeated "
        "text teaches little (Muennighoff et al. 2023), and a source this small will be "
        "memorised. Lower its weight, limit it with max_epochs_per_source, or add text of its "
        "kind."
    ]
