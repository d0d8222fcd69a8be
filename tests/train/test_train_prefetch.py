"""Batches made one ahead are the batches that would have been made, and leave no thread behind."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_run import CONFIG, TinyBatches, TinyModel, tiny_loss

from groundup.data.batches.loader import Batch
from groundup.device import Compute
from groundup.runs import RunFolder
from groundup.train import session
from groundup.train.loop import fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.steps.step import Prefetcher

CPU = Compute(torch.device("cpu"))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("batches")]


class Counting:
    """Says which batches were asked for, and by which thread."""

    def __init__(self) -> None:
        self.made: list[tuple[int, bool]] = []

    def __call__(self, position: int) -> Batch:
        self.made.append((position, threading.current_thread() is threading.main_thread()))
        ids = torch.tensor([[position]])
        return Batch(ids, ids)


def test_on_a_cpu_batches_are_made_when_they_are_asked_for() -> None:
    make = Counting()
    feed = Prefetcher(make, ahead=False, pinned=False)
    assert [int(feed.batch(position).ids) for position in (0, 1, 5)] == [0, 1, 5]
    assert make.made == [(0, True), (1, True), (5, True)] and not threads()


def test_ahead_the_next_batch_is_made_by_a_thread_and_every_position_gives_its_own() -> None:
    make = Counting()
    feed = Prefetcher(make, ahead=True, pinned=False)
    assert [int(feed.batch(position).ids) for position in (0, 1, 2, 0, 1, 7)] == [0, 1, 2, 0, 1, 7]
    feed.close()
    assert not threads()
    asked_in_order = [made for made in make.made if made[0] in (0, 7)]
    assert asked_in_order == [(0, True), (0, True), (7, True)]
    assert {position for position, by_main in make.made if not by_main} >= {1, 2, 3}


def test_an_error_is_raised_at_the_batch_that_has_it_and_not_before() -> None:
    def make(position: int) -> Batch:
        if position == 2:
            raise OSError("the third is gone")
        return Batch(torch.tensor([[position]]), torch.tensor([[position]]))

    feed = Prefetcher(make, ahead=True, pinned=False)
    assert [int(feed.batch(position).ids) for position in (0, 1)] == [0, 1]
    with pytest.raises(OSError, match="the third is gone"):
        feed.batch(2)
    feed.close()


@pytest.mark.parametrize("stopped", [False, True])
def test_a_run_fed_ahead_is_the_same_run_also_when_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    """As on a GPU, but for the pinned memory."""
    weights = []
    for ahead in (False, True):
        monkeypatch.setattr(
            session,
            "Prefetcher",
            lambda make, ahead_here=ahead, **others: Prefetcher(
                make, ahead=ahead_here, pinned=False
            ),
        )
        model, run = TinyModel(), RunFolder(tmp_path / f"{ahead}")
        config = replace(CONFIG, steps=8, evaluate_every=4)
        stops = iter([False, stopped, False, False])

        def evaluate(stops: object = stops) -> dict[str, float]:
            if next(stops):  # type: ignore[call-overload]
                raise KeyboardInterrupt
            return {}

        for _ in range(1 + stopped):
            try:
                fit(
                    model,
                    TinyBatches(),
                    tiny_loss,
                    config,
                    run,
                    compute=CPU,
                    hooks=Hooks(evaluate=evaluate),
                )
            except KeyboardInterrupt:
                assert not threads()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights) and not threads()
