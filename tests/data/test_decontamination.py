"""Decontamination: which documents hold a part of an evaluation item, on cases made by hand."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundup.cli.main import run
from groundup.data.documents import Document
from groundup.data.processing.decontamination import (
    Contamination,
    DecontaminationConfig,
    ItemIndex,
    Overlap,
    evaluation_items,
    find_contaminated,
)
from groundup.data.processing.word_ngrams import ngrams, words
from groundup.data.reading.source_files import Source
from groundup.data.split import SplitWriter
from groundup.errors import ConfigError, DataError, FormatError
from groundup.evaluate.suites.registry import WRITTEN, suite_file
from groundup.progress import Silent

QUESTION = (
    "A train leaves the station at nine in the morning and travels at sixty miles an hour. "
    "How far has it come when the clock of the town strikes noon?"
)
BEFORE, AFTER = "Some words that stand before it. ", " And some words that follow it."
Find = Callable[..., Contamination]


def numbered(name: str, count: int) -> str:
    """A text of so many words that no other name gives."""
    return " ".join(f"{name}{number}" for number in range(count))


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """find(texts, items, **config): what is found in a file of these documents; items are texts, named item0, item1 ..."""

    def run(texts: Sequence[str], items: Sequence[str], **config: Any) -> Contamination:
        with SplitWriter(tmp_path, ("train",)) as writer:
            for number, text in enumerate(texts):
                writer.write("train", Document(text, "texts/", f"{number}.txt"))
        named = ((f"item{number}", text) for number, text in enumerate(items))
        return find_contaminated(
            tmp_path / "train.jsonl",
            named,
            DecontaminationConfig(**config),
            record=tmp_path / "record.jsonl",
            progress=Silent(),
        )

    return run


def record(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("suite", [suite.name for suite in WRITTEN])
def test_the_items_of_every_packaged_suite_are_looked_for(suite: str) -> None:
    file = suite_file(suite)
    assert file is not None
    found = list(evaluation_items(Source(str(file)), progress=Silent()))
    row = json.loads(file.read_text("utf-8").splitlines()[0])
    (said,) = [
        row[key]
        for key in ("prompt", "text", "instruction", "good", "question", "source")
        if key in row
    ][:1]
    assert any(said in text for _, text in found)
    assert len(found) >= len(file.read_text("utf-8").splitlines())


def test_the_name_of_a_suite_stands_for_its_items(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = suite_file("grammar")
    assert file is not None
    rows = map(json.loads, file.read_text("utf-8").splitlines())
    row = next(each for each in rows if len(each["good"].split()) >= 8)
    (tmp_path / "a.txt").write_text(f"A page of the web. {row['good']} And so on.")
    (tmp_path / "b.txt").write_text("Another page of the web, without any item in it.")
    assert run(["data", "inspect", str(tmp_path), "--decontaminate", "grammar", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dropped"]["evaluation item in it"]["examples"] == [
        "a.txt"
    ]


def test_thirteen_words_in_any_case_and_punctuation_are_enough_and_twelve_are_not(
    find: Find, tmp_path: Path
) -> None:
    thirteen = "the station at nine in the morning and travels at sixty miles an"
    assert len(words(thirteen)) == 13 and thirteen in QUESTION
    texts = [
        f"{BEFORE}{thirteen}{AFTER}",
        f"{BEFORE}{thirteen.upper().replace(' ', ',  ')}{AFTER}",
        f"{BEFORE}{thirteen.removesuffix(' an')}{AFTER}",
        numbered("other", 100),
    ]
    result = find(texts, [QUESTION])
    assert result.is_dropped.tolist() == [True, True, False, False]
    first, second = record(tmp_path)
    reason = f"of the evaluation item 'item0': \"{thirteen[:60]}\""
    assert Overlap(**first).reason() == f"has 1 n-grams (6%) {reason}"
    distinct = len(ngrams(QUESTION, 13))
    assert first == {
        "line": 1,
        "source": "texts/",
        "name": "0.txt",
        "item": "item0",
        "ngrams": 1,
        "share": 1 / distinct,
        "passage": thirteen,
    }
    assert second["name"] == "1.txt" and second["passage"].startswith("THE,  STATION,  AT")
    assert (
        result.summary()
        == "Decontamination: 2 of 4 documents overlap with 1 of 1 evaluation items."
    )
    assert result.dropped == 2


def test_a_quoted_item_shows_as_much_as_is_quoted(find: Find, tmp_path: Path) -> None:
    find([f"{BEFORE}{QUESTION}{AFTER}"], [QUESTION, f"{numbered('own', 40)} {QUESTION}"])
    whole, part = record(tmp_path)
    assert (
        whole["item"] == "item0"
        and whole["share"] == 1
        and whole["passage"] == QUESTION.removesuffix("?")
    )
    assert (
        part["item"] == "item1" and 0.3 < part["share"] < 0.5 and part["ngrams"] == whole["ngrams"]
    )


def test_short_items_are_found_as_a_whole(find: Find) -> None:
    eight = "What did the old man of the sea"
    seven = "What did the old man of the"
    assert (len(words(eight)), len(words(seven))) == (8, 7)
    texts = [
        f"{BEFORE}{eight} say? {AFTER}",
        f"{BEFORE}{seven} hill say?",
        f"{seven.lower()}!!",
        "Yes.",
        "yes and no",
    ]
    result = find(texts, [eight, seven, "Yes", "..."])
    assert result.is_dropped.tolist() == [True, False, True, True, False]
    assert result.items == {
        "indexed": 3,
        "repeated": 0,
        "boilerplate": 0,
        "without_words": 1,
        "whole_documents_only": 2,
    }


def test_an_ngram_in_many_documents_is_no_sign_unless_half_of_the_item_is_there(find: Find) -> None:
    licence = "permission is hereby granted free of charge to any person obtaining a copy of this software"
    item = f"{licence} {numbered('own', 30)}"
    pages = [f"{numbered(f'page{number}x', 20)} {licence}" for number in range(11)]
    assert find(pages[:10], [item]).dropped == 10
    result = find(pages, [item])
    assert result.dropped == 0 and result.common_ngrams == len(ngrams(licence, 13))
    assert find(pages, [item], common_documents=11).dropped == 11
    copies = [f"{numbered(f'page{number}x', 20)} {item}" for number in range(20)]
    assert find([*pages, *copies], [item]).is_dropped.tolist() == [False] * 11 + [True] * 20


def test_the_boilerplate_of_items_is_no_sign(find: Find) -> None:
    prompt = "Read the following passage with care and then choose the one right answer from the list below"
    items = [f"{prompt}: {numbered(f'item{number}x', 20)}" for number in range(12)]
    texts = [f"{BEFORE}{prompt}{AFTER}", f"{BEFORE}{numbered('item7x', 20)}"]
    result = find(texts, [*items, items[0].upper(), prompt])
    assert result.is_dropped.tolist() == [False, True]
    assert (result.items["indexed"], result.items["repeated"], result.items["boilerplate"]) == (
        12,
        1,
        1,
    )
    assert find(texts, items[:10]).is_dropped.tolist() == [True, True]  # ten may share a passage


def test_more_ngrams_can_be_asked_for(find: Find) -> None:
    long = numbered("w", 200)
    texts = [
        " ".join(long.split()[start : start + length])
        for start, length in ((0, 13), (20, 17), (40, 150))
    ]
    assert find(texts, [long]).is_dropped.tolist() == [True, True, True]
    assert find(texts, [long], min_ngrams=5).is_dropped.tolist() == [False, True, True]
    assert find(texts, [long], min_ngrams=500).is_dropped.tolist() == [
        False,
        False,
        True,
    ]  # by the share
    assert find(texts, [long], ngram_words=14).is_dropped.tolist() == [False, True, True]


def test_three_items_with_most_in_common_are_shown(find: Find, tmp_path: Path) -> None:
    items = [numbered(f"item{number}x", 20 + number) for number in range(5)]
    result = find([" ".join(items)], items)
    assert [row["item"] for row in record(tmp_path)] == [
        "item4",
        "item3",
        "item2",
    ] and result.items_found == 3


ITEMS = st.lists(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=14).map(" ".join), min_size=1, max_size=4
)
TEXTS = st.lists(
    st.lists(st.sampled_from("abcd"), max_size=60).map(" ".join), min_size=1, max_size=6
)


def holds(text: str, item: str, n: int) -> bool:
    """The rule without common n-grams, on lists of words."""
    said, asked = words(text), words(item)
    length = min(n, len(asked))
    if len(asked) < 8:
        return said == asked
    runs = lambda found: {tuple(found[at : at + length]) for at in range(len(found) - length + 1)}  # noqa: E731
    return bool(runs(said) & runs(asked))


@given(TEXTS, ITEMS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_result_is_that_of_the_rule_on_lists_of_words(
    find: Find, texts: list[str], items: list[str]
) -> None:
    rng = random.Random(len(texts))
    texts = [*texts, *(f"{rng.choice('abcd')} {item} {rng.choice('abcd')}" for item in items)]
    result = find(texts, items)
    assert result.is_dropped.tolist() == [
        any(holds(text, item, 13) for item in items) for text in texts
    ]


def test_the_index_does_not_grow_with_the_documents() -> None:
    index = ItemIndex(((f"{number}", numbered(f"item{number}x", 30)) for number in range(1000)), 13)
    assert (
        len(index.keys) == 18_000
        and index.counts["indexed"] == 1000
        and set(index.sizes.tolist()) == {18}
    )


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.txt", "A text.\n\nOf two parts.", [("a.txt", "A text.\n\nOf two parts.")]),
        (
            "a.csv",
            "text,label\nfree entry,spam\nhello you,ham\n",
            [("a.csv:1", "free entry"), ("a.csv:2", "hello you")],
        ),
        (
            "a.jsonl",
            '{"instruction": "Add.", "input": "1 and 2", "output": "Three.", "id": "x"}\n',
            [("x (user, message 1)", "Add.\n\n1 and 2"), ("x (assistant, message 2)", "Three.")],
        ),
        (
            "a.jsonl",
            '{"prompt": "Say hi.", "chosen": "Hi!", "rejected": "No.", "id": "x"}\n',
            [("x (user, message 1)", "Say hi."), ("x (chosen)", "Hi!"), ("x (rejected)", "No.")],
        ),
        (
            "a.jsonl",
            '{"instruction": "Add.", "output": "3", "id": "x"}\n{"instruction": "Take.", "output": "1", "id": "y", "held_out": true}\n',
            [("y (user, message 1)", "Take."), ("y (assistant, message 2)", "1")],
        ),
    ],
)
def test_items_are_read_from_any_file(
    tmp_path: Path, name: str, content: str, found: list[tuple[str, str]]
) -> None:
    (tmp_path / name).write_text(content)
    items = list(evaluation_items(Source(str(tmp_path / name)), progress=Silent()))
    assert [(item.removeprefix(f"{tmp_path}/"), text) for item, text in items] == found


def test_what_is_wrong_is_said(find: Find, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No evaluation item has a text"):
        find(["a text"], ["", "..."])
    with pytest.raises(ConfigError, match="ngram_words must be 8 to 50"):
        DecontaminationConfig(ngram_words=3)
    with pytest.raises(ConfigError, match="item_share must be above 0 and at most 1"):
        DecontaminationConfig(item_share=50)
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(FormatError, match="line 1: is not a document"):
        find_contaminated(
            tmp_path / "bad.jsonl", [("a", QUESTION)], record=tmp_path / "r", progress=Silent()
        )
    assert not (tmp_path / "r").exists()
