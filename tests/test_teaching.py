"""docs/teaching_solutions.md: each number of the test's answers is what the project's own functions compute."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from groundup.course.exercises import exercises_of
from groundup.data.processing.word_ngrams import ngrams
from groundup.evaluate.calibration import cost_threshold
from groundup.evaluate.metrics import bits_per_byte, confusion_matrix, f1
from groundup.lab.embeddings import cosines
from groundup.model.attention_steps import scale, scores, softmax, weighted_sum
from groundup.model.config import ModelConfig
from groundup.model.footprint import cache_bytes
from groundup.model.linear_cross_entropy import cross_entropy_into_gradient, summed_cross_entropy
from groundup.model.sizes import parameter_count
from groundup.tokenizer.bpe import train_bpe
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.kinds import byte_tokenizer

DOCS = Path(__file__).parents[1] / "docs"
SHAPE = ModelConfig(
    vocab_size=8, context_tokens=1000, width=64, num_layers=1, num_heads=4, feedforward_width=128
)


def neighbours() -> list[float]:
    words = re.findall(r"\w+", "the cat sat on the mat the cat ran")
    return [exercises_of(1)["1.1"].solution(words, "the", "cat")]


def knowing_nothing() -> list[float]:
    hidden, head = torch.zeros(1, 4), torch.zeros(8, 4)
    nats = summed_cross_entropy(hidden, head, torch.tensor([5])).item()
    return [nats, bits_per_byte(nats, 1)]


def similar() -> list[float]:
    one, other = (ngrams(text, 2) for text in ("we read old books", "we read old letters"))
    return [exercises_of(2)["2.3"].solution(set(one), set(other))]


def merged() -> list[float]:
    bpe = train_bpe(["banana band"], vocab_size=257, split="gpt-2")
    assert bpe.tokens[256] == b"an"
    return [sum(word.count("an") for word in ("banana", "band")), len(bpe.encode("banana"))]


def attended() -> list[float]:
    query = torch.tensor([[2.0, 0, 0, 0]])
    keys = torch.tensor([[2.0, 0, 0, 0], [0, 2, 0, 0]])
    scaled = scale(scores(query, keys), head_width=4)
    weights = softmax(scaled)
    output = weighted_sum(weights, torch.tensor([[10.0], [20.0]]))
    return [*scaled[0].tolist(), *weights[0].tolist(), output.item()]


def cached() -> list[float]:
    shape = replace(SHAPE, num_layers=4, num_heads=2, num_kv_heads=2, head_width=32)
    return [cache_bytes(shape, batch=1, capacity=1000, value_bytes=2)]


def block() -> list[float]:
    two = replace(SHAPE, num_layers=2)
    return [parameter_count(two).total - parameter_count(SHAPE).total]


def gradient() -> list[float]:
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log()
    cross_entropy_into_gradient(logits, torch.tensor([2]))
    return logits[0].tolist()


def windows() -> list[float]:
    return [exercises_of(8)["8.1"].solution(101, 10, 5), math.ceil(1010 / (4 * 10))]


def filtered() -> list[float]:
    actual = ["spam"] * 10 + ["ham"] * 10
    predicted = ["spam"] * 6 + ["ham"] * 4 + ["spam"] * 2 + ["ham"] * 8
    confusion = confusion_matrix(actual, predicted, ["ham", "spam"])
    precision, recall, both = exercises_of(10)["10.2"].solution(confusion, 1)
    assert math.isclose(both, f1(confusion, 1).value)
    return [precision, recall, both, cost_threshold(4, 1)]


def learned() -> list[float]:
    talk = Conversation((Message("user", "Hi"), Message("assistant", "Yes.")))
    return [sum(render(talk, byte_tokenizer()).mask)]


COMPUTED = {
    1: neighbours,
    2: knowing_nothing,
    3: similar,
    4: lambda: [len(byte_tokenizer().encode("naïve café 漢"))],
    5: merged,
    6: lambda: [bits_per_byte(bits * math.log(2), size) for bits, size in ((3, 2), (5, 4))],
    7: lambda: [cosines(torch.tensor([[3.0, 4.0], [4.0, 3.0]]))[0, 1].item()],
    8: attended,
    9: cached,
    10: block,
    11: gradient,
    12: windows,
    13: filtered,
    14: learned,
    15: lambda: [exercises_of(13)["13.3"].solution([1, 2, 0, 4])],
}


def answers() -> dict[int, list[str]]:
    found = re.findall(
        r"\*\*Answer (\d+): (.+?)\.\*\*", (DOCS / "teaching_solutions.md").read_text()
    )
    return {int(number): values.split(", ") for number, values in found}


@pytest.mark.parametrize("number", COMPUTED)
def test_an_answer_is_what_the_project_computes(number: int) -> None:
    written, computed = answers()[number], COMPUTED[number]()
    assert len(written) == len(computed)
    for text, value in zip(written, computed, strict=True):
        digits = len(text.partition(".")[2])
        assert f"{value:,.{digits}f}" == text, (text, value)


def test_every_question_has_an_answer_and_the_points_add_up() -> None:
    asked = (DOCS / "teaching_test.md").read_text()
    points = {int(n): int(p) for n, p in re.findall(r"\*\*(\d+)\.\*\* \((\d+) points\)", asked)}
    assert list(points) == list(answers()) == list(COMPUTED)
    assert f"{sum(points.values())} points" in asked
