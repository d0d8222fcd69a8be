"""Verbs started by torchrun: joining the process group, and exiting together.

torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; without them the verb runs
in one process. Backends: gloo on CPUs, NCCL between GPUs.
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
    from groundup.train.steps.process_group import ProcessGroup

SHARED = ("pretrain",)
"""Verbs that can run in several processes."""
NAMES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# Collectives of a step take seconds; a process that is silent for longer hangs. (One that exited is
# noticed at once.)
STEP_TIMEOUT = timedelta(minutes=10)
# Rank 0 may clean and encode texts for days before the first step.
PATIENCE = timedelta(days=30)
# torchrun's store outlives a restart of the processes; keys of the previous start must not be read.
RESTARTS = "TORCHELASTIC_RESTART_COUNT"
ERRORS = "errors"


@contextlib.contextmanager
def join_group(device: str) -> "Iterator[tuple[ProcessGroup, Compute]]":
    """SINGLE_PROCESS without torchrun. Raises ConfigError.

    An error is printed by one process; all exit with its code.
    """
    from groundup.device import select_compute
    from groundup.train.steps.process_group import SINGLE_PROCESS

    compute = select_compute(device)
    if not all(os.environ.get(name) for name in NAMES):
        yield SINGLE_PROCESS, compute
        return
    group, store = _join(compute)
    # not before they have joined: until then a signal ends a process at once
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield group, compute
    except BaseException as error:
        # torchrun ends the others; the error is printed first
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _end(group, store, error)
    import torch.distributed as dist

    dist.destroy_process_group()


def require_alone(verb: str) -> None:
    """Raises ConfigError on rank 0; the others exit."""
    if (
        verb in SHARED
        or "TORCHELASTIC_RUN_ID" not in os.environ
        or os.environ.get("WORLD_SIZE", "1") == "1"
    ):
        return
    if os.environ.get("RANK") != "0":
        sys.exit(0)
    raise ConfigError(f"groundup {verb} runs in one process.", fix="Start it without torchrun.")


def progress_of(group: "ProcessGroup") -> "Progress":
    """Return the progress of rank 0; the other ranks are silent."""
    from groundup.cli.console import console_progress
    from groundup.progress import Silent

    return console_progress() if group.leads else Silent()


def _join(compute: "Compute") -> "tuple[ProcessGroup, Any]":
    """Return the group and the key-value store of its processes."""
    import torch
    import torch.distributed as dist

    from groundup.train.steps.process_group import ProcessGroup

    rank, world = (_number(name) for name in ("RANK", "WORLD_SIZE"))
    if compute.device.type == "mps":
        fix = "Use --device cpu, or start it without torchrun."
        raise ConfigError("Several processes can't share an Apple GPU.", fix=fix)
    backend = "gloo"
    if compute.device.type == "cuda":
        backend = "cpu:gloo,cuda:nccl"
        local = _number("LOCAL_RANK", 0)
        if local >= torch.cuda.device_count():
            fix = "Give torchrun as many processes (--nproc_per_node) as there are GPUs."
            count = torch.cuda.device_count()
            raise ConfigError(
                f"This machine has {count} GPUs, too few for local rank {local}.", fix=fix
            )
        torch.cuda.set_device(local)
    try:
        store = dist.PrefixStore(
            f"groundup/{_number(RESTARTS, 0)}", next(dist.rendezvous("env://"))[0]
        )
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=world, timeout=STEP_TIMEOUT
        )
        patient = dist.new_group(backend="gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"Rank {rank} of {world} could not join the others at {place}: {reason}.",
            fix="Check that this machine reaches that address; GLOO_SOCKET_IFNAME and "
            "NCCL_SOCKET_IFNAME name the network card to use.",
        ) from error
    return ProcessGroup(rank, world, patient), store


def _number(name: str, default: int | None = None) -> int:
    if default is not None and name not in os.environ:
        return default
    text = os.environ.get(name, "")
    if not text.isdecimal():
        fix = "Start it with torchrun, which sets it."
        raise ConfigError(f"The variable {name} is {text!r}, expected a number.", fix=fix)
    return int(text)


def _end(group: "ProcessGroup", store: Any, error: BaseException) -> None:
    """A GroundupError on the first process that has one, else a silent exit with the same code."""
    found: BaseException | None = error
    while isinstance(found, SystemExit):  # torchrun's signal may have interrupted a GroundupError
        found = found.__context__
    if isinstance(found, GroundupError):
        raise found if _is_first(store) else SystemExit(2)
    if isinstance(error, KeyboardInterrupt) and not group.leads:
        raise SystemExit(130)
    raise error


def _is_first(store: Any) -> bool:
    """True also where the store is gone: better printed twice than never."""
    try:
        return int(store.add(ERRORS, 1)) == 1
    except RuntimeError:
        return True
