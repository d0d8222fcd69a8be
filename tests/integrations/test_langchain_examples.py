"""The examples run, each as a user runs it, on small models; those that a model must be taught for, on one that was."""

import asyncio
import contextlib
import io
import itertools
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from langchain_core.utils.function_calling import convert_to_openai_tool
from small_models import TOOL_TEMPLATES, _save_taught, save_classifier, save_language, with_template
from traitlets.config import Config

from groundup.data.reading.source_files import Source
from groundup.progress import Silent
from groundup.retrieve.update import update_index
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import train_tokenizer
from groundup.tokenizer.special import CHATML_TEMPLATE
from groundup.tokenizer.tools import ToolCall

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    save_language(folder / "chatty", context_tokens=2048, template=CHATML_TEMPLATE)
    save_classifier(folder / "sorter")
    return folder


def example(name: str, *arguments: str, **environment: str) -> str:
    """What an example prints; it must end without an error or a warning of ours."""
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error::DeprecationWarning:groundup",
            str(EXAMPLES / name),
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def example_here(name: str, *arguments: str) -> str:
    """As `example`, in this process: it has imported what takes seconds."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return said.getvalue()


def test_every_example_is_run() -> None:
    told = Path(__file__).read_text()
    assert not [
        each.name for each in EXAMPLES.iterdir() if each.is_file() and f'"{each.name}"' not in told
    ]


def test_a_retrieval_chain_cites_the_places_of_its_documents(models: Path, tmp_path: Path) -> None:
    (tmp_path / "boiler.md").write_text("# Boiler\n\nThe warranty lasts 24 months.\n")
    update_index(tmp_path / "index", [Source(str(tmp_path / "boiler.md"))], progress=Silent())
    said = example_here(
        "langchain_retrieval.py",
        str(tmp_path / "index"),
        "How long is the warranty?",
        "--model",
        str(models / "chatty"),
    )
    assert f"[1] {tmp_path / 'boiler.md'}, from character 0: '# Boiler" in said


def test_structured_output_fills_nested_pydantic_classes(models: Path) -> None:
    first, second = example_here(
        "langchain_structured.py", str(models / "chatty"), "Ada Lovelace, born 1815"
    ).splitlines()
    assert first.startswith("name=") and "works=[Work(kind=" in first and "born=" in first
    assert "works=[Work(kind=" in second and "'output_tokens'" in second


@pytest.mark.slow
def test_an_agent_calls_two_tools_and_answers(tmp_path: Path) -> None:
    sys.path.insert(0, str(EXAMPLES))
    try:
        from langchain_agent import TOOLS
    finally:
        sys.path.remove(str(EXAMPLES))
    tools = tuple(convert_to_openai_tool(each) for each in TOOLS)
    turns = [
        (
            "Is Ulm sunny?",
            ToolCall("weather", {"city": "Ulm"}),
            "sunny in Ulm",
            "Yes, Ulm is sunny.",
        ),
        (
            "When can I read?",
            ToolCall("opening_hours", {"place": "library"}),
            "the library opens at nine",
            "At nine.",
        ),
    ]
    conversations = [
        Conversation(
            (
                Message("user", asked),
                Message("assistant", "", (call,)),
                Message("tool", found),
                Message("assistant", end),
            ),
            tools,
        )
        for asked, call, found, end in turns
    ]
    words = with_template(
        train_tokenizer([json.dumps(tools) + repr(turns)] * 2, 600), TOOL_TEMPLATES["tagged"]
    )
    _save_taught(
        tmp_path / "agent", words, [render(each, words).ids for each in conversations], 300
    )
    said = example("langchain_agent.py", str(tmp_path / "agent"), *[asked for asked, *_ in turns])
    assert said.splitlines() == [
        "human: Is Ulm sunny?",
        "ai:  weather({'city': 'Ulm'})",
        "tool: sunny in Ulm",
        "ai: Yes, Ulm is sunny.",
        "human: When can I read?",
        "ai:  opening_hours({'place': 'library'})",
        "tool: the library opens at nine",
        "ai: At nine.",
    ]


@pytest.mark.slow
def test_a_classifier_routes_between_two_chains(models: Path) -> None:
    texts = [
        "to be or not to be",
        "that is the question",
        "nobler in the mind",
        "whether to suffer",
        "é 中文",
    ]
    lines = example(
        "langchain_router.py", str(models / "sorter"), str(models / "chatty"), *texts
    ).splitlines()
    import groundup

    classifier = groundup.open_model(models / "sorter")
    for text in texts:
        (said,) = [line for line in lines if line.startswith(f"{text} -> ")]
        is_spam = classifier.classify(text)["label"] == "spam"
        assert ("Not answered" in said) == is_spam
    assert len({classifier.classify(text)["label"] for text in texts}) == 2  # both chains ran


@pytest.fixture
def address(models: Path) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "groundup",
        "serve",
        "--json",
        "--port",
        "0",
        "--models",
        str(models),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["address"]
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_the_same_chain_says_the_same_in_process_and_over_http(models: Path, address: str) -> None:
    said = example("langchain_clients.py", address, "chatty", "--path", str(models / "chatty"))
    answers = dict(line.split(": ", 1) for line in said.splitlines())
    assert set(answers) == {"ChatOllama", "ChatOpenAI", "ChatPerplexity", "ChatGroundup"}
    assert len(set(answers.values())) == 1 and len(answers["ChatGroundup"]) > 5


def test_an_answer_grows_in_a_notebook_cell(
    models: Path, monkeypatch: pytest.MonkeyPatch, shell: InteractiveShell
) -> None:
    monkeypatch.setenv("MODEL", str(models / "chatty"))
    notebook = nbformat.read(EXAMPLES / "langchain_notebook.ipynb", as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]

    async def run_cells() -> list[Any]:
        """In a running loop, as a kernel runs them; a kernel would import all anew, for seconds."""
        done = [
            await shell.run_cell_async(cell, transformed_cell=shell.transform_cell(cell))
            for cell in cells
        ]
        return [each.raise_error() or each.result for each in done]

    *_, usage = asyncio.run(run_cells())
    shown = shell.display_pub.outputs
    texts = [each["data"]["text/markdown"] for each in shown]
    assert len(shown) > 6 and [each["update"] for each in shown] == [False] + [True] * len(
        texts[1:]
    )
    assert len({each["transient"]["display_id"] for each in shown}) == 1
    assert texts[0] == "" and texts[-1] == shell.user_ns["text"] and "output_tokens" in usage
    assert all(after.startswith(before) for before, after in itertools.pairwise(texts))


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """One that keeps what is displayed, and no history."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # it sets its own there
    quiet = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"warn_venv": False}})
    made = InteractiveShell.instance(config=quiet)
    made.display_pub = CapturingDisplayPublisher(shell=made)
    yield made
    InteractiveShell.clear_instance()
