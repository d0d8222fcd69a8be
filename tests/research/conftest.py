"""The tiny research and the tiny search, each done once."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tiny_research


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tiny_research import do_research

    return do_research(tmp_path_factory.mktemp("research"))


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tiny_research import do_search

    return do_search(tmp_path_factory.mktemp("search"))
