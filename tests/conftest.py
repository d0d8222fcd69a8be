"""Fixtures for every room: a cache of its own, one torch thread (two test processes never fight over cores)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The suite never reads or writes the user's cache; tests marked `network` share one that survives (GROUNDUP_TEST_CACHE)."""
    before = os.environ.get("GROUNDUP_CACHE")
    folder = Path(os.environ.get("GROUNDUP_TEST_CACHE") or tmp_path_factory.mktemp("cache"))
    os.environ["GROUNDUP_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["GROUNDUP_CACHE"]
    else:
        os.environ["GROUNDUP_CACHE"] = before


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)
