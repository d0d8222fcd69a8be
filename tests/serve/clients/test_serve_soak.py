"""Two minutes of everything at once: memory stays where it was, and nothing is left in hand."""

import json
import random
import re
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

SOAK_S = 120.0
WARM_S = 30.0
CLIENTS = 8
# What an allocator and caches that fill up may take beyond the measurement after the first half minute.
SLACK = 1.10


def memory_bytes(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def client(address: str, seed: int, until: float, errors: list[str]) -> None:
    """Requests of all kinds, one after another; a third of the streams is left in the middle."""
    choose = random.Random(seed)
    turn = {"role": "user", "content": "To be"}
    with httpx.Client(base_url=address, timeout=60) as http:
        while time.monotonic() < until:
            limit = choose.randrange(1, 40)
            body: dict[str, Any] = {
                "model": choose.choice(("tiny", "ender")),
                "messages": [turn] * choose.randrange(1, 9, 2),
            }
            kind = choose.randrange(5)
            if kind < 2:
                answer = http.post("/api/chat", json={**body, "stream": False, "options": {"num_predict": limit}})
            elif kind == 2:
                answer = http.post("/v1/embeddings", json={"model": "tiny", "input": ["to be"] * limit})
            elif kind == 3:
                answer = http.post("/v1/chat/completions", content=b'{"model": ')
            else:
                leave(http, {**body, "options": {"num_predict": 40}}, choose.random() < 0.3)
                continue
            if answer.status_code != (400 if kind == 3 else 200):
                errors.append(answer.text)


def leave(http: httpx.Client, body: dict[str, Any], early: bool) -> None:
    with http.stream("POST", "/api/chat", json=body) as stream:
        for line in stream.iter_lines():
            if early and not json.loads(line)["done"]:
                return


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_memory_is_flat_over_two_minutes(server: Any) -> None:
    errors: list[str] = []
    until = time.monotonic() + SOAK_S
    threads = [threading.Thread(target=client, args=(server.address, seed, until, errors)) for seed in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(WARM_S)
    before = memory_bytes(server.process.pid)
    for thread in threads:
        thread.join()
    assert not errors
    assert memory_bytes(server.process.pid) < SLACK * before
    assert "groundup_answers_in_hand 0.0" in server.get("/metrics").text
