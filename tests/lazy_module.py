"""Packages that few tests use and that take long to import: each process of the suite collects all tests and runs a part of them."""

import importlib
import warnings
from typing import Any


class LazyModule:
    """A module, imported when a test first takes something from it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # pytest looks for such at all that a file of tests defines
            raise AttributeError(attribute)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own imports
            module = importlib.import_module(self._name)
        return getattr(module, attribute)
