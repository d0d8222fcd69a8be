"""A verb that torchrun started several times at once: joining the group of processes, and ending as one.

torchrun tells each by its environment who it is (RANK, WORLD_SIZE, LOCAL_RANK) and where they meet (MASTER_ADDR, MASTER_PORT). Without these nothing
changes. Messages go over gloo between processors and over nccl between GPUs.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from groundup.errors import ConfigError, GroundupError

if TYPE_CHECKING:
    from groundup.device import Compute
    from groundup.progress import Progress
    from groundup.train.parallel.process_group import ProcessGroup

SHARED = ("pretrain",)
"""Verbs that several processes can share."""
NAMES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# A step's messages come within seconds; who is silent for so long hangs. (One that ended is noticed at once.)
STEP_TIMEOUT = timedelta(minutes=10)
# Rank 0 may clean and encode texts for days before the first step.
PATIENCE = timedelta(days=30)
# torchrun's store lives on when it starts the processes again; notes of the last time must not be read.
RESTARTS = "TORCHELASTIC_RESTART_COUNT"
TOLD = "told"


@contextlib.contextmanager
def joined(device: str) -> "Iterator[tuple[ProcessGroup, Compute]]":
    """The group that this process belongs to, alone where nobody else was started, and where it computes. Raises ConfigError.

    An error is told by one process; all end with its exit code.
    """
    from groundup.device import select_compute
    from groundup.train.parallel.process_group import SINGLE_PROCESS

    compute = select_compute(device)
    if not all(os.environ.get(name) for name in NAMES):
        yield SINGLE_PROCESS, compute
        return
    group, store = _join(compute)
    signal.signal(signal.SIGTERM, _terminated)  # while they meet, a signal ends a process at once
    try:
        yield group, compute
    except BaseException as error:
        signal.signal(
            signal.SIGTERM, signal.SIG_IGN
        )  # torchrun ends those that are left; what is to be told is told first
        _end(group, store, error)
    _leave()


def require_alone(verb: str) -> None:
    """Refuse to do what one process does several times at once. Raises ConfigError, in the first of them; the others end."""
    if verb in SHARED or "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        return
    if os.environ.get("RANK") != "0":
        sys.exit(0)
    raise ConfigError(f"groundup {verb} runs in one process.", fix="Start it without torchrun.")


def progress_of(group: "ProcessGroup") -> "Progress":
    """Rank 0 shows how far it is; the others are silent."""
    from groundup.cli.console import console_progress
    from groundup.progress import Silent

    return console_progress() if group.leads else Silent()


def _terminated(number: int, frame: Any) -> None:
    sys.exit(128 + number)


def _join(compute: "Compute") -> "tuple[ProcessGroup, Any]":
    """The group, and the store of short notes that its processes share."""
    import torch
    import torch.distributed as dist

    from groundup.train.parallel.process_group import ProcessGroup

    rank, world = (_number(name) for name in ("RANK", "WORLD_SIZE"))
    if compute.device.type == "mps":
        raise ConfigError(
            "Several processes can't share an Apple GPU.", fix="Use --device cpu, or start it without torchrun."
        )
    if compute.device.type == "cuda":
        local = _number("LOCAL_RANK", 0)
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"This machine has {torch.cuda.device_count()} GPUs, and process {local} of those on it would take one more.",
                fix="Give torchrun as many processes (--nproc_per_node) as there are GPUs.",
            )
        torch.cuda.set_device(local)
    backend = "cpu:gloo,cuda:nccl" if compute.device.type == "cuda" else "gloo"
    try:
        store = dist.PrefixStore(f"groundup/{_number(RESTARTS, 0)}", next(dist.rendezvous("env://"))[0])
        dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=STEP_TIMEOUT)
        patient = dist.new_group(backend="gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise ConfigError(
            f"Rank {rank} of {world} could not meet the others at {place}: {' '.join(str(error).split())[:200]}.",
            fix="See that this machine reaches that address; GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME name the network card to use.",
        ) from error
    return ProcessGroup(rank, world, patient), store


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise ConfigError(
            f"The variable {name} is {text!r}, expected a number.", fix="Start it with torchrun, which sets it."
        )
    return int(text)


def _end(group: "ProcessGroup", store: Any, error: BaseException) -> None:
    """Raise what this process is to end by: the error itself where it is the one to tell it, else silence and the same code."""
    told = _groundup_error(error)
    if told is not None:
        raise told if _speaks(store) else SystemExit(2)
    if isinstance(error, KeyboardInterrupt) and not group.leads:
        raise SystemExit(130)
    raise error


def _groundup_error(error: BaseException) -> GroundupError | None:
    """The error for the user in what was raised; torchrun's signal to the others may have come while it was on its way."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, GroundupError):
        found = found.__context__ if isinstance(found, SystemExit) else None
    return found


def _speaks(store: Any) -> bool:
    """Whether this is the first process that has an error to tell. Where that can't be asked any more, it is told twice rather than never."""
    try:
        return int(store.add(TOLD, 1)) == 1
    except RuntimeError:
        return True


def _leave() -> None:
    import torch.distributed as dist

    dist.destroy_process_group()
