"""`budget` of fine-tuning: what fits is planned once, said, and kept for a resumed run; the run ends in the time."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import groundup
from groundup.data.documents import Example, InstructionExample
from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.finetune import (
    chat_training,
    classifier_baselines,
    classifier_time,
    classifier_training,
)
from groundup.finetune.classifier_results import ClassifierResults
from groundup.finetune.config import ChatConfig, ClassifierConfig, EncoderConfig
from groundup.finetune.instruct import fit_chat
from groundup.finetune.reward_config import RewardConfig
from groundup.finetune.time_limit import TimeLimit, Workload
from groundup.model.heads import LanguageModel
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import OpenModel, save_model

PAIRS = Workload("pairs", 1000, 3.0, fewest=16)


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def limit_of(budget: str, spent_s: float) -> TimeLimit:
    """Of whose time so much has passed; the clock stands."""
    limit = TimeLimit(budget, clock=lambda: 0.0)
    limit.begun = -spent_s
    return limit


def never() -> float:
    raise AssertionError("measured again")


@pytest.mark.parametrize(
    ("budget", "step_s", "examples", "epochs", "said"),
    [
        ("1h", 0.1, 1000, 3.0, "all 1,000 pairs fit, 3 of 3 epochs"),
        ("5m", 0.1, 1000, 2.007, "all 1,000 pairs fit, 2.01 of 3 epochs"),
        ("2m", 0.1, 760, 1.0, "760 of 1,000 pairs fit"),
    ],
)
def test_all_examples_are_read_less_often_before_some_are_left_out(
    tmp_path: Path, budget: str, step_s: float, examples: int, epochs: float, said: str
) -> None:
    limit, run, progress = limit_of(budget, 10.0), RunFolder(tmp_path / "run"), Said()
    run.create("chat", {}, {})
    plan = limit.plan(run, PAIRS, lambda: step_s, progress)
    assert (plan.examples, plan.epochs) == (examples, pytest.approx(epochs, abs=0.01))
    assert f"Budget {budget}: {said}" in progress.lines[0]
    assert limit.plan(run, PAIRS, never, progress) == plan  # a resumed run
    assert limit.control(9).time_budget == dataclasses.replace(
        limit.control(9).time_budget,
        seconds=limit.left_s,
        max_steps=9,  # type: ignore[arg-type]
    )


def test_what_is_measured_before_is_kept_for_after_and_evaluations_have_a_share(
    tmp_path: Path,
) -> None:
    now = [0.0]
    limit = TimeLimit("100s", clock=lambda: now[0])

    def takes(seconds: float) -> Callable[[], None]:
        return lambda: now.__setitem__(0, now[0] + seconds)

    with limit.repeated():
        takes(4)()
    progress = Said()
    assert limit.compared(lambda: takes(6)() or {"general": 1}, progress) == {"general": 1}
    assert limit.left_s == pytest.approx(100 - 10 - 10 - 3) and not progress.lines
    work = dataclasses.replace(PAIRS, evaluations=10, evaluate=takes(4))
    run = RunFolder(tmp_path / "run")
    run.create("encoder", {}, {})
    plan = limit.plan(run, work, lambda: 0.1, Silent())
    assert plan.evaluations == 2  # a fifth of 73 s for evaluations of 4 s, one of them before
    assert plan.examples == int((73 - 3 * 4) / 0.14)
    short = TimeLimit("30s", clock=lambda: now[0])
    assert short.compared(lambda: takes(6)() or {"general": 1}, progress) == {}
    assert "Left out: what is forgotten (6 s" in progress.lines[0] and short.after_s < 1


def test_a_time_for_nothing_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create("chat", {}, {})
    with pytest.raises(ConfigError, match="no room for 16 pairs, 14 s each .* Give at least 5m"):
        limit_of("1m", 10.0).plan(run, PAIRS, lambda: 10.0, Silent())
    assert not run.path.exists()


@pytest.mark.parametrize("config", [ClassifierConfig, ChatConfig, EncoderConfig, RewardConfig])
@pytest.mark.parametrize(("budget", "fault"), [("10", "Did you mean 10m"), ("soon", "not a dur")])
def test_what_is_no_time_is_refused(config: Any, budget: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        config(budget=budget)


def test_a_chat_model_is_trained_on_what_fits_and_a_resumed_run_reads_the_same(
    open_base: Callable[[], OpenModel],
    instructions: list[InstructionExample],
    compute: Compute,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = ChatConfig(
        budget="2m", precision="float32", max_tokens=48, batch_size=4, answers=0, patience=0
    )
    monkeypatch.setattr(chat_training, "tokens_per_s", lambda *_, **__: 8.0)
    monkeypatch.setattr(chat_training, "suites", lambda *_: ())  # what is forgotten takes longest
    run, progress = RunFolder(tmp_path / "run"), Said()

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as first:
        first.setattr(chat_training, "fit", stop)
        with pytest.raises(KeyboardInterrupt):
            fit_chat(open_base(), instructions, run, config, compute=compute, progress=progress)
    monkeypatch.setattr(chat_training, "tokens_per_s", never)
    results = fit_chat(open_base(), instructions, run, config, compute=compute, progress=progress)
    found = results.budget
    assert found is not None and found["of"] == 48 and 16 <= found["examples"] < 48
    assert sum(results.examples.values()) == found["examples"] and found["epochs"] == 1
    assert any(f"{found['examples']} of 48 examples fit" in line for line in progress.lines)
    with pytest.raises(ConfigError, match="budget was 2m and is 3m"):
        other = dataclasses.replace(config, budget="3m")
        fit_chat(open_base(), instructions, run, other, compute=compute)


def test_a_classifier_is_made_of_the_texts_that_fit_and_asks_no_base_without_time(
    base_model: LanguageModel,
    tokenizer: Tokenizer,
    splits: dict[str, list[Example]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_model(base_model, tmp_path / "base", tokenizer)
    rows = [each for side in splits.values() for each in side]
    data = tmp_path / "messages.tsv"
    data.write_text("".join(f"{each.label}\t{each.text}\n" for each in rows))
    config = ClassifierConfig(budget="1m", train="head", epochs=1)
    monkeypatch.setattr(classifier_training, "RATES_SHARE", 0.0)
    monkeypatch.setattr(classifier_time, "text_s", lambda job: 0.5)
    monkeypatch.setattr(classifier_baselines, "ASKING_SHARE", 1.0)
    progress = Said()

    def made() -> ClassifierResults:
        out = tmp_path / "run"
        return groundup.finetune_classifier(tmp_path / "base", data, out, config, progress=progress)

    results = made()
    (said,) = (line for line in progress.lines if line.startswith("Budget 1m"))
    used = int(said.split()[2])
    assert 30 <= used <= 60 * 0.97 / 0.7 and f"{used} of 300 texts fit" in said
    assert results.zero_shot is None and results.learning_rate == 3e-3
    assert any(line.startswith("One learning rate, 0.003: 3 to choose") for line in progress.lines)
    assert any("leaves no time" in line for line in progress.lines)
    monkeypatch.setattr(classifier_time, "text_s", never)
    monkeypatch.setattr(classifier_training, "RATES_SHARE", 1.0)  # noted: a resumed run has it, too
    (tmp_path / "run" / "manifest.json").unlink()
    assert made().learning_rate == 3e-3
    with pytest.raises(ConfigError, match="trains many times"):
        dataclasses.replace(config, learning_curve=True)
