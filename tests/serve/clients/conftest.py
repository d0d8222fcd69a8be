"""A real `groundup serve` process with small models, one for all of these tests, and what tests need to know of it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from forked_program import CODE, SERVER, ForkedProgram, forker
from served_documents import Documents
from small_models import save_classifier, save_language


class Serving:
    """A server process: its address, what it says on stderr, and how it ends."""

    def __init__(self, process: "subprocess.Popen[str] | ForkedProgram") -> None:
        self.process = process
        self.said = ""
        assert self.process.stdout is not None
        # A pipe that nobody empties would stop the server at its next line.
        self._reading = threading.Thread(target=self._read_what_it_says, daemon=True)
        self._reading.start()
        first = self.process.stdout.readline()
        assert first, self.said
        self.address = json.loads(first)["address"]

    def _read_what_it_says(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line

    def get(self, path: str, **options: Any) -> Any:
        return httpx.get(self.address + path, timeout=60, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return httpx.post(self.address + path, json=body, timeout=60, **options)

    def ended(self, limit_s: float = 600.0) -> int:
        """Its exit code, once it has ended and all that it said has been read."""
        code = self.process.wait(limit_s)
        self._reading.join()
        return code

    def kill(self) -> None:
        self.process.kill()
        self.ended()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny writes for ever, ender ends, other has other weights, sorter classifies."""
    folder = tmp_path_factory.mktemp("served")
    save_language(folder / "tiny")
    save_language(folder / "ender", ends=True)
    save_language(folder / "other", seed=5)
    save_classifier(folder / "sorter")
    return folder


SERVE = ("serve", "--json", "--port", "0")


@contextmanager
def servers() -> Iterator[Callable[..., Serving]]:
    """A function (arguments) that starts one more, forked from a process that has imported it; all are ended at the end.

    `first`: what its process does before, in Python.
    """
    started: list[Serving] = []

    def start(*arguments: str, first: str = "", **environment: str) -> Serving:
        program = f"{first}\nfrom groundup.cli import main; main.main()"
        forked = forker().start(
            (program, *SERVE, *arguments), environment, program=CODE, imported=SERVER
        )
        started.append(Serving(forked))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., Serving]]:
    """serve(arguments) starts one more, until the module ends: a server at rest looks ten times a second whether it shall stop."""
    with servers() as start:
        yield start


@pytest.fixture(scope="session")
def serve_all() -> Iterator[Callable[..., Serving]]:
    """As `serve`, until all tests are done."""
    with servers() as start:
        yield start


@pytest.fixture(scope="session")
def server(models: Path) -> Iterator[Serving]:
    """As a user starts it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "groundup", *SERVE, "--models", str(models)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    started = Serving(process)
    yield started
    started.kill()


@pytest.fixture(scope="session")
def guarded(serve_all: Callable[..., Serving], models: Path) -> Serving:
    """A server that wants the key "secret"."""
    return serve_all(str(models / "tiny"), "--api-key", "secret")


@pytest.fixture(scope="session")
def address(server: Serving) -> str:
    return server.address


@pytest.fixture(scope="session")
def documents(
    tmp_path_factory: pytest.TempPathFactory, serve_all: Callable[..., Serving]
) -> Documents:
    """Two documents on a server with the indexes "manuals" and "none", an empty one, and the model "reader"."""
    return Documents(tmp_path_factory.mktemp("documents"), serve_all)


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """opened(address, ...) -> a page at it; whatever it complains of, or loads from elsewhere, fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_page(
        address: str,
        *,
        width: int = 1280,
        height: int = 900,
        scheme: str = "light",
        locale: str = "en-GB",
    ) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, locale=locale
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: complaints.append(request.url) if not is_own(request.url) else None,
        )
        page.goto(address)
        return page

    def is_own(url: str) -> bool:
        return url.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:", "blob:null/"))

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
