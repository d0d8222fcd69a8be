"""Other programs, unchanged but for the address, against a real server: `make test-guests`, in environments of their own.

Each file of `python/` is run by pytest in the environment of `.venv-guests` that has its packages (those that want other versions than the rest have
one of their own), each of `node/` by node's own test runner with the packages of `.venv-guests/node`.
They find the server at GROUNDUP_ADDRESS. docs/guests.md says what a user types.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_models import save_language
from taught_models import save_taught

from groundup.tokenizer.special import CHATML_TEMPLATE

HERE = Path(__file__).parent
ENVIRONMENT = Path(__file__).parents[4] / ".venv-guests"
PYTHON = sorted(file.name for file in (HERE / "python").glob("*.py"))
NODE = sorted(file.name for file in (HERE / "node").glob("*.mjs"))
LIMIT_S = 1_200  # none waits: a busy machine needs minutes for their imports

pytestmark = [
    pytest.mark.guests,
    pytest.mark.skipif(not ENVIRONMENT.is_dir(), reason="make test-guests installs the guests"),
]


@pytest.fixture(scope="module")
def guested(serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """greeter, clerk and helper know what to say; chatty has random weights: it calls and fits schemas because it must."""
    folder = tmp_path_factory.mktemp("guests")
    save_taught(folder)
    save_language(folder / "chatty", context_tokens=4096, template=CHATML_TEMPLATE)
    return serve("--models", str(folder), "--tools", "any")


def run_guest(command: list[str], server: Any, folder: Path) -> None:
    """Run the checks of a guest, away from the settings of whoever runs this; afterwards the server has no answer in hand."""
    kept = {
        name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ
    }
    own = {
        "GROUNDUP_ADDRESS": server.address,
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "DO_NOT_TRACK": "1",
    }
    done = subprocess.run(
        command, capture_output=True, text=True, env={**kept, **own}, cwd=folder, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    deadline = time.monotonic() + 20
    while "groundup_answers_in_hand 0.0" not in server.get("/metrics").text:
        assert time.monotonic() < deadline, "an answer that its client left goes on"
        time.sleep(0.1)


@pytest.mark.parametrize("name", PYTHON)
def test_a_guest_in_python_works(guested: Any, tmp_path: Path, name: str) -> None:
    own = name.removesuffix("_guest.py")
    if (HERE / "large" / f"{own}.txt").is_file() and not (ENVIRONMENT / own).is_dir():
        pytest.skip(f"make .venv-guests/{own} installs it")
    environment = (
        own if any((HERE / place / f"{own}.txt").is_file() for place in ("", "large")) else "python"
    )
    python = str(ENVIRONMENT / environment / "bin" / "python")
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
        "-W",
        "ignore",
        "--noconftest",
    ]
    run_guest([python, "-m", "pytest", *options, str(HERE / "python" / name)], guested, tmp_path)


@pytest.mark.parametrize("name", NODE)
def test_a_guest_in_node_works(guested: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "node_modules").symlink_to(ENVIRONMENT / "node" / "node_modules")
    shutil.copy(HERE / "node" / name, tmp_path)
    run_guest(["node", "--test", name], guested, tmp_path)
