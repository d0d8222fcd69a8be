"""Following files that another process writes: nothing read twice, nothing missed, whatever is cut, half-written or not there yet."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.report.downsampling import Curves
from groundup.report.live.follow import MAX_CHARACTERS, SampleHistory, Tail
from groundup.runs import MAX_LINE_BYTES


class Reader:
    """What a reader who obeys `restart` has in hand."""

    def __init__(self, path: Path) -> None:
        self.tail, self.records, self.restarts = Tail(path), [], 0

    def read(self) -> list[dict[str, Any]]:
        for record in self.tail.read(self._restart):
            self.records.append(record)
        return self.records

    def _restart(self) -> None:
        self.restarts += 1
        self.records = []


def lines(*numbers: int, time: int = 0) -> bytes:
    return b"".join(
        json.dumps({"step": number, "elapsed_s": number + time / 1000}).encode() + b"\n"
        for number in numbers
    )


def steps(records: list[dict[str, Any]]) -> list[int]:
    return [record["step"] for record in records]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as handle:
        handle.write(data)


def test_each_line_is_read_once_and_a_half_line_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    reader = Reader(path)
    assert reader.read() == []
    append(path, lines(1, 2) + b'{"step"')
    assert steps(reader.read()) == [1, 2]
    assert steps(reader.read()) == [1, 2]
    append(path, b": 3}\n")
    assert steps(reader.read()) == [1, 2, 3]
    assert reader.restarts == 0


def test_a_resumed_run_that_cuts_its_log_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(lines(1, 2, 3, 4))
    reader = Reader(path)
    reader.read()
    path.write_bytes(lines(1, 2))
    assert steps(reader.read()) == [1, 2]
    append(path, lines(3, time=5))
    assert steps(reader.read()) == [1, 2, 3]
    assert reader.restarts == 1


def test_a_cut_that_was_written_over_between_two_looks_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(lines(1, 2, 3))
    reader = Reader(path)
    reader.read()
    path.write_bytes(
        lines(1, 2) + lines(3, 4, 5, time=7)
    )  # longer than before: its length tells nothing
    assert steps(reader.read()) == [1, 2, 3, 4, 5]
    assert reader.records[2]["elapsed_s"] == 3.007


def test_a_log_that_is_gone_is_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(lines(1))
    reader = Reader(path)
    reader.read()
    path.unlink()
    assert reader.read() == []
    path.write_bytes(lines(7))
    assert steps(reader.read()) == [7]


def test_lines_that_are_no_records_cost_themselves_only(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(
        b"\xff\n[1]\n{\n"
        + lines(1)
        + b"{"
        + b"x" * (3 * MAX_LINE_BYTES)
        + b"}\n"
        + lines(2)
        + b"y" * (2 * MAX_LINE_BYTES)
    )
    reader = Reader(path)
    assert steps(reader.read()) == [1, 2]
    append(path, b"\n" + lines(3))
    assert steps(reader.read()) == [1, 2, 3]
    assert reader.restarts == 0


Deed = tuple[str, int]


@given(
    st.lists(
        st.tuples(st.sampled_from(("append", "cut", "read", "half")), st.integers(0, 5)),
        max_size=25,
    )
)
def test_whatever_happens_to_a_log_its_reader_has_what_it_holds(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[Deed]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    reader, written, moment = Reader(path), [], 0
    for deed, many in deeds:
        if deed == "read":
            assert reader.read() == [json.loads(line) for line in written]
            continue
        moment += 1
        if deed == "cut":
            written = written[:many]
        elif deed == "append":
            written += [*lines(*range(many), time=100 * moment).splitlines()]
        half = b'{"step": 1' if deed == "half" else b""
        path.write_bytes(b"".join(line + b"\n" for line in written) + half)
    assert reader.read() == [json.loads(line) for line in written]


def record(step: int, loss: float) -> dict[str, Any]:
    return {
        "step": step,
        "tokens": 10 * step,
        "elapsed_s": step / 4,
        "loss": loss,
        "learning_rate": 0.1,
    }


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.sampled_from((2, 4, 10, 64)))
def test_a_long_curve_keeps_its_mean_and_its_extremes(values: list[float], limit: int) -> None:
    curves = Curves(limit)
    for step, value in enumerate(values, 1):
        curves.add(record(step, value))
    cells = [bucket.cells["loss"] for bucket in curves.buckets]
    assert len(cells) <= limit
    assert (min(cell.low for cell in cells), max(cell.high for cell in cells)) == (
        min(values),
        max(values),
    )
    assert sum(cell.total for cell in cells) == pytest.approx(sum(values), abs=1e-3)
    assert sum(bucket.steps for bucket in curves.buckets) == len(values)
    assert curves.buckets[-1].axes == {
        "step": len(values),
        "tokens": 10 * len(values),
        "elapsed_s": len(values) / 4,
    }


def test_a_short_curve_is_drawn_step_by_step() -> None:
    curves = Curves()
    for step in (1, 2, 3):
        curves.add(record(step, 10.0 - step))
    columns = curves.columns()
    assert columns["step"] == [1, 2, 3]
    assert columns["loss"] == {"mean": [9, 8, 7], "low": [9, 8, 7], "high": [9, 8, 7]}
    assert columns["grad_norm"]["mean"] == [None, None, None]


def test_a_figure_that_is_no_number_is_left_out_of_its_mean() -> None:
    curves = Curves(2)
    for loss in (1.0, float("nan"), 3.0, None, "x", True):
        curves.add({"step": 1, "loss": loss})
    assert curves.means("loss") == [2.0]


def test_samples_are_kept_by_step_and_cut_to_a_measure() -> None:
    history = SampleHistory()
    for step in range(1000):
        for prompt in ("a", "b"):
            history.add({"step": step, "prompt": prompt, "text": "x" * 10_000})
    kept = history.evaluations()
    assert len(kept) <= 101
    assert (kept[0]["step"], kept[-1]["step"]) == (0, 999)
    assert [each["prompt"] for each in kept[-1]["written"]] == ["a", "b"]
    assert len(kept[5]["written"][0]["text"]) == MAX_CHARACTERS
    assert kept[0]["written"][0]["repetition"] is None


def unreadable() -> Iterator[dict[str, Any]]:
    yield {"step": "one"}
    yield {"prompt": "a"}


def test_samples_without_a_step_are_passed_over() -> None:
    history = SampleHistory()
    for each in unreadable():
        history.add(each)
    assert history.evaluations() == []
