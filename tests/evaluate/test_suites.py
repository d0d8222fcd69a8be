"""Suites: the same items and scores for every model, batch size and order; chance and settings stand beside each figure."""

import dataclasses
import itertools
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import groundup
from groundup.cli.evaluate import command
from groundup.cli.main import run
from groundup.device import Compute, generator
from groundup.errors import ConfigError, DataError, ModelError
from groundup.evaluate.comparison.run import evaluate
from groundup.evaluate.config import EvaluationConfig
from groundup.evaluate.items import (
    CONTROL_BITS,
    Choices,
    Completion,
    Continuation,
    Generation,
    Item,
    MinimalPair,
    Prompt,
    Scored,
    Shot,
    WholeText,
    Written,
    prompt_ids,
    respond,
    scored_ids,
)
from groundup.evaluate.suite import (
    Suite,
    SuiteTask,
    chance_levels,
    shots_first,
    suite_tasks,
    template_for,
)
from groundup.evaluate.suites import scores
from groundup.evaluate.suites.registry import SUITES, rows_of, suites_named
from groundup.model.heads import LanguageModel, initialise
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import OpenModel, save_model

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "two", "dogs"]


def questions(count: int, seed: int = 0) -> list[Item]:
    draw = random.Random(seed)
    return [
        Choices(
            f"q{n}",
            "animals",
            f"{' '.join(draw.choices(WORDS, k=5))}?",
            tuple(draw.sample(WORDS, k=3)),
            draw.randrange(3),
        )
        for n in range(count)
    ]


def suite_of(items: Sequence[Item], name: str = "mine") -> Suite:
    return Suite(name, "Mine", lambda progress: items)


def measured(
    opened: OpenModel, given: Sequence[Item], compute: Compute, **options: object
) -> list[dict[str, object]]:
    tasks = suite_tasks([suite_of(given)], {"m": opened}, EvaluationConfig(**options), Silent())  # type: ignore[arg-type]
    return evaluate({"m": opened}, tasks, compute=compute).to_plain()["rows"]


def test_scores_do_not_depend_on_batch_size_or_order(opened: OpenModel, compute: Compute) -> None:
    items: list[Item] = [*questions(20), MinimalPair("p", "order", "the cat sat", "cat the sat")]
    requests = [each for item in items for each in item.requests((Shot("a cat?", " mat"),))]
    shuffled = random.Random(1).sample(range(len(requests)), len(requests))
    by_size = [
        [
            each.logprob
            for each in respond(
                opened, requests, "plain", compute=compute, progress=Silent(), batch_tokens=size
            )
        ]  # type: ignore[union-attr]
        for size in (1, 7 * 16, 32 * 16)
    ]
    moved = respond(
        opened, [requests[i] for i in shuffled], "plain", compute=compute, progress=Silent()
    )
    by_size.append([moved[shuffled.index(i)].logprob for i in range(len(requests))])  # type: ignore[union-attr]
    for other in by_size[1:]:
        assert other == pytest.approx(by_size[0], abs=1e-5)
    rows = [
        evaluate(
            {"m": opened},
            [SuiteTask(suite_of(some), tuple(some), batch_tokens=size)],
            compute=compute,
        ).to_plain()["rows"]
        for size in (1, 7 * 16, 32 * 16)
        for some in [items[:20]]
    ]
    assert (
        len(
            {
                json.dumps([{k: v for k, v in row.items() if k != "elapsed_s"} for row in each])
                for each in rows
            }
        )
        == 1
    )


def test_a_continuation_is_scored_like_the_whole_text_and_bos_comes_once(
    opened: OpenModel, compute: Compute
) -> None:
    tokenizer = opened.require_tokenizer()
    asked = [
        WholeText("the cat sat"),
        Continuation(Prompt(""), "the cat"),
        Continuation(Prompt("the cat"), " sat"),
    ]
    whole, first, second = respond(opened, asked, "plain", compute=compute, progress=Silent())
    assert isinstance(whole, Scored) and isinstance(first, Scored) and isinstance(second, Scored)
    # without bos the second request has no document end before its prompt, so only the tokens are compared
    assert scored_ids(asked[2], "plain", tokenizer) == (
        tokenizer.encode("the cat"),
        tokenizer.encode(" sat"),
    )
    assert scored_ids(asked[0], "plain", tokenizer)[0] == [tokenizer.special.document_end_id]
    assert first.logprob == pytest.approx(
        sum(whole.token_logprobs[: len(first.token_logprobs)]), abs=1e-5
    )
    special = dataclasses.replace(tokenizer.special, adds_bos=True)
    tokenizer.special, before = special, tokenizer.special
    try:
        assert prompt_ids(Prompt("the cat"), "plain", tokenizer) == [
            special.bos_id,
            *tokenizer.encode("the cat"),
        ]
        assert prompt_ids(Prompt(""), "plain", tokenizer) == [special.bos_id]
    finally:
        tokenizer.special = before
    spaced = scored_ids(Continuation(Prompt("the cat "), "sat"), "plain", tokenizer)
    assert spaced == scored_ids(asked[2], "plain", tokenizer), (
        "a space belongs to the word behind it"
    )


def test_shots_are_items_that_are_not_measured_and_the_same_items_are_measured_for_all_shots() -> (
    None
):
    items = questions(30)
    pool, rest = shots_first(items, 4)
    assert pool == items[:4] and rest == items[4:]
    labels: list[Item] = [
        Choices(f"e{n}", "", f"text {n}:", ("joy", "fear"), int(n >= 8)) for n in range(10)
    ]
    pool, rest = shots_first(labels, 4)
    assert [each.answer for each in pool if isinstance(each, Choices)] == [0, 1, 0, 1] and len(
        rest
    ) == 6
    plain = Prompt("c:", (Shot("a:", " 1"), Shot("b:", " 2"))).plain
    assert plain == "a: 1\n\nb: 2\n\nc:"


def test_chance_is_that_of_the_labels_that_occur() -> None:
    assert chance_levels(questions(5))["accuracy"] == pytest.approx(1 / 3)
    labels: list[Item] = [
        Choices(f"e{n}", "", f"{n}", ("joy", "fear", "love"), int(n >= 8)) for n in range(10)
    ]
    assert chance_levels(labels)["accuracy"] == 0.8
    pairs: list[Item] = [MinimalPair("p", "", "a b", "b a")]
    assert chance_levels(pairs) == {"accuracy": 0.5}
    said = [
        Written(f"w{n}", "", "?", word, scores.summary, 9, (("cat",),))
        for n, word in enumerate(("a cat", "cat", "mat"))
    ]
    assert chance_levels(said)["facts"] == pytest.approx(
        2 / 3
    )  # as answers come "cat", "mat", "a cat"


def test_unconditional_choices_subtract_the_probability_without_the_question() -> None:
    item = Choices("e", "", "?", ("rare", "common"), 0, "Word:")
    assert len(item.requests(())) == 4
    responses = [Scored(nats, False, ()) for nats in (-5.0, -4.0, -9.0, -2.0)]
    assert item.choose(responses) == 0, "-5 + 9 > -4 + 2"
    assert item.counts(responses) == {"accuracy": (True, 1), "accuracy_by_sum": (False, 1)}
    by_bytes = dataclasses.replace(item, without="")
    assert by_bytes.choose([Scored(-5.0, False, ()), Scored(-7.0, False, ())]) == 1, (
        "-5 / 4 < -7 / 6"
    )


def test_a_model_taught_one_thing_scores_it_and_nothing_else(
    opened: OpenModel, tokenizer: Tokenizer, compute: Compute
) -> None:
    """A model that learned to say "mat" after anything completes those texts, and is at chance in questions."""
    told: list[Item] = [
        Completion(f"c{n}", "mats", f"{word} {other} on a", " mat")
        for n, (word, other) in enumerate(itertools.pairwise(WORDS))
    ]
    others: list[Item] = [
        dataclasses.replace(each, answer=" dogs") for each in told if isinstance(each, Completion)
    ]
    untaught = opened
    tiny_model = LanguageModel(opened.config)
    initialise(tiny_model, generator(2, "test"))
    optimizer = torch.optim.Adam(tiny_model.parameters(), lr=5e-3)
    texts = [
        torch.tensor(tokenizer.encode(f"{each.prompt} mat"))
        for each in told
        if isinstance(each, Completion)
    ]
    ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
    labels = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=-100)[:, 1:]
    tiny_model.train()
    for _ in range(150):
        loss = torch.nn.functional.cross_entropy(
            tiny_model(ids[:, :-1]).transpose(1, 2), labels, ignore_index=-100
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    tiny_model.eval()
    taught = OpenModel(tiny_model, tokenizer, tiny_model.config, Path("taught"), "language")
    before, after, none = (
        measured(model, items, compute)[0]
        for model, items in ((untaught, told), (taught, told), (taught, others))
    )
    assert before["value"] == 0 and after["value"] == 1 and none["value"] == 0
    assert not after["is_chance"] and none["is_chance"]
    row = measured(taught, questions(60), compute)[0]
    assert row["is_chance"] and row["chance"] == pytest.approx(1 / 3)


def test_rows_say_how_they_were_asked(opened: OpenModel, compute: Compute) -> None:
    found = measured(opened, questions(12), compute, shots=(0, 2), items=5)
    zero, two = found[0], found[2]
    assert (zero["task"], zero["shots"], two["task"], two["shots"]) == (
        "mine",
        0,
        "mine, 2 shots",
        2,
    )
    assert zero["n"] == two["n"] == 5 and zero["template"] == "plain" and zero["bos"] == "none"
    assert (
        zero["prompts"] != two["prompts"]
        and zero["prompts"]
        == measured(opened, questions(12), compute, shots=(0, 2), items=5)[0]["prompts"]
    )


def test_what_does_not_fit_is_named_and_left_out_for_all_models(
    opened: OpenModel, compute: Compute
) -> None:
    long = Choices("long", "", "the cat sat " * 200, ("a", "b"), 0)
    said: list[str] = []

    class Told(Silent):
        def say(self, line: str) -> None:
            said.append(line)

    [task] = suite_tasks(
        [suite_of([*questions(6), long])], {"m": opened}, EvaluationConfig(), Told()
    )
    assert isinstance(task, SuiteTask) and len(task.items) == 6
    assert "mine: 1 of 7 items are longer than the context of m" in said[0] and "(long)" in said[0]
    with pytest.raises(DataError, match="No item of mine fits"):
        suite_tasks([suite_of([long])], {"m": opened}, EvaluationConfig(), Silent())


def test_the_chat_template_is_for_models_that_were_taught_it(
    opened: OpenModel, tmp_path: Path
) -> None:
    chat = dataclasses.replace(suite_of(questions(3)), template="chat")
    assert (
        template_for(chat, "auto", opened) == "chat"
        and template_for(suite_of([]), "auto", opened) == "plain"
    )
    RunFolder(tmp_path / "run").create("pretrain", {}, {})
    base = dataclasses.replace(opened, path=tmp_path / "run")
    assert (
        template_for(chat, "auto", base) == "plain" and template_for(chat, "chat", base) == "chat"
    )


def test_bad_input_is_one_sentence(
    opened: OpenModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"`shots` 12: the suite 'mine' has 12 items"):
        suite_tasks(
            [suite_of(questions(12))], {"m": opened}, EvaluationConfig(shots=(12,)), Silent()
        )
    with pytest.raises(ConfigError, match=r"`tasks` 'gramar' is unknown\.") as caught:
        suites_named(["gramar"])
    assert caught.value.fix == "Did you mean 'grammar'?"
    with pytest.raises(ConfigError) as caught:
        suites_named(["list"])
    assert {"text", "written"} <= set(caught.value.fix[:-1].replace(",", "").split())
    assert (
        suites_named(["copying", "written"])[0].name == "copying"
        and len(suites_named(["written"])) >= 6
    )
    bare = dataclasses.replace(opened, tokenizer=None)
    with pytest.raises(ModelError, match="tokenizer"):
        suite_tasks([suite_of(questions(3))], {"m": bare}, EvaluationConfig(), Silent())
    save_model(opened.model, tmp_path / "m", opened.tokenizer)
    for args, said in (
        (["--tasks", "copying", "--data", "starter"], "--data and --tasks are two ways"),
        (["--tasks", "copying", "--shots", "a"], "--shots 'a' is not a list of numbers"),
        (["--tasks", "copying", "--shots", "80"], "has 80 items"),
    ):
        assert run(["evaluate", str(tmp_path / "m"), *args]) == 2
        assert said in capsys.readouterr().err


def test_the_verb_measures_suites_of_two_models_and_pairs_them(
    opened: OpenModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        save_model(opened.model, tmp_path / name, opened.tokenizer)
    args = [
        "evaluate",
        str(tmp_path / "a"),
        str(tmp_path / "b"),
        "--tasks",
        "grammar,copying",
        "--items",
        "12",
    ]
    assert run([*args, "--out", str(tmp_path / "out.json")]) == 0
    shown = capsys.readouterr().out
    assert "Asked in plain text, bos none." in shown and "no clear difference" in shown
    assert "Not distinguishable from chance: " in shown
    results = json.loads((tmp_path / "out.json").read_text())
    assert [row["task"] for row in results["changes"]] == ["grammar", "copying"]
    alone = groundup.run_suites(tmp_path / "a", "grammar", groundup.EvaluationConfig(items=12))
    assert alone.rows[0].value == results["rows"][0]["value"]


def test_help_names_every_suite() -> None:
    assert not [name for name in SUITES if name not in (command.__doc__ or "")]


def test_rouge_equals_the_library() -> None:
    library = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(
        ["rouge1", "rouge2", "rougeL"]
    )
    texts = [row["summary"] for row in rows_of("summaries")][:20]
    for first, second in zip(texts, [*texts[1:], "", "The cat, sat!"], strict=False):
        found = library.score(first, second)
        assert scores.rouge_n(first, second, 1) == pytest.approx(found["rouge1"].fmeasure)
        assert scores.rouge_n(first, second, 2) == pytest.approx(found["rouge2"].fmeasure)
        assert scores.rouge_l(first, second) == pytest.approx(found["rougeL"].fmeasure)


def test_bleu_and_chrf_are_those_of_the_library() -> None:
    library = pytest.importorskip("sacrebleu")
    items = [
        Written(f"t{n}", "fr", "?", f"le chat {word} bien ici", scores.translation, 9)
        for n, word in enumerate(WORDS)
    ]
    answers = [f"le chat {word} {'bien' * (n % 2)} ici" for n, word in enumerate(WORDS)]
    [bleu] = scores.corpus_bleu(items, answers)
    assert bleu.value == pytest.approx(
        library.corpus_bleu(answers, [[item.reference for item in items]]).score / 100
    )
    assert bleu.low is not None and bleu.high is not None and bleu.low <= bleu.value <= bleu.high
    assert scores.translation(items[0], items[0].reference) == {"chrf": (pytest.approx(1.0), 1)}
    assert math.isclose(
        scores.translation(items[0], answers[0])["chrf"][0],
        library.sentence_chrf(answers[0], [items[0].reference]).score / 100,
    )


COMPARISON = Completion(
    "c", "", "Which is bigger, 3 or 20? It is", " 20", ("3", "20"), "The moon is"
)


def test_a_completion_is_right_only_where_the_answer_ends_and_its_control_is_another_prompt() -> (
    None
):
    own, written, other = COMPARISON.requests(())
    assert (
        isinstance(own, Continuation)
        and isinstance(written, Generation)
        and isinstance(other, Continuation)
    )
    assert (own.text, other.prompt.text) == (" 20", "The moon is")
    scores_of = [
        Scored(math.log(1 / 8), 0, ()),
        "20 of them",
        Scored(math.log(1 / 64), 0, (math.log(1 / 64),)),
    ]
    found = COMPARISON.counts([scores_of[0], scores_of[1], scores_of[2]])
    assert found["accuracy"] == (True, 1) and found["accuracy_by_prefix"] == (True, 1)
    assert found["bits_per_byte"] == (pytest.approx(3), 3) and found[CONTROL_BITS] == (
        pytest.approx(6),
        3,
    )
    longer = COMPARISON.counts([scores_of[0], "200 of them", scores_of[2]])
    assert longer["accuracy"] == (False, 1) and longer["accuracy_by_prefix"] == (True, 1)
    assert COMPARISON.show([scores_of[0], "200", scores_of[2]])["answer"] == "200"


def test_the_chance_of_completions_counts_those_that_offer_their_answers() -> None:
    open_ended = Completion("o", "", "2 + 2 =", " 4")
    assert chance_levels([COMPARISON, open_ended])["accuracy"] == pytest.approx(0.25)


@pytest.mark.parametrize("name", ["copying", "arithmetic"])
def test_every_packaged_completion_has_a_control_with_another_answer(name: str) -> None:
    items = SUITES[name].read(Silent())
    answers = {item.prompt: item.answer for item in items if isinstance(item, Completion)}
    assert len(answers) == len(items)
    assert all(
        answers[item.control] != item.answer for item in items if isinstance(item, Completion)
    )
    if name == "arithmetic":
        offered = [item for item in items if isinstance(item, Completion) and item.options]
        assert len(offered) == 15 and {item.group for item in offered} == {"comparison"}
        assert all(item.answer.strip() in item.options for item in offered)
        assert 0.05 < chance_levels(items)["accuracy"] < 0.09
