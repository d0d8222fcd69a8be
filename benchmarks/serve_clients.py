"""Servers as processes, and clients that ask them together over HTTP: OpenAI's streamed /v1/completions, which all of them speak."""

import asyncio
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx

TEXT = "The ship had left the harbour before sunrise, and those who stood at the rail saw the town grow small. They spoke of"
PATIENCE_S, POLL_S = 300.0, 0.01
NUMBERS = count(1)  # so that no prompt begins as an earlier one: nothing can be reused


@dataclass(frozen=True)
class Served:
    """A server that is ready, its model in memory."""

    address: str
    model: str
    started_s: float
    """From the start of its process to the end of its first answer, of one token."""
    process: subprocess.Popen[str]

    def memory_mb(self) -> float:
        """What it has in memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return (
            next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
            / 1024
        )


@dataclass(frozen=True)
class Load:
    """What some streams at once came to; times in seconds."""

    token_s: float
    """By the token of all."""
    first_s: Sequence[float]
    """Of each stream, from its request to its first text."""
    between_s: Sequence[float]
    """Between two texts of one stream, of all streams."""


@contextlib.contextmanager
def serving(command: Sequence[object], model: str, *, address: str = "") -> Iterator[Served]:
    """Start a server that says its address in one JSON line or has this one, and have its model loaded; it ends with the block."""
    began = time.perf_counter()
    words = [str(word) for word in command]
    said = subprocess.DEVNULL if address else subprocess.PIPE
    # an installed package has the bytecode of its modules
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=said, stderr=subprocess.DEVNULL, text=True, env=env
    )
    try:
        if address:
            wait_for(address, process)
        else:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())["address"]
        asyncio.run(_all(address, model, streams=1, tokens=1))
        yield Served(address, model, time.perf_counter() - began, process)
    finally:
        process.kill()
        process.communicate()


def wait_for(address: str, process: subprocess.Popen[str]) -> None:
    """Until its /health says that the model is loaded."""
    with httpx.Client(trust_env=False) as client:
        for _ in range(int(PATIENCE_S / POLL_S)):
            assert process.poll() is None, (process.args, process.returncode)
            with contextlib.suppress(httpx.TransportError):
                if client.get(f"{address}/health").status_code == httpx.codes.OK:
                    return
            time.sleep(POLL_S)
    raise TimeoutError(f"{address} is not ready after {PATIENCE_S:.0f} s")


def load(server: Served, streams: int, tokens: int) -> Load:
    """So many requests sent together, each for so many tokens."""
    return asyncio.run(_all(server.address, server.model, streams, tokens))


async def _all(address: str, model: str, streams: int, tokens: int) -> Load:
    began = time.perf_counter()
    async with httpx.AsyncClient(
        base_url=address,
        timeout=PATIENCE_S,
        trust_env=False,
        limits=httpx.Limits(max_connections=None),
    ) as client:
        answers = await asyncio.gather(*(_one(client, model, tokens) for _ in range(streams)))
    taken = time.perf_counter() - began
    written = sum(number for number, _ in answers)
    between = [later - earlier for _, times in answers for earlier, later in pairwise(times[1:])]
    return Load(taken / written, [times[1] - times[0] for _, times in answers], between)


async def _one(client: httpx.AsyncClient, model: str, tokens: int) -> tuple[int, list[float]]:
    """One stream: tokens written, and when it was asked and each text came."""
    wanted = {
        "model": model,
        "prompt": f"{next(NUMBERS)}. {TEXT}",
        "max_tokens": tokens,
        "temperature": 0,
    }
    body: dict[str, Any] = {**wanted, "stream": True, "stream_options": {"include_usage": True}}
    times, written = [time.perf_counter()], 0
    async with client.stream("POST", "/v1/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            said = json.loads(line.removeprefix("data: "))
            if said.get("choices") and said["choices"][0].get("text"):
                times.append(time.perf_counter())
            written = (said.get("usage") or {}).get("completion_tokens", written)
    assert written > 0 and len(times) > 1, (written, len(times))
    return written, times


def percentile(values: Sequence[float], share: int) -> float:
    """The `share`-th percentile."""
    return quantiles(values, n=100, method="inclusive")[share - 1] if len(values) > 1 else values[0]
