"""Whatever a user points at -> token shards and their tokenizer: shards as they are, a data folder encoded, texts prepared first.

What is made lies in the run folder (data/, shards/) and is made again by the same command: it is a pure function of the texts,
so a run that is resumed finds the same tokens, and one whose texts were changed is refused by `fit`.
"""

from pathlib import Path

from groundup.data.pipeline import DataConfig, prepare
from groundup.data.shards import TABLE_FILE, ShardSet, open_shards, write_shards
from groundup.data.sources import Source
from groundup.data.split import TRAIN, read_split, split_file
from groundup.errors import ConfigError
from groundup.files import MANIFEST, verify_folder
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer, train_tokenizer

# Folders of a run folder.
DATA, SHARDS = "data", "shards"


def corpus(
    spec: str, run: RunFolder, config: DataConfig, *, tokenizer: Path | None, vocab_size: int, progress: Progress
) -> tuple[ShardSet, Tokenizer]:
    """Shards of `spec`, with the tokenizer in the folder `tokenizer`, or one of `vocab_size` ids trained on the train split.

    Raises ConfigError (shards without their tokenizer), FormatError (shards or data that were altered) and what reading the texts raises.
    """
    if (Path(spec) / TABLE_FILE).is_file():
        return open_shards(Path(spec)), Tokenizer.load(tokenizer or _tokenizer_near(Path(spec)))
    given = Tokenizer.load(tokenizer) if tokenizer else None
    folder = Path(spec)
    if not split_file(folder, TRAIN).is_file():
        folder = run.path / DATA
        prepare([Source(spec, follow_links=config.follow_links)], folder, config, progress=progress)
    elif (folder / MANIFEST).is_file():
        verify_folder(folder)
    chosen = given or _trained(folder, vocab_size, progress)
    return write_shards(folder, chosen, run.path / SHARDS, progress=progress), chosen


def _trained(folder: Path, vocab_size: int, progress: Progress) -> Tokenizer:
    return train_tokenizer((document.text for document in read_split(folder, TRAIN)), vocab_size, progress=progress)


def _tokenizer_near(shards: Path) -> Path:
    """The tokenizer beside the shards or around them, as a build and a run lay them out. Raises ConfigError."""
    for folder in (shards, shards.resolve().parent):
        if (folder / TOKENIZER_FILE).is_file():
            return folder
    raise ConfigError(f"{shards} has shards but no tokenizer.", fix="Name its folder with --tokenizer.")
