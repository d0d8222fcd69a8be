"""torchrun as a program of forked_program.py: its agent, and processes that are forked too, so nothing is imported again.

Arguments: a module with a function `main`, and the arguments of that.
"""

import importlib
import sys
import uuid
from collections.abc import Sequence

# An optimizer imports it, for a second and more: once, before forking.
import torch._dynamo
import torch.distributed.elastic.rendezvous.c10d_rendezvous_backend  # noqa: F401
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

PROCESSES = 2


def work(module: str, arguments: Sequence[str]) -> None:
    """What each process does: `main()` of the module, as `python -m` does it."""
    sys.argv[1:] = arguments
    try:
        importlib.import_module(module).main()
    except SystemExit as end:
        if end.code:
            raise


def main() -> None:
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=PROCESSES,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="fork",
    )
    elastic_launch(config, work)(sys.argv[1], sys.argv[2:])
