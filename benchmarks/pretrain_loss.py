"""One contender of the table "time to a loss" in a process of its own; prints {"seconds", "bits_per_byte", "reached"} as JSON.

    python pretrain_loss.py nanogpt STEPS [--text FILE]
    python pretrain_loss.py bytes|tokens STEPS --target BITS [--text FILE]

All learn the first 1,115,394 characters of quickstart's Shakespeare, or of FILE, but their last tenth, and are judged by that tenth in bits per
byte: nats of its tokens over ln 2 over its UTF-8 bytes. Seconds are wall time without evaluations. Ours are those of `fit()` from the
call to the first evaluation at or below BITS (with log and what else it does), for "tokens" with training the tokenizer and encoding the text.

    nanogpt   nanoGPT's recipe on characters (nanogpt.py), from its first to its last step
    bytes     our defaults on bytes, in the recipe's size: 4 blocks x 128, context 64, 12 rows a batch
    tokens    our defaults as they come: quickstart's shape on 4,096 tokens learned from the text
"""

import argparse
import contextlib
import json
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from nanogpt import CONTEXT, ROWS
from nanogpt import run as nanogpt
from texts import read_texts

from groundup.data.batches.loader import Windows
from groundup.data.batches.shards import ShardSet, write_shards
from groundup.data.documents import Document
from groundup.data.split import TRAIN, VALIDATION, SplitWriter
from groundup.device import Compute
from groundup.model.heads import LanguageModel
from groundup.model.matmul_precision import fast_matmul
from groundup.model.presets import preset
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.tokenizer.special import CONTROL_TOKENS
from groundup.train.loop import fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.monitor.evaluation import token_byte_counts
from groundup.train.pretrain import new_model
from groundup.train.steps.config import pretraining_config
from groundup.train.steps.losses import next_token_loss

CHARACTERS = 1_115_394
VALIDATION_SHARE = 0.1
EVALUATE_EVERY = 10
BYTES_VOCABULARY = 256 + len(CONTROL_TOKENS)
SEED = 0
CPU = Compute(torch.device("cpu"))


class Reached(Exception):
    """The target was met: nothing more is trained."""


class Clock:
    """Wall time, without what is spent inside `stopped`."""

    def __init__(self) -> None:
        self._started, self._paused = time.perf_counter(), 0.0

    def seconds(self) -> float:
        """Until now."""
        return time.perf_counter() - self._started - self._paused

    def skip(self, since: float) -> None:
        """Leave out the time from `since` (perf_counter) until now."""
        self._paused += time.perf_counter() - since


def split_text(file: Path | None) -> tuple[str, str]:
    """What is trained on, what is judged by."""
    text = ("".join(read_texts(False)) if file is None else file.read_text())[:CHARACTERS]
    cut = round(len(text) * (1 - VALIDATION_SHARE))
    return text[:cut], text[cut:]


def recipe(steps: int, text: Path | None) -> dict[str, float | bool]:
    """nanoGPT's, to its end."""
    train, validation = split_text(text)
    number = {character: index for index, character in enumerate(sorted({*train, *validation}))}
    ended = nanogpt(ids_of(train, number), ids_of(validation, number), len(number), steps=steps)
    bits = ended.nats / math.log(2) * len(validation) / len(validation.encode())
    return {"seconds": ended.seconds, "bits_per_byte": bits, "reached": True}


def ids_of(text: str, number: dict[str, int]) -> torch.Tensor:
    """A character, an id."""
    return torch.tensor([number[character] for character in text])


def ours(kind: str, steps: int, target: float, text: Path | None) -> dict[str, float | bool]:
    """Our defaults, to the target or the last step."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with SplitWriter(folder, (TRAIN, VALIDATION)) as writer:
            for split, part in zip((TRAIN, VALIDATION), split_text(text), strict=True):
                writer.write(split, Document(part, "text", split))
        return trained(kind, folder, steps, target)


def trained(kind: str, folder: Path, steps: int, target: float) -> dict[str, float | bool]:
    """From the texts in `folder`."""
    shape, fields = preset("quickstart"), {"seed": SEED, "evaluate_every": EVALUATE_EVERY}
    if kind == "bytes":
        shape = replace(shape, vocab_size=BYTES_VOCABULARY, context_tokens=CONTEXT)
        fields["batch_size"] = ROWS
        tokenizer, shards = tokens_of(folder, shape.vocab_size)
        clock = Clock()
    else:
        clock = Clock()
        tokenizer, shards = tokens_of(folder, shape.vocab_size)
    config = pretraining_config(steps, fields)
    model = new_model(shape, SEED, CPU)
    windows = Windows(shards, TRAIN, shape.context_tokens, config.batch_size, SEED)
    judged = Judge(shards, tokenizer, model)
    found = {"reached": False, "seconds": 0.0, "bits_per_byte": math.inf}

    def evaluate() -> dict[str, float]:
        seconds, since = clock.seconds(), time.perf_counter()
        bits = judged.bits_per_byte()
        found.update(reached=bits <= target, seconds=seconds, bits_per_byte=bits)
        if bits <= target:
            raise Reached
        clock.skip(since)
        return {"bits_per_byte": bits}

    with contextlib.suppress(Reached):
        fit(
            model,
            windows,
            next_token_loss,
            config,
            RunFolder(folder / "run"),
            compute=CPU,
            hooks=Hooks(evaluate),
        )
    return found


def tokens_of(folder: Path, vocab_size: int) -> tuple[Tokenizer, ShardSet]:
    """A tokenizer learned from the training text, and both texts in its ids."""
    tokenizer = train_tokenizer(
        [json.loads((folder / "train.jsonl").read_text())["text"]], vocab_size
    )
    return tokenizer, write_shards(folder, tokenizer, folder / "shards", progress=Silent())


class Judge:
    """The whole validation text."""

    def __init__(self, shards: ShardSet, tokenizer: Tokenizer, model: LanguageModel) -> None:
        self.windows = Windows(shards, VALIDATION, model.config.context_tokens, 128, SEED)
        self.byte_counts, self.model = token_byte_counts(tokenizer), model

    @torch.no_grad()
    def bits_per_byte(self) -> float:
        """Of the model as it is now."""
        nats, num_bytes = 0.0, 0
        for batch in self.windows.in_order():
            with fast_matmul(CPU.device):
                nats += next_token_loss(self.model, batch).total.item()
            num_bytes += int(self.byte_counts[batch.labels].sum())
        return nats / math.log(2) / num_bytes


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("nanogpt", "bytes", "tokens"))
    parser.add_argument("steps", type=int)
    parser.add_argument(
        "--target", type=float, default=0.0, metavar="BITS", help="bits per byte to stop at"
    )
    parser.add_argument(
        "--text", type=Path, metavar="FILE", help="learn this text instead of Shakespeare"
    )
    return parser.parse_args()


if __name__ == "__main__":
    said = parse()
    found = (
        recipe(said.steps, said.text)
        if said.kind == "nanogpt"
        else ours(said.kind, said.steps, said.target, said.text)
    )
    print(json.dumps(found))
