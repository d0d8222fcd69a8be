"""Real llama.cpp, in a process of its own: what it makes of files of ours."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

pytest.importorskip("xllamacpp")

PROGRAM = Path(__file__).with_name("llamacpp_logprobs.py")


@dataclass(frozen=True)
class Order:
    """A file, our model of it, and the prompts that both are asked."""

    path: Path
    model: torch.nn.Module
    prompts: tuple[tuple[int, ...], ...]
    vocab_size: int
    plain: int = 0
    """A token that is a whole character; of our small tokenizers the first, "!"."""
    told: int = 0
    """Of how many tokens llama.cpp tells the log-probability, the most probable ones; 0: of all."""
    adapter: str = ""
    """The GGUF file of a LoRA adapter beside it."""


def order(
    path: Path, model: torch.nn.Module, vocab_size: int, *, length: int = 60, seed: int = 0
) -> Order:
    """A few random prompts; the longest has `length` tokens."""
    generator = torch.Generator().manual_seed(seed)
    lengths = (length, length - 7, length - 21)
    prompts = tuple(
        tuple(torch.randint(0, 256, (n,), generator=generator).tolist()) for n in lengths
    )
    return Order(path, model, prompts, vocab_size)


def largest_differences(orders: Sequence[Order]) -> list[float]:
    """For each file the largest difference of a log-probability, llama.cpp's and ours, over all prompts and all tokens."""
    return [
        float((ours(each) - theirs).abs().max())
        for each, theirs in zip(orders, ask(orders), strict=True)
    ]


def ours(order: Order) -> torch.Tensor:
    """Our log-probabilities [prompts, V] of the token after each prompt."""
    with torch.no_grad():
        last = [order.model(torch.tensor([prompt]))[0, -1] for prompt in order.prompts]
    return torch.log_softmax(torch.stack(last), dim=-1)


def ask(orders: Sequence[Order]) -> list[torch.Tensor]:
    """llama.cpp's, for each file; NaN for what it does not tell."""
    lines = [_line(each) for each in orders]
    command = [sys.executable, "-P", str(PROGRAM)]
    done = subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True, timeout=300, check=False
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(orders), f"{orders[len(answers)].path.name}: {done.stderr[-2000:]}"
    for each, answer in zip(orders, answers, strict=True):
        assert isinstance(answer, list), f"{each.path.name}: {answer} {done.stderr[-2000:]}"
    return [
        torch.tensor(
            [[float("nan") if value is None else value for value in row] for row in answer]
        )
        for answer in answers
    ]


def _line(order: Order) -> str:
    values = {name: getattr(order, name) for name in ("adapter", "prompts", "vocab_size", "plain")}
    return json.dumps({"path": str(order.path), "told": order.told or order.vocab_size, **values})
