"""Near-duplicates: recall and precision on planted pairs, and MB/s, against datatrove's MinHash.

python benchmarks/near_duplicates.py [--quick] [--rounds N] [--datatrove PYTHON] [--json OUT]

One file of texts that look like quickstart's Shakespeare: pairs of a text and an edited copy, of known Jaccard over word 5-grams, among texts without
a copy (`tests/data/planted_pairs.py`). Recall: of the pairs with so much Jaccard or more, the share of which one text was dropped. Precision: of the
dropped texts, the share with a Jaccard of 0.8 or more with a text that was kept. Each contender reads the file and decides which lines stay, on one
thread; ours writes its evidence, datatrove what is left and what is not. Its steps run in a process of its own; imports are not counted.

datatrove is in an environment of its own: python -m venv .venv-datatrove && .venv-datatrove/bin/pip install 'datatrove[io,processing]==0.10.1' spacy
"""

import argparse
import json
import os
import random
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.update(RAYON_NUM_THREADS="1", OMP_NUM_THREADS="1")

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "data"))

from measure import command, machine, rows_of, seconds, table
from planted_pairs import Pair, Prose, jaccard, planted
from spine import describe
from texts import read_texts

from groundup.data.documents import Document
from groundup.data.processing.near_duplicates import (
    NO_ONE,
    NearDuplicateConfig,
    find_near_duplicates,
)
from groundup.data.split import SplitWriter
from groundup.progress import Silent

HERE = Path(__file__).parent
DATATROVE = HERE.parent / ".venv-datatrove" / "bin" / "python"
LEVELS = (0.6, 0.7, 0.75, 0.8, 0.82, 0.85, 0.88, 0.9, 0.93, 0.97)
THRESHOLDS = (0.8, 0.9)


@dataclass(frozen=True)
class Texts:
    """What is written to the file: `pairs` at places 2 n and 2 n + 1 of `texts`, shuffled by `order`."""

    pairs: list[Pair]
    texts: list[str]
    order: list[int]

    @property
    def megabytes(self) -> float:
        """The UTF-8 bytes of the texts."""
        return sum(len(text.encode()) for text in self.texts) / 1e6


def made(quick: bool) -> Texts:
    """Return pairs, and seven other texts for each."""
    source, count = "\n".join(read_texts(quick)), 60 if quick else 2500
    pairs = planted(source, count, seed=1, levels=LEVELS)
    prose = Prose(source, random.Random(2))
    others = [
        prose.write(max(60, round(prose.rng.lognormvariate(0, 0.7) * 300)))
        for _ in range(count * 7)
    ]
    texts = [text for pair in pairs for text in (pair.text, pair.copy)] + others
    return Texts(pairs, texts, random.Random(3).sample(range(len(texts)), len(texts)))


def write(made: Texts, folder: Path) -> Path:
    """Write the file that all contenders read; a document's name is its place in `texts`."""
    (folder / "in").mkdir(parents=True)
    with SplitWriter(folder / "in", ("train",)) as writer:
        for place in made.order:
            writer.write("train", Document(made.texts[place], "planted", f"{place}"))
    return folder / "in" / "train.jsonl"


def quality(made: Texts, dropped: set[int]) -> dict[str, Any]:
    """Return recall at each threshold, and precision."""
    found: dict[str, Any] = {"dropped": len(dropped)}
    for threshold in THRESHOLDS:
        above = [number for number, pair in enumerate(made.pairs) if pair.jaccard >= threshold]
        hits = sum(2 * number in dropped or 2 * number + 1 in dropped for number in above)
        found[f"pairs {threshold}"], found[f"recall {threshold}"] = len(above), hits / len(above)
    right = sum(place < 2 * len(made.pairs) and is_right(made, place, dropped) for place in dropped)
    return {**found, "precision": right / max(1, len(dropped))}


def is_right(made: Texts, place: int, dropped: set[int]) -> bool:
    """Whether a dropped text of a pair resembles the other one, and that one was kept."""
    other = place ^ 1
    return other not in dropped and jaccard(made.texts[place], made.texts[other]) >= THRESHOLDS[0]


def run_ours(made: Texts, folder: Path) -> tuple[float, set[int]]:
    """Return seconds, and the places of the dropped texts."""
    file, found = write(made, folder), []
    config = NearDuplicateConfig(max_dropped_share=1)
    taken = seconds(
        lambda: found.append(
            find_near_duplicates(file, config, record=folder / "record.jsonl", progress=Silent())
        )
    )
    return taken, {
        made.order[number]
        for number, other in enumerate(found[0].kept_of.tolist())
        if other != NO_ONE
    }


def run_datatrove(
    made: Texts, folder: Path, python: Path, tokenizer: str
) -> tuple[float, set[int]]:
    """Return seconds, and the places of the dropped texts."""
    write(made, folder)
    said = json.loads(
        command(python, HERE / "near_duplicates_datatrove.py", folder, tokenizer).splitlines()[-1]
    )
    return sum(said["seconds"].values()), set(map(int, said["removed"]))


def measured(
    made: Texts, python: Path, rounds: int
) -> tuple[dict[str, list[float]], dict[str, dict[str, Any]]]:
    """Return seconds for each MB of every round and the quality of each contender, which run in turn."""
    contenders = {"groundup": run_ours}
    if python.is_file():
        for name, tokenizer in (
            ("datatrove, spaCy's words (its default)", "spacy"),
            ("datatrove, str.split", "split"),
        ):
            contenders[name] = lambda texts, folder, t=tokenizer: run_datatrove(
                texts, folder, python, t
            )
    else:
        print(f"datatrove is left out: {python} is not there.")
    costs: dict[str, list[float]] = {name: [] for name in contenders}
    found = {}
    for _ in range(rounds):
        for name, run in contenders.items():
            with tempfile.TemporaryDirectory() as folder:
                taken, dropped = run(made, Path(folder) / "data")
            costs[name].append(taken / made.megabytes)
            found[name] = quality(made, dropped)
    return costs, found


def shown(value: float) -> str:
    """A share with four decimals, a count without."""
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def quality_table(found: dict[str, dict[str, Any]]) -> str:
    """The figures in columns."""
    columns = list(next(iter(found.values())))
    rows = [[name, *map(shown, each.values())] for name, each in found.items()]
    lines = [["contender", *columns], ["---"] * (len(columns) + 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure, print, and write the JSON where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--datatrove", type=Path, default=DATATROVE, metavar="PYTHON", help="the python that has it"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    about = machine()
    print(describe(about))
    texts = made(options.quick)
    print(
        f"{len(texts.texts):,} texts, {texts.megabytes:.1f} MB, {len(texts.pairs):,} planted pairs"
    )
    costs, found = measured(texts, options.datatrove, 1 if options.quick else options.rounds)
    rows = rows_of("near-duplicates", "MB/s", costs)
    print(f"\nspeed\n\n{table(rows)}\n\nquality\n\n{quality_table(found)}", flush=True)
    if options.json is not None:
        tables = {"speed": [asdict(row) for row in rows], "quality": found}
        results = {
            "machine": about,
            "quick": options.quick,
            "megabytes": texts.megabytes,
            "tables": tables,
        }
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
