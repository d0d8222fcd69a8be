"""Rankings by name: words (BM25), vectors (cosine), both (their mixture); "auto" is both where an
index has vectors, else words.

Words need no torch and no encoder; so these are only imported where vectors are wanted and there.
Where "auto" can't open the encoder, it says so and ranks by words.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from groundup.errors import ConfigError, GroundupError, did_you_mean, in_command
from groundup.progress import Progress
from groundup.retrieve.database import without_manifest
from groundup.retrieve.index import VECTORS_FILE, VECTORS_FOLDER
from groundup.retrieve.search import Ranking
from groundup.weights.catalog import DEFAULT_ENCODER

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Vectors

AUTO, WORDS, VECTORS, BOTH = "auto", "words", "vectors", "both"
WORDS_ALONE = "searched by words alone"
RANKINGS = (AUTO, WORDS, VECTORS, BOTH)


def require_ranking(by: str) -> None:
    """Raise ConfigError for another name."""
    if by not in RANKINGS:
        raise ConfigError(f"`by` {by!r} is unknown.", fix=did_you_mean(by, RANKINGS))


def no_vectors(folder: Path | str) -> ConfigError:
    """Return the error for an index that is to be ranked by vectors and has none."""
    fix = f"Make them: groundup index --out {in_command(folder)} --vectors {DEFAULT_ENCODER}"
    return ConfigError(f"{folder} has no vectors.", fix=fix)


def ranking_of(by: str, vectors: "Vectors | None") -> Ranking | None:
    """Return the ranking of `find`; None: by words."""
    if vectors is None:
        return None
    if by == VECTORS:
        return vectors.ranking
    return vectors.mixture()


def vectors_for(by: str, folder: Path, device: str, progress: Progress) -> "Vectors | None":
    """Open the vectors of the index in `folder` with their encoder, where ranking `by` needs them,
    and its second reader where it has one; None: it ranks by words.

    Raises ConfigError, and unless it is "auto" what opening the encoder raises.
    """
    require_ranking(by)
    is_there = (folder / VECTORS_FOLDER / VECTORS_FILE).exists()
    if by == WORDS or (by == AUTO and not is_there):
        return None
    if not is_there:
        raise no_vectors(folder)
    from groundup.device import select_compute
    from groundup.retrieve.second_reader import use_second
    from groundup.retrieve.vectors import open_vectors

    try:
        if note := without_manifest(folder / VECTORS_FOLDER):
            progress.say(f"note: {note}")
        compute = select_compute(device)
        vectors = open_vectors(folder, compute, progress)
        if vectors is not None:
            use_second(vectors, folder, compute, progress)
        return vectors
    except GroundupError as error:
        if by != AUTO:
            raise
        progress.say(f"note: {WORDS_ALONE}: {error}")
        return None
