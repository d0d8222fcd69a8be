"""What a model forgets: the same text before and after, item by item; a file in place of the packaged text; what is no worse is not called so."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from groundup.device import Compute
from groundup.errors import ConfigError, DataError
from groundup.evaluate.comparison import forgetting
from groundup.evaluate.comparison.forgetting import (
    QUESTIONS,
    SUITES,
    compare,
    forgetting_lines,
    general_text,
    general_texts,
    measure,
    suites,
)
from groundup.evaluate.tasks.text import BitsPerByte
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.progress import Silent
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.model_io import OpenModel

CPU = Compute(torch.device("cpu"))


@pytest.fixture(scope="module")
def opened() -> OpenModel:
    tokenizer = train_tokenizer(["The red fox saw the old hen. " * 20], 270)
    torch.manual_seed(0)
    config = ModelConfig(
        tokenizer.vocab_size, 64, width=16, num_layers=1, num_heads=2, feedforward_width=32
    )
    return OpenModel(LanguageModel(config), tokenizer, config, Path("a model"), "language")


def with_context(opened: OpenModel, tokens: int) -> OpenModel:
    config = replace(opened.config, context_tokens=tokens)
    return replace(opened, model=LanguageModel(config), config=config)


def test_the_packaged_text_has_enough_items_for_an_interval() -> None:
    task = general_text(None, Silent())
    assert (
        isinstance(task, BitsPerByte)
        and task.name == "general"
        and list(SUITES) == ["general", "multiple_choice"]
    )
    assert len(task.texts) == 30 and all(200 < len(text) < 500 for text in task.texts)
    assert len(set(task.texts)) == 30


def test_an_unchanged_model_forgets_nothing_and_a_disturbed_one_does(opened: OpenModel) -> None:
    tasks = suites(None, Silent())
    opened.model.train()
    before = measure(tasks, opened, CPU, Silent())
    assert opened.model.training, "the mode is left as it was"
    same = compare(before, measure(tasks, opened, CPU, Silent()))["general"]
    assert same["difference"]["value"] == 0 and same["difference"]["verdict"] == "unclear"
    assert same["before"] == before["general"].measures[0].value
    with torch.no_grad():
        for parameter in opened.model.parameters():
            parameter.mul_(8)
    worse = compare(before, measure(tasks, opened, CPU, Silent()))["general"]
    assert worse["difference"]["verdict"] == "worse" and worse["after"] > worse["before"]
    (line,) = forgetting_lines({"general": worse})
    assert (
        line.startswith("general text: ") and line.endswith(": worse") and "95 % interval" in line
    )


def test_a_file_of_general_text_takes_the_place_of_the_packaged_one(
    opened: OpenModel, tmp_path: Path
) -> None:
    (tmp_path / "general.txt").write_text("A hen and a fox. " * 10)
    task, _ = suites(tmp_path / "general.txt", Silent())
    assert isinstance(task, BitsPerByte) and task.name == "general" and "A hen" in task.texts[0]
    found = compare(*[measure((task,), opened, CPU, Silent())] * 2)["general"]
    assert (
        found["difference"]["low"] is None
        and "interval" not in forgetting_lines({"general": found})[0]
    )
    with pytest.raises(DataError):
        suites(tmp_path / "missing.txt", Silent())


def test_suites_and_texts_are_named_and_a_large_model_is_asked_a_sample(
    opened: OpenModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text(f"A hen, a fox, {name}. " * 10)
    one, two = (str(tmp_path / f"{name}.txt") for name in ("one", "two"))
    tasks = suites(f"{one},grammar=12,{two},multiple_choice", Silent())
    assert [task.name for task in tasks] == ["general", two, "grammar", "multiple_choice"]
    assert general_texts(f"{one},grammar", Silent()) == [(tmp_path / "one.txt").read_text()]
    roomy = with_context(opened, 512)
    found = measure(tasks, roomy, CPU, Silent())
    every = found["multiple_choice"].measures[0].n
    assert found["grammar"].measures[0].n == 12 and every > QUESTIONS
    monkeypatch.setattr(forgetting, "MAX_WORK", 2e7)
    said: list[str] = []
    progress = Silent()
    monkeypatch.setattr(progress, "say", said.append)
    sample = measure(suites("multiple_choice", Silent()), roomy, CPU, progress)["multiple_choice"]
    number = sample.measures[0].n
    assert 1 < number < every
    assert said == [
        f"multiple_choice: {number} of {every} questions are measured, the same before and after; "
        f"multiple_choice={every} asks all."
    ]
    asked = measure(suites(f"multiple_choice={every}", Silent()), roomy, CPU, progress)
    assert asked["multiple_choice"].measures[0].n == every
    with pytest.raises(ConfigError, match="neither a file nor a suite"):
        suites("gramar", Silent())
    with pytest.raises(ConfigError, match="1 or more"):
        suites("grammar=0", Silent())


def test_questions_that_are_forgotten_are_worse_and_those_beyond_the_context_are_left_out(
    opened: OpenModel,
) -> None:
    tasks = suites(None, Silent())
    narrow, roomy = (with_context(opened, tokens) for tokens in (16, 512))
    assert list(measure(tasks, narrow, CPU, Silent())) == ["general"]
    before = measure(tasks, roomy, CPU, Silent())["multiple_choice"]
    assert before.measures[0].metric == "accuracy" and before.measures[0].n == QUESTIONS
    items = before.per_item
    assert items is not None
    forgot = replace(before, per_item=replace(items, totals=(0.0,) * QUESTIONS))
    knew = replace(before, per_item=replace(items, totals=(1.0,) * QUESTIONS))
    found = compare({"multiple_choice": knew}, {"multiple_choice": forgot})["multiple_choice"]
    assert found["difference"]["verdict"] == "worse", "higher is better"
    assert found["difference"]["p_value"] < 1e-9
    [line] = forgetting_lines({"multiple_choice": found})
    assert line.startswith("multiple choice: ") and "paired difference -100.0" in line
