"""Threads of a model that is opened from Python, without the command line that prepares them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import groundup
from groundup import device, threads


@pytest.fixture
def unprepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A process of two cores that nothing was prepared in; its container's limit stands in the file."""
    unset = (*threads.COUNT_VARIABLES, threads.OWN_VARIABLE)
    environ = {name: value for name, value in os.environ.items() if name not in unset}
    monkeypatch.setattr(os, "environ", environ)
    monkeypatch.setattr(threads, "_made", [])
    monkeypatch.setattr(threads, "seen_cores", lambda: 2)
    monkeypatch.setattr(threads, "CPU_LIMIT_FILE", tmp_path / "cpu.max")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    device.most_threads.cache_clear()
    yield tmp_path / "cpu.max"
    torch.set_num_threads(before)
    device.most_threads.cache_clear()


@pytest.mark.parametrize(
    ("limit", "counts"), [("max 100000", (2, 1)), ("100000 100000", (1,))], ids=["none", "one core"]
)
def test_an_open_model_tunes_its_threads_within_the_cores_it_may_use(
    unprepared: Path,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    limit: str,
    counts: tuple[int, ...],
) -> None:
    unprepared.write_text(limit)
    assert threads.chosen() is None
    model = groundup.open_model(tiny_model, "cpu")
    assert model.engine.compute.thread_counts == counts
    assert torch.get_num_threads() == counts[0]
    assert capsys.readouterr().err == ""


def test_a_number_of_threads_that_the_user_set_stays(unprepared: Path, tiny_model: Path) -> None:
    os.environ["OMP_NUM_THREADS"] = "2"
    unprepared.write_text("100000 100000")
    assert groundup.open_model(tiny_model, "cpu").engine.compute.thread_counts == ()
    assert torch.get_num_threads() == 2
