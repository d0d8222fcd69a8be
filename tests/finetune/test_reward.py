"""Learning from rewards: advantages and loss by hand, answers packed beside their prompt, tasks without leaks, a run that earns more."""

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
import torch

import groundup
from groundup.cli.main import run as groundup_verb
from groundup.device import Compute, generator
from groundup.errors import ConfigError, DataError, FormatError
from groundup.finetune.group_relative import advantages, divergence, group_loss
from groundup.finetune.reward import fit_reward, signs_of_reward_hacking
from groundup.finetune.reward_config import RewardConfig
from groundup.finetune.reward_tasks import GENERATORS, SIDES, RewardItem, generate_task, read_task
from groundup.finetune.rewards import REWARDS, load_reward
from groundup.finetune.rollouts import (
    AnswerSampler,
    OnPolicyBatches,
    Rollout,
    packed_row,
    with_advantages,
)
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.lora import add_lora, copy_merged, lora_parameters, merge_lora, without_lora
from groundup.progress import Silent
from groundup.runs import RunFolder, read_lines
from groundup.tokenizer.chat import Message
from groundup.train.steps.losses import group_relative_loss
from groundup.weights.model_io import OpenModel, open_model, save_model

OpenBase = Callable[[], OpenModel]
TINY = RewardConfig(
    steps=2, prompts=2, group=4, answer_tokens=4, items=12, validation=4, test=6,
    rank=2, alpha=4.0, precision="float32", sampling="float32",
)  # fmt: skip
ANSWERS = ((7, 8, 9, 10), (11,), (12, 13, 14), (8, 7))


def item(prompt: str = "Which?", answer: str = "4", reward: str = "number") -> RewardItem:
    row = {"prompt": prompt, "answer": answer}
    return RewardItem((Message("user", prompt),), row, REWARDS[reward])


def rollout(ids: tuple[int, ...], reward: float, text: str = "") -> Rollout:
    return Rollout(item(), ids, text, True, reward)


def model_of(**changes: object) -> LanguageModel:
    shape = {
        "width": 32,
        "num_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 2,
        "feedforward_width": 64,
    }
    model = LanguageModel(ModelConfig(vocab_size=50, context_tokens=24, **shape, **changes))  # type: ignore[arg-type]
    initialise(model, generator(1, "test"))
    with torch.no_grad():
        model.transformer.embedding.weight.mul_(20)
    return model


def adapted(model: LanguageModel) -> LanguageModel:
    """With adapters that change what it says."""
    add_lora(model, rank=2, alpha=4.0, generator=generator(2, "lora"))
    with torch.no_grad():
        for each in lora_parameters(model):
            each.normal_(0, 0.2, generator=generator(each.numel(), "weights"))
    return model


def alone(model: LanguageModel, prompt: list[int], answer: tuple[int, ...]) -> torch.Tensor:
    """The log-probability of each token of an answer, in a row of its own."""
    logprobs = model(torch.tensor([[*prompt, *answer]]))[0].log_softmax(-1)
    places = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
    return torch.stack([logprobs[at, id] for at, id in zip(places, answer, strict=True)])


def test_the_advantage_of_four_answers_by_hand() -> None:
    assert advantages([1, 0, 0, 1]) == [0.5, -0.5, -0.5, 0.5]
    assert advantages([1, 0, 0, 0]) == [0.75, -0.25, -0.25, -0.25]
    # sample variance (0.5625 + 3 * 0.0625) / 3 = 0.25: divided by 0.5
    assert advantages([1, 0, 0, 0], normalise=True) == pytest.approx(
        [1.5, -0.5, -0.5, -0.5], rel=1e-3
    )
    assert advantages([0, 0, 0, 0], normalise=True) == [0, 0, 0, 0]
    assert divergence(-2.0, -1.0) == pytest.approx(math.e - 2)


@pytest.mark.parametrize("changes", [{}, {"positions": "alibi"}, {"window_tokens": 3}], ids=str)
def test_answers_packed_beside_their_prompt_are_as_in_rows_of_their_own(
    changes: dict[str, object],
) -> None:
    model, prompt = model_of(**changes), [1, 2, 3, 4, 5, 6]
    row = packed_row(prompt, [rollout(ids, 1.0) for ids in ANSWERS]).padded(30)  # over the context
    documents = torch.tensor([row.documents])
    packed = model(torch.tensor([row.ids]), documents=documents)[0].log_softmax(-1)
    found = [packed[at, id] for at, id in enumerate(row.labels) if id >= 0]
    expected = torch.cat([alone(model, prompt, ids) for ids in ANSWERS])
    torch.testing.assert_close(torch.stack(found), expected, atol=1e-5, rtol=1e-5)


def test_loss_and_gradient_are_those_of_plain_numbers() -> None:
    model, prompt, beta = adapted(model_of()), [1, 2, 3, 4, 5, 6], 0.3
    rewards = [1.0, 0.0, 0.0, 1.0]
    group = with_advantages(list(map(rollout, ANSWERS, rewards)), normalise=False)

    class Written:
        """Instead of a sampler: the group as it is."""

        precision = "float32"

        def prompt_ids(self, item: RewardItem) -> list[int]:
            return prompt

        def groups(self, *args: object) -> list[list[Rollout]]:
            return [group]

    config = replace(TINY, prompts=1, beta=beta)
    batch = OnPolicyBatches([item()], Written(), config, "").batch(0)  # type: ignore[arg-type]
    found = group_relative_loss(model, batch)
    assert batch.figures["reward"] == 0.5 and batch.figures["answer_tokens"] == 2.5
    with torch.no_grad():
        now = [alone(model, prompt, ids).tolist() for ids in ANSWERS]
        with without_lora(model):
            start = [alone(model, prompt, ids).tolist() for ids in ANSWERS]
    assert start != now
    expected = group_loss(now, start, rewards, beta)
    assert float(found.total.detach()) / found.count == pytest.approx(expected, rel=1e-4)
    pairs = zip(itertools.chain(*now), itertools.chain(*start), strict=True)
    away = sum(itertools.starmap(divergence, pairs)) / 10
    assert found.figures["kl"] == pytest.approx(away, rel=1e-3)
    found.total.backward()
    parameters = lora_parameters(model)
    slopes = [each.grad.clone() for each in parameters if each.grad is not None]
    steepest = sum(float((each**2).sum()) for each in slopes) / found.count

    def objective(step: float) -> float:
        """Of the weights after a step along the gradient: A log pi - beta KL of each token."""
        total = 0.0
        with torch.no_grad():
            for each, slope in zip(parameters, slopes, strict=True):
                each += step * slope
            for answer, rollout, reference in zip(ANSWERS, group, start, strict=True):
                for own, other in zip(
                    alone(model, prompt, answer).tolist(), reference, strict=True
                ):
                    total += rollout.advantage * own - beta * divergence(own, other)
            for each, slope in zip(parameters, slopes, strict=True):
                each -= step * slope
        return total / len(ANSWERS)

    measured = (objective(1e-4) - objective(-1e-4)) / 2e-4
    assert measured == pytest.approx(-steepest, rel=0.05), "the gradient is that of the objective"


def test_the_copy_that_samples_has_the_merged_weights() -> None:
    plain = model_of()
    model = adapted(model_of())
    copy_merged(model, plain)
    merge_lora(model)
    for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize(
    ("reward", "wanted", "right", "wrong"),
    [
        ("exact", "two words", " two  words ", "Two words"),
        ("number", "1,085", "47 + 38 = 1085.", "1085 or 7"),
        ("regex", r"\d{4}-\d\d", "2026-11", "in 2026-11"),
        ("json_schema", {"type": "object", "required": ["n"]}, '{"n": 1}', '{"m": 1}'),
        ("json_schema", '{"type": "array"}', "[]", "[1"),
        ("json", {"n": [1, None]}, '{"n": [1,null]}', '{"n": [1]}'),
        ("json", '{"n": 1}', ' {"n": 1} ', 'It is {"n": 1}'),
        ("supported", "45 minutes", "It lasts 45 minutes.", "45 minutes, or 60 with Dr Hale."),
        ("supported", "45 minutes", "About 45 Minutes", "It lasts long."),
    ],
)
def test_a_reward_tells_right_from_wrong(
    reward: str, wanted: object, right: str, wrong: str
) -> None:
    row = {"prompt": "?", "answer": wanted, "context": "An appointment lasts 45 minutes."}
    assert REWARDS[reward].of(right, row) == 1.0
    assert REWARDS[reward].of(wrong, row) == 0.0


def test_a_function_of_the_users_is_a_reward_and_its_faults_are_sentences(tmp_path: Path) -> None:
    file = tmp_path / "rules.py"
    file.write_text(
        'def short(answer, row):\n    """Few letters."""\n    return 1 / (1 + len(answer))\n\n'
        "def lost(answer, row):\n    return row['nowhere']\n\n"
        "def none(answer, row):\n    pass\n\n"
        "def one(answer):\n    return 1\n"
    )
    found = load_reward(f"{file}:short")
    assert found.of("abc", {}) == 0.25 and found.rule == "Few letters."
    for name, said in {
        f"{file}:lost": "KeyError",
        f"{file}:none": "gave None",
        f"{file}:one": "takes 1 arguments",
        f"{file}:nothing": "has no function 'nothing'",
        f"{tmp_path / 'no.py'}:f": "can't be loaded",
        "nmber": "Did you mean 'number'",
    }.items():
        with pytest.raises(ConfigError, match=said):
            load_reward(name).of("abc", {})


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generated_task_is_seeded_right_and_the_same_on_no_two_sides(name: str) -> None:
    config = replace(TINY, items=60, validation=10, test=20)
    task, again = generate_task(name, config), generate_task(name, config)
    assert task.counts == {"train": 60, "validation": 10, "test": 20}
    assert task.fingerprint == again.fingerprint
    assert task.fingerprint != generate_task(name, replace(config, seed=1)).fingerprint
    keys = {}
    for side in SIDES:
        for each in task.side(side):
            words = each.text.split()
            if name == "dates":
                start = datetime.strptime(" ".join(words[6:9]).rstrip("?"), "%d %B %Y").date()
                assert (date.fromisoformat(each.wanted) - start).days == int(words[3])
                assert each.reward.of(f" {each.wanted}\n", each.row) == 1
                assert each.reward.of(f"It is {each.wanted}.", each.row) == 0
                assert keys.setdefault(f"{start} {words[3]}", side) == side
                continue
            if name == "json-extraction":
                found = json.loads(each.wanted)
                assert all(str(value) in each.text for value in found.values())
                assert each.reward.of(each.wanted, each.row) == 1
                other = json.dumps({**found, "people": str(found["people"])})
                assert each.reward.of(other, each.row) == 0, "a number is not its digits as text"
                assert each.reward.of(f"```{each.wanted}```", each.row) == 0
                assert keys.setdefault(each.wanted, side) == side
                continue
            if name == "addition":
                one, other = int(words[2]), int(words[4].rstrip("?"))
                assert int(each.wanted) == one + other and one % 10 + other % 10 > 9
                key = str(sorted((one, other)))
            else:
                key = words[8].rstrip(".")
                assert int(each.wanted) == key.count(words[3])
            assert keys.setdefault(key, side) == side, "a sum or a word is on one side only"
            assert each.reward.of(f"It is {each.wanted}.", each.row) == 1
    wanted = [each.wanted for each in task.train]
    assert max(map(wanted.count, wanted)) < len(wanted) / 2, "one answer to all earns little"


def test_rows_of_ones_own_are_read_and_bad_ones_refused(tmp_path: Path) -> None:
    file = tmp_path / "task.jsonl"
    rows = [{"prompt": f"Say {n}.", "answer": str(n), "reward": "exact"} for n in range(20)]
    rows += [{"prompt": "say  3.", "answer": "3", "reward": "exact"}, {**rows[0], "prompt": "last", "split": "test"}]  # fmt: skip

    def task(changed: dict[str, object] | None = None) -> groundup.finetune.reward_tasks.RewardTask:  # type: ignore[name-defined]
        found = rows if changed is None else [*rows, changed]
        file.write_text("".join(json.dumps(row) + "\n" for row in found))
        return read_task(file, TINY)

    found = task()
    assert found.counts == {"train": 18, "validation": 2, "test": 1}, "a repeat is left out"
    assert found.test[0].text == "last"
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "4?"}]
    talk = {"messages": said, "answer": "4", "reward": "number"}
    assert task(talk).counts["train"] == 19
    for bad, told in (
        ({"answer": "4", "reward": "exact"}, "row 23 has no prompt"),
        ({"prompt": "x", "answer": "4"}, "names no reward"),
        ({"prompt": "x", "reward": "exact"}, "has no 'answer'"),
        ({"prompt": "x", "answer": "four", "reward": "number"}, "has no number in digits"),
        ({"prompt": "x", "answer": "(", "reward": "regex"}, "no regular expression"),
        ({"prompt": "x", "answer": "{", "reward": "json"}, "its answer is no JSON"),
        ({"prompt": "x", "answer": "4", "reward": "supported"}, "no text beside it in 'context'"),
        (
            {"prompt": "x", "answer": "4", "context": "Five.", "reward": "supported"},
            "does not stand in the row's 'context'",
        ),
        ({"prompt": "x", "answer": {"type": 3}, "reward": "json_schema"}, "no JSON schema"),
        ({"prompt": "x", "answer": "4", "reward": "exact", "split": "dev"}, "its split is 'dev'"),
    ):
        with pytest.raises((DataError, ConfigError), match=told):
            task(bad)
    file.write_text("{}\n[")
    with pytest.raises((DataError, FormatError)):
        read_task(file, TINY)


def test_signs_of_reward_hacking_are_told() -> None:
    asked = [item(f"What is {n} + 1?", str(n + 1)) for n in range(10)]
    same = [Rollout(each, (1,) * 3, "2", True, float(each.wanted == "2")) for each in asked]
    assert (
        "One answer is said to 10 of 10 held-out prompts, and earns something for 1"
        in signs_of_reward_hacking(same)["lines"][0]
    )
    guess = [
        Rollout(each, (1,) * 3, f"{n} 77 or {n + 1}", True, 1.0) for n, each in enumerate(asked)
    ]
    assert "10 of 10 right answers name other numbers" in signs_of_reward_hacking(guess)["lines"][0]
    right = [Rollout(each, (1,) * 3, f"It is {n + 1}.", True, 1.0) for n, each in enumerate(asked)]
    assert signs_of_reward_hacking(right)["lines"] == []
    long = [*right[:-1], replace(right[-1], ids=(1,) * 40)]
    assert (
        "1 of 10 right answers have more than 3 times" in signs_of_reward_hacking(long)["lines"][0]
    )


def test_a_run_earns_more_than_before_and_its_folder_opens(
    open_base: OpenBase, compute: Compute, tmp_path: Path
) -> None:
    """The reward: a letter e in the answer."""
    opened, rules = open_base(), tmp_path / "rules.py"
    with torch.no_grad():  # it then says many things
        opened.model.transformer.embedding.weight.mul_(0.5)
    save_model(opened.model, tmp_path / "base", opened.tokenizer)
    rules.write_text("def letters(answer, row):\n    return float('e' in answer)\n")
    (tmp_path / "general.txt").write_text("see you at the station\n\ncall me later today\n")
    file = tmp_path / "task.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"see {n}"}) + "\n" for n in range(20)))
    config = replace(
        TINY,
        steps=14,
        group=16,
        answer_tokens=2,
        rank=8,
        alpha=16.0,
        learning_rate=3e-2,
        reward=f"{rules}:letters",
        general=tmp_path / "general.txt",
        beta=0.001,
    )
    run = RunFolder(tmp_path / "run")
    results = fit_reward(
        open_model(tmp_path / "base", compute), read_task(file, config), run, config,
        compute=compute, progress=Silent(),
    )  # fmt: skip
    lines = [line for line in read_lines(run.metrics_file) if "reward" in line]
    first, last = (sum(line["reward"] for line in some) for some in (lines[:2], lines[-2:]))
    assert len(lines) == 14 and last > first + 1, "sampled answers earn more"
    assert results.validation["after"] > results.validation["before"] and results.best_step > 0
    assert results.score["metric"] == "accuracy" and results.rounds["answers"] == 14 * 32
    assert lines[0]["kl"] == 0 and lines[-1]["kl"] > 0, "measured from the model as it was"
    samples = list(read_lines(run.samples_file))
    assert {"prompt", "text", "reward", "advantage"} <= set(samples[0])
    again = fit_reward(
        open_model(tmp_path / "base", compute), read_task(file, config), run, config,
        compute=compute, progress=Silent(),
    )  # fmt: skip
    assert again == results, "a finished run is read"
    task, learned = read_task(file, config), open_model(run.path, compute)
    assert isinstance(learned.model, LanguageModel)
    sampler = AnswerSampler(learned.model, learned.require_tokenizer(), compute, config)
    earned = [each.reward for each in sampler.greedy(task.test)]
    assert sum(earned) / len(earned) == pytest.approx(results.score["after"]["value"], abs=1e-6)


def test_the_verb_says_what_came_and_refuses_with_a_sentence(
    open_base: OpenBase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened, out = open_base(), tmp_path / "run"
    save_model(opened.model, tmp_path / "base", opened.tokenizer)
    words = ["finetune", "reward", str(tmp_path / "base"), "addition", "--out", str(out)]
    words += [
        "--steps",
        "1",
        "--prompts",
        "1",
        "--group",
        "2",
        "--answer-tokens",
        "2",
        "--items",
        "12",
    ]
    (tmp_path / "general.txt").write_text("see you at the station\n\ncall me later today\n")
    words += ["--general", str(tmp_path / "general.txt")]
    sets = ("validation=2", "test=4", "precision=float32", "sampling=float32")
    words += [word for each in sets for word in ("--set", each)]
    assert groundup_verb([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["score"]["after"]["n"] == 4 and told["folder"] == str(out)
    assert "general" in told["forgetting"]
    for changed, said in (
        (["finetune", "reward", words[2], "additon", "--out", "x"], "Did you mean 'addition'"),
        ([*words, "--reward", "nmber"], "Did you mean 'number'"),
        ([*words, "--reward", "exact"], "The task addition has a reward of its own"),
        ([*words, "--group", "1"], "group"),
        ([*words, "--fresh", "--set", "beta=-1"], "beta must be 0 or more"),
        ([*words, "--beta", "0.5"], "holds another run"),
    ):
        assert groundup_verb(changed) == 2
        assert said in " ".join(capsys.readouterr().err.split())
