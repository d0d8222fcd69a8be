"""`aider`, headless: it asks, and edits a file, through OpenAI's API and Ollama's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ADDRESS = os.environ["GROUNDUP_ADDRESS"]
AIDER = Path(sys.executable).with_name("aider")
# Nothing is asked, sent or looked up elsewhere.
QUIET = "--yes-always --no-git --no-gitignore --no-pretty --no-check-update --no-show-release-notes --analytics-disable"
QUIET += " --no-show-model-warnings --map-tokens 0 --edit-format whole"
WAYS = {
    "openai": {"OPENAI_API_BASE": f"{ADDRESS}/v1", "OPENAI_API_KEY": "any"},
    "ollama_chat": {"OLLAMA_API_BASE": ADDRESS},
}


EDIT = "hello.txt\n```\nGood day to you.\n```"


def aider(folder: Path, way: str, model: str, *arguments: str) -> str:
    """What it says, its spaces as single ones, run once in a folder with the file hello.txt."""
    (folder / "hello.txt").write_text("Hi.\n")
    command = [
        AIDER,
        "--model",
        f"{way}/{model}",
        *QUIET.split(),
        *arguments,
        "--message",
        "Say good day",
        "hello.txt",
    ]
    settings = {**os.environ, **WAYS[way], "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(done.stdout.split())


@pytest.mark.parametrize("arguments", [[], ["--no-stream"]], ids=["streamed", "whole"])
def test_a_file_is_edited(tmp_path: Path, arguments: list[str]) -> None:
    """The model has random weights: a field of ours, among aider's settings, makes it write this edit."""
    settings = tmp_path / "settings.json"  # which is YAML, too
    settings.write_text(
        json.dumps(
            [{"name": "openai/chatty", "extra_params": {"extra_body": {"guided_choice": [EDIT]}}}]
        )
    )
    said = aider(tmp_path, "openai", "chatty", *arguments, "--model-settings-file", str(settings))
    assert "Applied edit to hello.txt" in said
    assert (tmp_path / "hello.txt").read_text() == "Good day to you.\n"


def test_an_answer_of_ollamas_api_without_an_edit_changes_nothing(tmp_path: Path) -> None:
    assert "Good day to you." in aider(tmp_path, "ollama_chat", "greeter")
    assert (tmp_path / "hello.txt").read_text() == "Hi.\n"


def test_an_unknown_model_is_said(tmp_path: Path) -> None:
    assert "not found" in aider(tmp_path, "openai", "nobody")
