"""The sentences that a small model is shown with beside quotations, to be judged by who reads them.

python benchmarks/retrieve_sentences.py OUT.jsonl [--model smollm2-135m-instruct] [--precision int8] [--wanted 500] [--hours 2]
    [--indexes FOLDER] [--without-squad]

Questions, drawn in one order from all sets: those of the packaged packs (questions.jsonl and the held-out sets), the small firms of
benchmarks/held_out and tests/retrieve, and SQuAD's odd questions; then those of benchmarks/reader_firms. Each is asked as `ask --model` does, with
vectors and the packaged reader. A line of OUT is a question with its quotations, the sentences that passed all checks, each with its passage, and
those that did not with the reason; a text ends where it repeats a sentence. The same command goes on where it was ended.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from retrieve import indexed
from retrieve_sets import squad

import groundup
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.precision import as_precision_choice, open_in
from groundup.progress import Silent
from groundup.retrieve.answer import (
    Answer,
    AskConfig,
    EngineWriter,
    answer_parts,
    iterate,
    read,
)
from groundup.retrieve.generation import Omitted, Sentence
from groundup.retrieve.index import INDEX_FILE, Index
from groundup.retrieve.reader import find_reader
from groundup.retrieve.vectors import Vectors, make_vectors, open_encoder
from groundup.retrieve.vectors_info import read_vectors_info

ROOT = Path(__file__).resolve().parent.parent
HELD_OUT, PACKS = ROOT / "benchmarks/held_out", ROOT / "groundup/packs"
NAMES = ("bank", "restaurant", "school", "airline", "writing")
SMALL = (
    "benchmarks/held_out/sweep",
    "benchmarks/held_out/second/funeral",
    "benchmarks/held_out/third/locksmith",
    "tests/retrieve/small_firm",
)
ENCODER, SEED = "all-minilm-l6-v2", 1
CPU = Compute(torch.device("cpu"))


def questions(*, with_squad: bool) -> list[tuple[str, str, str]]:
    """(Set, documents or "squad", question), in the order in which they are asked."""
    first = [
        (str(file.relative_to(ROOT)), str(PACKS / name / "documents"), question)
        for name in NAMES
        for file in (
            PACKS / name / "questions.jsonl",
            *(HELD_OUT / part / f"{name}.jsonl" for part in ("", "second", "third")),
        )
        for question in asked_in(file)
    ]
    first += [row for folder in SMALL for row in of_folder(ROOT / folder)]
    if with_squad:
        first += [("squad", "squad", each.question) for each in squad()[0].asked[1::2]]
    others = [
        row
        for folder in sorted((ROOT / "benchmarks/reader_firms").iterdir())
        if folder.is_dir()
        for row in of_folder(folder)
    ]
    for each in (first, others):
        random.Random(SEED).shuffle(each)
    return [*first, *others]


def of_folder(folder: Path) -> Iterator[tuple[str, str, str]]:
    """A small firm's questions."""
    for question in asked_in(folder / "questions.jsonl"):
        yield str(folder.relative_to(ROOT)), str(folder / "documents"), question


def asked_in(file: Path) -> list[str]:
    """The questions of a file."""
    return [json.loads(line)["question"] for line in file.read_text("utf-8").splitlines()]


class Indexes:
    """The indexes of the sets, each made when it is first asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.encoder = folder, open_encoder(ENCODER, CPU, Silent())
        self.reader = find_reader(self.encoder, folder)
        assert self.reader is not None
        self.made: dict[str, tuple[Index, Vectors]] = {}

    def embed(self, texts: Any) -> Any:
        """The encoder's vectors."""
        return self.encoder.embed(texts).numpy()

    def of(self, documents: str) -> tuple[Index, Vectors]:
        """The index of these documents."""
        if documents not in self.made:
            folder = self.folder / Path(documents).parent.name
            if (folder / INDEX_FILE).exists():
                index = Index(folder)
            elif documents == "squad":
                index, _ = indexed(squad()[0].texts, folder)
            else:
                groundup.index(documents, folder, vectors="none")
                index = Index(folder)
            make_vectors(index.folder, self.embed, ENCODER, progress=Silent())
            known = read_vectors_info(index.folder)
            assert known is not None and self.reader is not None
            self.made[documents] = (index, Vectors(known, self.embed, self.reader.scores))
        return self.made[documents]


def answered(index: Index, question: str, engine: Engine, vectors: Vectors) -> Answer:
    """What `ask` answers, the model's text until it repeats a sentence: it would go on repeating it."""
    config = AskConfig()
    reading = read(index, question, config, rank_by=vectors.mixture(), vectors=vectors)
    made: list[Sentence | Omitted] = []

    async def recheck(answer: Answer) -> Answer:
        return answer

    writer = EngineWriter(engine, config.max_tokens)
    for part in iterate(answer_parts(reading, writer, config.min_support, recheck)):
        if isinstance(part, Sentence | Omitted):
            made.append(part)
        if isinstance(part, Omitted) and part.reason == "was said before":
            break
    return reading.answer(made)


def row_of(name: str, answer: Answer) -> dict[str, Any]:
    """What is kept of an answer."""
    sentences = [
        asdict(each)
        | {
            "title": answer.sources[each.source - 1].title,
            "passage": answer.sources[each.source - 1].text,
        }
        for each in answer.sentences
    ]
    return {
        "set": name,
        "question": answer.question,
        "found": answer.found,
        "quotes": [each.in_words or each.text for each in answer.quotes],
        "sentences": sentences,
        "omitted": [asdict(each) for each in answer.omitted],
    }


def main() -> None:
    """Ask until enough sentences were shown, or for so long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--wanted", type=int, default=500)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--indexes", type=Path, metavar="FOLDER", help="keep the indexes there")
    parser.add_argument("--without-squad", action="store_true")
    options = parser.parse_args()
    lines = options.out.read_text("utf-8").splitlines() if options.out.exists() else []
    rows = [json.loads(line) for line in lines]
    shown, until = sum(len(row["sentences"]) for row in rows), time.time() + 3600 * options.hours
    engine = Engine(*open_in(as_precision_choice(options.precision), options.model, CPU))
    with tempfile.TemporaryDirectory() as folder, options.out.open("a", encoding="utf-8") as out:
        indexes = Indexes(options.indexes or Path(folder))
        asked = questions(with_squad=not options.without_squad)
        for number, (name, documents, question) in enumerate(asked):
            if number < len(rows):
                continue
            if shown >= options.wanted or time.time() > until:
                break
            index, vectors = indexes.of(documents)
            answer = answered(index, question, engine, vectors)
            shown += len(answer.sentences)
            out.write(json.dumps(row_of(name, answer), ensure_ascii=False) + "\n")
            out.flush()
            print(f"{number + 1} questions, {shown} sentences shown", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
