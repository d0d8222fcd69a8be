"""The processes of one run and the messages between them. Alone, which is the rule, every message is what it was told.

`torchrun` starts the same command several times, each with a rank, 0 to world - 1. Rank 0 leads: it alone prepares data, evaluates, writes and
speaks. Two kinds of message are all that the loop needs; both are tensors, the first kind with JSON in it, and nothing is pickled:

    first(work)      rank 0 does the work, all get its result or its error
    gather(numbers)  a few numbers of every rank, to all: what a step came to, and whether anyone was told to stop

(Gradients and weights are exchanged by torch itself: `distributed.py`.) Rank 0 may work for hours while the others wait, so the first kind
goes through a group of its own that waits without end; when rank 0 is gone, its connection closes and the others are told at once.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from groundup.errors import ConfigError, GroundupError
from groundup.files import json_bytes

Result = TypeVar("Result")


class ProcessLost(GroundupError):
    """Another process of the run has ended, hangs or can't be reached."""


@dataclass(frozen=True)
class ProcessGroup:
    """Who this process is among those of the run."""

    rank: int = 0
    world: int = 1
    """How many there are."""
    patient: Any = None
    """torch's group for messages that may be long in coming."""

    @property
    def leads(self) -> bool:
        """Whether this is the one that evaluates, writes and speaks."""
        return self.rank == 0

    def first(self, work: Callable[[], Result]) -> Result:
        """What `work` gives on rank 0, which alone does it; the result is plain JSON. Raises on all the GroundupError that it raised there."""
        if self.world == 1:
            return work()
        with self.in_touch():
            return self._lead(work) if self.leads else self._follow()

    def made_first(self, work: Callable[[], Result]) -> Result | None:
        """As `first`, for what is no JSON: the others get None."""
        made: list[Result] = []

        def keep() -> None:
            made.append(work())

        self.first(keep)
        return made[0] if made else None

    def _lead(self, work: Callable[[], Result]) -> Result:
        try:
            result = work()
        except GroundupError as error:
            self._send({"error": [error.message, error.fix]})
            raise
        self._send({"result": result})
        return result

    def _send(self, message: dict[str, Any]) -> None:
        data = torch.frombuffer(bytearray(json_bytes(message)), dtype=torch.uint8)
        dist.broadcast(torch.tensor([len(data)]), 0, group=self.patient)
        dist.broadcast(data, 0, group=self.patient)

    def _follow(self) -> Any:
        length = torch.zeros(1, dtype=torch.int64)
        dist.broadcast(length, 0, group=self.patient)
        data = torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(data, 0, group=self.patient)
        message = json.loads(bytes(data.numpy()))
        if "error" in message:
            text, fix = message["error"]
            raise GroundupError(text, fix=fix)
        return message["result"]

    def gather(self, numbers: Sequence[float]) -> Float[Tensor, "ranks N"]:
        """As many numbers of each rank as a table in float64, a row a rank: the same on all."""
        own = torch.tensor(numbers, dtype=torch.float64)
        return torch.stack(self.gather_tensors(own))

    def gather_tensors(self, own: Tensor) -> list[Tensor]:
        """A small tensor on the CPU of each rank, in the order of ranks; all are of one shape."""
        if self.world == 1:
            return [own]
        found = [torch.empty_like(own) for _ in range(self.world)]
        with self.in_touch():
            dist.all_gather(found, own)
        return found

    @contextlib.contextmanager
    def in_touch(self) -> Iterator[None]:
        """Turn torch's error for a process that is gone into one sentence."""
        try:
            yield
        except RuntimeError as error:
            if self.world == 1 or not _of_the_network(error):
                raise
            raise ProcessLost(
                f"Rank {self.rank} of {self.world} lost touch with another one of this training: it has ended, hangs or can't be reached.",
                fix="What was saved stands, the same command goes on from there. Why it ended: its own message, torchrun's report below, or the "
                "system's log (out of memory?).",
            ) from error


SINGLE_PROCESS = ProcessGroup()


def _of_the_network(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "NCCL"))


def require_shares(batch_size: int, processes: int) -> None:
    """Refuse a batch that can't be shared out evenly. Raises ConfigError with the nearest that can."""
    over = batch_size % processes
    if over:
        low, high = batch_size - over, batch_size - over + processes
        nearest = f"the nearest are {low} and {high}" if low else f"the smallest is {high}"
        raise ConfigError(
            f"batch_size {batch_size} can't be shared out among {processes} processes; {nearest}.",
            fix=f"Set it with --set fit.batch_size={high}: it is the whole batch, not a process's share of it.",
        )
