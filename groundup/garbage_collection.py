"""Pauses of Python's search for cycles of objects that nobody refers to any more.

While modules are imported and a model is opened hundreds of thousands of objects are made, none of
which is garbage, and each search goes through those there are: a tenth of a server's start.
"""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Pause it in the block, in all threads; where it was paused before, it stays so."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
