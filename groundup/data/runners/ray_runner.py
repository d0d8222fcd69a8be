"""Work on Ray Data: tasks of `worker` on the processes of one machine or of a cluster (extra
`ray`).

    ray_results(tasks)    the results, in the order of the tasks

Ray is used as it is found: where it runs (`ray job submit`, RAY_ADDRESS), there; else a cluster of
this machine's cores is started and ended again. Files on disk must be there under the same path on
every machine; what is in an object store is read by the machines themselves.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from groundup.data.runners.document_batches import work
from groundup.errors import GroundupError, WorkerError, require_extra
from groundup.threads import allowed_cores

EXTRA = "ray"
COLUMN = "message"


def ray_results(tasks: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the results of each task in order.

    Raises MissingExtra, WorkerError (Ray itself failed).
    """
    require_extra(EXTRA, "ray.data")
    import ray.data

    with _running(), _settings(), _ray_errors():
        made = ray.data.from_arrow([_table([task]) for task in tasks]).map_batches(
            _work, batch_size=1, batch_format="pyarrow"
        )
        for batch in made.iter_batches(batch_size=None, batch_format="pyarrow"):
            for value in batch.column(COLUMN):
                yield value.as_py()


def _table(messages: Sequence[bytes]) -> Any:
    import pyarrow

    return pyarrow.table({COLUMN: pyarrow.array(messages, pyarrow.large_binary())})


def _work(batch: Any) -> Iterator[Any]:
    for task in batch.column(COLUMN):
        for message in work(task.as_py()):
            yield _table([message])


@contextmanager
def _running() -> Iterator[None]:
    """Have a Ray cluster: the one that there is, or one of this machine's cores."""
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # What is set here is for a new cluster, and refused for one that runs.
    found = os.environ.get("RAY_ADDRESS")
    own: dict[str, Any] = {}
    if not found:
        own = {"num_cpus": allowed_cores(), "include_dashboard": False}
    with _ray_errors():
        ray.init(address=found, logging_level=logging.ERROR, log_to_driver=False, **own)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _settings() -> Iterator[None]:
    """Set what Ray Data is to do, and set it back."""
    from ray.data import DataContext

    context = DataContext.get_current()
    before = (
        context.enable_progress_bars,
        context.print_on_execution_start,
        context.execution_options.preserve_order,
    )
    names = ("ray.data", "ray.data._internal.execution.streaming_executor")
    levels = [logging.getLogger(name).level for name in names]
    try:
        context.enable_progress_bars = context.print_on_execution_start = False
        context.execution_options.preserve_order = True
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start, order = before
        context.execution_options.preserve_order = order
        for name, level in zip(names, levels, strict=True):
            logging.getLogger(name).setLevel(level)


@contextmanager
def _ray_errors() -> Iterator[None]:
    """Turn what Ray raises into one sentence; a defect of ours keeps its traceback."""
    import ray.exceptions

    try:
        yield
    except GroundupError:
        raise
    except (ray.exceptions.RayTaskError, ray.exceptions.UserCodeException) as error:
        raise RuntimeError(f"in a task of Ray: {error}") from error
    except (ray.exceptions.RayError, ConnectionError) as error:
        fix = "The same command goes on from what was saved. `ray status` shows the cluster."
        raise WorkerError(f"Ray failed: {' '.join(str(error).split())[:400]}.", fix=fix) from error
