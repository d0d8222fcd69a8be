"""Texts with none, one or several labels: how they are recognised, divided and split."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundup.data.documents import Example, MultiLabelExample
from groundup.data.reading.data import Data
from groundup.data.reading.example_splits import iterative_split, label_counts, without_repeats
from groundup.data.reading.examples import is_multi_label, read_multi_labelled, read_splits
from groundup.errors import DataError
from groundup.progress import Silent

ROWS: list[tuple[str, list[str]]] = [
    ("late parcel", ["delivery", "complaint"]),
    ("thanks", []),
    ("where is it", ["delivery"]),
]


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> Data:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Data(path)


def of(n: int, *, rare: int = 2) -> list[MultiLabelExample]:
    """Texts of which every second has "a", every third "b", every fifth "c", and some "rare"."""
    every = {"a": 2, "b": 3, "c": 5}
    return [
        MultiLabelExample.of(
            f"text {i}",
            [
                *(name for name, step in every.items() if i % step == 0),
                *(["rare"] if i < rare else []),
            ],
        )
        for i in range(n)
    ]


def test_lists_of_labels_are_recognised_and_a_text_may_have_none(tmp_path: Path) -> None:
    source = lines(
        tmp_path / "a.jsonl", [{"text": text, "labels": labels} for text, labels in ROWS]
    )
    assert is_multi_label(source)
    found = read_multi_labelled(source)
    assert [(e.text, e.labels) for e in found] == [
        (text, tuple(sorted(labels))) for text, labels in ROWS
    ]


def test_labels_between_separators_are_divided_in_a_table(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "text,kind\n" + "".join(f"{text},{' ; '.join(labels)}\n" for text, labels in ROWS)
    )
    found = read_multi_labelled(Data(path, label="kind", label_separator=";"))
    assert [e.labels for e in found] == [("complaint", "delivery"), (), ("delivery",)]
    path.write_text(path.read_text().replace("kind", "label"))
    assert read_multi_labelled(Data(path, label_separator=";")) == found


def test_one_label_a_text_stays_one_label_also_beside_a_list(tmp_path: Path) -> None:
    rows = [{"text": text, "label": f"{len(text) % 2}", "tags": labels} for text, labels in ROWS]
    source = lines(tmp_path / "a.jsonl", rows)
    assert not is_multi_label(source)
    assert is_multi_label(replace(source, label="tags"))
    assert not is_multi_label(replace(source, label="label"))


def test_a_row_that_names_a_label_twice_or_none_at_all_is_bad(tmp_path: Path) -> None:
    rows = [{"text": f"{text} {i}", "labels": labels} for i in range(100) for text, labels in ROWS]
    source = lines(
        tmp_path / "a.jsonl",
        [*rows, {"text": "x", "labels": ["a", "a"]}, {"text": "y", "labels": None}],
    )
    assert len(read_multi_labelled(source)) == len(rows)


def test_the_same_text_with_other_labels_is_a_conflict() -> None:
    found = without_repeats(
        [MultiLabelExample.of("Hi", ["a", "b"]), MultiLabelExample.of("hi", ["b", "a"])]
    )
    assert (len(found.examples), found.repeats, found.conflicts) == (1, 1, 0)
    found = without_repeats(
        [MultiLabelExample.of("Hi", ["a", "b"]), MultiLabelExample.of("hi", ["a"])]
    )
    assert (len(found.examples), found.conflicts) == (0, 2)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_label_has_its_share_in_each_split_and_rare_ones_are_learned(seed: int) -> None:
    examples, sizes = of(300), {"train": 120, "validation": 30, "test": 60}
    splits = iterative_split(examples, sizes, seed)
    assert {name: len(found) for name, found in splits.items()} == sizes
    texts = [example.text for found in splits.values() for example in found]
    assert len(set(texts)) == sum(sizes.values())
    overall = label_counts(examples)
    for name, found in splits.items():
        counts = label_counts(found)
        for label in "abc":
            assert abs(counts[label] - overall[label] * sizes[name] / 300) <= 1.5, (name, label)
    assert "rare" in label_counts(splits["train"])
    assert iterative_split(examples[::-1], sizes, seed) == splits


class Said(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def test_a_label_that_no_training_text_has_is_left_out_with_its_name(tmp_path: Path) -> None:
    source = lines(
        tmp_path / "a.jsonl", [{"text": e.text, "labels": list(e.labels)} for e in of(60)]
    )
    rows = [{"text": f"other {i}", "labels": ["a", "strange"]} for i in range(20)]
    said = Said()
    given = {"test": lines(tmp_path / "b.jsonl", rows)}
    splits = read_splits(source, texts=60, given=given, seed=0, progress=said)
    assert label_counts(splits["test"]) == {"a": 20}
    assert "Left out, since no training text has them: 'strange' (test)." in said.lines


def test_a_class_that_no_training_text_has_is_left_out_with_its_texts(tmp_path: Path) -> None:
    source = lines(
        tmp_path / "a.jsonl", [{"text": f"text {i}", "label": "ab"[i % 2]} for i in range(60)]
    )
    rows = [{"text": f"other {i}", "label": "abc"[i % 3]} for i in range(30)]
    said = Said()
    given = {"validation": lines(tmp_path / "b.jsonl", rows)}
    splits = read_splits(source, texts=60, given=given, seed=0, progress=said)
    assert label_counts(splits["validation"]) == {"a": 10, "b": 10}
    assert "Left out, since no training text has them: 'c' (validation)." in said.lines


def test_rare_labels_are_left_out_and_their_texts_stay(tmp_path: Path) -> None:
    rows = [{"text": example.text, "labels": list(example.labels)} for example in of(90)]
    source = lines(tmp_path / "a.jsonl", rows)
    read: dict[str, Any] = {"texts": 90, "seed": 0, "progress": Silent()}
    splits = read_splits(source, min_per_class=5, **read)
    assert sum(map(len, splits.values())) == 90
    assert set(label_counts([e for found in splits.values() for e in found])) == {"a", "b", "c"}
    with pytest.raises(DataError, match="fewer than two labels with 80"):
        read_splits(source, min_per_class=80, **read)


def test_splits_of_two_forms_are_refused(tmp_path: Path) -> None:
    source = lines(
        tmp_path / "a.jsonl", [{"text": e.text, "labels": list(e.labels)} for e in of(60)]
    )
    one = lines(
        tmp_path / "b.jsonl", [{"text": f"other {i}", "label": "ab"[i % 2]} for i in range(20)]
    )
    with pytest.raises(
        DataError, match="train texts have lists of labels, the test texts one label each"
    ):
        read_splits(source, texts=60, given={"test": one}, seed=0, progress=Silent())
    assert isinstance(of(1)[0], Example)
