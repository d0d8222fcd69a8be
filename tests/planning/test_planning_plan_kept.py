"""A plan is kept: real runs of three sizes take the time and the memory that was said, within a fifth. Slow, and only worth running alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORDS = (
    "the",
    "fox",
    "hen",
    "sang",
    "of",
    "red",
    "old",
    "sly",
    "big",
    "sad",
    "mad",
    "raw",
    "sea",
    "no",
    "one",
    "saw",
    "them",
    "go",
    "by",
    "land",
)
SIZES = [("300k", "20s"), ("1300k", "30s"), ("5M", "45s")]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A megabyte of words in an order of no meaning."""
    folder = tmp_path_factory.mktemp("texts")
    state = 1
    for number in range(20):
        words = []
        for _ in range(10_000):
            state = state * 1_103_515_245 + 12_345 & 0x7FFFFFFF
            words.append(WORDS[(state >> 16) % len(WORDS)])
        (folder / f"{number}.txt").write_text(" ".join(words))
    return folder


@pytest.mark.timing
@pytest.mark.parametrize(("size", "budget"), SIZES)
def test_a_run_takes_the_time_and_memory_that_its_plan_said(
    texts: Path, tmp_path: Path, size: str, budget: str
) -> None:
    minutes = str(float(budget.removesuffix("s")) / 60)
    command = [
        "pretrain",
        str(texts),
        "--out",
        str(tmp_path / "run"),
        "--size",
        size,
        "--minutes",
        minutes,
        "--json",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "groundup", *command],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=True,
    )
    results = json.loads(done.stdout)
    for name in ("minutes", "memory_bytes"):
        said, came = results["planned"][name], results["actual"][name]
        assert 0.8 < came / said < 1.2, f"{name}: {said} planned, {came} came"
