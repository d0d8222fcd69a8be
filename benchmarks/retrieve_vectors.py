"""Retrieval by vectors: an encoder's tokens a second, its ranking and the mixture with BM25 on SQuAD, milliseconds of a scan and of the mixture.

python benchmarks/retrieve_vectors.py [--quick] [--only speed|quality|scan|mixture] [--set squad|boolq] [--encoder all-minilm-l6-v2] [--threads 1 2]
    [--sizes 100000] [--json OUT]

Speed: the 803 passages of SQuAD in the batches of `make_vectors`, on each number of threads.
Quality: the 1,000 questions of `retrieve.py`, or 400 search queries of BoolQ. The weight is the one of the highest MRR on even questions (of equals
the smallest); that of the package weighs both sets (docs/log.md). Odd questions are reported, where the mixture is compared with the better of the
two on the same questions: exact McNemar for recall, paired bootstrap for MRR.
Scan: rows drawn at random, as many as --sizes says, in a file that is mapped; the 10 nearest of a vector, warm.
Mixture: the passages of `retrieve.py --only speed`, indexed by words, with random rows for vectors; a query is one of their sentences, embedded by
the encoder and ranked by both, to the 10 passages found, warm. Its parts apart, each by the wall clock and by processor time, which other programs
disturb less; memory is that of the process at its end.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from measure import machine
from retrieve import DEPTH, figures, indexed, made_passages, rank_in, squad, table, text_number
from retrieve_sets import boolq
from spine import describe

from groundup.device import Compute
from groundup.evaluate.paired import ratio_difference, share_difference
from groundup.progress import Silent
from groundup.retrieve.index import Index
from groundup.retrieve.search import bm25, find
from groundup.retrieve.vectors import (
    PROBE,
    TOGETHER,
    Embed,
    Vectors,
    embed_with,
    make_vectors,
    mix,
    score_by_both,
)
from groundup.retrieve.vectors_info import VectorIndexInfo, read_vectors_info

PARTS = ("speed", "quality", "scan", "mixture")
WEIGHTS = (0.0, 0.5, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0)
CANDIDATES, WIDTH, QUERIES, WARM_UP, FILLED_AT_ONCE = 100, 384, 60, 5, 50_000
CPU = Compute(torch.device("cpu"))


def speed(encoder: str, threads: Sequence[int], quick: bool) -> dict[str, dict[str, float]]:
    """Tokens a second of the encoder."""
    from groundup.engine.engine import Engine
    from groundup.weights.model_io import open_model

    engine, texts = Engine(open_model(encoder, CPU), CPU), squad()[0]
    texts = texts[: TOGETHER // 2] if quick else texts
    tokens, found = sum(len(engine.embedding_ids(text)) for text in texts), {}
    for number in threads:
        torch.set_num_threads(number)
        engine.embed(texts[:8])
        started = time.perf_counter()
        for start in range(0, len(texts), TOGETHER):
            engine.embed(texts[start : start + TOGETHER])
        taken_s = time.perf_counter() - started
        found[f"{number} threads"] = {
            "tokens": tokens,
            "tokens/s": tokens / taken_s,
            "texts/s": len(texts) / taken_s,
        }
    return found


def quality(
    encoder: str, quick: bool, name: str
) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """The figures of words, vectors and mixture, and how the mixture differs from the better one."""
    passages, questions = squad() if name == "squad" else queries()
    questions = questions[:100] if quick else questions
    with tempfile.TemporaryDirectory() as folder:
        index, _ = indexed(passages, Path(folder))
        embed = embed_with(encoder, CPU, Silent())
        make_vectors(index.folder, embed, encoder, progress=Silent())
        known = read_vectors_info(index.folder)
        assert known is not None
        with index:
            scored = [
                scores_of(index, Vectors(known, embed), question) for question, _ in questions
            ]
    wanted = [number for _, number in questions]
    ranks = {weight: ranks_at(scored, wanted, weight) for weight in WEIGHTS}
    chosen = max(WEIGHTS, key=lambda weight: (figures(ranks[weight][::2])["MRR"], -weight))
    kinds = {
        "words": ranks[0.0],
        "vectors": ranks_at(scored, wanted, 1e9),
        f"both, w = {chosen}": ranks[chosen],
    }
    rows = {name: figures(each) for name, each in kinds.items()}
    rows |= {f"{name}, odd": figures(each[1::2]) for name, each in kinds.items()}
    rows |= {f"w = {weight}, even": figures(each[::2]) for weight, each in ranks.items()}
    better = max(("words", "vectors"), key=lambda name: rows[f"{name}, odd"]["MRR"])
    return rows, {
        "better of the two": better,
        **differences(kinds[better][1::2], ranks[chosen][1::2]),
    }


def queries() -> tuple[list[str], list[tuple[str, int]]]:
    """400 search queries of BoolQ as (query, number of its text), after all texts."""
    [found] = boolq(400)
    return list(found.texts), [(each.question, min(each.gold)) for each in found.asked]


def scores_of(index: Index, vectors: Vectors, question: str) -> list[tuple[int, float, float]]:
    """(number of the text, BM25, cosine) of each candidate."""
    scores, cosines = score_by_both(vectors, index, question, CANDIDATES)
    numbers = {passage.id: text_number(passage) for passage in index.passages(list(scores))}
    return [(number, scores[id], cosines[id]) for id, number in numbers.items()]


def ranks_at(
    scored: Sequence[Sequence[tuple[int, float, float]]], wanted: Sequence[int], weight: float
) -> list[int]:
    """The rank of each question's text in the mixture of this weight; 0: not among the first DEPTH."""
    ranks = []
    for rows, number in zip(scored, wanted, strict=True):
        places = dict(enumerate(rows))
        order = mix(
            {at: row[1] for at, row in places.items()},
            {at: row[2] for at, row in places.items()},
            weight,
        )
        texts = list(dict.fromkeys(places[at][0] for at, _ in order))
        ranks.append(rank_in(texts[:DEPTH], number))
    return ranks


def differences(first: Sequence[int], second: Sequence[int]) -> dict[str, Any]:
    """Second minus first, in recall and MRR, on the same questions."""
    found: dict[str, Any] = {}
    for k in (1, 5, 10):
        found[f"recall@{k}"] = share_difference(
            *([0 < rank <= k for rank in each] for each in (first, second))
        )
    inverse = ([1 / rank if rank else 0.0 for rank in each] for each in (first, second))
    found["MRR"] = ratio_difference(*inverse, [1.0] * len(first))
    return {
        name: {"value": each.value, "low": each.low, "high": each.high}
        for name, each in found.items()
    }


def scan(sizes: Sequence[int]) -> dict[str, dict[str, float]]:
    """The milliseconds of a search in so many rows."""
    found, draw = {}, np.random.default_rng(0)
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            known, embed = random_rows(Path(folder), size, draw)
            vectors = Vectors(known, embed)
            times = []
            for query in draw.standard_normal((QUERIES + WARM_UP, WIDTH), dtype=np.float32):
                started = time.perf_counter()
                vectors.store.nearest(query, 10)
                times.append(1000 * (time.perf_counter() - started))
        kept = sorted(times[WARM_UP:])
        found[f"{size:,}"] = {
            "rows": size,
            "p50 ms": median(kept),
            "p95 ms": kept[int(0.95 * len(kept))],
        }
    return found


def mixture(sizes: Sequence[int], encoder: str) -> dict[str, dict[str, float]]:
    """Milliseconds of a search by words and vectors, and of its parts; megabytes of memory."""
    found, embed = {}, embed_with(encoder, CPU, Silent())
    for size in sizes:
        passages, sentences = made_passages(size, seed=1)
        with tempfile.TemporaryDirectory() as folder:
            index, _ = indexed(passages, Path(folder))
            place = index.folder / "vectors"
            place.mkdir()
            known, _ = random_rows(place, size, np.random.default_rng(0))
            with index:
                known = replace(known, probe=tuple(map(float, embed([PROBE])[0])))
                vectors = Vectors(known, embed)
                queries = random.Random(2).choices(sentences, k=QUERIES + WARM_UP)
                for name, part in search_parts(index, vectors).items():
                    found[f"{size:,}, {name}"] = {"passages": size, **timed(part, queries)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {name: {**row, "memory MB": peak} for name, row in found.items()}


def search_parts(index: Index, vectors: Vectors) -> dict[str, Callable[[str], Any]]:
    """A search by both, and its parts."""
    return {
        "encoder": lambda query: vectors.embed([query]),
        "words": lambda query: bm25(index, query, CANDIDATES),
        "both": lambda query: find(index, query, 10, vectors.mixture()),
    }


def timed(part: Callable[[str], Any], queries: Sequence[str]) -> dict[str, float]:
    """The milliseconds of a function of a query, by the wall clock and of the processor."""
    times = []
    for query in queries:
        started, worked = time.perf_counter(), time.process_time()
        part(query)
        times.append((time.perf_counter() - started, time.process_time() - worked))
    figures = {}
    for name, column in (("", 0), ("processor ", 1)):
        kept = sorted(1000 * each[column] for each in times[WARM_UP:])
        figures[f"{name}p50 ms"] = median(kept)
        figures[f"{name}p95 ms"] = kept[int(0.95 * len(kept))]
    return figures


def random_rows(place: Path, size: int, draw: np.random.Generator) -> tuple[VectorIndexInfo, Embed]:
    """A file of random rows, and what opens it."""
    probe = np.zeros(WIDTH, dtype=np.float32)
    probe[0] = 1.0
    known = VectorIndexInfo(place, "random", tuple(map(float, probe)))
    with known.open_store().files[0].open("wb") as out:
        for start in range(0, size, FILLED_AT_ONCE):
            out.write(
                draw.standard_normal(
                    (min(FILLED_AT_ONCE, size - start), WIDTH), dtype=np.float32
                ).tobytes()
            )
    np.arange(1, size + 1, dtype=np.int64).tofile(known.open_store().files[1])
    return known, lambda texts: np.repeat(probe[None], len(texts), axis=0)


def main() -> None:
    """Measure what is asked for, print it, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100 questions, 64 texts")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument(
        "--set", choices=("squad", "boolq"), default="squad", help="the questions of quality"
    )
    parser.add_argument("--encoder", default="all-minilm-l6-v2")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    about_machine = machine()
    print(describe(about_machine))
    tables: dict[str, Any] = {}
    compared: dict[str, Any] = {}
    for name in options.only:
        if name == "speed":
            tables[name] = speed(options.encoder, options.threads, options.quick)
        elif name == "quality":
            torch.set_num_threads(options.threads[0])
            tables[name], compared = quality(options.encoder, options.quick, options.set)
        else:
            sizes = options.sizes[:1] if options.quick else options.sizes
            tables[name] = scan(sizes) if name == "scan" else mixture(sizes, options.encoder)
        print(f"\n{name}\n\n{table(tables[name])}", flush=True)
    if compared:
        print(f"\nThe mixture less the better of the two, on odd questions: {json.dumps(compared)}")
    if options.json is not None:
        written = {
            "machine": about_machine,
            "quick": options.quick,
            "tables": tables,
            "compared": compared,
        }
        options.json.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
