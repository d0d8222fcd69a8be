"""Instructions are learned from their answers alone, in low-rank corrections that are merged at the end."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from groundup.data.batches.loader import IGNORED_LABEL
from groundup.data.documents import InstructionExample, to_conversation
from groundup.data.reading.example_splits import hold_out
from groundup.device import Compute
from groundup.errors import ConfigError, DataError
from groundup.evaluate.comparison.forgetting import suites
from groundup.evaluate.tasks.answers import AnswerLoss, CheckedAnswers
from groundup.files import verify_folder
from groundup.finetune.chat_training import proposed_replay
from groundup.finetune.config import ChatConfig
from groundup.finetune.instruct import fit_chat, measure_tokens_per_s
from groundup.finetune.instruction_data import AnswerBatches, make_instruction_data
from groundup.finetune.order import epoch_batches
from groundup.model.heads import LanguageModel
from groundup.progress import Silent
from groundup.runs import RunFolder, read_lines
from groundup.tokenizer.chat import render
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import ModelCard, OpenModel, open_model

OpenBase = Callable[[], OpenModel]
CONFIG = ChatConfig(
    tokens=10_000, epochs=1000, learning_rate=1e-2, precision="float32", max_tokens=48, merge=True
)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    base_model: LanguageModel,
    tokenizer: Tokenizer,
    instructions: list[InstructionExample],
) -> Path:
    import copy

    folder = tmp_path_factory.mktemp("run") / "chat"
    opened = OpenModel(
        copy.deepcopy(base_model), tokenizer, base_model.config, Path("base"), "language"
    )
    card = ModelCard("tiny chat", data=(("opposites", "none"),))
    fit_chat(
        opened,
        instructions,
        RunFolder(folder),
        CONFIG,
        compute=Compute(torch.device("cpu")),
        card=card,
    )
    return folder


def test_held_out_loss_falls(finished: Path) -> None:
    results = RunFolder(finished).read_results()
    loss = results["held_out_loss"]
    assert loss["after"] < 0.5 * loss["before"]
    assert results["held_out"]["low"] < loss["after"] < results["held_out"]["high"]
    assert results["held_out"]["n"] == results["examples"]["held_out"] == 8
    assert 0 < results["supervised_share"] < 0.5
    assert CONFIG.tokens <= results["tokens"] < CONFIG.tokens + 8 * 48
    json.dumps(results, allow_nan=False)


def test_before_and_after_are_what_evaluation_finds(
    finished: Path, open_base: OpenBase, instructions: list[InstructionExample], compute: Compute
) -> None:
    held_out = [example for example in instructions if example.held_out]
    results = RunFolder(finished).read_results()
    models = {"before": open_base(), "after": open_model(finished, compute)}
    for side, opened in models.items():
        (measure,) = (
            AnswerLoss(held_out).measure(opened, compute=compute, progress=Silent()).measures
        )
        assert measure.value == pytest.approx(results["held_out_loss"][side], abs=1e-4)
        (general,) = (
            suites(None, Silent())[0].measure(opened, compute=compute, progress=Silent()).measures
        )
        assert general.value == pytest.approx(results["forgetting"]["general"][side], abs=1e-4)


def test_the_merged_model_answers_what_it_learned(
    finished: Path, open_base: OpenBase, instructions: list[InstructionExample], compute: Compute
) -> None:
    checked = [
        replace(example, check={"type": "word", "answer": example.output})
        for example in instructions
        if example.held_out
    ]
    task = CheckedAnswers(checked, max_tokens=6)
    before, after = (
        task.measure(opened, compute=compute, progress=Silent()).measures[0].value
        for opened in (open_base(), open_model(finished, compute))
    )
    assert before < 0.5 and after > 0.7


def test_only_the_matrices_of_the_blocks_change(
    finished: Path, base_model: LanguageModel, compute: Compute
) -> None:
    saved = open_model(finished, compute).model.state_dict()
    assert saved.keys() == base_model.state_dict().keys()
    for name, tensor in base_model.state_dict().items():
        adapted = ".blocks." in name and "norm" not in name
        assert torch.equal(saved[name], tensor) is not adapted, name


def test_the_folder_is_whole_and_says_what_it_is(finished: Path) -> None:
    verify_folder(finished)
    card = (finished / "README.md").read_text()
    assert "opposites" in card and "held-out answers after" in card
    assert RunFolder(finished).read_run()["kind"] == "chat"


def test_a_finished_run_is_only_read_and_another_one_refused(
    finished: Path, open_base: OpenBase, instructions: list[InstructionExample], compute: Compute
) -> None:
    run = RunFolder(finished)
    assert (
        fit_chat(open_base(), instructions, run, CONFIG, compute=compute).plain()
        == run.read_results()
    )
    with pytest.raises(ConfigError, match="rank was [0-9]+ and is 4"):
        fit_chat(open_base(), instructions, run, replace(CONFIG, rank=4), compute=compute)
    with pytest.raises(ConfigError, match="inputs"):
        fit_chat(open_base(), instructions[:30], run, CONFIG, compute=compute)


@pytest.mark.slow
def test_recomputed_activations_change_memory_and_no_loss(
    tmp_path: Path,
    finished: Path,
    open_base: OpenBase,
    instructions: list[InstructionExample],
    compute: Compute,
) -> None:
    few = replace(CONFIG, tokens=600)
    kept, recomputed = (
        fit_chat(
            open_base(),
            instructions,
            RunFolder(tmp_path / name),
            replace(few, recompute=value),
            compute=compute,
        )
        for name, value in (("kept", False), ("recomputed", True))
    )
    assert kept.held_out_loss == recomputed.held_out_loss
    run = RunFolder(finished)  # the setting may change in the middle of a run
    assert fit_chat(
        open_base(), instructions, run, replace(CONFIG, recompute=True), compute=compute
    )


def test_prompts_and_padding_have_no_labels(
    tokenizer: Tokenizer, instructions: list[InstructionExample]
) -> None:
    rendered = [render(to_conversation(example), tokenizer) for example in instructions[:7]]
    batches = AnswerBatches(rendered, batch_size=7, seed=0)
    batch = batches.batch(0)
    by_ids = {tuple(each.ids): each for each in rendered}
    for ids, labels in zip(batch.ids.tolist(), batch.labels.tolist(), strict=True):
        each = next(r for key, r in by_ids.items() if list(key[:-1]) == ids[: len(key) - 1])
        count = len(each.ids) - 1
        expected = [
            id if counts else IGNORED_LABEL
            for id, counts in zip(each.ids[1:], each.mask[1:], strict=True)
        ]
        assert labels == [*expected, *[IGNORED_LABEL] * (len(labels) - count)]
        learned = [id for id in labels if id != IGNORED_LABEL]
        assert tokenizer.decode(learned).endswith("<|im_end|>") and len(learned) < count / 2


def test_examples_whose_answer_is_cut_off_are_left_out_and_all_of_them_refused(
    open_base: OpenBase,
    tokenizer: Tokenizer,
    instructions: list[InstructionExample],
    compute: Compute,
    tmp_path: Path,
) -> None:
    long = InstructionExample("see you " * 30, "", "down", "long")
    lesson = make_instruction_data([*instructions, long], tokenizer, max_tokens=48, seed=0)
    assert lesson.left_out == 1 and len(lesson.train) == 40
    talkative = [replace(each, output="we can meet later today " * 8) for each in instructions]
    for examples, limit, lost in ((instructions, 4, "40 are gone"), (talkative, 24, "40 lose")):
        with pytest.raises(
            DataError, match=f"All answers are cut, of 40 .*: {limit} tokens.*{lost}"
        ):
            fit_chat(
                open_base(),
                examples,
                RunFolder(tmp_path / "r"),
                replace(CONFIG, max_tokens=limit),
                compute=compute,
            )
    assert not (tmp_path / "r").exists()


def test_the_weights_with_the_lowest_held_out_loss_are_kept(
    open_base: OpenBase,
    instructions: list[InstructionExample],
    compute: Compute,
    tmp_path: Path,
) -> None:
    run = RunFolder(tmp_path / "r")
    wild = replace(CONFIG, tokens=20_000, learning_rate=9.0, answers=2, patience=1)
    results = fit_chat(open_base(), instructions, run, wild, compute=compute)
    loss = {
        line["step"]: line["held_out_loss"]
        for line in read_lines(run.metrics_file)
        if line.get("event") == "evaluation"
    }
    assert 0 < results.best_step == min(loss, key=lambda step: loss[step]) < results.steps
    assert results.steps < results.planned_steps
    assert results.held_out_loss["after"] == loss[results.best_step]
    task = AnswerLoss([each for each in instructions if each.held_out], max_tokens=48)
    opened = open_model(run.path, compute)
    (kept,) = task.measure(opened, compute=compute, progress=Silent()).measures
    assert kept.value == pytest.approx(results.held_out_loss["after"], abs=1e-4)
    assert [each["reference"] for each in results.answers or []] == ["down"] * 2
    assert fit_chat(open_base(), instructions, run, wild, compute=compute) == results


def test_a_model_that_only_becomes_worse_is_kept_as_it_was(
    finished: Path, instructions: list[InstructionExample], compute: Compute, tmp_path: Path
) -> None:
    """Wrong training answers, and right ones to measure on."""
    wrong = [each if each.held_out else replace(each, output="over") for each in instructions]
    opened, run = open_model(finished, compute), RunFolder(tmp_path / "r")
    config = replace(CONFIG, tokens=3_000, answers=0)
    results = fit_chat(opened, wrong, run, config, compute=compute)
    assert results.best_step == 0 < results.steps < results.planned_steps
    assert results.held_out_loss["before"] == results.held_out_loss["after"]
    before, after = (open_model(each, compute).model.state_dict() for each in (finished, run.path))
    assert all(torch.equal(before[name], each) for name, each in after.items())


def test_a_tenth_is_held_out_where_none_is_marked(instructions: list[InstructionExample]) -> None:
    unmarked = [replace(example, held_out=False) for example in instructions]

    def chosen(examples: list[InstructionExample], seed: int = 0) -> set[str]:
        return {example.id for example in hold_out(examples, seed).held_out}

    assert len(chosen(unmarked)) == 5 and chosen(unmarked) == chosen(unmarked[::-1]) != chosen(
        unmarked, seed=1
    )
    assert chosen(instructions) == {e.id for e in instructions if e.held_out}
    with pytest.raises(DataError, match="too few"):
        hold_out(unmarked[:1], seed=0)


def test_measuring_the_speed_changes_nothing(
    open_base: OpenBase,
    base_model: LanguageModel,
    instructions: list[InstructionExample],
    compute: Compute,
) -> None:
    opened = open_base()
    assert (
        measure_tokens_per_s(opened, instructions, CONFIG, compute=compute, progress=Silent()) > 0
    )
    state = opened.model.state_dict()
    assert state.keys() == base_model.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in base_model.state_dict().items())


def test_the_order_is_a_function_of_seed_and_epoch_and_leaves_none_out() -> None:
    lengths = [(7 * place) % 23 + 1 for place in range(101)]
    first = epoch_batches(lengths, 4, seed=1, epoch=0)
    assert sorted(i for batch in first for i in batch) == list(range(101))
    assert first == epoch_batches(lengths, 4, seed=1, epoch=0)
    assert first != epoch_batches(lengths, 4, seed=1, epoch=1)
    assert first != epoch_batches(lengths, 4, seed=2, epoch=0)
    assert {len(epoch_batches(lengths, 4, seed=1, epoch=epoch)) for epoch in range(5)} == {
        len(first)
    }
    padding = sum(len(batch) * max(lengths[i] for i in batch) for batch in first) / sum(lengths)
    assert padding < 1.25


def test_replayed_text_is_read_beside_the_examples_and_less_is_forgotten(
    open_base: OpenBase,
    instructions: list[InstructionExample],
    compute: Compute,
    tmp_path: Path,
) -> None:
    lines = [f"call me when it is over at station {number}, we can meet" for number in range(90)]
    measured, replayed = tmp_path / "measured.txt", tmp_path / "replayed.jsonl"
    measured.write_text("\n".join(lines[:20]))
    rows = [measured.read_text(), *lines[20:]]
    replayed.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    found = {}
    config = replace(CONFIG, tokens=2000, general=measured, merge=False)
    for name, replay in (("without", ""), ("with", f"{replayed}=0.4")):
        opened, asked = open_base(), replace(config, replay=replay)
        found[name] = fit_chat(
            opened, instructions, RunFolder(tmp_path / name), asked, compute=compute
        )
    read, general = found["with"].replay, {name: found[name].forgetting for name in found}
    assert read is not None and read["source"] == str(replayed)
    assert read["share"] == pytest.approx(0.4, abs=0.01) and found["without"].replay is None
    assert general["without"] is not None and general["with"] is not None
    assert general["with"]["general"]["after"] < general["without"]["general"]["after"] - 0.1
    again = replace(found["without"], forgetting={"x": {"difference": {"verdict": "worse"}}})
    assert proposed_replay(again) == 0.1
    assert proposed_replay(replace(again, replay={"share": 0.2})) == 0.4
    assert proposed_replay(replace(again, forgetting={})) is None
    only = replace(config, general=replayed, replay=str(replayed))
    with pytest.raises(DataError, match="not measured"):
        fit_chat(open_base(), instructions, RunFolder(tmp_path / "no"), only, compute=compute)
    with pytest.raises(ConfigError, match="above 0 and below 1"):
        ChatConfig(replay="wikipedia=1.5")
