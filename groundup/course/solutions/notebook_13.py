"""Notebook 13, answers with sources."""

import math
import re
from collections.abc import Sequence

from groundup.course.exercises import Exercise
from groundup.data.processing.near_duplicates import recall
from groundup.retrieve.search import B, K, idf


def _term_score(count: int, length: int, mean_length: float, weight: float) -> float:
    return weight * count * (K + 1) / (count + K * (1 - B + B * length / mean_length))


def _any_length(count: int, length: int, mean_length: float, weight: float) -> float:
    return weight * count * (K + 1) / (count + K)


def _all_length(count: int, length: int, mean_length: float, weight: float) -> float:
    return weight * count * (K + 1) / (count + K * length / mean_length)


def _reciprocal(ranks: Sequence[int]) -> float:
    return sum(1 / rank for rank in ranks if rank) / len(ranks)


def _of_the_found(ranks: Sequence[int]) -> float:
    return sum(1 / rank for rank in ranks if rank) / sum(rank > 0 for rank in ranks)


def _numbers(text: str) -> list[str]:
    return re.findall(r"\d+", text)


def _unsupported(sentence: str, passage: str) -> list[str]:
    return [number for number in _numbers(sentence) if number not in _numbers(passage)]


def _by_characters(sentence: str, passage: str) -> list[str]:
    return [number for number in _numbers(sentence) if number not in passage]


EXERCISES = {
    "13.1": Exercise(
        idf(2, 100),
        (
            (
                math.log(98.5 / 2.5),
                "The 1 in the logarithm is missing; it keeps the weight of frequent terms above 0.",
            ),
            (
                math.log(100 / 2),
                "That is the plain ln(N / n); BM25 compares the passages without the term to those with it.",
            ),
            (idf(2, 100) / math.log(10), "That is the logarithm to base 10; ln has the base e."),
            (
                idf(98, 100),
                "The term is in 2 passages, and not in 98; a rare term has the large weight.",
            ),
        ),
        hint="N is 100 and n is 2: ln(1 + (100 - 2 + 0.5) / (2 + 0.5)).",
    ),
    "13.2": Exercise(
        _term_score,
        (
            (
                _any_length,
                "The length of the passage plays no part here: k is multiplied by 1 - b + b |P| / mean.",
            ),
            (_all_length, "The length counts by b = 0.75 only: 1 - b + b |P| / mean."),
            (lambda *given: _term_score(*given) / (K + 1), "The numerator is f (k + 1)."),
            (
                lambda count, length, mean_length, weight: weight * count,
                "A second occurrence should add less than the first: divide as the formula does.",
            ),
        ),
        hint="weight times count (k + 1), divided by count + k (1 - b + b length / mean_length).",
        cases=((1, 10, 10.0, 1.0), (3, 20, 10.0, 0.5), (0, 5, 10.0, 2.0), (2, 5, 8.0, 1.5)),
    ),
    "13.3": Exercise(
        _reciprocal,
        (
            (
                _of_the_found,
                "A question whose passage is not found adds 0, but it is still a question: divide by all.",
            ),
            (
                lambda ranks: len(ranks) / sum(ranks),
                "That is the reciprocal of the mean rank; the mean of the reciprocals is asked for.",
            ),
            (
                lambda ranks: sum(ranks) / len(ranks),
                "That is the mean rank. Take 1 / rank of each first.",
            ),
        ),
        hint="Add 1 / rank for each question that has a rank above 0, and divide by the number of questions.",
        cases=(([1, 2, 0, 4],), ([1, 1, 1],), ([3, 0, 1, 0, 5],)),
    ),
    "13.4": Exercise(
        recall,
        (
            (lambda j, bands, rows: j**rows, "That is one band. There are several chances."),
            (
                lambda j, bands, rows: bands * j**rows,
                "Probabilities of several chances do not add up; take the one that all fail.",
            ),
            (
                lambda j, bands, rows: (1 - j**rows) ** bands,
                "That is the probability that no band agrees.",
            ),
            (
                lambda j, bands, rows: recall(j, rows, bands),
                "Bands and rows are swapped: a band has `rows` minima, and all of them must agree.",
            ),
        ),
        hint="A band agrees with probability j to the power of rows. What is the probability that none does?",
        cases=((0.8, 18, 7), (0.5, 5, 2), (0.9, 10, 12), (0.3, 4, 3)),
    ),
    "13.5": Exercise(
        _unsupported,
        (
            (
                _by_characters,
                "3 is not a number of a passage that has 30: compare whole numbers, not characters.",
            ),
            (
                lambda sentence, passage: [
                    each for each in _numbers(sentence) if each in _numbers(passage)
                ],
                "These are the numbers that the passage has.",
            ),
            (
                lambda sentence, passage: _unsupported(passage, sentence),
                "These are numbers of the passage that the sentence lacks; it may leave out what it likes.",
            ),
        ),
        hint='Find the numbers of both with re.findall(r"\\d+", text), and keep those of the sentence that the passage lacks.',
        cases=(
            (
                "It has 3 layers and 64 heads.",
                "A model with 30 layers and 64 heads, 12 of them dead.",
            ),
            ("Of 10 models 7 are small.", "There are 7 models."),
            ("No number here.", "Page 4."),
        ),
    ),
}
