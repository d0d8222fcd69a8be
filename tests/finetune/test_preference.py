"""DPO: loss and gradients by hand, of all weights and of LoRA; the chosen answers gain; equal pairs are refused; a stopped run resumes."""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from groundup.cli.finetune_lines import chat_lines
from groundup.cli.main import run
from groundup.data.documents import PreferenceExample
from groundup.device import Compute
from groundup.errors import DataError
from groundup.finetune.chat_training import same_answer
from groundup.finetune.config import PreferenceConfig
from groundup.finetune.preference import (
    READ_AT_EACH_END,
    Pair,
    as_batch,
    compare_pairs,
    fit_preference,
    held_out_figures,
    logprobs,
    prepare_pairs,
    with_reference,
)
from groundup.model.heads import LanguageModel
from groundup.model.lora import add_lora, lora_parameters
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.chat import Message
from groundup.tokenizer.fast import Tokenizer
from groundup.train.steps.losses import preference_loss
from groundup.weights.model_io import OpenModel, open_model, save_model

OpenBase = Callable[[], OpenModel]
BETA = 0.3
CONFIG = PreferenceConfig(epochs=6, learning_rate=5e-3, precision="float32", batch_size=4)


def pair(number: int, chosen: str, rejected: str) -> PreferenceExample:
    return PreferenceExample((Message("user", f"see you {number}"),), chosen, rejected, str(number))


@pytest.fixture(scope="module")
def pairs() -> list[PreferenceExample]:
    """The longer answer is preferred."""
    words = ("up", "down", "left", "right", "me", "you")
    return [
        pair(n, f"{words[n % 6]} it is over", f"{words[(n + 1) % 6]} we can") for n in range(40)
    ]


@pytest.fixture
def prepared(pairs: list[PreferenceExample], tokenizer: Tokenizer) -> list[Pair]:
    data = prepare_pairs(pairs, tokenizer, max_tokens=100, seed=0)
    return [
        replace(each, reference=(-20.0 - n, -21.5 + n)) for n, each in enumerate(data.train[:3])
    ]


def by_hand(model: LanguageModel, ids: list[int], mask: list[bool]) -> Tensor:
    """log p(answer | prompt), one token after the other, each from a forward pass of its own."""
    total = torch.zeros(())
    for place in range(1, len(ids)):
        if mask[place]:
            logits = model(torch.tensor([ids[:place]]))[0, -1]
            total = total + logits[ids[place]] - torch.logsumexp(logits, dim=0)
    return total


def read(
    model: LanguageModel, pairs: list[Pair], config: PreferenceConfig, compute: Compute
) -> list[tuple[float, float]]:
    return logprobs(model, pairs, config, compute=compute, progress=Silent(), what="reference")


@pytest.mark.parametrize("lora, sft_weight", [(False, 0.0), (True, 0.5)])
def test_loss_and_gradients_are_those_of_a_hand_computation(
    lora: bool, sft_weight: float, base_model: LanguageModel, prepared: list[Pair]
) -> None:
    model = copy.deepcopy(base_model)
    if lora:
        add_lora(model, rank=2, alpha=4.0, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            for parameter in lora_parameters(model):
                parameter.normal_(
                    0, 0.1, generator=torch.Generator().manual_seed(parameter.numel())
                )
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    found = preference_loss(model, as_batch(prepared, BETA, sft_weight))
    gradients = torch.autograd.grad(found.total, trained)
    # dL = -beta sigmoid(-(r_w - r_l)) (d log p(w) - d log p(l)) - a d log p(w) / |w|, pair by pair
    loss, expected = 0.0, [torch.zeros_like(parameter) for parameter in trained]
    for each in prepared:
        better, worse = (
            by_hand(model, text.ids, text.mask) for text in (each.chosen, each.rejected)
        )
        margin = BETA * ((better.item() - each.reference[0]) - (worse.item() - each.reference[1]))
        weight, share = -BETA / (1 + math.exp(margin)), sft_weight / sum(each.chosen.mask[1:])
        loss += math.log(1 + math.exp(-margin)) - share * better.item()
        ups, downs = (
            torch.autograd.grad(side, trained, retain_graph=True) for side in (better, worse)
        )
        expected = [
            total + weight * (up - down) - share * up
            for total, up, down in zip(expected, ups, downs, strict=True)
        ]
    assert found.count == 3 and found.total.item() == pytest.approx(loss, rel=1e-4)
    for gradient, by_pairs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, by_pairs, atol=1e-4, rtol=1e-3)
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients)


def test_without_a_difference_from_the_reference_the_loss_is_log_2(
    base_model: LanguageModel, prepared: list[Pair], compute: Compute
) -> None:
    sums = read(base_model, prepared, CONFIG, compute)
    for each, (chosen, rejected) in zip(prepared, sums, strict=True):
        assert chosen == pytest.approx(
            by_hand(base_model, each.chosen.ids, each.chosen.mask).item(), abs=1e-3
        )
        assert rejected == pytest.approx(
            by_hand(base_model, each.rejected.ids, each.rejected.mask).item(), abs=1e-3
        )
    same = with_reference(prepared, sums)
    assert preference_loss(base_model, as_batch(same, BETA)).total.item() / 3 == pytest.approx(
        math.log(2), abs=1e-5
    )
    figures = held_out_figures(same, sums, PreferenceConfig(beta=BETA, sft_weight=0))
    assert figures["held_out_loss"] == pytest.approx(math.log(2)) and figures["accuracy"] == 0
    weighed = held_out_figures(same, sums, PreferenceConfig(beta=BETA, sft_weight=2))
    assert weighed["held_out_loss"] == pytest.approx(math.log(2) + 2 * figures["chosen_loss"])


def test_in_bf16_log_probabilities_are_about_those_of_float32(
    base_model: LanguageModel, prepared: list[Pair], compute: Compute
) -> None:
    exact, rounded = (
        read(base_model, prepared, replace(CONFIG, precision=precision), compute)
        for precision in ("float32", "bf16")
    )
    assert rounded != exact and sum(rounded, ()) == pytest.approx(sum(exact, ()), rel=0.01)
    fixed = replace(compute, fixed_choices=True)
    assert read(base_model, prepared, replace(CONFIG, precision="auto"), fixed) == exact


def test_margins_and_preferences_are_compared_pair_by_pair(prepared: list[Pair]) -> None:
    many = [replace(prepared[0], reference=(-20.0, -21.0)) for _ in range(20)]
    examples = [pair(n, "up", "down") for n in range(20)]
    sums = [
        (-20.0 + n / 10, -21.0 - n / 10) for n in range(20)
    ]  # each chosen answer gains n / 10 nats, each rejected loses them
    margins, _, shown = compare_pairs(many, examples, sums, BETA)
    wanted = [BETA * n / 5 for n in range(20)]
    assert margins["after"] == pytest.approx(sum(wanted) / 20)
    assert margins["difference"]["low"] > 0 and margins["difference"]["verdict"] == "better"
    assert [each["margin"] for each in shown] == pytest.approx([*wanted[:6], *wanted[-6:]])
    assert READ_AT_EACH_END == 6 and shown[-1]["id"] == "19"


@pytest.mark.parametrize("train", [pytest.param("lora", marks=pytest.mark.slow), "all"])
def test_chosen_answers_gain_on_held_out_pairs(
    train: str,
    open_base: OpenBase,
    pairs: list[PreferenceExample],
    compute: Compute,
    tmp_path: Path,
) -> None:
    rate = 5e-3 if train == "lora" else 1e-3
    config = replace(CONFIG, train=train, learning_rate=rate, merge=True)  # type: ignore[arg-type]
    folder = RunFolder(tmp_path / "run")
    results = fit_preference(open_base(), pairs, folder, config, compute=compute)
    loss, chosen = results.held_out_loss, results.chosen_loss
    assert loss["before"] == pytest.approx(math.log(2) + chosen["before"], abs=1e-4)
    assert loss["after"] - chosen["after"] < 0.3
    assert chosen["after"] < chosen["before"] and results.moved_nats["chosen"] > 0, "written, too"
    assert (
        results.accuracy["value"] == 1.0
        and results.examples["held_out"] == results.accuracy["n"] == 4
    )
    assert results.prefers["after"] >= results.prefers["before"]
    assert results.margins["after"] == pytest.approx(results.margin, abs=1e-5)
    assert (
        results.margins["difference"]["n"] == 4 and results.margins["difference"]["low"] is None
    ), "too few"
    assert results.moved_nats["chosen"] > results.moved_nats["rejected"]
    assert results.answer_words["reference"] == 4.0 and len(results.answers) == 4
    (first, *_, last) = results.pairs
    assert (
        len(results.pairs) == 4
        and first["margin"] <= last["margin"]
        and first["prompt"].startswith("see you")
    )
    assert set(results.forgetting["general"]) == {
        "metric",
        "before",
        "after",
        "difference",
        "chance",
        "is_chance",
    }
    general = results.forgetting["general"]
    worse = {**general, "difference": {**general["difference"], "verdict": "worse"}}
    said = chat_lines(replace(results, forgetting={"general": worse}), folder.path)
    assert any("Forgotten: general. A larger sft_weight" in line for line in said)
    assert fit_preference(open_base(), pairs, folder, config, compute=compute) == results
    assert open_model(folder.path, compute).config == open_base().config
    json.dumps(results.plain(), allow_nan=False)


def test_an_answer_given_to_most_prompts_is_named_where_few_want_it() -> None:
    def of(after: str, reference: str) -> list[dict[str, str]]:
        sides = zip(after.split("|"), reference.split("|"), strict=True)
        return [{"after": said, "reference": wanted} for said, wanted in sides]

    found = same_answer(of("No.|No.| No.\n|Yes.", "No.|a|b|Yes."))
    assert found == {"text": "No.", "after": 3, "reference": 1}
    assert same_answer(of("No.|No.|No.|Yes.", "No.|No.|b|Yes.")) is None, "most of them want it"
    assert same_answer(of("No.|No.|a|Yes.", "b|c|d|e")) is None, "half of them get it"


def test_only_the_last_answer_counts(tokenizer: Tokenizer) -> None:
    prompt = (Message("user", "up"), Message("assistant", "down"), Message("user", "left"))
    examples = [
        PreferenceExample(prompt, "right", "me", "1"),
        PreferenceExample(prompt[:1], "right", "me", "2"),
    ]
    data = prepare_pairs(examples * 1 + [pair(3, "up", "you")], tokenizer, max_tokens=100, seed=0)
    for each in (*data.train, *data.held_out):
        learned = [
            id for id, counts in zip(each.chosen.ids, each.chosen.mask, strict=True) if counts
        ]
        assert tokenizer.decode(learned) in ("right<|im_end|>", "up<|im_end|>")


def test_equal_pairs_are_one_sentence(
    pairs: list[PreferenceExample], tokenizer: Tokenizer, open_base: OpenBase, tmp_path: Path
) -> None:
    with pytest.raises(
        DataError, match=r"The pair '7' has the same answer as chosen and as rejected"
    ):
        prepare_pairs([*pairs[:5], pair(7, "up", " up\n")], tokenizer, max_tokens=100, seed=0)
    late = pair(90, f"{'see ' * 60}up", f"{'see ' * 60}down")
    data = prepare_pairs(
        [*pairs, late, replace(late, id="91", prompt=(Message("user", "x"),))],
        tokenizer,
        max_tokens=60,
        seed=0,
    )
    assert data.left_out == 2, "the same within the limit"
    with pytest.raises(DataError, match="All answers are cut, of 72 texts .*: 9 tokens"):
        prepare_pairs(pairs, tokenizer, max_tokens=9, seed=0)


def test_the_verb_from_a_file_to_an_adapter(
    pairs: list[PreferenceExample],
    open_base: OpenBase,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened = open_base()
    save_model(opened.model, tmp_path / "base", opened.tokenizer)
    rows = [
        {"prompt": each.prompt[0].content, "chosen": each.chosen, "rejected": each.rejected}
        for each in pairs
    ]
    data, out = tmp_path / "pairs.jsonl", tmp_path / "run"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [
        "finetune",
        "preference",
        str(tmp_path / "base"),
        str(data),
        "--out",
        str(out),
        "--rank",
        "2",
    ]
    command += ["--set", "precision=float32"]
    assert run(command) == 0
    said = capsys.readouterr()
    assert (
        "words in the answers to 4 held-out prompts" in said.out
        and "log-probability of the chosen answers" in said.out
        and "36 pairs, 1 epochs" in said.out
        and "chosen answers " in said.out
        and "gained more" in said.out
    )
    assert (out / "adapter_config.json").is_file()
    assert run([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lora"]["rank"] == 2
    assert run(["generate", str(out), "see you", "--max-tokens", "2"]) == 0
    data.write_text("".join(json.dumps({**row, "rejected": row["chosen"]}) + "\n" for row in rows))
    capsys.readouterr()
    assert run([*command, "--fresh"]) == 2
    assert "its two answers are the same" in " ".join(capsys.readouterr().err.split())
    assert run([*command[:-2], "--beta", "0"]) == 2
    assert "beta must be above 0" in " ".join(capsys.readouterr().err.split())
