"""The reader on SQuAD, BoolQ and QASPER: is the first sentence that is shown of a text that answers, and what is refused?

python benchmarks/retrieve_reader.py [--only squad boolq papers] [--questions 200] [--papers 40] [--without]
    [--encoder all-minilm-l6-v2-ask] [--second all-mpnet-base-v2] [--json OUT]

Each question is read as `ask` reads it, with the packaged reader at its usual limit (with --second a second one reads, too): the first sentence
shown is right where it is of a text that answers. Beside it: whether the first passage that was read is of such a text, and whether the first by
words and vectors is. With --without each is read once more on the index without its texts and those that share half of their word 5-grams. SQuAD's
odd questions on its 803 paragraphs; odd queries of BoolQ on the paragraphs of the first 1,000; QASPER's on the paragraphs of their own paper. Exact
intervals; the difference is paired.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
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
from groundup.retrieve.passages import Passage
from groundup.retrieve.search import find
from groundup.retrieve.second_reader import set_second, use_second
from groundup.retrieve.vectors import Vectors, embed_with, make_vectors, open_vectors
from groundup.retrieve.vectors_info import NO_VECTORS
from groundup.risk import exact_interval
from groundup.weights.catalog import DEFAULT_ENCODER

CPU = Compute(torch.device("cpu"))
PARAGRAPHS = 1000


@dataclass(frozen=True)
class Found:
    """Whether the first sentence shown, and the first passage read, are of a text that answers; and whether a question was refused."""

    sentence: bool
    passage: bool
    passage_by_mixture: bool
    refused: bool
    refused_without: bool | None = None


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


def asked(texts: Texts, encoder: str, second: str, *, without: bool) -> Iterator[Found]:
    """Ask the questions of a set."""
    grams = word_grams(texts.texts)
    with tempfile.TemporaryDirectory() as folder:
        index, _ = indexed(texts.texts, Path(folder))
        make_vectors(index.folder, embed_with(encoder, CPU, Silent()), encoder, progress=Silent())
        set_second(index.folder, second, CPU.device.type, Silent())
        vectors = open_vectors(index.folder, CPU, Silent())
        assert vectors is not None and vectors.read is not None
        use_second(vectors, index.folder, CPU, Silent())
        with index:
            for each in texts.asked:
                reading = read_with(vectors, index, each.question)
                first = find(index, each.question, 1, vectors.mixture()).passages
                cited = [reading.sources[quote.source - 1] for quote in reading.quotes]
                left = set()
                if without:
                    left = like(grams, each.gold)
                yield Found(
                    is_of(cited, each.gold),
                    is_of(reading.sources, each.gold),
                    is_of(first, each.gold),
                    not cited,
                    not read_with(vectors, index, each.question, left).quotes if without else None,
                )


def is_of(passages: Sequence[Passage], gold: frozenset[int]) -> bool:
    """Whether the first passage is of one of these texts."""
    return bool(passages) and text_number(passages[0]) in gold


def read_with(
    vectors: Vectors, index: Index, question: str, left_out: AbstractSet[int] = frozenset()
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
        if getattr(rows[0], field) is None:
            continue
        hits = sum(getattr(row, field) for row in rows)
        low, high = exact_interval(hits, len(rows))
        yield f"  {field}: {hits} ({hits / len(rows):.1%}, {low:.1%} to {high:.1%})"
    mixture, reader = [row.passage_by_mixture for row in rows], [row.passage for row in rows]
    yield f"  passage less passage by mixture: {share_difference(mixture, reader)}"


def main() -> None:
    """Measure, print it, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=["squad", "boolq", "papers"])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--papers", type=int, default=40)
    parser.add_argument("--without", action="store_true", help="also without their texts")
    parser.add_argument("--encoder", default=DEFAULT_ENCODER)
    parser.add_argument("--second", default=NO_VECTORS, help="the encoder of a second reader")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows there")
    options = parser.parse_args()
    print(describe(machine()), flush=True)
    found: dict[str, list[Found]] = {}
    for name in options.only:
        rows = found.setdefault(name, [])
        for texts in sets(name, options.questions, options.papers):
            for row in asked(texts, options.encoder, options.second, without=options.without):
                rows.append(row)
                if len(rows) % 10 == 0:  # what is known where it is ended early
                    print("\n".join(lines_of(name, rows)), file=sys.stderr, flush=True)
        print("\n".join(lines_of(name, rows)), flush=True)
    if options.json is not None:
        plain = {name: [asdict(row) for row in rows] for name, rows in found.items()}
        options.json.write_text(json.dumps(plain) + "\n")


if __name__ == "__main__":
    sys.exit(main())
