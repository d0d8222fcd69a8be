"""The packaged items: no near-repeats, none in the starter set, balanced, true where code can tell, and each check accepts its sample."""

import itertools
import json
import re
from collections import Counter
from typing import Any

import pytest

from groundup.evaluate.items import Choices, Written
from groundup.evaluate.suites import scores
from groundup.evaluate.suites.registry import EMOTIONS, WRITTEN, rows_of
from groundup.progress import Silent
from groundup.recipes.build_config import PACKAGED, STARTER

from .sums_worked_out import IN_WORDS, WORKED_OUT

COUNTS = {
    "multiple_choice": 120, "emotions": 600, "summaries": 60, "translation": 150, "minimal_pairs": 300, "copying": 80, "arithmetic": 90, "format": 60
}  # fmt: skip
# What a test taker reads of an item.
TEXTS = {
    "multiple_choice": ("question",), "emotions": ("text",), "summaries": ("text",), "translation": ("source",), "minimal_pairs": ("good",),
    "copying": ("prompt",), "arithmetic": ("prompt", "answer"), "format": ("instruction", "input"),
}  # fmt: skip
NGRAM = 3


def text_of(name: str, row: dict[str, Any]) -> str:
    return " ".join(row[field] for field in TEXTS[name])


def masked(text: str) -> str:
    """The text without names (capitalised words that are not the first) and numbers."""
    first, _, rest = text.partition(" ")
    return f"{first} {re.sub(r'[A-Z][a-z]+', 'NAME', rest)}".translate(
        str.maketrans("0123456789", "0" * 10)
    )


def ngrams(text: str) -> set[tuple[str, ...]]:
    found = re.findall(r"\w+", text.lower())
    return set(zip(*(found[i:] for i in range(NGRAM)), strict=False))


@pytest.mark.parametrize("name", COUNTS)
def test_a_suite_is_whole_and_has_no_repeats(name: str) -> None:
    rows = rows_of(name)
    assert len(rows) == COUNTS[name] and [row["id"] for row in rows] == [
        f"{name}-{n:04}" for n in range(1, len(rows) + 1)
    ]
    texts = [text_of(name, row) for row in rows]
    levels = Counter(row["level"] for row in rows)
    assert set(levels) == {1, 2, 3} and min(levels.values()) >= len(rows) // 4
    assert not [text for text, count in Counter(map(str.lower, texts)).items() if count > 1]
    if name != "arithmetic":  # there numbers are all that differs in "7 + 5 =" and its like
        assert not [text for text, count in Counter(map(masked, texts)).items() if count > 1]


@pytest.mark.parametrize("name", COUNTS)
def test_no_two_items_share_half_of_their_words_in_a_row(name: str) -> None:
    seen = [(row["id"], ngrams(text_of(name, row))) for row in rows_of(name)]
    near = [
        (first, second)
        for (first, a), (second, b) in itertools.combinations(seen, 2)
        if min(len(a), len(b)) >= 4 and len(a & b) > min(len(a), len(b)) / 2
    ]
    assert not near


@pytest.mark.parametrize("name", COUNTS)
def test_no_item_is_in_the_starter_set(name: str) -> None:
    starter = set()
    for file in sorted((PACKAGED / STARTER).glob("*.jsonl")):
        for line in file.read_text().splitlines():
            row = json.loads(line)
            starter |= long_ngrams(f"{row['instruction']} {row.get('input', '')} {row['output']}")
    inside = [row["id"] for row in rows_of(name) if long_ngrams(text_of(name, row)) & starter]
    assert not inside


def long_ngrams(text: str) -> set[tuple[str, ...]]:
    found = re.findall(r"\w+", text.lower())
    return set(zip(*(found[i:] for i in range(8)), strict=False))


def test_questions_do_not_give_their_answers_away() -> None:
    rows = rows_of("multiple_choice")
    assert Counter(row["answer"] for row in rows) == dict.fromkeys(range(4), 30)
    assert Counter(row["topic"] for row in rows) == dict.fromkeys(
        ("everyday", "science", "language", "sums"), 30
    )
    for row in rows:
        assert len(row["choices"]) == len(set(map(str.lower, row["choices"]))) == 4
    longest = sum(max(row["choices"], key=len) == row["choices"][row["answer"]] for row in rows)
    assert longest / len(rows) < 0.4, "the longest choice is not the answer more often than others"


def test_no_word_gives_an_emotion_away() -> None:
    rows = rows_of("emotions")
    by_label = {label: [row["text"] for row in rows if row["label"] == label] for label in EMOTIONS}
    assert min(map(len, by_label.values())) >= 84
    common = Counter(
        word for row in rows for word in set(re.findall(r"\w{4,}", row["text"].lower()))
    )
    usual = {word for word, _ in common.most_common(40)}
    for texts in by_label.values():
        words = Counter(
            word for text in texts for word in set(re.findall(r"\w{4,}", text.lower())) - usual
        )
        assert words.most_common(1)[0][1] <= 0.1 * len(texts)


def test_of_a_word_the_good_sentences_have_as_many_as_the_bad_ones() -> None:
    rows = rows_of("minimal_pairs")
    assert Counter(row["phenomenon"] for row in rows) == dict.fromkeys(
        {row["phenomenon"] for row in rows}, 30
    )
    for word in (
        "is",
        "are",
        "was",
        "were",
        "has",
        "have",
        "himself",
        "themselves",
        "he",
        "him",
        "this",
        "these",
    ):
        good, bad = (
            sum(len(re.findall(rf"\b{word}\b", row[side].lower())) for row in rows)
            for side in ("good", "bad")
        )
        assert abs(good - bad) <= 0.4 * max(good, bad), (word, good, bad)
    for row in rows:
        assert row["good"] != row["bad"] and len(row["good"].split()) == len(row["bad"].split()), (
            row["id"]
        )


def test_every_fact_is_in_the_passage_and_in_its_summary() -> None:
    [suite] = [suite for suite in WRITTEN if suite.name == "summaries"]
    for item, row in zip(suite.read(Silent()), rows_of("summaries"), strict=True):
        assert isinstance(item, Written) and 3 <= len(row["facts"]) <= 6
        for answer in (item.reference, row["text"]):
            total, count = scores.summary(item, answer)["facts"]
            assert total == count, (item.id, answer)


def test_each_format_accepts_its_sample_and_refuses_an_answer_that_ignores_it() -> None:
    rows = rows_of("format")
    assert min(Counter(row["kind"] for row in rows).values()) >= 6 and {
        row["kind"] for row in rows
    } == set(scores.FORMATS)
    for row in rows:
        assert row["kind"] == row["check"]["type"]
        assert scores.follows(row["sample"], row["check"]) and not scores.follows(
            row["wrong"], row["check"]
        ), row["id"]
        assert not scores.follows(f"{row['instruction']}\n\n{row['input']}", row["check"]), row[
            "id"
        ]
        assert not scores.follows("", row["check"])


def test_all_sums_are_right() -> None:
    rows = {row["id"]: row for row in rows_of("arithmetic")}
    assert rows.keys() == WORKED_OUT.keys()
    for id, value in WORKED_OUT.items():
        said = rows[id]["answer"].strip()
        assert said == value or IN_WORDS.get(said) == value or float(said) == value, (
            id,
            said,
            value,
        )


def test_an_answer_is_one_space_behind_its_prompt() -> None:
    for name in ("copying", "arithmetic"):
        for row in rows_of(name):
            assert row["prompt"] == row["prompt"].rstrip() and re.match(r" \S", row["answer"]), row[
                "id"
            ]


def test_every_suite_reads_and_names_its_items_once() -> None:
    for suite in WRITTEN:
        items = suite.read(Silent())
        assert len({item.id for item in items}) == len(items) and suite.heading
        for item in items:
            assert not isinstance(item, Choices) or 0 <= item.answer < len(item.choices)
