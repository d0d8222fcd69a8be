"""Reading values that may be missing, and figures as words."""

import itertools

import pytest

from groundup.report import values as words
from groundup.report.values import flat, matrix, number, table, tables, text, texts


@pytest.mark.parametrize(
    "value", [None, True, "3", [], {}, float("nan"), float("inf"), 10**400, 1e308]
)
def test_what_is_no_finite_number_is_none(value: object) -> None:
    assert number({"a": value}, "a") is None


def test_values_are_found_below_keys_and_missing_ones_are_empty() -> None:
    data = {"a": {"b": 2, "words": ["x", 3, "y"], "rows": [{"c": 1}, 5]}}
    assert number(data, "a", "b") == 2.0
    assert texts(data, "a", "words") == ["x", "y"]
    assert tables(data, "a", "rows") == [{"c": 1}]
    assert (text(data, "a", "z"), table(data, "a", "b"), number(data, "a", "b", "c")) == (
        "",
        {},
        None,
    )


@pytest.mark.parametrize(
    "value", [[[1, 2], [3]], [[1, "x"]], "no", [[]], [1, 2], [[1, None], [2, 3]]]
)
def test_what_is_no_rectangle_of_numbers_is_empty(value: object) -> None:
    assert matrix(value) == []


def test_settings_are_flattened_with_dotted_names() -> None:
    assert flat({"a": {"b": 0.001, "c": None}, "d": [{"e": True}]}) == [
        ("a.b", "0.001"),
        ("d.1.e", "True"),
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (0.042, "0.04 s"),
        (2.34, "2.3 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3720, "1 h 02 min"),
    ],
)
def test_durations_read_well(seconds: float | None, said: str) -> None:
    assert words.duration(seconds) == said.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("bytes_", "said"), [(12, "12 bytes"), (1500, "1.5 kB"), (271e6, "271 MB"), (3.31e9, "3.31 GB")]
)
def test_sizes_read_well(bytes_: float, said: str) -> None:
    assert words.size(bytes_) == said.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("low", "high"), [(0, 10), (0, 1310), (4.37, 8.55), (1.9, 1.905), (-3, 4), (0, 1e9)]
)
def test_ticks_are_round_few_and_inside(low: float, high: float) -> None:
    found = words.ticks(low, high)
    assert 3 <= len(found) <= 9
    assert all(low <= value <= high for value in found)
    steps = {round((b - a) / 10 ** len(str(int(b - a))), 9) for a, b in itertools.pairwise(found)}
    assert len(steps) == 1


def test_ticks_of_nothing_are_one() -> None:
    assert words.ticks(3.0, 3.0) == [3.0]
