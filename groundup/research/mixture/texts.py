"""The texts of a search as tokens: as they are, with one processing step more, and the target.

    FOLDER/4096/               the texts, as `pretrain` prepares them (`planning/corpus.py`)
    FOLDER/repair/shards/      the same train documents with a step; validation and test stay
    FOLDER/target/shards/      the target, all of it in "validation"

With a step the whole of the texts is prepared anew, and of that the documents are taken that are in
train without it: a changed text has another hash, which might move it out of what is held out.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from operator import attrgetter
from pathlib import Path

from groundup.config import build_config
from groundup.data.batches.mixture import source_shards
from groundup.data.batches.mixture_config import short_names
from groundup.data.batches.shards import TABLE_FILE, ShardSet, open_shards, write_shards
from groundup.data.batches.spans import folder_of
from groundup.data.documents import Document
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import CARD_FILE, prepare
from groundup.data.processing.quality_rules import WEB
from groundup.data.processing.steps import RULES, ProcessConfig
from groundup.data.reading.sources import read_sources
from groundup.data.split import (
    TRAIN,
    VALIDATION,
    SplitWriter,
    read_split,
    split_file,
    splits_in,
)
from groundup.errors import ConfigError, DataError
from groundup.files import read_json_object
from groundup.planning.corpus import DATA
from groundup.planning.pretrain_options import PretrainOptions
from groundup.progress import Progress
from groundup.research.baseline import Texts, without_test

# Fewer tokens of the target would be known to worse than 0.1 bits each (`train.monitor.evaluation`).
MIN_TARGET_TOKENS = 512
TARGET, SHARDS, DOCUMENTS = "target", "shards", "documents"


class SearchTexts:
    """Raises what reading texts raises."""

    def __init__(self, folder: Path, options: PretrainOptions, progress: Progress) -> None:
        self.folder, self.options, self.progress = folder, options, progress
        self.texts = Texts(folder, options, progress)
        self.config = build_config(DataConfig, options.tables["data"], where="data.")
        shards, self.tokenizer = self.texts.of(options.vocab_size)
        self.shards = without_test(shards)

    @property
    def data(self) -> Path:
        """The data folder. Raises ConfigError where there are token shards alone."""
        own = self.folder / str(self.options.vocab_size) / DATA
        found = next((each for each in (own, Path(self.options.data[0])) if _is_data(each)), None)
        if found is None:
            raise ConfigError(
                f"{self.options.data[0]} has tokens and no texts.",
                fix="Name the texts that it was made of.",
            )
        return found

    @property
    def is_read(self) -> bool:
        """Whether documents are read from sources, so that steps can run over them."""
        return not _is_data(Path(self.options.data[0]))

    @cached_property
    def tokens(self) -> Mapping[str, int]:
        """Train tokens of each source, without steps."""
        return tokens_of(self.shards)

    def with_steps(self, steps: Sequence[str]) -> ShardSet:
        """Raises DataError where a step leaves nothing, MissingExtra."""
        if not steps:
            return self.shards
        return self._kept("+".join(steps), lambda: self._processed(steps))

    def process(self, steps: Sequence[str]) -> ProcessConfig:
        """What is asked for, and these steps."""
        given = self.config.process
        named = tuple(each for each in steps if each != RULES and each not in given.steps)
        rules = given.rules
        if RULES in steps:
            rules = (*rules, WEB)
        return replace(given, steps=(*given.steps, *named), rules=rules)

    def _processed(self, steps: Sequence[str]) -> Iterator[tuple[str, Document]]:
        made = self.folder / DOCUMENTS
        config = replace(self.config, process=self.process(steps))
        sources = read_sources(self.options.data, follow_links=config.follow_links)
        prepare(sources, made, config, runner=self.options.runner, progress=self.progress)
        cut = _cut_names(self.data)
        held_out = {
            (each.source, each.name)
            for split in splits_in(self.data)
            if split != TRAIN
            for each in read_split(self.data, split)
        }
        changed = {(each.source, each.name): each for each in _documents(made)}
        shutil.rmtree(made)
        for document in read_split(self.data, TRAIN):
            place = document.source, document.name
            if place in cut:  # its end is held out
                yield TRAIN, document
            elif place in changed and place not in held_out:
                yield TRAIN, changed[place]
        for document in read_split(self.data, VALIDATION):
            yield VALIDATION, document

    def target(self, asked: str | Path | None) -> ShardSet:
        """Raises DataError where it has too little text."""
        found = self._kept(TARGET, lambda: self._target(asked))
        if found.num_tokens(VALIDATION) < MIN_TARGET_TOKENS:
            raise DataError(
                f"The target has {found.num_tokens(VALIDATION)} tokens, and at least "
                f"{MIN_TARGET_TOKENS} are needed.",
                fix="Name more text of its kind with `target`.",
            )
        return found

    def source_named(self, asked: str | Path | None) -> str | None:
        """The source that a target names; None for other text."""
        names = short_names(self.tokens)
        known = {short: whole for whole, short in names.items()}
        for name in (str(asked), os.path.abspath(str(asked))):
            for whole in names:
                if name in (whole, os.path.abspath(whole)):
                    return whole
        return known.get(str(asked))

    def _target(self, asked: str | Path | None) -> Iterator[tuple[str, Document]]:
        found: Iterable[Document]
        if asked is None:
            found = read_split(self.data, VALIDATION)
        elif source := self.source_named(asked):
            found = list(self._held_out_of(source))
        else:
            made = self.folder / DOCUMENTS
            sources = read_sources([str(asked)], follow_links=self.config.follow_links)
            config = replace(self.config, process=ProcessConfig(), test_fraction=0.0)
            prepare(sources, made, config, runner=self.options.runner, progress=self.progress)
            found = list(_documents(made))
            shutil.rmtree(made)
        for document in found:
            yield VALIDATION, document

    def _held_out_of(self, source: str) -> list[Document]:
        label: Callable[[Document], str] = folder_of  # of a single source
        if any(each.source == source for each in read_split(self.data, TRAIN)):
            label = attrgetter("source")
        found = [each for each in read_split(self.data, VALIDATION) if label(each) == source]
        if not found:
            raise DataError(
                f"{short_names([source])[source]} has no validation text: none of its documents is "
                "held out.",
                fix="Name other text of its kind with `target`, or split it into more files.",
            )
        return found

    def _kept(self, name: str, documents: Callable[[], Iterator[tuple[str, Document]]]) -> ShardSet:
        """The shards of these documents, from an earlier call or made now."""
        folder = self.folder / name
        shards, data = folder / SHARDS, folder / DATA
        if not (shards / TABLE_FILE).is_file():
            data.mkdir(parents=True, exist_ok=True)
            with SplitWriter(data, (TRAIN, VALIDATION)) as writer:
                for split, document in documents():
                    writer.write(split, document)
            write_shards(data, self.tokenizer, shards, progress=self.progress)
            shutil.rmtree(data)
        return open_shards(shards)


def tokens_of(shards: ShardSet) -> Mapping[str, int]:
    """Train tokens of each source."""
    return {name: part.num_tokens(TRAIN) for name, part in source_shards(shards).items()}


def _is_data(folder: Path) -> bool:
    return split_file(folder, TRAIN).is_file()


def _documents(folder: Path) -> Iterator[Document]:
    for split in splits_in(folder):
        yield from read_split(folder, split)


def _cut_names(data: Path) -> set[tuple[str, str]]:
    """Of the documents whose end is held out, by source and name."""
    if not (data / CARD_FILE).is_file():
        return set()
    cuts = read_json_object(data / CARD_FILE).get("cuts", [])
    return {(each["source"], f"{each['name']} (beginning)") for each in cuts}
