"""A bound on the processor time of this process: what other programs do meanwhile does not count."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_most_cpu_s(seconds: float) -> Iterator[None]:
    """Fail where the block took more processor seconds, of all threads of this process."""
    started_s = time.process_time()
    yield
    assert time.process_time() - started_s < seconds
