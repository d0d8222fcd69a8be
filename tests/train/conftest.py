"""The process that starts training processes, and the run that was never stopped."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from forked_program import Forker
from stopping import Starter, facts


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """Imports torch once; see tiny_run.py. What it compiles is kept until the tests are done, and compiled by the process itself."""
    kept = str(tmp_path_factory.mktemp("compiled"))
    script = Path(__file__).parent / "tiny_run.py"
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TORCHINDUCTOR_CACHE_DIR": kept,
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
        },
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Starter(process)


@pytest.fixture(scope="session")
def torchrun_forker() -> Iterator[Forker]:
    """Starts forked_torchrun.py."""
    forker = Forker(
        "forked_torchrun", ("groundup.cli.pretrain", "groundup.train.pretrain", "shared_run")
    )
    yield forker
    forker.close()


@pytest.fixture(scope="session")
def whole(
    starter: Starter, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, object]]:
    """The facts of the run of a kind that went through in one go."""

    @functools.cache
    def facts_of(kind: str) -> dict[str, object]:
        folder = tmp_path_factory.mktemp("whole") / kind
        assert starter.run(folder, kind=kind) == 0
        return facts(folder)

    return facts_of


@pytest.fixture(scope="session")
def never_stopped(whole: Callable[[str], dict[str, object]]) -> dict[str, object]:
    """Those of AdamW's."""
    return whole("adamw")
