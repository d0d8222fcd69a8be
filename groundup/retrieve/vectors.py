"""Vectors: one of each passage of an index, made by an encoder, and rankings by them.

    FOLDER/vectors/vectors.json    the encoder, the vector that it gave a known sentence, and the
                                   store (`vector_store.py`) that keeps the vectors

The index can be searched while vectors are made, a passage without one by its words alone.

    mixture(P) = BM25(P) / highest BM25 + w cosine(P)        of the best by either

Fusion of ranks (Cormack et al. 2009) gives every ranking the same say, and loses to plain BM25 at
the first place; so scores are added. w is chosen on SQuAD, whose words stand in the passages (MRR
0.93 at 4, 0.92 at 6, 0.89 at 10), and on customers' questions to seven invented firms, whose words
don't (the right passage first for 64, 68 and 70 %; docs/log.md).
"""

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from groundup.actions.intent_meaning import MessageEncoder
from groundup.engine.engine import Engine
from groundup.errors import ConfigError, ModelError
from groundup.locks import only_one
from groundup.progress import Progress
from groundup.retrieve.database import begin_change, end_change, require_undamaged
from groundup.retrieve.index import VECTORS_FOLDER, Index
from groundup.retrieve.known_stores import FILES
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_terms import question_terms
from groundup.retrieve.search import CANDIDATES, QuestionScore, Ranking, bm25, term_weights
from groundup.retrieve.sentences import LONG_WEIGHT, TEMPERATURE, searched_for
from groundup.retrieve.vector_store import Rows, Vector
from groundup.retrieve.vectors_info import VectorIndexInfo, read_vectors_info
from groundup.weights.card import read_base
from groundup.weights.catalog import CATALOG, DEFAULT_ENCODER, untuned
from groundup.weights.hf_families import KIND_NAMES
from groundup.weights.pulled import pulled

if TYPE_CHECKING:
    from groundup.device import Compute
    from groundup.retrieve.reader import ReadPassages

# What an encoder is known by: its vector of this sentence.
PROBE = "The quick brown fox jumps over the lazy dog."
# 16-bit weights give a cosine of 0.9999 with float32 ones; another encoder's is far lower.
SAME_COSINE = 0.99
# Passages that are embedded together, sorted by length.
TOGETHER = 128
WEIGHT = 6.0
# Passages near the sentences of a query, at most: SQLite looks up 32,766 at once.
MAX_NEAR = 20_000
# Sentences whose vectors are kept in memory: 1.5 kB each, and their texts.
REMEMBERED = 4096
Embed = Callable[[Sequence[str]], Rows]
"""A function that makes vectors of length 1 of texts."""


def require_same(known: VectorIndexInfo, probe: Vector, model: str) -> None:
    """Raise ModelError where an encoder is not the one that made the vectors."""
    if len(known.probe) != len(probe) or float(np.array(known.probe) @ probe) < SAME_COSINE:
        fix = f"Use {known.model}, or delete {known.place} to make new vectors."
        raise ModelError(
            f"The vectors of this index were made by {known.model}; {model} is another encoder.",
            fix=fix,
        )


def make_vectors(
    folder: Path, embed: Embed, model: str, *, store: str = "", progress: Progress
) -> int:
    """Make the vectors of all passages that have none, by an encoder called `model`; return how
    many.

    `store`: where new vectors are kept, by default in files beside the index; an index that has
    vectors keeps its store. Raises ConfigError, ModelError, DiskError, FormatError.
    """
    probe = embed([PROBE])[0]
    with Index(folder) as index, only_one(folder / VECTORS_FOLDER):
        require_undamaged(folder / VECTORS_FOLDER)
        known = read_vectors_info(folder) or _begin(folder, model, probe, store or FILES)
        require_same(known, probe, model)
        if store not in ("", known.store):
            fix = f"Leave the store out, or delete {known.place} to make new vectors."
            raise ConfigError(f"The vectors of {folder} are kept in {known.store!r}.", fix=fix)
        kept, made = known.open_store(), 0
        begin_change(known.place)
        ids = [row[0] for row in index.rows("SELECT id FROM passage ORDER BY id")]
        live = np.array(ids, dtype=np.int64)
        last = kept.prepare(live)
        with progress.track("vectors", int((live > last).sum()), "passages") as advance:
            while passages := index.all_passages(last, TOGETHER):
                rows = embed([text_of(each) for each in passages])
                kept.append([each.id for each in passages], rows)
                last, made = passages[-1].id, made + len(passages)
                advance(len(passages))
        end_change(known.place)
    return made


def begin_vectors(folder: Path, embed: Embed, model: str, store: str = "") -> None:
    """Write which encoder makes the vectors of an index, if it has none yet: from then on it is one
    with vectors. Raises ConfigError for an unknown store.
    """
    if read_vectors_info(folder) is None:
        _begin(folder, model, embed([PROBE])[0], store or FILES)


def _begin(folder: Path, model: str, probe: Vector, store: str) -> VectorIndexInfo:
    """Write which encoder makes the vectors of an index that has none."""
    address = str(Path(model).resolve()) if os.path.exists(model) else model
    known = VectorIndexInfo(folder / VECTORS_FOLDER, address, tuple(map(float, probe)), store)
    known.open_store()  # an unknown one is refused before anything is written
    known.write()
    return known


def open_encoder(model: str, compute: "Compute", progress: Progress) -> Engine:
    """Open an encoder, by its name or path.

    Raises ModelError for another kind of model, and what opening it raises.
    """
    from groundup.engine.precision import open_in

    engine = Engine(*open_in("float32", model, compute, progress=progress))
    if engine.opened.kind != "encoder":
        what = f"{model} is {KIND_NAMES[engine.opened.kind]}; vectors are made by an encoder."
        raise ModelError(what, fix=f"Use {DEFAULT_ENCODER}.")
    return engine


def embed_with(model: str, compute: "Compute", progress: Progress) -> Embed:
    """Return the function of an encoder, by its name or path. Raises as `open_encoder` does."""
    return embed_by(open_encoder(model, compute, progress))


def embed_by(engine: Engine) -> Embed:
    """Return the function of an open encoder."""
    return lambda texts: engine.embed(texts, before=engine.opened.prompts.text).numpy()


def open_vectors(folder: Path, compute: "Compute", progress: Progress) -> "Vectors | None":
    """Open the vectors of the index in `folder`, with their encoder and, where there is one for it,
    the reader; None: it has none.

    Raises FormatError, ModelError.
    """
    from groundup.retrieve.message_encoder import find_message_encoder
    from groundup.retrieve.reader import find_reader

    known = read_vectors_info(folder)
    if known is None:
        return None
    engine = untuned_engine = open_encoder(known.model, compute, progress)
    base = base_encoder(known.model)
    if base != known.model:
        untuned_engine = open_encoder(base, compute, progress)
    reader = find_reader(untuned_engine, folder)
    read = reader.scores if reader else None
    prompts = engine.opened.prompts
    vectors = Vectors(known, embed_by(engine), read)

    def compared(texts: Sequence[str]) -> Rows:
        from groundup.device import bf16_products

        with bf16_products(compute):
            return engine.embed(texts, before=prompts.text).numpy()

    vectors.embed_compared = compared
    vectors.readers = (reader.sha256,) if reader else ()
    vectors.embed_query = lambda texts: engine.embed(texts, before=prompts.query).numpy()
    vectors.open_messages = cache(lambda: find_message_encoder(compute, progress, untuned_engine))
    return vectors


def base_encoder(model: str) -> str:
    """Return the encoder that one is tuned from, by its name, or a tuned folder by its card where the
    base is here; else the encoder itself.
    """
    base = untuned(model)
    if base == model and os.path.isdir(model):
        written = read_base(Path(model))
        if written in CATALOG and CATALOG[written].is_encoder and pulled(written) is not None:
            base = untuned(written)
    return base


def text_of(passage: Passage) -> str:
    """Return what is embedded of a passage: its headings and its text."""
    if not passage.title:
        return passage.text
    return f"{passage.title}\n{passage.text}"


@dataclass(frozen=True)
class SecondEncoder:
    """A larger encoder that reads passages again, beside that of an index (`second_reader.py`)."""

    name: str
    embed: Embed
    read: "ReadPassages"


class Vectors:
    """The vectors of an index, open to be searched."""

    def __init__(
        self, known: VectorIndexInfo, embed: Embed, read: "ReadPassages | None" = None
    ) -> None:
        """`read`: the reader of this encoder; None: there is none.

        Raises ModelError where `embed` is of another encoder, FormatError for damaged files.
        """
        require_undamaged(known.place)
        require_same(known, embed([PROBE])[0], "the model given")
        self.known, self.embed, self.read = known, embed, read
        self.embed_query = embed
        """The same of what is searched for, where an encoder wants something before it."""
        self.embed_compared = embed
        """Vectors that are only compared with a question, by faster products if there are some."""
        self.open_messages: Callable[[], MessageEncoder | None] = lambda: None
        """Opens what reads the messages of customers (once); None: it is not on this machine."""
        self.second: SecondEncoder | None = None
        self.readers: tuple[str, ...] = ()
        """SHA-256 of the files of the readers, first and second."""
        self.store = known.open_store()
        self._made: dict[str, Vector] = {}
        self._asked: tuple[tuple[str, ...], Rows] | None = None

    def current(self) -> "Vectors":
        """Return these vectors with those that were made since."""
        store = self.store.current()
        if store is self.store:
            return self
        newer = copy.copy(self)
        newer.store = store
        return newer

    def query_rows(self, texts: Sequence[str]) -> Rows:
        """Return the vectors of what is searched for; the last ones are kept: the evidence for what
        was found needs them again.
        """
        last = self._asked
        if last is None or last[0] != tuple(texts):
            last = self._asked = tuple(texts), self.embed_query(texts)
        return last[1]

    def embed_again(self, texts: Sequence[str]) -> list[Vector]:
        """Return the vectors of texts as the sentences of passages, which come again with the next
        question: the last REMEMBERED ones are kept.
        """
        before = self._made  # other threads put another one in its place
        known = {text: before[text] for text in texts if text in before}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        made = dict(zip(missing, self.embed_compared(missing), strict=True)) if missing else {}
        found = known | made
        kept = {text: row for text, row in before.items() if text not in known} | found
        self._made = dict(list(kept.items())[-REMEMBERED:])
        return [found[text] for text in texts]

    def cosines(self, query: Rows, ids: Sequence[int]) -> dict[int, float]:
        """Return the cosine of each of these passages that has a vector, to the rows of a query
        pooled (`sentences.py`).
        """
        rows = self.store.rows(sorted(ids))
        if not rows:
            return {}
        found = pooled(np.stack(list(rows.values())) @ query.T)
        return dict(zip(rows, map(float, found), strict=True))

    def rows_of(self, passages: Sequence[Passage]) -> Rows:
        """Return the vectors of passages; those that have none yet are made."""
        rows = self.store.rows([each.id for each in passages])
        missing = [each for each in passages if each.id not in rows]
        if missing:
            made = self.embed([text_of(each) for each in missing])
            rows |= {each.id: row for each, row in zip(missing, made, strict=True)}
        return np.stack([rows[each.id] for each in passages])

    def ranking(self, index: Index, query: str, limit: int) -> list[tuple[int, float]]:
        """Rank passages by their cosine to the question alone (a `search.Ranking`)."""
        return self.nearest_live(index, self.query_rows([query])[0], limit)

    def nearest_live(self, index: Index, query: Vector, limit: int) -> list[tuple[int, float]]:
        """Return (id, cosine) of the nearest passages that the index still has."""
        near = self.store.nearest(query, 2 * limit)  # at most half are gone
        live = {passage.id for passage in index.passages([id for id, _ in near])}
        return [each for each in near if each[0] in live][:limit]

    def mixture(self, weight: float = WEIGHT) -> Ranking:
        """Return the ranking by words and vectors: see the module."""

        def ranking(index: Index, query: str, limit: int) -> list[tuple[int, float]]:
            by_words, by_vectors = score_by_both(self, index, query, max(limit, CANDIDATES))
            if len(searched_for(query)) > 1:
                return mix(by_words, by_vectors, LONG_WEIGHT)[:limit]
            return mix(by_words, by_vectors, weight)[:limit]

        return ranking


def score_by_both(
    vectors: Vectors, index: Index, query: str, limit: int
) -> tuple[dict[int, float], dict[int, float]]:
    """Return the BM25 score and the cosine of the passages that are among the best `limit` by words
    or the best half as many by vectors, more where words find fewer; one without a row has no
    cosine. With 30 by vectors recall and reciprocal rank are those of 100 (docs/log.md).

    Of a long query passages near any of its sentences; by their words alone these are not scored.
    """
    texts = searched_for(query)
    rows, scores = vectors.query_rows(texts), dict(bm25(index, query, limit))
    wanted = min(limit - len(scores) // 2, MAX_NEAR // len(texts))
    near = {id for row in rows for id, _ in vectors.store.nearest(row, wanted)}
    others = sorted(near.difference(scores))
    if len(texts) > 1:
        live = {passage.id for passage in index.passages(others)}
        scores |= dict.fromkeys(sorted(live), 0.0)
        return scores, vectors.cosines(rows, list(scores))
    fit = QuestionScore(term_weights(index, question_terms(index, query)), index.mean_terms)
    for passage in index.passages(others):
        scores[passage.id] = fit.of(passage)
    return scores, vectors.cosines(rows, list(scores))


def pooled(cosines: Rows) -> Vector:
    """Return one cosine for each passage, (passages, sentences) -> (passages,): their log-mean-exp
    (`sentences.py`); of one sentence it is that.
    """
    if cosines.shape[1] == 1:
        return cosines[:, 0]
    found: Vector = TEMPERATURE * np.log(np.exp(cosines / TEMPERATURE).mean(axis=1))
    return found


def mix(
    scores: dict[int, float], cosines: dict[int, float], weight: float
) -> list[tuple[int, float]]:
    """Return (id, mixture), best first; a passage without a vector has the mean cosine of the
    others.
    """
    highest = max(scores.values(), default=0.0) or 1.0
    usual = sum(cosines.values()) / max(1, len(cosines))
    found = [(id, each / highest + weight * cosines.get(id, usual)) for id, each in scores.items()]
    return sorted(found, key=lambda each: (-each[1], each[0]))
