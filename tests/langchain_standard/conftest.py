"""LangChain's standard suites for our classes, in a process of their own (make test-langchain): they bring six plugins of pytest.

The chat model is a small one that learnt the suite's own questions by heart (`taught.py`), so that nothing is fetched, or that of
GROUNDUP_LANGCHAIN_MODEL.
"""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [
    str(Path(__file__).parents[1]),
    str(Path(__file__).parents[1] / "serve"),
    str(Path(__file__).parent),
]


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    given = os.environ.get("GROUNDUP_LANGCHAIN_MODEL")
    if given:
        return given
    from taught import save_answers

    return str(save_answers(tmp_path_factory.mktemp("chat") / "taught"))


# What SmolLM2-135M can't do; docs/langchain.md says the same.
TOO_HARD = {
    "test_agent_loop": "it does not choose to call where no call is forced",
    "test_unicode_tool_call_integration": "it does not copy Japanese, or describes the customer without end",
}


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    for item in items if "GROUNDUP_LANGCHAIN_MODEL" in os.environ else ():
        if reason := TOO_HARD.get(item.originalname):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=False))
