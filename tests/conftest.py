"""Fixtures for every room: a cache of its own, one torch thread in this process and in those it starts (`make test` runs a process on each core)."""

import dataclasses
import functools
import gc
import importlib.util
import inspect
import io
import logging
import os
import random
import shutil
import signal
import ssl
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, ForwardRef, get_args

import hypothesis
import jaxtyping
import pytest
from beartype.roar import BeartypeCallHintViolation

sys.path.insert(0, str(Path(__file__).parent))  # tiny_encoder
# Containers often forbid Python to keep what it compiles: each of the 150 processes that tests start would compile the package anew (2 s).
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
collect_ignore = ["langchain_standard"]  # make test-langchain

# The same examples in every run, without a limit on their time; `make test-slow` also draws others, and more of them.
hypothesis.settings.register_profile("groundup", deadline=None, derandomize=True, max_examples=30)
hypothesis.settings.register_profile("at-large", deadline=None, derandomize=False, max_examples=300)
hypothesis.settings.load_profile("groundup")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before torch is imported, for the programs that tests start, too
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Headings are in the system's language; the tests read the English ones.
if any(os.environ.get(name, "")[:2] in ("de", "fr", "es") for name in ("LC_ALL", "LANG")):
    os.environ["LC_ALL"] = "C.UTF-8"
# Where a test takes two threads, one that waits for the other sleeps: it would keep a core busy that another process of the suite wants.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# A suite that runs in the background of a shell ignores Ctrl-C, and so would every process it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class CheckedCalls:
    """By whom the shapes of each function's first calls in a test are checked by jaxtyping, and of all later ones those of a part.

    A training run of a small model makes 100,000 calls, and half of its time were the checks of the same shapes again and again.
    """

    FIRST, LATER_GAP, INNER_TESTS = 3, 256, 3

    def __init__(self) -> None:
        self.inner_tests: Counter[CodeType] = Counter()
        self.test = 0
        self.begin()

    def begin(self) -> None:
        """Begin anew; calls of a test are the same each time that it is run."""
        self.test += 1
        self.calls, self.draw = 0, random.Random(0).randrange
        self.inner: set[CodeType] = set()
        self.choose_next()

    def choose_next(self) -> None:
        """Which call is checked after this one, whichever function it is of."""
        self.checked_next = self.calls + self.draw(1, 2 * self.LATER_GAP)

    def decorated(self, function: Any, typechecker: Callable[[Any], Any]) -> Any:
        """The function with its checks, made when they are first wanted: making them takes longer than many calls.

        A function inside another is defined anew at each call: its first definition in a test is checked, in a few tests of a process.
        """
        if dataclasses.is_dataclass(function):  # of a class jaxtyping checks no more than this
            made: Any = function.__init__
            if not hasattr(made, "__wrapped__"):  # an inherited one is checked already
                function.__init__ = self.decorated(made, typechecker)  # type: ignore[misc]
            return function
        if not isinstance(function, FunctionType):
            return JAXTYPED(function, typechecker=typechecker)
        if "<locals>" in function.__qualname__:
            code = function.__code__
            if code in self.inner or self.inner_tests[code] == self.INNER_TESTS:
                return function
            self.inner.add(code)
            self.inner_tests[code] += 1
        checked: Callable[..., Any] | None = None
        test = first = 0

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal checked, test, first
            self.calls += 1
            if test != self.test:
                test, first = self.test, self.FIRST
            if first:
                first -= 1
            elif self.calls < self.checked_next:
                return function(*args, **kwargs)
            else:
                self.choose_next()
            checked = checked or checked_once(function, typechecker)
            return checked(*args, **kwargs)

        return call


def is_written(hint: Any) -> bool:
    """Whether a type, or one inside it, is written as a string."""
    inside = hint if isinstance(hint, list) else get_args(hint)
    return isinstance(hint, str | ForwardRef) or any(map(is_written, inside))


def checked_once(function: FunctionType, typechecker: Callable[[Any], Any]) -> Callable[..., Any]:
    """The function with its parameters and its answer checked, each once: a third of what jaxtyping
    itself takes, which binds the arguments by name and checks them a second time with the answer.
    """
    # By name: a shape that is computed from another parameter, a class that is not imported.
    hints = function.__annotations__.values()
    by_name = any("{" in str(hint) or is_written(hint) for hint in hints)
    if by_name or inspect.isgeneratorfunction(function):
        return JAXTYPED(function, typechecker=typechecker)
    checked = typechecker(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        with JAXTYPED("context"):
            try:
                return checked(*args, **kwargs)
            except BeartypeCallHintViolation as error:
                raise jaxtyping.TypeCheckError(str(error)) from error

    return call


JAXTYPED: Any = jaxtyping.jaxtyped
CHECKED_CALLS = CheckedCalls()
if not jaxtyping.config.jaxtyping_disable:  # by its environment variable
    # Its import hook calls it so, in the packages that are named in pyproject.toml.
    jaxtyping.jaxtyped = lambda *, typechecker: functools.partial(  # type: ignore[assignment]
        CHECKED_CALLS.decorated, typechecker=typechecker
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, since one or another always waits: for a deadline of a server, for a process to end."""
    return (os.cpu_count() or 1) + 1


gc.disable()  # until all tests are collected: a sixth of that time


def pytest_collection_finish(session: pytest.Session) -> None:
    patch = pytest.MonkeyPatch()
    session.config.add_cleanup(patch.undo)
    set_for_all_tests(patch)
    # The suite never reads or writes the user's cache.
    folder = tempfile.TemporaryDirectory(prefix="groundup-tests-")
    session.config.add_cleanup(folder.cleanup)
    patch.setenv("GROUNDUP_CACHE", os.environ.get("GROUNDUP_TEST_CACHE") or folder.name)
    freeze_imported()
    gc.enable()


IMPORTED_AT_LEAST, FROZEN = 300, {"modules": 0}


def freeze_imported() -> None:
    """No collection looks through what was imported up to now: a build collects after each stage,
    which took 0.2 s of processor time in a process with the modules of all tests.
    """
    if len(sys.modules) >= FROZEN["modules"] + IMPORTED_AT_LEAST:
        gc.collect()
        gc.freeze()
        FROZEN["modules"] = len(sys.modules)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    CHECKED_CALLS.begin()
    freeze_imported()


def set_for_all_tests(patch: pytest.MonkeyPatch) -> None:
    """What holds in all tests. Not fixtures: six that all tests use take a quarter of the time that pytest itself needs for a test."""
    import torch

    torch.set_num_threads(1)
    # Tests don't wait until a disk has what they wrote, which is up to 7 ms a file where others write too.
    # Other processes read it at once, and killed ones leave it; those that tests start do wait.
    patch.setattr(os, "fsync", lambda descriptor: None)
    # Each client of httpx reads all certificates of the world anew: 8 of the 10 ms of a request to a server of ours.
    patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
    shorten_measurements(patch)
    shorten_evaluations(patch)


def shorten_measurements(patch: pytest.MonkeyPatch) -> None:
    """A choice by measured times takes a few steps instead of seconds: no test depends on which choice is the faster one on this machine.

    Products of a shape are measured once: beside busy processes two runs would choose differently for Muon.
    """
    from groundup.planning import model_fit
    from groundup.train.steps import precision

    patch.setattr(model_fit, "READ_BYTES", model_fit.PIECE_BYTES)  # of a bandwidth
    patch.setattr(precision, "product_times", functools.cache(precision.product_times))
    patch.setattr(precision, "MEASURED_S", 0.02)  # what is imported from now on takes it there
    for name in [name for name in sys.modules if name.startswith("groundup.")]:
        for seconds in ("MEASURED_S", "TRIAL_S"):
            if hasattr(sys.modules[name], seconds):
                patch.setattr(sys.modules[name], seconds, 0.02)


def shorten_evaluations(patch: pytest.MonkeyPatch) -> None:
    """Samples of a run are of 8 tokens, answers of 16, which else take longer than all steps of the small runs here; an evaluation measures 512."""
    from groundup.finetune import chat_training
    from groundup.train.monitor import evaluation, samples

    patch.setattr(samples, "SAMPLE_TOKENS", 8)
    patch.setattr(chat_training, "ANSWER_TOKENS", 16)
    patch.setattr(evaluation, "MAX_TOKENS", 512)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder of six short texts."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_text(
            f"Tale {number}. The fox and the hen sang of the sea. " * 20
        )
    return folder


@pytest.fixture
def own_cache() -> Path:
    """The suite's cache; tests marked `network` share one that survives (GROUNDUP_TEST_CACHE)."""
    return Path(os.environ["GROUNDUP_CACHE"])


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is written into Python's logs during a test."""
    handler = logging.StreamHandler(io.StringIO())
    logging.root.addHandler(handler)
    yield handler.stream
    logging.root.removeHandler(handler)


# Without windows first: a page takes 0.25 s of processor time, and 1 s of a whole browser.
BROWSERS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "chrome",
)
# What comes late beside busy processes is not wrong: Playwright's own limit is 30 s.
BROWSER_TIMEOUT_MS = 300_000


def patient(make: Callable[..., Any]) -> Callable[..., Any]:
    """The function of a browser that makes a page or a context, which then waits long."""

    def made(**options: Any) -> Any:
        found = make(**options)
        found.set_default_timeout(BROWSER_TIMEOUT_MS)
        return found

    return made


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real Chromium, for tests marked `browser`."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("needs Playwright: pip install playwright && playwright install chromium")
    from playwright.sync_api import Error, sync_playwright

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    with sync_playwright() as player:
        try:
            opened = player.chromium.launch(
                executable_path=found, args=["--no-sandbox", "--disable-gpu"]
            )
        except Error:
            pytest.skip("needs Chromium: playwright install chromium")
        opened.new_page, opened.new_context = map(patient, (opened.new_page, opened.new_context))
        yield opened
        opened.close()
