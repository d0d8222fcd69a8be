"""Retrieval on four sets: recall and MRR by words, by vectors and by both, paired; against bm25s.

python benchmarks/retrieve_quality.py [--quick] [--only squad papers bank boolq] [--half 0|1] [--encoder NAME] [--bm25s PYTHON] [--json OUT]

The sets are those of `retrieve_sets.py`. Recall@k is the mean share of a question's texts that are among the first k; MRR is of the first of them.
The rank of a text is that of its best passage. "vectors" is plain cosine of the encoder; "both" has the package's weight. bm25s (of the python that
has it, with PyStemmer) ranks the whole texts with its own English stop words and stems. Differences are of the mean over questions, by a paired
bootstrap. --half: only the questions whose SHA-256 begins with an even (0) or odd (1) byte; long queries were developed on half 0 of the bank.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from measure import machine
from retrieve import indexed, table, text_number
from retrieve_sets import Asked, Texts, bank, boolq, papers, squad
from spine import describe

from groundup.device import Compute
from groundup.evaluate.paired import ratio_difference
from groundup.progress import Silent
from groundup.retrieve.index import Index
from groundup.retrieve.search import Ranking, bm25, find
from groundup.retrieve.vectors import Embed, Vectors, embed_with, make_vectors
from groundup.retrieve.vectors_info import read_vectors_info

SETS = ("squad", "papers", "bank", "boolq")
DEPTH, AT = 20, (1, 5, 10)
PAPERS, QUERIES = 100, 400
CPU = Compute(torch.device("cpu"))
Ranks = list[list[int]]
"""For each question the numbers of the texts, best first."""


def texts_of(name: str, quick: bool, half: int | None = None) -> list[Texts]:
    """A set, or the questions of one half of it."""
    if half is not None:
        return [
            Texts(each.texts, tuple(asked for asked in each.asked if half_of(asked) == half))
            for each in texts_of(name, quick)
        ]
    if name == "papers":
        return papers(3 if quick else PAPERS)
    found = {"squad": squad, "bank": bank}[name]() if name != "boolq" else boolq(QUERIES)
    return [Texts(each.texts, each.asked[:20]) for each in found] if quick else found


def half_of(asked: Asked) -> int:
    """Which half of its set a question is in."""
    return hashlib.sha256(asked.question.encode()).digest()[0] % 2


def ranked(sets: Sequence[Texts], embed: Embed, encoder: str) -> dict[str, Ranks]:
    """The ranks by words, vectors and both."""
    found: dict[str, Ranks] = {"words": [], "vectors": [], "both": []}
    for each in sets:
        with tempfile.TemporaryDirectory() as folder:
            index, _ = indexed(each.texts, Path(folder))
            make_vectors(index.folder, embed, encoder, progress=Silent())
            known = read_vectors_info(index.folder)
            assert known is not None
            with index:
                vectors = Vectors(known, embed)
                rankings: dict[str, Ranking] = {
                    "words": bm25,
                    "vectors": vectors.ranking,
                    "both": vectors.mixture(),
                }
                for name, ranking in rankings.items():
                    found[name] += [numbers(index, asked.question, ranking) for asked in each.asked]
    return found


def numbers(index: Index, question: str, ranking: Ranking) -> list[int]:
    """The numbers of the texts whose passages are found, best first."""
    return list(
        dict.fromkeys(map(text_number, find(index, question, 3 * DEPTH, ranking).passages))
    )[:DEPTH]


def peer(sets: Sequence[Texts], python: Path) -> Ranks:
    """The ranks of bm25s."""
    rows = (
        {"passages": each.texts, "questions": [asked.question for asked in each.asked]}
        for each in sets
    )
    given = "".join(json.dumps({**row, "depth": DEPTH}) + "\n" for row in rows)
    script = Path(__file__).with_name("retrieve_bm25s.py")
    done = subprocess.run([python, script], input=given, capture_output=True, text=True, check=True)
    return [row for line in done.stdout.splitlines() for row in json.loads(line)]


def scores(ranks: Ranks, asked: Sequence[Asked]) -> Iterator[dict[str, float]]:
    """The recall and reciprocal rank of each question."""
    for row, each in zip(ranks, asked, strict=True):
        first = next((place for place, number in enumerate(row, 1) if number in each.gold), 0)
        recalls = {f"recall@{k}": len(each.gold.intersection(row[:k])) / len(each.gold) for k in AT}
        yield {**recalls, "MRR": 1 / first if first else 0.0}


def mean_scores(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def differences(
    first: Sequence[dict[str, float]], second: Sequence[dict[str, float]]
) -> dict[str, str]:
    """Second minus first on the same questions, in points, with the 95 % interval."""
    found = {}
    for name in first[0]:
        each = ratio_difference(
            [row[name] for row in first], [row[name] for row in second], [1.0] * len(first)
        )
        assert each.low is not None and each.high is not None
        found[name] = (
            f"{100 * each.value:+.1f} ({100 * each.low:+.1f} to {100 * each.high:+.1f}) {each.verdict()}"
        )
    return found


def compared(
    sets: Sequence[Texts], embed: Embed, encoder: str, python: Path | None
) -> dict[str, Any]:
    """The figures of each contender on a set, and of the mixture less each other one."""
    asked = [each for one in sets for each in one.asked]
    ranks = ranked(sets, embed, encoder)
    if python:
        ranks["bm25s"] = peer(sets, python)
    rows = {contender: list(scores(each, asked)) for contender, each in ranks.items()}
    about_set = {"texts": sum(len(one.texts) for one in sets), "questions": len(asked)}
    figures = {contender: mean_scores(each) for contender, each in rows.items()}
    less = {
        f"both - {each}": differences(rows[each], rows["both"]) for each in rows if each != "both"
    }
    if python:
        less["words - bm25s"] = differences(rows["bm25s"], rows["words"])
    return {**about_set, "figures": figures, "differences": less}


def main() -> None:
    """Measure what is asked for, print it, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="20 questions, 3 papers")
    parser.add_argument("--only", choices=SETS, nargs="+", default=SETS)
    parser.add_argument("--half", type=int, choices=(0, 1))
    parser.add_argument("--encoder", default="all-minilm-l6-v2")
    parser.add_argument(
        "--bm25s", type=Path, metavar="PYTHON", help="the python that has bm25s and PyStemmer"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    about_machine = machine()
    print(describe(about_machine))
    embed, found = embed_with(options.encoder, CPU, Silent()), {}
    for name in options.only:
        sets = texts_of(name, options.quick, options.half)
        found[name] = compared(sets, embed, options.encoder, options.bm25s)
        print(
            f"\n{name}: {found[name]['questions']} questions on {found[name]['texts']:,} texts",
            flush=True,
        )
        print(f"\n{table(found[name]['figures'])}", flush=True)
        for names, each in found[name]["differences"].items():
            print(f"{names}: {each}", flush=True)
    if options.json is not None:
        written = {"machine": about_machine, "quick": options.quick, "sets": found}
        options.json.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
