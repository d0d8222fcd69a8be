"""KTO: the loss by hand; good answers gain and bad ones lose; a feedback.jsonl is read; what can't be learned from is refused."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.data.documents import PreferenceExample, RatedExample
from groundup.data.reading.examples import read_rated
from groundup.device import Compute
from groundup.errors import ConfigError, DataError
from groundup.finetune.config import PreferenceConfig
from groundup.finetune.preference import logprobs, with_reference
from groundup.finetune.ratings import (
    RatingBatches,
    fit_ratings,
    prepare_ratings,
    rated_of_pairs,
    rating_figures,
)
from groundup.model.heads import LanguageModel
from groundup.packs.feedback import FeedbackEvent, FeedbackFile
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.chat import Message
from groundup.tokenizer.fast import Tokenizer
from groundup.train.steps.losses import rating_loss
from groundup.weights.model_io import OpenModel, save_model

OpenBase = Callable[[], OpenModel]
WORDS = ("up", "down", "left", "right", "me", "you")


def rated(number: int) -> RatedExample:
    """Answers that say it is over are liked."""
    is_good = number % 3 == 0
    answer = "it is over" if is_good else "we can meet"
    prompt = (Message("user", f"see you {number}"),)
    return RatedExample(prompt, f"{WORDS[number % 6]} {answer}", is_good, str(number))


@pytest.fixture(scope="module")
def answers() -> list[RatedExample]:
    return [rated(number) for number in range(48)]


def test_loss_and_figures_are_those_of_a_hand_computation(
    base_model: LanguageModel, tokenizer: Tokenizer, answers: list[RatedExample], compute: Compute
) -> None:
    data = prepare_ratings(answers, tokenizer, max_tokens=100, seed=0)
    good = sum(each.is_good for each in data.train)
    weights = {each.is_good: each.weight for each in data.train}
    assert good * weights[True] == pytest.approx((len(data.train) - good) * weights[False])
    few = data.train[:6]
    texts = [each.texts for each in few]
    assert all(each.chosen.ids != each.rejected.ids for each in texts), "of another prompt"
    exact = PreferenceConfig(precision="float32", batch_size=2)
    sums = logprobs(base_model, texts, exact, compute=compute, progress=Silent(), what="")
    moved = [(own + 2.0 - n, other - 1.0) for n, (own, other) in enumerate(sums)]  # the reference
    referred = with_reference(texts, moved)
    there = [replace(each, texts=pair) for each, pair in zip(few, referred, strict=True)]
    batches = RatingBatches(there, beta=0.3, batch_size=6, seed=0)
    found = rating_loss(base_model, batches.batch(0))
    # other answers have gained 1 nat each: the drift is 1; answer n has gained n - 2
    gains = [0.3 * (n - 2.0 - 1.0) for n in range(6)]
    signs = [each.sign for each in few]
    expected = [
        each.weight / (1 + math.exp(sign * gain))
        for each, sign, gain in zip(few, signs, gains, strict=True)
    ]
    assert found.count == 6 and found.total.item() == pytest.approx(sum(expected), rel=1e-3)
    figures = rating_figures(there, sums, 0.3)
    assert figures["held_out_loss"] == pytest.approx(sum(expected) / 6, rel=1e-3)
    right = sum(sign * gain > 1e-9 for sign, gain in zip(signs, gains, strict=True))
    assert figures["accuracy"] == pytest.approx(right / 6, abs=1 / 6)  # one gain is 0 to rounding


def test_good_answers_gain_and_bad_ones_lose(
    open_base: OpenBase, answers: list[RatedExample], compute: Compute, tmp_path: Path
) -> None:
    config = PreferenceConfig(epochs=4, learning_rate=5e-3, precision="float32", answers=1)
    folder = RunFolder(tmp_path / "run")
    results = fit_ratings(open_base(), answers, folder, config, compute=compute)
    assert results.held_out_loss["before"] == pytest.approx(0.5, abs=0.2)
    assert results.held_out_loss["after"] < 0.7 * results.held_out_loss["before"]
    assert results.accuracy["value"] >= 0.8 and results.gains["bad"] < 0 < results.gains["good"]
    (shown,) = results.answers
    assert shown["reference"].endswith("we can meet")
    assert fit_ratings(open_base(), answers, folder, config, compute=compute) == results
    with pytest.raises(ConfigError, match="compares two answers"):
        fit_ratings(open_base(), answers, folder, replace(config, loss="dpo"), compute=compute)


def test_a_held_out_part_of_one_kind_is_measured_and_a_training_part_refused(
    answers: list[RatedExample], tokenizer: Tokenizer
) -> None:
    """A tenth of few answers may have no bad one."""
    few = [replace(each, is_good=number != 7) for number, each in enumerate(answers[:12])]
    data = prepare_ratings(few, tokenizer, max_tokens=100, seed=0)
    assert all(each.is_good for each in data.held_out)
    sums = [(-20.0, -30.0)] * len(data.held_out)
    there = [
        replace(each, texts=pair)
        for each, pair in zip(
            data.held_out,
            with_reference([each.texts for each in data.held_out], sums),
            strict=True,
        )
    ]
    assert "gain_bad" not in rating_figures(there, sums, 0.1)
    with pytest.raises(DataError, match="are rated up: both kinds are needed"):
        liked = [replace(each, is_good=True) for each in few]
        prepare_ratings(liked, tokenizer, max_tokens=100, seed=0)


def test_pairs_are_two_rated_answers_each() -> None:
    pair = PreferenceExample((Message("user", "up"),), "down", "over", "7")
    assert [(each.answer, each.is_good) for each in rated_of_pairs([pair])] == [
        ("down", True),
        ("over", False),
    ]


def feedback(file: Path, ratings: str) -> Path:
    """u: up, d: down, -: not rated."""
    said, names = FeedbackFile(file), {"u": "up", "d": "down", "-": None}
    for number, rating in enumerate(ratings):
        example = rated(number if rating == "-" else 3 * number + (rating == "d"))
        said.append(
            FeedbackEvent(
                time="2026-11-29T22:40:00Z",
                reply=f"{number:04}",
                index="bank",
                kind="answer",
                question=example.prompt[0].content,
                answer=example.answer,
                rating=names[rating],
            )
        )
    return file


def test_a_feedback_file_has_the_answers_that_readers_rated(tmp_path: Path) -> None:
    file = feedback(tmp_path / "feedback.jsonl", "ud-u")
    assert [(each.id, each.is_good) for each in read_rated(file)] == [
        ("0000", True),
        ("0001", False),
        ("0003", True),
    ]
    with pytest.raises(DataError, match="2 answers rated up and 0 rated down, of 3 replies"):
        read_rated(feedback(tmp_path / "other.jsonl", "u-u"))


def test_the_verb_from_a_feedback_file_to_an_adapter(
    open_base: OpenBase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = open_base()
    save_model(opened.model, tmp_path / "base", opened.tokenizer)
    file = feedback(tmp_path / "feedback.jsonl", "ud" * 16)
    words = ["finetune", "preference", str(tmp_path / "base"), str(file), "--out"]
    command = [*words, str(tmp_path / "run"), "--set", "precision=float32"]
    assert run(command) == 0
    said = capsys.readouterr().out
    assert "29 rated answers" in said and "mean gain: good ones" in said
    assert run([*command, "--json"]) == 0
    assert "good" in json.loads(capsys.readouterr().out)["gains"]
    feedback(file.with_name("liked.jsonl"), "uuu")
    assert run([*words[:3], str(file.with_name("liked.jsonl")), "--out", str(tmp_path / "x")]) == 2
    assert "both kinds are needed" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x").exists()
