"""Refusal: how often `ask` says "not found" to questions that documents answer, and to those that they don't, by the evidence that is asked for.

python benchmarks/retrieve_refusal.py [--quick] [--encoder all-minilm-l6-v2] [--json OUT]

By words alone, and by words and vectors (`retrieve/evidence.py`). Each question of SQuAD on the index of its 803 paragraphs, and once more without
its paragraph and those that share half of its word 5-grams, so that the best that is left are neighbours of the same article; what customers of an
airline and of a shop call for, on the same index; 400 search queries of BoolQ on 2,938 paragraphs, with and without theirs.
The regression is fitted on even questions of SQuAD (of each question the passage with the highest evidence, six rounds), and the threshold is the
highest that refuses at most a tenth of the answerable ones among them. The shares are those of odd questions and of the other sets.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import machine
from retrieve import indexed, table, text_number
from retrieve_sets import Texts, boolq, customers, like, squad, word_grams
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from spine import describe

from groundup.device import Compute
from groundup.evaluate.paired import share_difference
from groundup.progress import Silent
from groundup.retrieve import evidence as package
from groundup.retrieve.answer import PASSAGES
from groundup.retrieve.evidence import evidence, nearness, question_words
from groundup.retrieve.index import Index
from groundup.retrieve.search import Ranking, find
from groundup.retrieve.vectors import Embed, Rows, Vectors, embed_with, make_vectors
from groundup.retrieve.vectors_info import read_vectors_info

CPU = Compute(torch.device("cpu"))
# The share of answerable questions that may be refused.
MAX_REFUSED = 0.1
# Of the squared coefficients of the standardised features.
PENALTY = 3.0
QUERIES, ROUNDS = 400, 6
Features = list[tuple[float, float]]
"""Of each passage that would be read: (share + cosine of its best sentence, how far it is ahead)."""


@dataclass(frozen=True)
class Measured:
    """What is known of some questions: the evidence by words of the best passage, and the features of each passage."""

    words: list[float]
    features: list[Features]

    def half(self, first: int) -> "Measured":
        """Every second question."""
        return Measured(self.words[first::2], self.features[first::2])


def remembering(embed: Embed) -> Embed:
    """The same encoder, which embeds no text twice."""
    known: dict[str, Rows] = {}

    def remembered(texts: Sequence[str]) -> Rows:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(new, embed(new), strict=True) if new else ())
        return np.stack([known[text] for text in texts])

    return remembered


def measured(
    index: Index, vectors: Vectors, questions: Sequence[str], left_out: Sequence[set[int]]
) -> Measured:
    """Ask each question of an index without some texts."""
    words, features = [], []
    for question, out in zip(questions, left_out, strict=True):
        by_words, by_both = (
            [passage for passage in found if text_number(passage) not in out][:PASSAGES]
            for found in (
                search(index, question, ranking, len(out)) for ranking in (None, vectors.mixture())
            )
        )
        words.append(evidence(index, by_words, question).best)
        asked = question_words(index, question)
        near = nearness(vectors, asked, by_both, question)
        features.append(
            [(max(each.near, default=0.0), each.ahead) for each in near]
            if by_both
            else [(0.0, 0.0)]
        )
    return Measured(words, features)


def search(index: Index, question: str, ranking: Ranking | None, more: int) -> Sequence[Any]:
    return find(index, question, 2 * PASSAGES + more, ranking).passages


def of_set(
    texts: Texts, embed: Embed, encoder: str, others: Sequence[str] = ()
) -> dict[str, Measured]:
    """The questions of a set with and without their texts, and other ones."""
    questions, grams = [each.question for each in texts.asked], word_grams(texts.texts)
    with tempfile.TemporaryDirectory() as folder:
        index, _ = indexed(texts.texts, Path(folder))
        make_vectors(index.folder, embed, encoder, progress=Silent())
        known = read_vectors_info(index.folder)
        assert known is not None
        with index:
            vectors = Vectors(known, embed)
            found = {
                "answerable": measured(index, vectors, questions, [set() for _ in questions]),
                "taken out": measured(
                    index, vectors, questions, [like(grams, each.gold) for each in texts.asked]
                ),
            }
            if others:
                found["other corpus"] = measured(index, vectors, others, [set() for _ in others])
    return found


def fitted(
    answerable: Sequence[Features], without: Sequence[Features]
) -> tuple[float, float, float]:
    """BIAS, SENTENCE and AHEAD of the regression."""
    bias, sentence, ahead = 0.0, 1.0, 0.0
    for _ in range(ROUNDS):
        best = [
            max(each, key=lambda f: sentence * f[0] + ahead * f[1])
            for each in (*answerable, *without)
        ]
        scaled = StandardScaler().fit(best)
        model = LogisticRegression(C=1 / PENALTY).fit(
            scaled.transform(best), [1] * len(answerable) + [0] * len(without)
        )
        sentence, ahead = map(float, model.coef_[0] / scaled.scale_)
        bias = float(model.intercept_[0] - model.coef_[0] @ (scaled.mean_ / scaled.scale_))
    return bias, sentence, ahead


def values(found: Measured, by: str) -> list[float]:
    """The evidence for the best passage of each question, as the package has it."""
    if by == "words":
        return found.words
    return [max(package.by_both(*each) for each in listed) for listed in found.features]


def chosen(answerable: Sequence[float]) -> float:
    """The highest threshold that refuses at most a tenth."""
    return sorted(answerable)[int(MAX_REFUSED * len(answerable))]


def refused(found: Sequence[float], threshold: float) -> list[bool]:
    return [value < threshold for value in found]


def curve(
    sets: dict[str, Measured], by: str, thresholds: Sequence[float]
) -> dict[str, dict[str, float]]:
    """The share of each set that is refused, by threshold."""
    kept = {name: values(each, by) for name, each in sets.items()}
    return {
        f"{at:.3f}": {name: sum(refused(each, at)) / len(each) for name, each in kept.items()}
        for at in thresholds
    }


def main() -> None:
    """Measure, print it, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="40 questions of SQuAD, no BoolQ")
    parser.add_argument("--encoder", default="all-minilm-l6-v2")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    about_machine = machine()
    print(describe(about_machine))
    embed = remembering(embed_with(options.encoder, CPU, Silent()))
    [texts] = squad()
    texts = Texts(texts.texts, texts.asked[:40]) if options.quick else texts
    found = of_set(texts, embed, options.encoder, customers())
    even, odd = (
        {name: found[name].half(n) for name in ("answerable", "taken out")} for n in (0, 1)
    )
    sets = {**odd, "other corpus": found["other corpus"]}
    if not options.quick:
        [queries] = boolq(QUERIES)
        more = of_set(queries, embed, options.encoder)
        sets |= {f"BoolQ, {name}": each for name, each in more.items()}
    constants = fitted(even["answerable"].features, even["taken out"].features)
    tables: dict[str, Any] = {}
    at = {by: chosen(values(even["answerable"], by)) for by in ("words", "both")}
    for by, usual in (("words", package.MIN_BY_WORDS), ("both", package.MIN_BY_BOTH)):
        tables[by] = curve(sets, by, sorted({at[by], usual, *(n / 10 for n in range(1, 10))}))
        print(
            f"\nby {by} (chosen on even questions {at[by]:.3f}, in the package {usual})\n\n{table(tables[by])}",
            flush=True,
        )
    names = ("BIAS", "SENTENCE", "AHEAD")
    print(f"\nfitted on even questions: {dict(zip(names, constants, strict=True))}")
    print(f"in the package: {[getattr(package, name) for name in names]}")
    pairs = [refused(values(odd["taken out"], by), at[by]) for by in ("words", "both")]
    difference = share_difference(*pairs).plain()
    print(f"refused of the taken out, both less words: {json.dumps(difference)}")
    if options.json is not None:
        written = {
            "machine": about_machine,
            "quick": options.quick,
            "tables": tables,
            "fitted": constants,
        }
        options.json.write_text(
            json.dumps({**written, "chosen": at, "difference": difference}, indent=1) + "\n"
        )


if __name__ == "__main__":
    sys.exit(main())
