"""A client of a real llama.cpp server (the package `xllamacpp`) that has loaded a GGUF file.

One process for each file (`llamacpp_server.py`), on a free port of the loopback interface with its
own key; it is stopped when the block is left, and stops by itself when this process dies. Texts are
sent as JSON over HTTP and arrive complete, NUL characters included (tested).
"""

import contextlib
import http.client
import importlib.util
import json
import secrets
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeVar

import torch

from groundup.errors import MissingExtra, ModelError
from groundup.operating_system import wait_for_output
from groundup.tokenizer.chat import Conversation
from groundup.tokenizer.fast import well_formed

SERVER_PROGRAM = Path(__file__).with_name("llamacpp_server.py")
START_LIMIT_S = 120.0
CALL_LIMIT_S = 120.0
STOP_LIMIT_S = 10.0
# Number of most probable tokens returned with each generated one.
TOP_TOKENS = 5
# Added to a logit, this makes its token certain.
FORCING_BIAS = 10_000.0
GREEDY: dict[str, Any] = {"temperature": 0, "cache_prompt": False}

T = TypeVar("T")


class LlamaError(ModelError):
    """It does not load the file, refuses a request, or has ended."""


@dataclass(frozen=True)
class Generated:
    """The result of greedy generation by llama.cpp."""

    ids: tuple[int, ...]
    """The tokens; an end-of-generation token comes last, where there was one."""
    top: tuple[Mapping[int, float], ...]
    """For each token, the most probable ids at its position with their natural log-probabilities;
    {} where llama.cpp returns none.
    """
    ended: bool
    """True: an end-of-generation token; False: the limit."""


class LlamaServer:
    """A running llama.cpp server. Every method raises LlamaError."""

    def __init__(self, address: str, key: str) -> None:
        self.address = address
        self._key = key
        # No proxy: a proxy from the environment must not be used for a child process.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def encode(self, text: str, *, control: bool = False, add_bos: bool = False) -> list[int]:
        """`control`: parse control tokens in the text; `add_bos`: where the model adds one."""
        body = {"content": well_formed(text), "parse_special": control, "add_special": add_bos}
        return self._ask(
            "/tokenize", body, lambda answer: [int(token) for token in answer["tokens"]]
        )

    def render(self, conversation: Conversation) -> str:
        """In the file's chat template, with the assistant's turn opened."""
        body = {"messages": _messages(conversation)}
        return self._ask("/apply-template", body, lambda answer: str(answer["prompt"]))

    def eos_text(self) -> str:
        """Return the text of the end-of-sequence token."""
        return self._ask("/props", None, lambda answer: str(answer["eos_token"]))

    def continue_greedily(self, ids: Sequence[int], *, max_tokens: int) -> Generated:
        """Return the greedy continuation of ids."""
        body = {
            **GREEDY,
            "prompt": list(ids),
            "n_predict": max_tokens,
            "n_probs": TOP_TOKENS,
            "return_tokens": True,
        }

        def read(answer: Any) -> Generated:
            # absent where no token ends a character
            logprobs = answer.get("completion_probabilities", [])
            return _read_generated(answer["tokens"], logprobs, answer["stop_type"] == "eos")

        return self._ask("/completion", body, read)

    def answer_greedily(self, conversation: Conversation, *, max_tokens: int) -> Generated:
        """The assistant's next turn, through the route that chat programs use."""
        options = {"max_tokens": max_tokens, "logprobs": True, "top_logprobs": TOP_TOKENS}
        body = {**GREEDY, **options, "messages": _messages(conversation)}

        def read(answer: Any) -> tuple[Generated, bool]:
            choice = answer["choices"][0]
            logprobs = choice["logprobs"]["content"]
            tokens = [entry["id"] for entry in logprobs]
            is_complete = len(tokens) == answer["usage"]["completion_tokens"]
            return _read_generated(tokens, logprobs, choice["finish_reason"] == "stop"), is_complete

        answer, is_complete = self._ask("/v1/chat/completions", body, read)
        if is_complete:
            return answer
        # This route omits tokens that end within a character; the other route returns the same
        # tokens for the same prompt.
        ids = self.encode(self.render(conversation), control=True, add_bos=True)
        return replace(self.continue_greedily(ids, max_tokens=max_tokens), ended=answer.ended)

    def ends_after(self, token_id: int, prompt_ids: Sequence[int]) -> bool:
        """Whether a generation ends at this token, which a bias on its logit makes it generate."""
        body = {
            **GREEDY,
            "prompt": list(prompt_ids),
            "n_predict": 2,
            "logit_bias": [[token_id, FORCING_BIAS]],
        }
        return self._ask("/completion", body, lambda answer: bool(answer["stop_type"] == "eos"))

    def _ask(self, route: str, body: dict[str, Any] | None, read: Callable[[Any], T]) -> T:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
        request = urllib.request.Request(self.address + route, data=data, headers=headers)
        try:
            with self._opener.open(request, timeout=CALL_LIMIT_S) as response:
                return read(json.load(response))
        except urllib.error.HTTPError as error:
            reason = error.read(500).decode("utf-8", "replace")
            raise LlamaError(f"llama.cpp refused {route}: {reason}") from error
        except (OSError, http.client.HTTPException) as error:
            raise LlamaError(f"llama.cpp gave no answer to {route} ({error!r}).") from error
        except (KeyError, IndexError, TypeError, ValueError) as error:
            what = f"llama.cpp's answer to {route} has an unexpected format ({error!r})."
            raise LlamaError(what) from error


def _messages(conversation: Conversation) -> list[dict[str, str]]:
    return [
        {"role": message.role, "content": well_formed(message.content)}
        for message in conversation.messages
    ]


def _read_generated(
    ids: Sequence[int], logprobs: Sequence[Mapping[str, Any]], ended: bool
) -> Generated:
    places = places_of([int(token["id"]) for token in logprobs], ids)
    top: list[Mapping[int, float]] = [{} for _ in ids]
    for place, token in zip(places, logprobs, strict=True):
        found = {int(entry["id"]): float(entry["logprob"]) for entry in token["top_logprobs"]}
        if place is not None:
            top[place] = found
    return Generated(tuple(map(int, ids)), tuple(top), ended)


def places_of(some: Sequence[int], ids: Sequence[int]) -> list[int | None]:
    """Return the positions of the ids in `some` within `ids`, of which it is a subsequence; None
    where a position is ambiguous.

    Raises ValueError when it is not a subsequence.

    >>> places_of([1, 3, 3], [1, 2, 3, 3])
    [0, 2, 3]
    >>> places_of([7], [7, 7])
    [None]
    """
    first = _first_places(some, ids)
    last = [len(ids) - 1 - place for place in reversed(_first_places(some[::-1], ids[::-1]))]
    return [a if a == b else None for a, b in zip(first, last, strict=True)]


def _first_places(some: Sequence[int], ids: Sequence[int]) -> list[int]:
    places, start = [], 0
    for id in some:
        places.append(ids.index(id, start))
        start = places[-1] + 1
    return places


@contextlib.contextmanager
def llama_server(
    gguf: Path, *, context_tokens: int, adapter: Path | None = None
) -> Iterator[LlamaServer]:
    """Start llama.cpp with torch's number of threads. Raises MissingExtra without `xllamacpp`,
    LlamaError when loading fails.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtra("xllamacpp", "demo")
    key = secrets.token_hex(16)
    order = {
        "path": str(gguf),
        "context_tokens": context_tokens,
        "threads": torch.get_num_threads(),
        "key": key,
        "adapter": str(adapter or ""),
    }
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        _process(log) as process,
    ):
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has already ended: `_address` reports why
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        yield LlamaServer(_address(process, log, gguf), key)


@contextlib.contextmanager
def _process(log: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """Run the server's process for as long as the block runs."""
    # -P: do not search the program's folder for modules.
    command = [sys.executable, "-P", str(SERVER_PROGRAM)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _address(process: subprocess.Popen[str], log: IO[str], gguf: Path) -> str:
    """Return the server's address, once it has loaded the file."""
    assert process.stdout is not None
    if not wait_for_output(process.stdout.fileno(), START_LIMIT_S):
        reason = f"not ready after {START_LIMIT_S:.0f} s"
    elif line := process.stdout.readline():
        return str(json.loads(line)["address"])
    else:
        log.seek(0)
        reason = _reason(log.read())
    raise LlamaError(f"llama.cpp does not load {gguf.name}: {reason}.")


def _reason(log: str) -> str:
    """The first error line of the log ("0.00.046.670 E where: what"), the most specific one; else
    the last line.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.split(" E ", 1)[1] for line in lines if " E " in line]
    return (errors or lines[-1:] or ["it ended without a message"])[0]
