"""llama.cpp as `make peers` built it, at its best settings here: without HTTP for one stream, and its server.

    with NativeLlama(file, threads=1) as peer:
        ids = peer.write(prompt, 64)            greedy, in a process that has the model in memory
    with llama_server(file, threads=2, slots=16) as served: ...

Flash attention on, the rest as it comes (docs/log.md has what was tried); keys and values in float16, weights repacked for the processor.
"""

import contextlib
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from build_peers import native_peers
from serve_clients import Served, serving

CONTEXT_TOKENS = SLOT_TOKENS = 1024
FLASH_ATTENTION, POLL = "on", 50


class NativeLlama:
    """One model in a process of its own. Raises ConfigError where llama.cpp is not built."""

    def __init__(self, file: Path, threads: int) -> None:
        words = [native_peers().greedy, file, threads, CONTEXT_TOKENS, FLASH_ATTENTION, POLL]
        self._process = subprocess.Popen(
            [str(word) for word in words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.system_info = self._line()
        self._threads = threads

    def __enter__(self) -> "NativeLlama":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def write(self, ids: Sequence[int], new_tokens: int) -> list[int]:
        """Greedy; nothing stops it."""
        return [int(word) for word in self._ask("write", new_tokens, *ids)[1:]]

    def logits(self, ids: Sequence[int]) -> torch.Tensor:
        """[T, V], each token with those before it in its memory, one at a time as it decodes."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "logits"
            self._ask("logits", out, *ids)
            found = np.fromfile(out, np.float32).reshape(len(ids), -1)
        return torch.from_numpy(found)

    def read_gb_s(self, num_bytes: int) -> float:
        """How fast as many threads read an array of so many bytes: the fastest of 12 times."""
        return num_bytes / float(self._ask("read", num_bytes)[0]) / 1e3

    def _ask(self, *words: object) -> list[str]:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return self._line().split()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "llama.cpp ended: its reason stands above"
        return line.strip()


@contextlib.contextmanager
def llama_server(file: Path, threads: int, slots: int) -> Iterator[Served]:
    """Its server with exactly so many slots, a key-value cache for each, no prompt kept for later."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        native_peers().server,
        "-m",
        file,
        "--host",
        "127.0.0.1",
        "--port",
        port,
        "-t",
        threads,
    ]
    command += ["-c", slots * SLOT_TOKENS, "-np", slots, "-fa", FLASH_ATTENTION, "--cache-ram", 0]
    command += ["--no-ui", "--offline", "-lv", 0, "--alias", "bench"]
    with serving(command, "bench", address=f"http://127.0.0.1:{port}") as served:
        yield served
