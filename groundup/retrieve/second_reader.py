"""A second, slower reader of an index, that of a larger encoder: its passages are read by both.

    FOLDER/second_reader.json    {"encoder": NAME}

The passages with the most evidence by the first reader are read again. A sentence is chosen by the
scores of both (`evidence.scores_of_both`), the evidence is by the second's; search, the rest of the
evidence and its limit stay as they are (figures: docs/retrieve.md).
"""

from pathlib import Path

from groundup.device import Compute, select_compute
from groundup.errors import ConfigError, FormatError, ModelError, in_command
from groundup.files import read_json, write_json
from groundup.progress import Progress
from groundup.retrieve.database import begin_change, end_change
from groundup.retrieve.index import SECOND_READER_FILE
from groundup.retrieve.reader import ADAPTERS, PACKAGED, find_reader
from groundup.retrieve.updated_vectors import is_here
from groundup.retrieve.vectors import SecondEncoder, Vectors, embed_by, open_encoder
from groundup.retrieve.vectors_info import NO_VECTORS, read_vectors_info
from groundup.weights.catalog import DEFAULT_ENCODER


def second_encoders() -> list[str]:
    """Return the names of the encoders that have a second reader in the package."""
    return sorted(each.name for each in ADAPTERS.iterdir() if each != PACKAGED)


def require_second(name: str, vectors: str | None = None) -> None:
    """Raise ModelError where an encoder is neither "none" nor one with a second reader, ConfigError
    where other vectors are wanted than those of DEFAULT_ENCODER, whose reader is the first.
    """
    known = second_encoders()
    if name not in (NO_VECTORS, *known):
        fix = f"Use {' or '.join(known)}, or {NO_VECTORS}."
        raise ModelError(f"There is no second reader of {name}.", fix=fix)
    if name != NO_VECTORS and vectors not in (None, DEFAULT_ENCODER):
        raise ConfigError(
            f"{name} reads beside vectors of {DEFAULT_ENCODER} (got {vectors}).",
            fix=f"Use {DEFAULT_ENCODER}, or leave it out.",
        )


def read_second(folder: Path) -> str:
    """Return the encoder of an index's second reader; "": it has none. Raises FormatError."""
    file = folder / SECOND_READER_FILE
    if not file.exists():
        return ""
    match read_json(file):
        case {"encoder": str(name)} if name in second_encoders():
            return name
    what = f"names none of {', '.join(second_encoders())}"
    raise FormatError(file, "encoder", what, fix=f"Delete {file}, or give --encoder again.")


def set_second(folder: Path, name: str, device: str, progress: Progress) -> bool:
    """Have the passages of an index read by a second reader, too; return whether that is new.

    `name`: its encoder, which is opened once, or "none". Raises ConfigError where the index has no
    vectors of DEFAULT_ENCODER, whose reader is the first, ModelError, DiskError, FormatError.
    """
    require_second(name)
    file = folder / SECOND_READER_FILE
    if name == NO_VECTORS:
        if not file.exists():
            return False
        begin_change(folder)
        file.unlink()
        end_change(folder)
        return True
    searching = read_vectors_info(folder)
    if searching is None or searching.model != DEFAULT_ENCODER:
        fix = f"Make them first: groundup index --out {in_command(folder)} --vectors {DEFAULT_ENCODER}"
        raise ConfigError(
            f"{folder} has no vectors of {DEFAULT_ENCODER}, beside which {name} reads.", fix=fix
        )
    if file.exists() and read_second(folder) == name:
        return False
    open_encoder(name, select_compute(device), progress)
    begin_change(folder)
    write_json(file, {"encoder": name})
    end_change(folder)
    return True


def use_second(vectors: Vectors, folder: Path, compute: Compute, progress: Progress) -> None:
    """Let the passages of an index be read by its second reader, too, if it has one; that its encoder
    is not on this machine is said. Raises FormatError, ModelError.
    """
    name = read_second(folder)
    if not name or vectors.read is None:
        return
    if not is_here(name):
        progress.say(
            f"{name}, whose reader is the second of {folder}, is not on this machine: answers are "
            f"read by the first alone. With both: groundup pull {name}"
        )
        return
    engine = open_encoder(name, compute, progress)
    reader = find_reader(engine, folder)
    if reader is None:
        raise ModelError(
            f"{name} has other weights than its reader.",
            fix=f"Fetch it again: groundup pull {name}",
        )
    vectors.second = SecondEncoder(name, embed_by(engine), reader.scores)
    vectors.readers = (*vectors.readers, reader.sha256)
