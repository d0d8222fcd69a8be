"""The processes of one run and the messages between them. In a single process no message is sent.

`torchrun` starts the same command several times, each with a rank, 0 to world - 1. Rank 0 alone
prepares data, evaluates, writes and reports. Messages are tensors, nothing is pickled:

    first(work)      rank 0 does the work, all get its result or its error
    gather(numbers)  a few numbers of every rank, to all

Rank 0 may work for hours while the others wait, so the first kind goes through a group of its own
without a timeout; when rank 0 is gone, its connection closes and the others notice at once.
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
    rank: int = 0
    world: int = 1
    """The number of processes."""
    patient: Any = None
    """torch's group without a timeout; None: torchrun did not start this process."""

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def first(self, work: Callable[[], Result]) -> Result:
        """The result (plain JSON) of `work`, done on rank 0 alone. Raises on all the GroundupError
        that it raised there.
        """
        if self.world == 1:
            return work()
        with self.lost_process_errors():
            if self.leads:
                return self._lead(work)
            return self._follow()

    def made_first(self, work: Callable[[], Result]) -> Result | None:
        """As `first`, for results that are no JSON: the other ranks get None."""
        made: list[Result] = []

        def keep() -> None:
            made.append(work())

        self.first(keep)
        return next(iter(made), None)

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
        """Float64, a row a rank."""
        own = torch.tensor(numbers, dtype=torch.float64)
        return torch.stack(self.gather_tensors(own))

    def gather_tensors(self, own: Tensor) -> list[Tensor]:
        """A small CPU tensor of each rank; all are of one shape."""
        if self.world == 1:
            return [own]
        found = [torch.empty_like(own) for _ in range(self.world)]
        with self.lost_process_errors():
            dist.all_gather(found, own)
        return found

    @contextlib.contextmanager
    def lost_process_errors(self) -> Iterator[None]:
        """Raise ProcessLost for torch's error about a process that is gone."""
        try:
            yield
        except RuntimeError as error:
            if self.world == 1 or not _of_the_network(error):
                raise
            raise ProcessLost(
                f"Rank {self.rank} of {self.world} lost contact with another process of this run: "
                "it has ended, hangs or can't be reached.",
                fix="Checkpoints are kept: the same command resumes from there. Why it ended: its "
                "own message, torchrun's report below, or the system's log (out of memory?).",
            ) from error


SINGLE_PROCESS = ProcessGroup()


def _of_the_network(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "NCCL"))


def require_shares(batch_size: int, processes: int) -> None:
    """A batch must be divided evenly among the processes. Raises ConfigError with the nearest that
    can.
    """
    over = batch_size % processes
    if over:
        low, high = batch_size - over, batch_size - over + processes
        nearest = f"the nearest are {low} and {high}" if low else f"the smallest is {high}"
        raise ConfigError(
            f"batch_size {batch_size} can't be divided evenly among {processes} processes; "
            f"{nearest}.",
            fix=f"Set fit.batch_size={high}: it is the whole batch, not a process's share of it.",
        )
