"""The texts that a command names (token shards, a data folder, or sources) as token shards and their tokenizer, and the folder they are written to.

They lie in the run folder (data/, shards/) and depend on the texts alone: a resumed run finds the same tokens, and `fit` refuses one whose texts
were changed.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from groundup.data.pipeline import CARD_FILE, DataConfig, prepare
from groundup.data.shards import TABLE_FILE, ShardSet, open_shards, write_shards
from groundup.data.source_files import Source
from groundup.data.source_list import read_sources
from groundup.data.split import TRAIN, read_split, split_file
from groundup.errors import ConfigError
from groundup.files import MANIFEST, read_json_object, verify_folder
from groundup.progress import Progress
from groundup.runs import PLAN_FILE, RunFolder
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer, train_tokenizer

# Folders of a run folder.
DATA, SHARDS = "data", "shards"
# What is written into a run folder before run.json.
PREPARED = (DATA, SHARDS, PLAN_FILE)


def corpus(
    specs: Sequence[str],
    run: RunFolder,
    config: DataConfig,
    *,
    tokenizer: Path | None,
    vocab_size: int,
    progress: Progress,
) -> tuple[ShardSet, Tokenizer]:
    """The shards of `specs`, with the tokenizer in the folder `tokenizer` or one of `vocab_size` ids trained on the train split.

    Raises ConfigError (shards without their tokenizer, or not alone), FormatError (shards or data that were altered) and what reading texts raises.
    """
    folder = _prepared(specs)
    if (folder / TABLE_FILE).is_file():
        return open_shards(folder), Tokenizer.load(tokenizer or tokenizer_near(folder))
    given = Tokenizer.load(tokenizer) if tokenizer else None
    if not split_file(folder, TRAIN).is_file():
        folder = run.path / DATA
        config = as_before(folder, config, progress)
        prepare(read_sources(specs, follow_links=config.follow_links), folder, config, progress=progress)
    elif (folder / MANIFEST).is_file():
        verify_folder(folder)
    texts = (document.text for document in read_split(folder, TRAIN))
    chosen = given or train_tokenizer(texts, vocab_size, progress=progress)
    return write_shards(folder, chosen, run.path / SHARDS, progress=progress), chosen


def as_before(data: Path, config: DataConfig, progress: Progress) -> DataConfig:
    """The config that splits the texts as those in the data folder are: without test, if older versions made it. Raises FormatError."""
    card = read_json_object(data / CARD_FILE) if (data / CARD_FILE).is_file() else {}
    before = card.get("config")
    had_none = isinstance(before, dict) and not before.get("test_fraction")  # older versions did not know the field
    if not had_none or config.test_fraction != DataConfig.test_fraction:  # a fraction that is asked for is not ignored
        return config
    progress.say("This run was begun without a test split, as by older versions: it goes on without one.")
    return replace(config, test_fraction=0.0)


def licences(specs: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return name and licence of each source, for the model card; texts on disk are the user's own where nothing is stated."""
    return tuple(
        (each.title, "the user's own" if each.is_local and each.licence == Source.licence else each.licence)
        for each in read_sources(specs)
    )


def _prepared(specs: Sequence[str]) -> Path:
    """The only one of `specs`, which may be prepared. Raises ConfigError for one with shards or splits that is not alone."""
    if len(specs) == 1:
        return Path(specs[0])
    for spec in specs:
        if (Path(spec) / TABLE_FILE).is_file() or split_file(Path(spec), TRAIN).is_file():
            fix = "Name it alone, or the texts that it was made of."
            raise ConfigError(f"{spec} is prepared already and can't be joined to other texts.", fix=fix)
    return Path()


def tokenizer_near(shards: Path) -> Path:
    """The folder of the tokenizer: beside the shards as in a build, or above them as in a run. Raises ConfigError."""
    for folder in (shards, shards.resolve().parent):
        if (folder / TOKENIZER_FILE).is_file():
            return folder
    raise ConfigError(f"{shards} has shards but no tokenizer.", fix="Name its folder with --tokenizer.")
