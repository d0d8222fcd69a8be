"""Loss on answers, checks by rule, and before and after side by side."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from groundup.data.documents import InstructionExample, to_conversation
from groundup.device import Compute
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.errors import DataError, ModelError
from groundup.evaluate.comparison.run import evaluate
from groundup.evaluate.tasks.answers import AnswerLoss, CheckedAnswers, ShownAnswers, passes
from groundup.model.heads import Classifier, LanguageModel
from groundup.progress import Silent
from groundup.tokenizer.chat import render
from groundup.weights.model_io import OpenModel

NUMBER = {"type": "number", "answer": "4"}
LABEL = {"type": "label", "answer": "spam", "labels": ["spam", "not spam"]}
WORD = {"type": "word", "answer": "Paris"}
EXAMPLES = [
    InstructionExample("Which label?", "call now", "spam", "a", "classification", True, LABEL),  # type: ignore[arg-type]
    InstructionExample(
        "See you at the station?", "", "at the station, call now", "b", "question", True
    ),
    InstructionExample("How many?", "", "There are 4.", "c", "arithmetic", True, NUMBER),
]


@pytest.mark.parametrize(
    ("answer", "check", "right"),
    [
        ("It is cut into 4 pieces.", NUMBER, True),
        ("4", NUMBER, True),
        ("4.0 pieces", NUMBER, True),
        ("4th", NUMBER, True),
        ("There are 5, not 4.", NUMBER, False),
        ("four", NUMBER, False),
        ("-4", NUMBER, False),
        ("14", NUMBER, False),
        ("", NUMBER, False),
        ("1,200 metres", {"type": "number", "answer": "1200"}, True),
        ("It is Spam.", LABEL, True),
        ("spam, surely spam", LABEL, True),
        ("It is not spam.", LABEL, False),
        ("spam or not spam", LABEL, False),
        ("spammer", LABEL, False),
        ("the capital is PARIS!", WORD, True),
        ("Parisian", WORD, False),
        ("spam", {"type": "label", "answer": "spam"}, True),
    ],
)
def test_answers_are_checked_by_rule(answer: str, check: dict[str, object], right: bool) -> None:
    assert passes(answer, check) is right


def test_answer_loss_is_the_cross_entropy_of_the_masked_tokens(
    opened: OpenModel, compute: Compute
) -> None:
    assert opened.tokenizer is not None and isinstance(opened.model, LanguageModel)
    nats, count = 0.0, 0
    for example in EXAMPLES:
        rendered = render(to_conversation(example), opened.tokenizer)
        with torch.no_grad():
            logits = opened.model(torch.tensor([rendered.ids[:-1]]))[0]
        losses = F.cross_entropy(logits, torch.tensor(rendered.ids[1:]), reduction="none")
        nats += float(losses[torch.tensor(rendered.mask[1:])].sum())
        count += sum(rendered.mask[1:])
    (measure,) = AnswerLoss(EXAMPLES).measure(opened, compute=compute, progress=Silent()).measures
    assert measure.value == pytest.approx(nats / count, abs=1e-4)
    assert measure.n == 3 and measure.thin and measure.better == "lower"
    assert measure.chance == pytest.approx(math.log(opened.config.vocab_size))


def test_answers_behind_the_cut_are_left_out_and_none_left_is_refused(
    opened: OpenModel, compute: Compute
) -> None:
    assert opened.tokenizer is not None
    lengths = sorted(
        render(to_conversation(e), opened.tokenizer).mask.index(True) for e in EXAMPLES
    )
    outcome = AnswerLoss(EXAMPLES, max_tokens=lengths[1]).measure(
        opened, compute=compute, progress=Silent()
    )
    assert outcome.details["left_out"] == 2
    with pytest.raises(DataError, match="answer"):
        AnswerLoss(EXAMPLES, max_tokens=lengths[0]).measure(
            opened, compute=compute, progress=Silent()
        )


def test_answers_written_together_are_those_written_alone(
    opened: OpenModel, compute: Compute
) -> None:
    assert opened.tokenizer is not None and isinstance(opened.model, LanguageModel)
    tokenizer, stops = opened.tokenizer, opened.tokenizer.special.stop_ids
    found = ShownAnswers(EXAMPLES, max_tokens=12).measure(
        opened, compute=compute, progress=Silent()
    )
    for example, shown in zip(EXAMPLES, found.details["answers"], strict=True):
        prompt = render(
            to_conversation(example, answer=False), tokenizer, add_generation_prompt=True
        ).ids
        alone = list(
            generate_ids(
                opened.model, prompt, Sampling(temperature=0, max_tokens=12), stops, compute=compute
            )
        )
        assert shown["answer"] == tokenizer.decode(alone, skip_control=True).strip()


def test_checked_answers_count_only_what_code_can_check(
    opened: OpenModel, compute: Compute
) -> None:
    outcome = CheckedAnswers(EXAMPLES, max_tokens=4).measure(
        opened, compute=compute, progress=Silent()
    )
    (measure,) = outcome.measures
    assert measure.n == 2 and measure.chance == pytest.approx(0.25)  # a label of two, and a number
    assert [shown["id"] for shown in outcome.details["answers"]] == ["a", "c"]
    assert measure.value == outcome.details["right"] / 2
    with pytest.raises(DataError, match="check"):
        CheckedAnswers(EXAMPLES[1:2]).measure(opened, compute=compute, progress=Silent())


def test_two_models_are_compared_answer_by_answer(opened: OpenModel, compute: Compute) -> None:
    assert isinstance(opened.model, LanguageModel)
    other = LanguageModel(opened.config)
    other.load_state_dict(opened.model.state_dict())
    with torch.no_grad():
        other.transformer.final_norm.weight.mul_(0.5)  # softer everywhere: surer of nothing
    models = {"base": opened, "chat": replace(opened, model=other.eval())}
    results = evaluate(
        models, [AnswerLoss(EXAMPLES), CheckedAnswers(EXAMPLES, max_tokens=4)], compute=compute
    ).to_plain()
    json.dumps(results, allow_nan=False)
    change, share = results["changes"]
    base, chat = (row for row in results["rows"] if row["metric"] == "loss_nats")
    assert change["value"] == pytest.approx(chat["value"] - base["value"])
    assert (change["from"], change["to"], change["n"]) == ("base", "chat", 3)
    assert change["verdict"] == "unclear" and change["low"] is None, "three answers are too few"
    assert (share["metric"], share["n"], share["p_value"]) == ("accuracy", 2, 1.0)
    assert [
        answer["id"] for answer in results["details"]["checked answers"]["chat"]["answers"]
    ] == ["a", "c"]


def test_models_that_write_no_text_are_refused(opened: OpenModel, compute: Compute) -> None:
    classifier = OpenModel(
        Classifier(opened.config, 2), opened.tokenizer, opened.config, Path("c"), "classifier"
    )
    with pytest.raises(ModelError, match="classifier"):
        AnswerLoss(EXAMPLES).measure(classifier, compute=compute, progress=Silent())
    mute = OpenModel(opened.model, None, opened.config, Path("m"), "language")
    with pytest.raises(ModelError, match="tokenizer"):
        AnswerLoss(EXAMPLES).measure(mute, compute=compute, progress=Silent())
