"""Sentence vectors: of every sentence of an index, and of its passages, by a larger encoder than
the one that searches, to choose the sentence that answers.

    FOLDER/sentences/vectors.json               the encoder, as of `vectors_info.py`
    FOLDER/sentences/rows-n.f16, ids-n.i64      rows in float16, ids (passage << 32) + CRC-32 of the
                                                text (`vector_store.MappedVectors`)

    value = w . (value by search's encoder and reader, cosine of the sentence, of its passage)

of the CHOSEN_AMONG best sentences, which are then chosen among by that value; a question costs one
encoding more. What is refused, and the evidence that is shown, stay those of `evidence.py`: the
value is comparable within a question only. The weights are a softmax over those sentences, fitted
on 300 questions of six invented firms (docs/log.md). A text whose row is missing (a passage that is
new, or whose sentences are cut otherwise since) is encoded when it is needed.
"""

import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from groundup.device import Compute, select_compute
from groundup.errors import ConfigError, ModelError
from groundup.locks import only_one
from groundup.progress import Progress
from groundup.retrieve.cite import headed_text, statements
from groundup.retrieve.database import begin_change, end_change, require_undamaged, without_manifest
from groundup.retrieve.index import SENTENCES_FOLDER, Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.reader import find_reader, read_by_both
from groundup.retrieve.updated_vectors import VectorsReport, is_here
from groundup.retrieve.vector_store import MappedVectors, Rows, Vector
from groundup.retrieve.vectors import (
    PROBE,
    Embed,
    Vectors,
    embed_by,
    embed_with,
    open_encoder,
    require_same,
    text_of,
)
from groundup.retrieve.vectors_info import NO_VECTORS, VectorIndexInfo, read_vectors_info
from groundup.weights.catalog import CATALOG, DEFAULT_ENCODER
from groundup.weights.hf_families import KIND_NAMES
from groundup.weights.model_io import read_model_summary

# The sentences that are chosen among: those that were read when the weights were fitted.
CHOSEN_AMONG = 10
# Of the value before, the sentence's cosine and its passage's; on the scale of that value.
WEIGHTS = (0.683, 2.347, 1.214)
TOGETHER = 32


def make_sentence_vectors(folder: Path, embed: Embed, model: str, *, progress: Progress) -> int:
    """Make the vectors of all sentences and passages that have none, by an encoder called `model`;
    return of how many passages.

    Raises ConfigError where the index has no vectors of DEFAULT_ENCODER, ModelError where another
    encoder made those that are there, DiskError, FormatError.
    """
    require_searched(folder, model)
    probe, place = embed([PROBE])[0], folder / SENTENCES_FOLDER
    with Index(folder) as index, only_one(place):
        require_undamaged(place)
        known = read_vectors_info(folder, SENTENCES_FOLDER)
        if known is None:
            known = VectorIndexInfo(place, model, tuple(map(float, probe)))
            known.write()
        require_same(known, probe, model)
        store, made = _store(known), 0
        begin_change(place)
        live = np.array([row[0] for row in index.rows("SELECT id FROM passage ORDER BY id")])
        last = store.prepare(store.ids[np.isin(store.ids >> 32, live)])
        done = (last >> 32) - 1  # the last passage may have some of its rows only
        with progress.track("sentences", int((live > done).sum()), "passages") as advance:
            while passages := index.all_passages(done, TOGETHER):
                rows = {
                    _id(each, text): text
                    for each in passages
                    for text in (text_of(each), *sentence_texts(each))
                }
                ids = sorted(id for id in rows if id > last)
                if ids:
                    store.append(ids, embed([rows[id] for id in ids]))
                done, made = passages[-1].id, made + len({id >> 32 for id in ids})
                advance(len(passages))
        end_change(place)
    return made


def require_encoder(name: str) -> None:
    """Raise ModelError where a name or path is neither an encoder's nor "none", before any work."""
    is_named = name == NO_VECTORS or (name in CATALOG and CATALOG[name].is_encoder)
    if not is_named and (kind := read_model_summary(name).kind) != "encoder":
        what = f"{name} is {KIND_NAMES[kind]}; a sentence is chosen by an encoder."
        raise ModelError(what, fix="Use all-mpnet-base-v2.")


def update_sentence_vectors(
    folder: Path, encoder: str, device: str, progress: Progress
) -> VectorsReport:
    """Bring the sentence vectors of an index up to date, after its own vectors.

    `encoder`: a larger encoder by its name or path; "none": they are left as they are; "": that
    of the index, if it has some. Raises as `make_sentence_vectors` does; an encoder that is not
    named and not on this machine leaves a note.
    """
    known, name = read_vectors_info(folder, SENTENCES_FOLDER), encoder
    if name == NO_VECTORS or (not name and known is None):
        return VectorsReport()
    if not name and known is not None:
        name = known.model
        if _is_whole(known, folder):
            return VectorsReport(name)
        if not is_here(name):
            note = f"new sentences have no vector of {name}, which is not on this machine"
            fix = f"groundup index --out {folder} --encoder {name}"
            return VectorsReport(name, note=note, fix=fix)
    require_searched(folder, name)
    started = time.monotonic()
    embed = embed_with(name, select_compute(device), progress)
    made = make_sentence_vectors(folder, embed, name, progress=progress)
    return VectorsReport(name, made, time.monotonic() - started)


def _is_whole(known: VectorIndexInfo, folder: Path) -> bool:
    """Whether the last writer ended, and the last passage has its rows."""
    ids = _store(known).ids
    with Index(folder) as index:
        last = max((row[0] or 0 for row in index.rows("SELECT max(id) FROM passage")), default=0)
    return not without_manifest(known.place) and len(ids) > 0 and int(ids[-1] >> 32) >= last


def require_searched(folder: Path, model: str) -> None:
    """Raise ConfigError where an index has no vectors of DEFAULT_ENCODER, beside which a larger
    encoder chooses.
    """
    searching = read_vectors_info(folder)
    if searching is None or searching.model != DEFAULT_ENCODER:
        fix = f"Make them first: groundup index --out {folder} --vectors {DEFAULT_ENCODER}"
        raise ConfigError(
            f"{folder} has no vectors of {DEFAULT_ENCODER}, beside which {model} chooses.", fix=fix
        )


def sentence_texts(passage: Passage) -> list[str]:
    """Return what is embedded of each of a passage's `statements`."""
    return [headed_text(each) for each in statements(passage)]


def _id(passage: Passage, text: str) -> int:
    return (passage.id << 32) + zlib.crc32(text.encode("utf-8", "replace"))


def _store(known: VectorIndexInfo) -> MappedVectors:
    return MappedVectors(known.place, len(known.probe), dtype="float16")


def use_sentence_vectors(
    vectors: Vectors, folder: Path, compute: Compute, progress: Progress
) -> None:
    """Let the sentence vectors of the index in `folder` choose, and its passages be read by the reader
    of their encoder, too. Nothing changes where it has none, or where their encoder is not on this
    machine, which is said. Raises FormatError, ModelError.
    """
    known = read_vectors_info(folder, SENTENCES_FOLDER)
    if known is None or vectors.read is None:
        return
    if not is_here(known.model):
        progress.say(
            f"{known.model}, which chooses sentences of {folder}, is not on this machine: they are "
            f"chosen without it. With it: groundup pull {known.model}"
        )
        return
    engine = open_encoder(known.model, compute, progress)
    reader = find_reader(engine, folder)
    if reader is None:
        vectors.choose = SentenceVectors(known, embed_by(engine)).chosen
    else:
        vectors.read = read_by_both(vectors.read, reader.scores)


class SentenceVectors:
    """The sentence vectors of an index, open to choose by."""

    def __init__(self, known: VectorIndexInfo, embed: Embed) -> None:
        """Raises ModelError where `embed` is of another encoder, FormatError for damaged files."""
        require_undamaged(known.place)
        require_same(known, embed([PROBE])[0], "the model given")
        self.known, self.embed, self.store = known, embed, _store(known)

    def chosen(
        self, question: str, passages: Sequence[Passage], values: Sequence[Sequence[float]]
    ) -> tuple[tuple[float, ...], ...]:
        """Return the values of the sentences of some passages, from those by search's encoder and
        the reader: 1 for the best, 0 for all but the CHOSEN_AMONG best before.
        """
        places = [(i, j) for i, each in enumerate(values) for j in range(len(each))]
        best = sorted(places, key=lambda place: -values[place[0]][place[1]])[:CHOSEN_AMONG]
        best = [(i, j) for i, j in best if values[i][j] > 0]
        if not best:
            return tuple(map(tuple, values))
        texts = {i: sentence_texts(passages[i]) for i, _ in best}
        wanted = [(passages[i], texts[i][j]) for i, j in best]
        wanted += [(passages[i], text_of(passages[i])) for i, _ in best]
        cosines = self._cosines(question, wanted)
        rows = zip(best, cosines[: len(best)], cosines[len(best) :], strict=True)
        found = {
            (i, j): float(np.dot(WEIGHTS, (values[i][j], sentence, passage)))
            for (i, j), sentence, passage in rows
        }
        highest = max(found.values())
        return tuple(
            tuple(max(0.0, 1 + (found.get((i, j), -np.inf) - highest)) for j in range(len(each)))
            for i, each in enumerate(values)
        )

    def _cosines(self, question: str, wanted: Sequence[tuple[Passage, str]]) -> Vector:
        """Return the cosine of a question to each text; those without a row are encoded with it."""
        ids = [_id(passage, text) for passage, text in wanted]
        texts = {id: text for id, (_, text) in zip(ids, wanted, strict=True)}
        self.store = self.store.current()
        known = self.store.rows(list(texts))
        missing = [id for id in texts if id not in known]
        query, *made = self.embed([question, *(texts[id] for id in missing)])
        known |= dict(zip(missing, made, strict=True))
        rows: Rows = np.stack([known[id] for id in ids]).astype(np.float32)
        found: Vector = rows @ query
        return found
