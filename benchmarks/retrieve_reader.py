"""The reader on SQuAD, BoolQ and QASPER: is the first sentence that is shown of a text that answers, and what is refused?

python benchmarks/retrieve_reader.py [--only squad boolq papers] [--questions 200] [--papers 40] [--encoder all-minilm-l6-v2] [--json OUT]

Each question is read as `ask` reads it, once with the packaged reader and once with the cosines alone, each at its usual limit; and once more with
the reader on the index without its texts and those that share half of their word 5-grams. SQuAD's odd questions on its 803 paragraphs; odd queries
of BoolQ on the paragraphs of the first 1,000; QASPER's on the paragraphs of their own paper. Shares have exact intervals, the difference is paired.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from measure import machine
from retrieve import indexed, text_number
from retrieve_sets import Texts, boolq, like, papers, squad, word_grams
from spine import describe

from groundup.device import Compute
from groundup.evaluate.paired import share_difference
from groundup.progress import Silent
from groundup.retrieve.answer import AskConfig, QuestionReading, read
from groundup.retrieve.index import Index
from groundup.retrieve.reader import find_reader
from groundup.retrieve.risk import exact_interval
from groundup.retrieve.vectors import Vectors, make_vectors, open_encoder
from groundup.retrieve.vectors_info import read_vectors_info

CPU = Compute(torch.device("cpu"))
PARAGRAPHS = 1000


@dataclass(frozen=True)
class Found:
    """Whether the first sentence shown, and the first passage read, are of a text that answers; and whether a question was refused."""

    sentence: bool
    passage: bool
    refused: bool
    sentence_by_cosines: bool
    passage_by_cosines: bool
    refused_by_cosines: bool
    refused_without: bool


def sets(name: str, questions: int, count: int) -> list[Texts]:
    """The texts of a set with the questions that are asked."""
    if name == "papers":
        return papers(count)
    if name == "squad":
        [texts] = squad()
        return [Texts(texts.texts, texts.asked[1::2][:questions])]
    [texts] = boolq(PARAGRAPHS)
    wanted = sorted({number for each in texts.asked for number in each.gold})
    places = {number: place for place, number in enumerate(wanted)}
    asked = [
        type(each)(each.question, frozenset(places[number] for number in each.gold))
        for each in texts.asked[1::2][:questions]
    ]
    return [Texts(tuple(texts.texts[number] for number in wanted), tuple(asked))]


def first_of(reading: QuestionReading, gold: frozenset[int]) -> tuple[bool, bool, bool]:
    """Whether the first sentence and the first passage are of a text that answers, and whether nothing is shown."""
    sentence = (
        bool(reading.quotes) and text_number(reading.sources[reading.quotes[0].source - 1]) in gold
    )
    passage = bool(reading.sources) and text_number(reading.sources[0]) in gold
    return sentence, passage, not reading.quotes


def asked(texts: Texts, encoder: str) -> Iterator[Found]:
    """Ask the questions of a set."""
    engine = open_encoder(encoder, CPU, Silent())
    grams = word_grams(texts.texts)
    with tempfile.TemporaryDirectory() as folder:
        index, _ = indexed(texts.texts, Path(folder))
        make_vectors(
            index.folder, lambda rows: engine.embed(rows).numpy(), encoder, progress=Silent()
        )
        known, reader = read_vectors_info(index.folder), find_reader(engine, index.folder)
        assert known is not None and reader is not None
        with index:
            vectors = Vectors(known, lambda rows: engine.embed(rows).numpy())
            by_reader = Vectors(known, vectors.embed, reader.scores)
            for each in texts.asked:
                yield Found(
                    *first_of(read_with(by_reader, index, each.question), each.gold),
                    *first_of(read_with(vectors, index, each.question), each.gold),
                    not read_with(by_reader, index, each.question, like(grams, each.gold)).quotes,
                )


def read_with(
    vectors: Vectors, index: Index, question: str, left_out: set[int] = frozenset()
) -> QuestionReading:
    """Read a question without some texts."""
    return read(
        index,
        question,
        AskConfig(),
        lambda: lambda passage: text_number(passage) not in left_out,
        rank_by=vectors.mixture(),
        vectors=vectors,
    )


def lines_of(name: str, rows: Sequence[Found]) -> Iterator[str]:
    """The shares of a set."""
    yield f"\n{name}, n = {len(rows)}"
    for field in Found.__dataclass_fields__:
        hits = sum(getattr(row, field) for row in rows)
        low, high = exact_interval(hits, len(rows))
        yield f"  {field}: {hits} ({hits / len(rows):.1%}, {low:.1%} to {high:.1%})"
    for field in ("sentence", "passage"):
        pair = [[getattr(row, each) for row in rows] for each in (f"{field}_by_cosines", field)]
        yield f"  {field}, reader less cosines: {share_difference(*pair)}"


def main() -> None:
    """Measure, print it, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=["squad", "boolq", "papers"])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--papers", type=int, default=40)
    parser.add_argument("--encoder", default="all-minilm-l6-v2")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows there")
    options = parser.parse_args()
    print(describe(machine()), flush=True)
    found: dict[str, list[Found]] = {}
    for name in options.only:
        rows = found.setdefault(name, [])
        for texts in sets(name, options.questions, options.papers):
            for row in asked(texts, options.encoder):
                rows.append(row)
                print(f"{name} {len(rows)}", file=sys.stderr, flush=True)
        print("\n".join(lines_of(name, rows)), flush=True)
    if options.json is not None:
        plain = {name: [asdict(row) for row in rows] for name, rows in found.items()}
        options.json.write_text(json.dumps(plain) + "\n")


if __name__ == "__main__":
    sys.exit(main())
