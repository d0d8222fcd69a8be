"""Vectors: a row for each passage of an index, made by an encoder, in one mapped matrix beside the
index's file; and rankings by them.

    FOLDER/vectors/vectors.json    the encoder, the vector that it gave a known sentence, and the
                                   number n of the files below
    FOLDER/vectors/rows-n.f32      the rows, each of length 1
    FOLDER/vectors/ids-n.i64       the passage of each row, ascending

Rows are only appended, each before its id, and what stands after the last id is written again:
after kill -9 or on a full disk the same command goes on from there. Passages that are gone keep
their row until they are half of all; then new files are written. The index can be searched
meanwhile, a passage without a row by its words alone.

    mixture(P) = BM25(P) / highest BM25 + w cosine(P)        of the best by either

Fusion of ranks (Cormack et al. 2009) gives every ranking the same say, and loses to plain BM25 at
the first place; so scores are added. w is chosen on the even questions of SQuAD, whose words stand
in the passages (MRR within 0.003 from 1.25 to 4), and of BoolQ, whose words often don't:
vectors alone are better there than a mixture with 1.25 (docs/log.md).
"""

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.precision import open_in
from groundup.errors import FormatError, ModelError
from groundup.files import atomic_file, disk_errors, read_json, write_bytes, write_json
from groundup.locks import only_one
from groundup.progress import Progress
from groundup.retrieve.index import VECTORS_FILE, VECTORS_FOLDER, Index
from groundup.retrieve.index_manifest import begin_change, end_change, require_undamaged
from groundup.retrieve.passages import Passage
from groundup.retrieve.search import CANDIDATES, Ranking, bm25, question_terms, score, term_weights
from groundup.weights.hf_families import KIND_NAMES

# What an encoder is known by: its vector of this sentence.
PROBE = "The quick brown fox jumps over the lazy dog."
# 16-bit weights give a cosine of 0.9999 with float32 ones; another encoder's is far lower.
SAME_COSINE = 0.99
# Passages that are embedded together, sorted by length.
TOGETHER = 128
# Rows that are multiplied at once: 25 MB of 384 numbers.
BLOCK_ROWS = 16_384
WEIGHT = 4.0
# Sentences whose vectors are kept in memory: 1.5 kB each, and their texts.
REMEMBERED = 4096
Vector = Float[np.ndarray, " C"]
Rows = Float[np.ndarray, "N C"]
Ids = Int[np.ndarray, " N"]
Embed = Callable[[Sequence[str]], Rows]
"""A function that makes vectors of length 1 of texts."""


@dataclass(frozen=True)
class VectorIndexInfo:
    """Which encoder made the vectors of an index, and where they are."""

    place: Path
    model: str
    """Its name or path."""
    probe: tuple[float, ...]
    """Its vector of PROBE."""
    number: int = 0
    """Of the files; it changes when rows are left out."""

    @property
    def files(self) -> tuple[Path, Path]:
        """Rows and ids."""
        return self.place / f"rows-{self.number}.f32", self.place / f"ids-{self.number}.i64"

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return 4 * len(self.probe)

    @property
    def count(self) -> int:
        """Whole rows that have an id."""
        sizes = [file.stat().st_size if file.exists() else 0 for file in self.files]
        return min(sizes[0] // self.row_bytes, sizes[1] // 8)

    def write(self) -> None:
        """Write vectors.json, atomically."""
        write_json(
            self.place / VECTORS_FILE,
            {"model": self.model, "probe": list(self.probe), "number": self.number},
        )

    def mapped(self) -> tuple[Rows, Ids]:
        """Return the rows, mapped, and their ids."""
        count, width = self.count, len(self.probe)
        if not count:
            return np.zeros((0, width), dtype=np.float32), np.zeros(0, dtype=np.int64)
        rows = np.memmap(self.files[0], dtype=np.float32, mode="r", shape=(count, width))
        return rows, np.fromfile(self.files[1], dtype=np.int64, count=count)


def about(folder: Path) -> VectorIndexInfo | None:
    """Return which encoder made the vectors of the index in `folder`; None: it has none.

    Raises FormatError.
    """
    file = folder / VECTORS_FOLDER / VECTORS_FILE
    if not file.exists():
        return None
    match read_json(file):
        case {"model": str(model), "probe": [float(), *_] as probe, "number": int(number)} if all(
            isinstance(x, float) for x in probe
        ):
            return VectorIndexInfo(file.parent, model, tuple(probe), number)
    raise FormatError(
        file, "model, probe and number", "are not a name, a vector and a whole number"
    )


def require_same(known: VectorIndexInfo, probe: Vector, model: str) -> None:
    """Raise ModelError where an encoder is not the one that made the vectors."""
    if len(known.probe) != len(probe) or float(np.array(known.probe) @ probe) < SAME_COSINE:
        fix = f"Use {known.model}, or delete {known.place} to make new vectors."
        raise ModelError(
            f"The vectors of this index were made by {known.model}; {model} is another encoder.",
            fix=fix,
        )


def make_vectors(folder: Path, embed: Embed, model: str, *, progress: Progress) -> int:
    """Make the vectors of all passages that have none, by an encoder called `model`; return how
    many. Raises ModelError, DiskError, FormatError.
    """
    probe = embed([PROBE])[0]
    with Index(folder) as index, only_one(folder / VECTORS_FOLDER):
        require_undamaged(folder / VECTORS_FOLDER)
        known = about(folder)
        if known is None:
            address = str(Path(model).resolve()) if os.path.exists(model) else model
            known = VectorIndexInfo(folder / VECTORS_FOLDER, address, tuple(map(float, probe)))
            known.write()
        require_same(known, probe, model)
        begin_change(known.place)
        live = np.array(
            [row[0] for row in index.rows("SELECT id FROM passage ORDER BY id")], dtype=np.int64
        )
        known, made = _without_gone(known, live), 0
        with (
            _appending(known) as (last, append),
            progress.track("vectors", int((live > last).sum()), "passages") as advance,
        ):
            while passages := index.all_passages(last, TOGETHER):
                append([each.id for each in passages], embed([text_of(each) for each in passages]))
                last, made = passages[-1].id, made + len(passages)
                advance(len(passages))
        end_change(known.place)
    return made


def embed_with(model: str, compute: Compute, progress: Progress) -> Embed:
    """Return the function of an encoder, by its name or path.

    Raises ModelError for another kind of model, and what opening it raises.
    """
    engine = Engine(*open_in("float32", model, compute, progress=progress))
    if engine.opened.kind != "encoder":
        what = f"{model} is {KIND_NAMES[engine.opened.kind]}; vectors are made by an encoder."
        raise ModelError(what, fix="Use all-minilm-l6-v2.")
    return lambda texts: engine.embed(texts).numpy()


def open_vectors(folder: Path, compute: Compute, progress: Progress) -> "Vectors | None":
    """Open the vectors of the index in `folder`, with their encoder; None: it has none.

    Raises FormatError, ModelError.
    """
    known = about(folder)
    return None if known is None else Vectors(known, embed_with(known.model, compute, progress))


def text_of(passage: Passage) -> str:
    """Return what is embedded of a passage: its headings and its text."""
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text


def _without_gone(known: VectorIndexInfo, live: Ids) -> VectorIndexInfo:
    """Write new files without the rows of passages that are gone, where these are more than
    half.
    """
    rows, ids = known.mapped()
    kept = np.flatnonzero(np.isin(ids, live))
    if 2 * len(kept) >= len(ids):
        return known
    new = replace(known, number=known.number + 1)
    with (
        atomic_file(new.files[0], needed_bytes=len(kept) * known.row_bytes) as temporary,
        temporary.open("wb") as out,
    ):
        for start in range(0, len(kept), BLOCK_ROWS):
            out.write(rows[kept[start : start + BLOCK_ROWS]].tobytes())
    write_bytes(new.files[1], ids[kept].tobytes())
    new.write()
    for file in known.files:
        file.unlink(missing_ok=True)
    return new


@contextmanager
def _appending(
    known: VectorIndexInfo,
) -> Iterator[tuple[int, Callable[[Sequence[int], Rows], None]]]:
    """Yield the last passage that has a row, and a function that appends ids and their rows.

    Raises DiskError.
    """
    count = known.count
    with disk_errors(known.place):
        for file, size in zip(known.files, (count * known.row_bytes, count * 8), strict=True):
            file.touch()
            os.truncate(file, size)
    last = int(np.fromfile(known.files[1], np.int64)[-1]) if count else 0

    def append(ids: Sequence[int], rows: Rows) -> None:
        with disk_errors(known.place):
            written = (rows.astype(np.float32).tobytes(), np.array(ids, np.int64).tobytes())
            for file, content in zip(known.files, written, strict=True):
                with file.open("ab") as out:
                    out.write(content)
                    out.flush()
                    os.fsync(out.fileno())

    yield last, append


class Vectors:
    """The vectors of an index, open to be searched."""

    def __init__(self, known: VectorIndexInfo, embed: Embed) -> None:
        """Raises ModelError where `embed` is of another encoder, FormatError for damaged files."""
        require_undamaged(known.place)
        require_same(known, embed([PROBE])[0], "the model given")
        self.known, self.embed = known, embed
        self.rows, self.ids = known.mapped()
        self._made: dict[str, Vector] = {}

    def current(self) -> "Vectors":
        """Return these vectors with the rows that were made since. Raises FormatError."""
        now = about(self.known.place.parent)
        if now is None or (now.number == self.known.number and now.count == len(self.ids)):
            return self
        newer = copy.copy(self)
        newer.known = now
        newer.rows, newer.ids = now.mapped()
        return newer

    def embed_again(self, texts: Sequence[str]) -> list[Vector]:
        """Return the vectors of texts as the sentences of passages, which come again with the next
        question: the last REMEMBERED ones are kept.
        """
        before = self._made  # other threads put another one in its place
        known = {text: before[text] for text in texts if text in before}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        made = dict(zip(missing, self.embed(missing), strict=True)) if missing else {}
        found = [known[text] if text in known else made[text] for text in texts]
        kept = {text: row for text, row in before.items() if text not in known} | known | made
        self._made = dict(list(kept.items())[-REMEMBERED:])
        return found

    def nearest(self, query: Vector, limit: int) -> list[tuple[int, float]]:
        """Return (passage's id, cosine) of the rows nearest to a vector, best first."""
        cosines = np.empty(len(self.ids), dtype=np.float32)
        for start in range(0, len(self.ids), BLOCK_ROWS):
            np.dot(
                self.rows[start : start + BLOCK_ROWS],
                query,
                out=cosines[start : start + BLOCK_ROWS],
            )
        limit = min(limit, len(cosines))
        best = (
            np.argpartition(-cosines, limit - 1)[:limit] if limit else np.zeros(0, dtype=np.int64)
        )
        best = best[np.lexsort((self.ids[best], -cosines[best]))]
        return [(int(self.ids[row]), float(cosines[row])) for row in best]

    def cosines(self, query: Vector, ids: Sequence[int]) -> dict[int, float]:
        """Return the cosine of each of these passages that has a row."""
        wanted = np.array(sorted(ids), dtype=np.int64)
        places = np.searchsorted(self.ids, wanted)
        found = [
            (id, row)
            for id, row in zip(wanted, places, strict=True)
            if row < len(self.ids) and self.ids[row] == id
        ]
        return {int(id): float(self.rows[row] @ query) for id, row in found}

    def rows_of(self, passages: Sequence[Passage]) -> Rows:
        """Return the rows of passages; those that have none yet are made."""
        places = np.searchsorted(self.ids, [each.id for each in passages])
        known = [
            at < len(self.ids) and self.ids[at] == each.id
            for at, each in zip(places, passages, strict=True)
        ]
        missing = [
            text_of(each) for each, is_known in zip(passages, known, strict=True) if not is_known
        ]
        made = iter(self.embed(missing) if missing else ())
        pairs = zip(places, known, strict=True)
        return np.stack([self.rows[at] if is_known else next(made) for at, is_known in pairs])

    def ranking(self, index: Index, query: str, limit: int) -> list[tuple[int, float]]:
        """Rank passages by their cosine to the question alone (a `search.Ranking`)."""
        return self.there(index, self.embed([query])[0], limit)

    def there(self, index: Index, query: Vector, limit: int) -> list[tuple[int, float]]:
        """Return `nearest` of the passages that the index still has."""
        near = self.nearest(query, 2 * limit)  # at most half are gone
        there = {passage.id for passage in index.passages([id for id, _ in near])}
        return [each for each in near if each[0] in there][:limit]

    def mixture(self, weight: float = WEIGHT) -> Ranking:
        """Return the ranking by words and vectors: see the module."""

        def ranking(index: Index, query: str, limit: int) -> list[tuple[int, float]]:
            by_words, by_vectors = both(self, index, query, max(limit, CANDIDATES))
            return mixed(by_words, by_vectors, weight)[:limit]

        return ranking


def both(
    vectors: Vectors, index: Index, query: str, limit: int
) -> tuple[dict[int, float], dict[int, float]]:
    """Return the BM25 score and the cosine of the passages that are among the best `limit` by
    either; one without a row has no cosine.
    """
    vector = vectors.embed([query])[0]
    scores = dict(bm25(index, query, limit))
    weights, mean_terms = term_weights(index, question_terms(index, query)), index.mean_terms
    others = [id for id, _ in vectors.nearest(vector, limit) if id not in scores]
    for passage in index.passages(others):
        scores[passage.id] = score(passage, weights, mean_terms) if weights else 0.0
    return scores, vectors.cosines(vector, list(scores))


def mixed(
    scores: dict[int, float], cosines: dict[int, float], weight: float
) -> list[tuple[int, float]]:
    """Return (id, mixture), best first; a passage without a vector has the mean cosine of the
    others.
    """
    highest = max(scores.values(), default=0.0) or 1.0
    usual = sum(cosines.values()) / len(cosines) if cosines else 0.0
    found = [(id, each / highest + weight * cosines.get(id, usual)) for id, each in scores.items()]
    return sorted(found, key=lambda each: (-each[1], each[0]))
