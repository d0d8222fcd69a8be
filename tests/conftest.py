"""Fixtures for every room: a cache of its own, one torch thread in this process and in those it starts (`make test` runs a process on each core)."""

import importlib.util
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tiny_encoder
collect_ignore = ["langchain_standard"]  # make test-langchain

# The time of an example depends on what else the machine does.
hypothesis.settings.register_profile("groundup", deadline=None)
hypothesis.settings.load_profile("groundup")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, for the programs that tests start, too
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A suite that runs in the background of a shell ignores Ctrl-C, and so would every process it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real Chromium, for tests marked `browser`."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("needs Playwright: pip install playwright && playwright install chromium")
    from playwright.sync_api import Error, sync_playwright

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    with sync_playwright() as player:
        try:
            opened = player.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        except Error:
            pytest.skip("needs Chromium: playwright install chromium")
        yield opened
        opened.close()
