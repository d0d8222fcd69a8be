"""The process that starts training processes, and the run that was never stopped."""

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from forked_program import TRAINING, ForkedProgram, forker
from stopping import Starter, facts, starting


@pytest.fixture
def whole_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations measure all of a small split."""
    monkeypatch.setattr("groundup.train.monitor.evaluation.MAX_TOKENS", 2048)


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """Imports torch once; see tiny_run.py. What it compiles is kept until the tests are done, and compiled by the process itself."""
    kept = str(tmp_path_factory.mktemp("compiled"))
    environment = {"TORCHINDUCTOR_CACHE_DIR": kept, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    with starting("tiny_run", environment) as started:
        yield started


@pytest.fixture(scope="session")
def forked_torchrun() -> Callable[..., ForkedProgram]:
    """forked_torchrun(module, arguments) starts forked_torchrun.py."""

    def start(*words: str) -> ForkedProgram:
        imported = (*TRAINING, "shared_run")
        return forker().start(words, program="forked_torchrun", imported=imported)

    return start


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
