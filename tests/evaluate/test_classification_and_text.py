"""Baselines, the model that is only asked, bits per byte, and the table of all."""

import json
import math
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from groundup.data.documents import Example
from groundup.device import Compute, generator
from groundup.engine.score import score
from groundup.errors import ConfigError, DataError, MissingExtra, ModelError
from groundup.evaluate.comparison.run import evaluate
from groundup.evaluate.task import Measure, describe
from groundup.evaluate.tasks import classification, label_baselines, label_figures
from groundup.evaluate.tasks.classification import Classification, ZeroShot
from groundup.evaluate.tasks.text import BitsPerByte, sample_texts
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.progress import Silent
from groundup.weights.model_io import OpenModel

WORDS = [
    "see",
    "you",
    "at",
    "the",
    "station",
    "call",
    "me",
    "when",
    "over",
    "we",
    "can",
    "meet",
    "later",
    "today",
]


def messages(n: int, seed: int) -> list[Example]:
    draw = random.Random(seed)
    found = []
    for _ in range(n):
        spam = draw.random() < 0.2
        words = draw.choices(WORDS, k=8)
        found.append(
            Example(" ".join([*words, "prize"] if spam else words), "spam" if spam else "ham")
        )
    return found


def test_simple_methods_find_a_plain_signal_and_the_majority_does_not() -> None:
    train, test = messages(200, 1), messages(100, 2)
    found = label_baselines.baseline_predictions(train, messages(60, 3), test, ["ham", "spam"])
    predictions = {each.name: each.predicted for each in found}
    assert (
        found[0].settings["C"] in label_baselines.TFIDF_C
        and found[0].settings["loss"] < 0.5
        and not found[2].settings
    )
    rows, same = label_figures.compare(
        predictions, [e.label for e in test], ["ham", "spam"], "spam"
    )
    figures = {row["name"]: row["accuracy"] for row in rows}
    words, letters, majority = figures.values()
    assert words["value"] > 0.95 and letters["value"] > 0.95
    assert (
        majority["value"]
        == majority["chance"]
        == pytest.approx(sum(e.label == "ham" for e in test) / 100)
    )
    assert rows[2]["f1"] == 0.0 and same == rows


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        sys.modules, "sklearn.feature_extraction.text", None
    )  # Python's own way to say: not there
    with pytest.raises(MissingExtra, match="scikit-learn"):
        label_baselines.predict_tfidf(
            messages(10, 1), messages(9, 3), messages(5, 2), ["ham", "spam"], characters=False
        )


def test_methods_are_compared_on_the_messages_that_all_of_them_saw() -> None:
    actual = ["ham", "spam", "ham", "ham"]
    rows, same = label_figures.compare(
        {"a": actual, "b": ["ham", "ham"]}, actual, ["ham", "spam"], "spam"
    )
    assert [row["accuracy"]["n"] for row in rows] == [4, 2]
    assert [row["accuracy"]["n"] for row in same] == [2, 2]
    assert [row["accuracy"]["value"] for row in same] == [1.0, 0.5]


def test_the_first_method_is_compared_with_each_other_one_message_by_message() -> None:
    actual = ["ham"] * 30 + ["spam"] * 12
    never = ["ham"] * 42
    rows, same = label_figures.compare(
        {"ours": actual, "never": never, "asked": never[:31]}, actual, ["ham", "spam"], "spam"
    )
    ours, of_never, of_asked = rows
    assert "lead" not in ours and ours["accuracy"]["value"] == 1.0
    assert of_never["lead"]["accuracy"]["value"] == pytest.approx(12 / 42)
    assert of_never["lead"]["accuracy"]["verdict"] == of_never["lead"]["f1"]["verdict"] == "better"
    assert of_never["lead"]["f1"]["value"] == 1.0
    assert (of_asked["lead"]["accuracy"]["n"], of_asked["lead"]["accuracy"]["verdict"]) == (
        31,
        "unclear",
    )
    assert same[1]["lead"]["accuracy"]["n"] == 31


def test_two_classifiers_are_compared_by_their_right_answers(
    opened: OpenModel, compute: Compute
) -> None:
    examples, models = messages(20, 4), {}
    for seed in (2, 3):
        model = Classifier(opened.config, 2)
        initialise(model, generator(seed, "test"))
        models[str(seed)] = OpenModel(
            model.eval(), opened.tokenizer, opened.config, Path("c"), "classifier", ("ham", "spam")
        )
    results = evaluate(models, [Classification(examples, "spam")], compute=compute).to_plain()
    (change,) = results["changes"]
    values = [row["value"] for row in results["rows"] if row["metric"] == "accuracy"]
    assert change["value"] == pytest.approx(values[1] - values[0]) and 0 < change["p_value"] <= 1


def test_zero_shot_takes_the_label_that_scores_highest(opened: OpenModel, compute: Compute) -> None:
    assert opened.tokenizer is not None and isinstance(opened.model, LanguageModel)
    examples = messages(12, 3)
    labels = ("ham", "spam")
    outcome = ZeroShot(examples, labels, "spam", items=9).measure(
        opened, compute=compute, progress=Silent()
    )
    question = classification.default_question(labels)
    expected = []
    for example in examples[:9]:
        prompt = classification.zero_shot_prompt(question, example.text, opened.tokenizer)
        turns = [
            [*opened.tokenizer.encode(label), opened.tokenizer.special.eos_id] for label in labels
        ]
        pairs = [(prompt, turn) for turn in turns]
        found = score(opened.model, pairs, compute=compute)
        scored = [each.logprob / len(label) for each, label in zip(found, labels, strict=True)]
        expected.append(labels[scored.index(max(scored))])
    assert outcome.details["predictions"] == expected
    assert (outcome.details["asked"], outcome.details["of"]) == (9, 12)
    assert outcome.measures[0].n == 9


@pytest.mark.parametrize("taught", ["see", "see you", "see you at the station"])
def test_a_label_that_begins_another_label_has_no_advantage(
    opened: OpenModel, compute: Compute, taught: str
) -> None:
    """A model that has learnt to answer one of three labels, each the beginning of the next, is found to answer that one."""
    assert opened.tokenizer is not None
    labels, question = ("see", "see you", "see you at the station"), "Which?"
    prompt = classification.zero_shot_prompt(question, "call now", opened.tokenizer)
    turn = classification.answer_ids(taught, opened.tokenizer)
    assert (
        turn[-1] == opened.tokenizer.special.eos_id and opened.tokenizer.decode(turn[:-1]) == taught
    )
    model = LanguageModel(opened.config)
    initialise(model, generator(3, "test"))
    ids, optimizer = (
        torch.tensor([[*prompt, *turn]]),
        torch.optim.AdamW(model.parameters(), lr=0.01),
    )
    for _ in range(40):
        loss = F.cross_entropy(model(ids[:, :-1])[0, len(prompt) - 1 :], ids[0, len(prompt) :])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    learnt = replace(opened, model=model.eval())
    asked = {"compute": compute, "progress": Silent()}
    assert classification.predict_zero_shot(learnt, ["call now"], labels, question, **asked) == [
        taught
    ]


def test_labels_need_two_and_the_rarest_is_looked_for() -> None:
    with pytest.raises(DataError, match="'ham'"):
        label_figures.labels_of([Example("a", "ham"), Example("b", "ham")])
    with pytest.raises(DataError, match="no examples"):
        label_figures.labels_of([])
    assert (
        label_figures.positive_label([Example("a", "x"), Example("b", "y"), Example("c", "x")])
        == "y"
    )


def test_a_classifier_is_judged_by_its_own_labels(opened: OpenModel, compute: Compute) -> None:
    model = Classifier(opened.config, 2)
    initialise(model, generator(2, "test"))
    classifier = OpenModel(
        model.eval(), opened.tokenizer, opened.config, Path("c"), "classifier", ("ham", "spam")
    )
    examples = messages(20, 4)
    outcome = Classification(examples, "spam").measure(
        classifier, compute=compute, progress=Silent()
    )
    predicted = outcome.details["predictions"]
    right = sum(p == e.label for p, e in zip(predicted, examples, strict=True))
    assert outcome.measures[0].value == right / 20
    with pytest.raises(ModelError, match="does not have: eggs"):
        Classification([Example("a", "eggs")], "eggs").measure(
            classifier, compute=compute, progress=Silent()
        )
    with pytest.raises(ModelError):
        Classification(examples, "spam").measure(opened, compute=compute, progress=Silent())


def test_bits_per_byte_counts_every_token_once(opened: OpenModel, compute: Compute) -> None:
    assert opened.tokenizer is not None and isinstance(opened.model, LanguageModel)
    text = "Call now to win a prize, see you at the station… 🙂"
    ids = [opened.tokenizer.special.document_end_id, *opened.tokenizer.encode(text)]
    with torch.no_grad():
        logits = opened.model(torch.tensor([ids[:-1]]))[0]
    nats = float(F.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum"))
    outcome = BitsPerByte([text]).measure(opened, compute=compute, progress=Silent())
    assert outcome.measures[0].value == pytest.approx(
        nats / math.log(2) / len(text.encode()), abs=1e-5
    )
    cut = BitsPerByte([text] * 3, window_tokens=7).measure(
        opened, compute=compute, progress=Silent()
    )
    assert cut.details["tokens"] == 3 * (len(ids) - 1) and cut.details["bytes"] == 3 * len(
        text.encode()
    )
    assert cut.measures[0].n == 3 * math.ceil((len(ids) - 1) / 7)


def test_bits_per_byte_needs_text(opened: OpenModel, compute: Compute) -> None:
    with pytest.raises(DataError, match="text"):
        BitsPerByte(["", ""]).measure(opened, compute=compute, progress=Silent())


def test_results_are_one_plain_table(opened: OpenModel, compute: Compute) -> None:
    tasks = [BitsPerByte(["see you"]), ZeroShot(messages(5, 5), ("ham", "spam"), "spam")]
    results = evaluate({"a": opened, "b": opened}, tasks, compute=compute).to_plain()
    json.dumps(results, allow_nan=False)
    assert [(row["task"], row["model"]) for row in results["rows"]][:2] == [
        ("text", "a"),
        ("text", "b"),
    ]
    assert all(row["thin"] and row["n"] > 0 for row in results["rows"])
    with pytest.raises(ConfigError, match="at least one model"):
        evaluate({}, tasks, compute=compute)
    with pytest.raises(ConfigError, match="different"):
        evaluate({"a": opened}, [tasks[0], tasks[0]], compute=compute)


def test_a_figure_is_said_with_interval_n_and_chance() -> None:
    said = describe(Measure("accuracy", 0.984, 0.969, 0.992, 500, 0.876))
    assert said == "accuracy 98.4 % (95 % interval 96.9 to 99.2, n = 500, chance 87.6 %)"
    assert "n = 9, thin" in describe(Measure("loss_nats", 2.0, None, None, 9))


def test_measured_text_is_spread_over_many_documents_each_long_enough_to_mean_something() -> None:
    long = [f"{number} " * 1_000 for number in range(50_000, 50_200)]  # 6,000 characters each
    chosen = sample_texts(long, seed=1)
    assert len(chosen) == 32 and {len(text) for text in chosen} == {1_024}
    assert sample_texts(reversed(long), seed=1) == chosen != sample_texts(long, seed=2)
    few = sample_texts(["", "a" * 100, "b" * 90_000, "c" * 90_000], seed=1, max_characters=10_100)
    assert sorted(few) == ["a" * 100, "b" * 5_000, "c" * 5_000]
    assert len(sample_texts(long, seed=1, max_texts=10)) == 10


def test_measured_passages_stand_at_random_places_and_begin_with_a_word() -> None:
    head = "Licence Home About Contact "
    texts = [head + " ".join(f"word{n}-{of}" for n in range(900)) for of in range(100)]
    chosen = sample_texts(texts, seed=3)
    assert len({text[:20] for text in chosen}) == len(chosen)
    assert all(text.startswith(("word", "Licence Home")) for text in chosen)
    assert sum("Contact" in text for text in chosen) <= 3


def test_passages_of_a_language_without_spaces_stand_anywhere() -> None:
    texts = ["".join(chr(0x4E00 + (n * 7 + of) % 5000) for n in range(9_000)) for of in range(40)]
    found = [of.find(part) for part in sample_texts(texts, seed=2) for of in texts if part in of]
    assert len({place // 1_000 for place in found}) > 4


def test_more_documents_than_characters_are_measured_are_no_error(
    opened: OpenModel, compute: Compute
) -> None:
    texts = sample_texts((f"see you at {number}" for number in range(40_000)), seed=0)
    assert 32_768 - 20 < sum(map(len, texts)) <= 32_768
    few = sample_texts(
        (f"see you at {number}" for number in range(40_000)), seed=0, max_characters=200
    )
    assert (
        BitsPerByte(few).measure(opened, compute=compute, progress=Silent()).details["bytes"] == 200
    )
