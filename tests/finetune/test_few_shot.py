"""The base model shown examples of each label before it is asked: which, in what form, how many, and what it costs."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from groundup.data.documents import Example
from groundup.device import Compute
from groundup.engine.score import score
from groundup.errors import ConfigError
from groundup.evaluate.tasks.classification import answer_ids
from groundup.evaluate.tasks.label_baselines import FewShot, choose_shots, shown_examples
from groundup.finetune.classifier_baselines import ask_after_examples
from groundup.finetune.config import ClassifierConfig
from groundup.model.heads import LanguageModel
from groundup.progress import Silent
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.weights.model_io import OpenModel

Splits = dict[str, list[Example]]
OpenBase = Callable[[], OpenModel]
LABELS = ("ham", "spam")


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def track(self, *args: Any) -> Any:
        return Silent().track(*args)


def few_of(splits: Splits) -> FewShot:
    return FewShot(splits["train"], LABELS, "is it", max_tokens=6)


def test_so_many_training_examples_of_each_label_are_shown_the_same_each_time(
    splits: Splits,
) -> None:
    shown = shown_examples(splits["train"], LABELS, 3, 0)
    assert Counter(each.label for each in shown) == {"ham": 3, "spam": 3}
    assert set(shown) <= set(splits["train"]) and shown == shown_examples(
        splits["train"][::-1], LABELS, 3, 0
    )
    assert shown != shown_examples(splits["train"], LABELS, 3, 1)
    one = shown_examples(splits["train"], LABELS, 1, 0)
    assert set(one) <= set(shown)


def test_examples_are_turns_of_a_conversation_before_the_question(
    splits: Splits, open_base: OpenBase
) -> None:
    tokenizer, few = open_base().require_tokenizer(), few_of(splits)
    (prompt,) = few.prompts(["call me"], 1, tokenizer)
    turns: list[Message] = []
    for example in shown_examples(splits["train"], LABELS, 1, 0):
        cut = tokenizer.decode(tokenizer.encode(example.text)[:64])
        turns += [Message("user", f"is it\n\n{cut}"), Message("assistant", example.label)]
    asked = Conversation((*turns, Message("user", "is it\n\ncall me")))
    assert prompt == render(asked, tokenizer, add_generation_prompt=True).ids


def test_the_label_said_is_the_best_of_each_answer_scored_alone(
    splits: Splits, open_base: OpenBase, compute: Compute
) -> None:
    opened, few = open_base(), few_of(splits)
    assert isinstance(opened.model, LanguageModel)
    texts, tokenizer = [each.text for each in splits["test"][:6]], opened.require_tokenizer()
    assert few.fits(texts, 1, opened) and not few.fits(texts, 40, opened)
    found = few.predict(opened, texts, 1, compute=compute, progress=Silent())
    for text, label in zip(texts, found, strict=True):
        (prompt,) = few.prompts([text], 1, tokenizer)
        alone = {
            each: score(opened.model, [(prompt, answer_ids(each, tokenizer))], compute=compute)[
                0
            ].logprob
            / len(each)
            for each in LABELS
        }
        assert label == max(alone, key=lambda each: alone[each])


def test_the_number_of_examples_is_chosen_on_validation_among_those_that_fit(
    splits: Splits, open_base: OpenBase, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {1: 0.5, 2: 0.9, 4: 1.0}

    def predict(
        self: FewShot, opened: OpenModel, texts: list[str], shots: int, **_: Any
    ) -> list[str]:
        true = {each.text: each.label for each in splits["validation"]}
        wrong = {"ham": "spam", "spam": "ham"}
        return [
            true[text] if i < right[shots] * len(texts) else wrong[true[text]]
            for i, text in enumerate(texts)
        ]

    monkeypatch.setattr(FewShot, "predict", predict)
    monkeypatch.setattr(FewShot, "fits", lambda self, texts, shots, opened: shots < 4)
    tried = choose_shots(
        few_of(splits), open_base(), splits["validation"], compute=compute, progress=Silent()
    )
    assert [(each["shots"], each["accuracy"], each["n"]) for each in tried] == [
        (2, 0.9, 40),
        (1, 0.5, 40),
    ]


def test_it_is_left_out_where_it_would_take_too_long_and_done_when_asked_for(
    splits: Splits, open_base: OpenBase, compute: Compute
) -> None:
    told = Told()
    asking: dict[str, Any] = {"zero_shot_s": 0.1, "items": 10, "compute": compute, "progress": told}
    few, opened = few_of(splits), open_base()
    assert ask_after_examples(few, opened, splits, 0, **asking) is None and not told.lines
    found = ask_after_examples(few, opened, splits, None, **asking)
    assert found is not None and len(found[0]) == 10 and set(found[0]) <= set(LABELS)
    assert (found[1]["asked"], found[1]["of"]) == (10, 70) and found[1]["shots"] == found[1][
        "tried"
    ][0]["shots"]
    assert (
        ask_after_examples(few, opened, splits, None, **{**asking, "zero_shot_s": 1000.0}) is None
    )
    assert (
        "which would take about" in told.lines[-1] and "few_shot = 1 asks it so" in told.lines[-1]
    )
    found = ask_after_examples(few, opened, splits, 1, **asking)
    assert found is not None and (found[1]["shots"], found[1]["tried"]) == (1, [])
    assert ask_after_examples(few, opened, splits, 50, **asking) is None
    assert "50 examples of each label do not fit the context of 160" in told.lines[-1]
    with pytest.raises(ConfigError, match="must be 0 or more"):
        ClassifierConfig(few_shot=-1)
    with pytest.raises(ConfigError, match="few_shot asks the base model"):
        ClassifierConfig(few_shot=2, ask_base=False)
