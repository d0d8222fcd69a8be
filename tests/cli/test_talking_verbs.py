"""`groundup generate` and `groundup chat`: in a pipe, and in a real terminal."""

import contextlib
import importlib.util
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from groundup.cli.main import run
from groundup.cli.plain import terminal_safe
from groundup.engine.engine import Engine
from groundup.engine.sampling import Sampling
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.card import ModelCard
from groundup.weights.model_io import save_model

GREEDY = ("--temperature", "0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes nonsense for ever: long enough to be stopped."""
    tokenizer = train_tokenizer(["to be or not to be, that is the question. " * 3], 300)
    size = -(-tokenizer.vocab_size // 16) * 16  # as int8's kernels want it
    config = ModelConfig(size, 100_000, 32, 1, 2, 32, tied_head=False)
    model = LanguageModel(config)
    initialise(model, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10 if parameter.ndim == 2 else 1)
        assert model.head is not None
        model.head.weight[
            [*tokenizer.special.tokens.values(), *range(tokenizer.vocab_size, size)]
        ] = 0  # never the best
    path = tmp_path_factory.mktemp("model")
    save_model(model, path, tokenizer)
    return path


@dataclass
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def piped(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    def ask(text: bytes, *options: str) -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))
        code = run(["chat", str(folder), *options])
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return ask


def test_generate_prints_what_is_new_and_the_same_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["generate", str(folder), "to be", "--seed", "1", "--max-tokens", "12"]
    assert run(arguments) == 0
    text = capsys.readouterr().out
    assert run([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert terminal_safe(told["text"]) + "\n" == text
    assert (told["finish_reason"], told["completion_tokens"]) == ("length", 12)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_generate_says_how_fast_it_was_and_what_decoded_and_draft_tokens_change_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], precision: str
) -> None:
    arguments = [
        "generate",
        str(folder),
        "to be",
        *GREEDY,
        "--max-tokens",
        "40",
        "--precision",
        precision,
        "--json",
    ]
    assert run(arguments) == 0
    plain = json.loads(capsys.readouterr().out)
    assert run([*arguments, "--speculate", "--stats"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert plain.items() <= told.items()
    has_step = importlib.util.find_spec("numba") is not None
    assert told["decodes_with"] == ("compiled step" if has_step else "torch")
    assert (
        told["tokens_per_s"] > 0
        and told["first_token_s"] > 0
        and told["threads"] == torch.get_num_threads()
    )
    assert run([*arguments[:-1], "--stats"]) == 0
    assert f"tokens per second ({told['decodes_with']}," in capsys.readouterr().err


def test_generate_says_why_torch_decodes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("groundup.kernels.probe.has_compiler", lambda: False)
    asked = ["generate", str(folder), "to be", "--max-tokens", "4", "--precision", "float32"]
    assert run([*asked, "--stats"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "Decoded through torch: the package numba is not installed" in said
    assert run([*asked, "--stats", "--json"]) == 0
    assert "groundup[fast]" in json.loads(capsys.readouterr().out)["why_torch"]


def test_serve_refuses_draft_tokens_where_answers_shall_be_reproducible(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", str(folder), "--reproducible", "--speculate", "--port", "0"]) == 2
    assert "--reproducible and draft tokens (--speculate) can't be combined" in " ".join(
        capsys.readouterr().err.split()
    )


def test_generate_refuses_what_is_out_of_range(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["generate", str(folder), "to be", "--top-p", "3"]) == 2
    assert "--top-p must be above 0 and at most 1 (got 3.0)" in capsys.readouterr().err
    assert run(["generate", "no-such-model", "to be"]) == 2
    assert "no-such-model" in capsys.readouterr().err


def test_generate_keeps_to_a_form(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema, grammar = tmp_path / "schema.json", tmp_path / "moves.gbnf"
    schema.write_text('{"enum": ["a", 5]}')
    table = tmp_path / "object.json"
    table.write_text('{"type": "object", "properties": {"a": {"const": "x"}}, "required": ["a"]}')
    grammar.write_text('root ::= "to " ("be" | "go")')
    for options, expected in (
        (["--regex", "[a-c]{2}[.]"], r"[a-c]{2}\."),
        (["--format", str(schema)], '"a"|5'),
        (["--format", str(table)], r'\{"a": "x"\}'),
        (["--format", "json", "--max-tokens", "3"], r"\{.*"),
        (["--grammar", str(grammar)], "to (be|go)"),
    ):
        assert (
            run(
                [
                    "generate",
                    str(folder),
                    "to be",
                    "--seed",
                    "1",
                    "--temperature",
                    "3",
                    "--json",
                    *options,
                ]
            )
            == 0
        )
        told = json.loads(capsys.readouterr().out)
        assert re.fullmatch(expected, told["text"]), told
        assert told["finish_reason"] == ("length" if "json" in options else "stop")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--regex", "("], "unclosed group"),
        (["--regex", "a", "--format", "json"], "--format and --regex can't be combined"),
        (["--format", "FOLDER/none.json"], "none.json can't be read"),
        (["--grammar", "FOLDER"], "can't be read"),
        (["--grammar", "FOLDER/bytes"], "not UTF-8 text"),
        (["--format", "FOLDER/half.json"], "The JSON schema can't be read"),
    ],
    ids=str,
)
def test_generate_refuses_a_form_in_one_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "half.json").write_text('{"type": ')
    assert (
        run(
            [
                "generate",
                str(folder),
                "to be",
                *(each.replace("FOLDER", str(tmp_path)) for each in options),
            ]
        )
        == 2
    )
    assert words in " ".join(capsys.readouterr().err.split())


def test_piped_questions_are_answered_one_by_one_with_the_conversation_kept(
    piped: Callable[..., Done],
) -> None:
    done = piped(b"to be\n\nor not\r\n/reset\nto be", *GREEDY, "--max-tokens", "8", "--json")
    assert done.code == 0, done.err
    first, second, third = map(json.loads, done.out.splitlines())
    assert [first["question"], second["question"], third["question"]] == [
        "to be",
        "or not",
        "to be",
    ]
    assert second["prompt_tokens"] > first["prompt_tokens"] + 8  # the first turn is part of it
    assert third == first
    assert first["completion_tokens"] == 8


def test_a_piped_conversation_prints_answers_only_and_obeys_orders(
    piped: Callable[..., Done],
) -> None:
    done = piped(
        b"/help\n/system You are brief.\n/system\n/what\nto be", *GREEDY, "--max-tokens", "4"
    )
    assert done.code == 0
    assert done.out.count("\n") == 1
    for words in (
        "Ctrl-C stops an answer",
        "System prompt: You are brief.",
        "There is no command /what.",
    ):
        assert words in done.err
    assert done.err.count("System prompt: You are brief.") == 2


def test_a_chat_with_a_base_model_begins_with_what_it_is_and_what_to_do(
    piped: Callable[..., Done],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    assert "base model" not in piped(b"").err
    base = shutil.copytree(folder, tmp_path / "base")
    (base / "README.md").write_text(ModelCard("base", "Trained from random weights.").markdown())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b""), encoding="utf-8"))
    assert run(["chat", str(base)]) == 0
    told = capsys.readouterr()
    assert (
        told.out == ""
        and f"{base} is a base model, which continues texts and never learned to answer" in told.err
    )
    assert (
        f"groundup generate {base} TEXT" in told.err
        and f"groundup finetune chat {base} starter" in told.err
    )


@pytest.mark.parametrize("word", ["/bye", "/quit", "/exit"])
def test_a_word_ends_the_conversation_and_help_names_it(
    piped: Callable[..., Done], word: str
) -> None:
    done = piped(f"/help\n{word}\nto be\n".encode(), *GREEDY, "--max-tokens", "4")
    assert (done.code, done.out) == (0, "")  # what comes after it is not answered
    assert word in done.err


def test_chat_draws_as_the_model_recommends_else_narrowly_and_options_decide(
    folder: Path, tmp_path: Path, piped: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Sampling] = []
    asked = Engine.chat
    monkeypatch.setattr(Engine, "chat", lambda *said: drawn.append(said[2]) or asked(*said))  # type: ignore[func-returns-value]
    recommending = tmp_path / "recommending"
    shutil.copytree(folder, recommending)
    kept = json.loads((folder / "generation_config.json").read_text())
    advice = {"temperature": 0.6, "top_k": 20, "top_p": 7}  # a top_p that can't be is passed over
    (recommending / "generation_config.json").write_text(json.dumps(kept | advice))

    def values(*options: str, of: Path = folder) -> tuple[float, ...]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"to be"), encoding="utf-8"))
        assert run(["chat", str(of), "--max-tokens", "1", *options]) == 0
        return drawn[-1].temperature, drawn[-1].top_k, drawn[-1].top_p, drawn[-1].min_p

    assert values() == (0.7, 40, 0.9, 0.05)
    assert values("--top-k", "0", "--min-p", "0") == (0.7, 0, 0.9, 0)
    assert values(of=recommending) == (0.6, 20, 0.9, 0.05)
    assert values("--temperature", "0.1", of=recommending) == (0.1, 20, 0.9, 0.05)


def test_chat_help_says_how_answers_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["chat", "--help"]) == 0
    said = "".join(re.sub(r"[^\w.,']", "", line) for line in capsys.readouterr().out.splitlines())
    for value in ("0.7", "40", "0.9", "0.05"):
        assert f"themodel'sown,else{value}" in said


def test_a_piped_question_that_does_not_fit_ends_with_2(piped: Callable[..., Done]) -> None:
    done = piped("😀".encode() * 30_000)
    assert done.code == 2
    assert "context of 100,000" in done.err


class Terminal:
    """A process whose stdin, stdout and stderr are a terminal."""

    def __init__(self, *command: str) -> None:
        self.handle, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "dumb"},
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def wait_for(self, pattern: str, limit_s: float = 60.0) -> None:
        """Read until `pattern` comes; what came up to its end is forgotten."""
        deadline = time.monotonic() + limit_s
        while (found := re.search(pattern, self.seen, re.DOTALL)) is None:
            assert time.monotonic() < deadline, self.seen[-2000:]
            if select.select([self.handle], [], [], 0.1)[0]:
                self.seen += os.read(self.handle, 4096).decode("utf-8", "replace")
        self.seen = self.seen[found.end() :]

    def type(self, text: str) -> None:
        os.write(self.handle, text.encode())

    def press_ctrl_c_until(self, pattern: str) -> None:
        """Again where nothing happens: the line editor overlooks a signal between showing its prompt and beginning to wait."""
        for _ in range(5):
            time.sleep(0.3)
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(AssertionError):
                return self.wait_for(pattern, 5)
        raise AssertionError(f"Ctrl-C did not bring {pattern!r}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.handle)


@pytest.fixture
def terminal(folder: Path) -> Iterator[Terminal]:
    opened = Terminal(
        sys.executable, "-m", "groundup", "chat", str(folder), *GREEDY, "--max-tokens", "90000"
    )
    yield opened
    opened.close()


def test_in_a_terminal_ctrl_c_stops_the_answer_and_ctrl_d_leaves(terminal: Terminal) -> None:
    terminal.wait_for("/help lists the commands")
    terminal.wait_for("you> ")
    terminal.type("to be\n")
    terminal.wait_for("to be\r?\n.{40}")  # the answer has begun, and would take minutes
    terminal.press_ctrl_c_until("you> ")
    terminal.type("half a line")
    terminal.wait_for("half a line")
    terminal.press_ctrl_c_until("you> ")
    terminal.type("\x04")
    assert terminal.process.wait(120) == 0
