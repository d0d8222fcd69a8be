"""A guarded server as a real process, one for a module of tests."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

APP = Path(__file__).parent / "guarded_app.py"


@pytest.fixture(scope="module")
def start_server() -> Iterator[Callable[..., tuple[str, "subprocess.Popen[str]"]]]:
    """start_server(limits=..., key=..., host=..., port=0) -> (address, process)."""
    started: list[subprocess.Popen[str]] = []

    def start(limits: str = "{}", key: str = "", host: str = "127.0.0.1", port: int = 0) -> Any:
        command = [sys.executable, str(APP), str(port), host, key, limits]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        started.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip(), process

    yield start
    for process in started:
        process.kill()
        process.communicate()
