"""The text that a command names (token shards, a data folder, or texts) as token shards and their tokenizer, and the folder they are written to.

    RUN/data/            the texts, cleaned and split         RUN/shards/          the tokens
    RUN/tokenizer/       the tokenizer, if it was trained      RUN/prepared.json    what they were made of

The same command again finds them and reads no text, as long as the names, sizes and times of the texts are those recorded, or at least their hashes;
so does a finished run whose texts are gone. They depend on the texts alone: `fit` refuses a run whose texts were changed. What a killed command
finished is kept: the files read, the tokenizer, the tokens of the texts encoded.
"""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from groundup.data.partial import PARTIAL_PREFIX
from groundup.data.pipeline import VERSION, DataConfig, prepare
from groundup.data.shards import TABLE_FILE, ShardSet, data_key, open_shards, write_shards
from groundup.data.source_files import Source, content_hash, quick_hash, readable_suffixes
from groundup.data.split import TRAIN, read_split, split_file
from groundup.errors import ConfigError, DataError, FormatError
from groundup.files import MANIFEST, atomic_folder, read_json_object, verify_folder, write_json
from groundup.locks import only_one
from groundup.progress import Progress
from groundup.runs import PLAN_FILE, RunFolder
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer, train_tokenizer

T = TypeVar("T")
# Parts of a run folder.
DATA, SHARDS, TOKENIZER, PREPARED_FILE = "data", "shards", "tokenizer", "prepared.json"
# What is written into a run folder before run.json.
PREPARED = (DATA, SHARDS, TOKENIZER, PREPARED_FILE, f"{PARTIAL_PREFIX}{DATA}", f"{PARTIAL_PREFIX}{SHARDS}", PLAN_FILE)


def corpus(
    spec: str, run: RunFolder, config: DataConfig, *, tokenizer: Path | None, vocab_size: int, progress: Progress
) -> tuple[ShardSet, Tokenizer]:
    """The shards of `spec`, with the tokenizer in the folder `tokenizer` or one of `vocab_size` ids trained on the train split.

    Raises ConfigError (shards without their tokenizer, another process in the run), FormatError (shards or data that were altered) and what reading
    the texts raises.
    """
    folder = Path(spec)
    if (folder / TABLE_FILE).is_file():
        return open_shards(folder), Tokenizer.load(tokenizer or _tokenizer_near(folder))
    with only_one(run.path):
        return _corpus(spec, run, config, tokenizer=tokenizer, vocab_size=vocab_size, progress=progress)


def _corpus(
    spec: str, run: RunFolder, config: DataConfig, *, tokenizer: Path | None, vocab_size: int, progress: Progress
) -> tuple[ShardSet, Tokenizer]:
    """`corpus`, of a data folder or texts."""
    folder = Path(spec)
    given = Tokenizer.load(tokenizer) if tokenizer else None
    source = None if split_file(folder, TRAIN).is_file() else Source(spec, follow_links=config.follow_links)
    asked = {
        "texts": spec if re.match(r"\w+:", spec) else os.path.abspath(spec),
        "reading": asdict(config),
        "tokenizer": given.fingerprint if given else vocab_size,
        "formats": readable_suffixes(),
        "version": VERSION,
    }
    kept = _Kept(run.path, asked, source or folder, progress)

    def data() -> Path:
        if source is not None:
            return kept.part(DATA, _verified, lambda path: _prepare(source, path, config, progress))
        return _verified(folder) if (folder / MANIFEST).is_file() else folder

    def chosen() -> Tokenizer:
        return given or kept.part(TOKENIZER, Tokenizer.load, lambda path: _train(data(), vocab_size, path, progress))

    def encoded(path: Path) -> ShardSet:
        texts, encoder = data(), chosen()
        return write_shards(texts, encoder, path, progress=progress)

    shards = kept.part(SHARDS, open_shards, encoded)
    return shards, chosen()


def _verified(folder: Path) -> Path:
    verify_folder(folder)
    return folder


def _prepare(source: Source, out: Path, config: DataConfig, progress: Progress) -> Path:
    prepare([source], out, config, progress=progress)
    return out


def _train(data: Path, vocab_size: int, out: Path, progress: Progress) -> Tokenizer:
    """Train a tokenizer on the train split and save it."""
    texts = (document.text for document in read_split(data, TRAIN))
    trained = train_tokenizer(texts, vocab_size, progress=progress)
    with atomic_folder(out) as folder:
        trained.save(folder)
    return trained


class _Kept:
    """The parts of a run folder that were made of these texts, as its prepared.json says; none where the texts were changed."""

    def __init__(self, folder: Path, asked: dict[str, Any], texts: Source | Path, progress: Progress) -> None:
        self.folder, self.file = folder, folder / PREPARED_FILE
        self.record = self._read()
        quick = _quick_hash(texts)
        if self.record.get("asked") != asked or quick not in (None, self.record["quick"]):
            content = content_hash(texts) if isinstance(texts, Source) else quick
            same = self.record.get("asked") == asked and self.record["content"] == content
            done = self.record["done"] if same else []
            self.record = {"asked": asked, "quick": quick, "content": content, "done": done}
        elif quick is None:
            progress.say(f"{asked['texts']} is gone: what was prepared of it is used.")

    def _read(self) -> dict[str, Any]:
        """Return prepared.json; {} where it is missing or damaged."""
        try:
            record = read_json_object(self.file)
        except FormatError:
            return {}
        known = {"asked": dict, "quick": str, "content": str, "done": list}
        return record if all(isinstance(record.get(name), kind) for name, kind in known.items()) else {}

    def part(self, name: str, open: Callable[[Path], T], make: Callable[[Path], T]) -> T:
        """Return a part: opened, or where it is missing, of other texts or damaged, made."""
        path = self.folder / name
        if name in self.record["done"]:
            with suppress(FormatError):
                return open(path)
        made = make(path)
        self.record["done"] = sorted({*self.record["done"], name})
        write_json(self.file, self.record)
        return made


def _quick_hash(texts: Source | Path) -> str | None:
    """Return what changes with the texts, without reading them; None where they are gone."""
    if isinstance(texts, Path):
        return data_key(texts)
    try:
        return quick_hash(texts)
    except DataError:
        return None


def _tokenizer_near(shards: Path) -> Path:
    """The folder of the tokenizer: beside the shards as in a build, or above them as in a run. Raises ConfigError."""
    for folder in (shards, shards.resolve().parent, shards.resolve().parent / TOKENIZER):
        if (folder / TOKENIZER_FILE).is_file():
            return folder
    raise ConfigError(f"{shards} has shards but no tokenizer.", fix="Name its folder with --tokenizer.")
