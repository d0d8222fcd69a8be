"""SmolLM2-135M, one stream: reading a prompt and writing greedily, against transformers' `generate`, with the same ids. llama.cpp: decode.py."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from measure import Contender, Row, Skipped, compare
from peers import PULLED, load_transformers, pulled_model
from transformers import GenerationConfig

from groundup.device import Compute
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.weights.model_io import OpenModel, open_model

TITLE = "SmolLM2-135M, one stream, greedy; tokens per second"
CPU = torch.device("cpu")
PROMPT_TOKENS, NEW_TOKENS = 512, 64
# What the answer begins from: short, so that decoding is what is measured.
OPENING_TOKENS = 8
TEXT = "The ship had left the harbour before sunrise, and those who stood at the rail saw the town grow small behind them. "

Generate = Callable[[Sequence[int], int], list[int]]


def rows(quick: bool) -> list[Row]:
    """float32, then bf16. Raises Skipped without the model."""
    folder = pulled_model()
    if folder is None:
        raise Skipped(f"{PULLED} is not in the cache (groundup pull {PULLED}).")
    sizes = (64, 8) if quick else (PROMPT_TOKENS, NEW_TOKENS)
    rounds = 2 if quick else 5
    return [*float32(folder, sizes, rounds), *bits16(folder, sizes, rounds)]


def float32(folder: Path, sizes: tuple[int, int], rounds: int) -> list[Row]:
    """Both must write the same ids."""
    opened = open_model(folder, Compute(CPU))
    contenders = {"groundup": ours(opened), "transformers": theirs(folder, torch.float32)}
    prompt, opening = prompts(opened, sizes[0])
    assert contenders["groundup"](opening, sizes[1]) == contenders["transformers"](
        opening, sizes[1]
    )
    return measured("float32", contenders, prompt, opening, sizes[1], rounds)


def bits16(folder: Path, sizes: tuple[int, int], rounds: int) -> list[Row]:
    """bfloat16."""
    opened = open_model(folder, Compute(CPU, torch.bfloat16))
    contenders = {
        "groundup bf16": ours(opened),
        "transformers bf16": theirs(folder, torch.bfloat16),
    }
    prompt, opening = prompts(opened, sizes[0])
    return measured("bf16", contenders, prompt, opening, sizes[1], rounds)


def measured(
    name: str,
    contenders: dict[str, Generate],
    prompt: list[int],
    opening: list[int],
    new_tokens: int,
    rounds: int,
) -> list[Row]:
    """Prompt (one token is written after it), decoding (after the few tokens of the opening), and a whole answer to the prompt."""

    def work(generate: Generate, ids: list[int], tokens: int) -> Callable[[], None]:
        def run() -> None:
            assert len(generate(ids, tokens)) == tokens

        return run

    def in_turn(ids: list[int], tokens: int, amount: int) -> list[Contender]:
        return [
            Contender(name, work(generate, ids, tokens), amount)
            for name, generate in contenders.items()
        ]

    read, written = len(prompt), new_tokens
    return [
        *compare(f"prompt of {read}, {name}", "tokens/s", in_turn(prompt, 1, read), rounds=rounds),
        *compare(
            f"{written} new tokens, {name}",
            "tokens/s",
            in_turn(opening, written, written),
            rounds=rounds,
        ),
        *compare(
            f"{read} read, {written} written, {name}",
            "s",
            in_turn(prompt, written, 1),
            rounds=rounds,
        ),
    ]


def prompts(opened: OpenModel, length: int) -> tuple[list[int], list[int]]:
    """A long prompt and a short one."""
    ids = opened.require_tokenizer().encode(TEXT * (length // 10))
    return ids[:length], ids[:OPENING_TOKENS]


def ours(opened: OpenModel) -> Generate:
    """The engine; nothing stops it."""
    compute = Compute(CPU, next(opened.model.parameters()).dtype)
    model: Any = opened.model

    def generate(ids: Sequence[int], new_tokens: int) -> list[int]:
        return list(
            generate_ids(
                model, ids, Sampling(temperature=0, max_tokens=new_tokens), (), compute=compute
            )
        )

    return generate


def theirs(folder: Path, dtype: torch.dtype) -> Generate:
    """transformers' `generate`; nothing stops it."""
    model = load_transformers(folder, dtype)
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=None, pad_token_id=0)

    def generate(ids: Sequence[int], new_tokens: int) -> list[int]:
        row = torch.tensor([ids])
        found = model.generate(row, attention_mask=torch.ones_like(row), max_new_tokens=new_tokens)
        return [int(id) for id in found[0, len(ids) :]]

    return generate
