"""`llm` with the plugin `llm-ollama`: its command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ADDRESS = os.environ["GROUNDUP_ADDRESS"]


@pytest.fixture
def llm(tmp_path: Path):
    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "OLLAMA_HOST": ADDRESS, "LLM_USER_PATH": str(tmp_path)}
        program = str(Path(sys.executable).with_name("llm"))
        return subprocess.run([program, *words], capture_output=True, text=True, env=environment)

    return run


def test_models_are_listed_and_one_answers_streamed_and_whole(llm) -> None:
    assert "Ollama: ollama/greeter" in llm("models").stdout
    for stream in ([], ["--no-stream"]):
        assert (
            llm("-m", "ollama/greeter", "Hello", "-s", "Be brief.", *stream).stdout.strip()
            == "Good day to you."
        )


def test_a_conversation_goes_on(llm) -> None:
    llm("-m", "ollama/greeter", "Hello")
    assert llm("-c", "And now?").stdout.strip() == "Good day to you."
    logged = json.loads(llm("logs", "--json").stdout)
    assert [each["prompt"] for each in logged] in (["Hello", "And now?"], ["And now?", "Hello"])


def test_options_and_a_schema(llm) -> None:
    cut = llm("-m", "ollama/greeter", "Hello", "-o", "num_predict", "1").stdout.strip()
    assert 0 < len(cut) < 8 and "Good day to you.".startswith(cut)
    fields = {
        "properties": {"sure": {"type": "boolean"}},
        "required": ["sure"],
        "additionalProperties": False,
    }
    said = llm("-m", "ollama/chatty", "Hello", "--schema", json.dumps({"type": "object", **fields}))
    assert isinstance(json.loads(said.stdout)["sure"], bool), said.stderr


def test_tools_are_called_and_their_results_used(llm, tmp_path: Path) -> None:
    functions = tmp_path / "tools.py"
    functions.write_text(
        'def weather(city: str) -> str:\n    """The weather in a city."""\n    return f"sunny in {city}"\n'
    )
    said = llm(
        "-m",
        "ollama/helper",
        "How is the weather?",
        "--functions",
        str(functions),
        "--no-stream",
        "-o",
        "temperature",
        "0",
    )
    assert said.stdout.strip() == "It is sunny in Ulm.", said.stderr


def test_embeddings(llm) -> None:
    found = llm("embed", "-m", "ollama/greeter", "-c", "Hello")
    assert len(json.loads(found.stdout)) == 64, found.stderr


def test_an_unknown_model_is_said(llm) -> None:
    said = llm("-m", "ollama/nobody", "Hello")
    assert said.returncode != 0 and "nobody" in said.stderr
