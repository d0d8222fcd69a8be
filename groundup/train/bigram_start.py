"""Initial embedding and head by the bigrams of the text (`FitConfig.initial_tables`).

A transformer whose blocks add nothing predicts each token from the one before (Elhage et al. 2021,
"A Mathematical Framework for Transformer Circuits", section on zero-layer transformers):

    logits after token i = U norm(E[i])

So before the training of the blocks, the embedding E and an untied head U are fitted to counts of
neighbouring tokens. A row of counts says at once what follows a token everywhere in the text; steps
of training would find the same from one occurrence after the other. It costs about as much as the
head in as many steps of `ROWS` tokens, and is worth some hundred steps of a small model
(docs/log.md).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from groundup.data.batches.shards import ShardSet
from groundup.data.split import TRAIN
from groundup.device import generator
from groundup.model.heads import LanguageModel
from groundup.model.linear_cross_entropy import chunk_tokens

# Measured on quickstart's text (docs/log.md).
STEPS, ROWS, LEARNING_RATE = 80, 512, 0.015
# Steps of the fit that are timed to forecast the whole.
TIMED_STEPS = 4
BETAS = (0.9, 0.95)
NORM_EPS = 1e-5
# Of a longer text as many tokens, in parts from all over it.
MAX_TOKENS, PART_TOKENS = 2**22, 2**16


@dataclass(frozen=True)
class Bigrams:
    """How often each token follows each other one; what follows token i stands at starts[i] to
    starts[i + 1] of `nexts` and `counts`.
    """

    vocab_size: int
    starts: Int[Tensor, " V_plus_1"]
    nexts: Int[Tensor, " pairs"]
    counts: Float[Tensor, " pairs"]

    @property
    def totals(self) -> Float[Tensor, " V"]:
        """How often each token is followed by any."""
        sums = torch.cat([torch.zeros(1, dtype=torch.float64), self.counts.double().cumsum(0)])
        return (sums[self.starts[1:]] - sums[self.starts[:-1]]).float()

    def shares(self, ids: Int[Tensor, " N"]) -> Float[Tensor, "N V"]:
        """The share of each token among those that follow these, each of which is followed by
        some.
        """
        found = torch.zeros(len(ids), self.vocab_size)
        for row, id in enumerate(ids.tolist()):
            at = slice(int(self.starts[id]), int(self.starts[id + 1]))
            found[row, self.nexts[at]] = self.counts[at]
        return found / found.sum(dim=1, keepdim=True)


def count_bigrams(tokens: np.ndarray, vocab_size: int) -> Bigrams:
    """Of the whole text, or of MAX_TOKENS of it.

    >>> found = count_bigrams(np.array([0, 1, 0, 1, 1]), 2)
    >>> found.totals.tolist(), found.shares(torch.tensor([0, 1])).tolist()
    ([2.0, 2.0], [[0.0, 1.0], [0.5, 0.5]])
    """
    pairs: list[np.ndarray] = []
    for part in _parts(tokens):
        ids = part.astype(np.int64)
        pairs.append(ids[:-1] * vocab_size + ids[1:])
    keys, counts = np.unique(np.concatenate(pairs), return_counts=True)
    starts = np.searchsorted(keys, np.arange(vocab_size + 1) * vocab_size)
    return Bigrams(
        vocab_size,
        torch.from_numpy(starts),
        torch.from_numpy(keys % vocab_size),
        torch.from_numpy(counts).float(),
    )


def _parts(tokens: np.ndarray) -> Iterator[np.ndarray]:
    if len(tokens) <= MAX_TOKENS:
        yield tokens
        return
    for first in np.linspace(0, len(tokens) - PART_TOKENS, MAX_TOKENS // PART_TOKENS):
        yield tokens[int(first) : int(first) + PART_TOKENS]


def fit_tables(
    embedding: Float[Tensor, "V C"],
    head: Float[Tensor, "V C"],
    bigrams: Bigrams,
    seed: int,
    steps: int = STEPS,
) -> None:
    """Fit both in place: the cross-entropy of what follows a token, over tokens drawn by the root
    of their number and weighted back, so that rare ones are learned, too.
    """
    totals = bigrams.totals
    seen = totals.nonzero().squeeze(1)
    tables = [table.detach().clone().requires_grad_() for table in (embedding, head)]
    optimizer = torch.optim.Adam(tables, lr=LEARNING_RATE, betas=BETAS, fused=True)
    dice, rows = generator(seed, "bigrams"), min(ROWS, len(seen))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / steps)
        drawn = seen[torch.multinomial(totals[seen].sqrt(), rows, generator=dice)]
        weights = totals[drawn].sqrt()
        weights /= weights.sum()
        size = chunk_tokens(bigrams.vocab_size, on_cpu=embedding.is_cpu)
        for ids, share in zip(drawn.split(size), weights.split(size), strict=True):
            _loss(tables, ids, share, bigrams).backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        for table, fitted in zip((embedding, head), tables, strict=True):
            table.copy_(fitted)


def _loss(
    tables: list[Tensor], ids: Int[Tensor, " N"], weights: Float[Tensor, " N"], bigrams: Bigrams
) -> Float[Tensor, ""]:
    embedding, head = tables
    device = embedding.device
    rows = F.embedding(ids.to(device), embedding)
    logits = F.rms_norm(rows, rows.shape[-1:], eps=NORM_EPS) @ head.T
    nats = F.cross_entropy(logits, bigrams.shares(ids).to(device), reduction="none")
    return (nats * weights.to(device)).sum()


def start_from_bigrams(model: LanguageModel, shards: ShardSet, seed: int) -> None:
    """Fit the tables of a new model, on a CPU with one thread: the same bits with any number."""
    head = model.head
    assert isinstance(head, nn.Linear)
    bigrams = count_bigrams(shards.tokens(TRAIN), model.config.vocab_size)
    with _one_thread():
        fit_tables(model.transformer.embedding.weight, head.weight, bigrams, seed)


def start_seconds(
    model: LanguageModel, shards: ShardSet, clock: Callable[[], float] = time.perf_counter
) -> float:
    """How long `start_from_bigrams` takes, from its counts and a few of its steps; the model stays
    as it is.
    """
    assert isinstance(model.head, nn.Linear)
    tables = (model.transformer.embedding.weight, model.head.weight)
    with _one_thread():
        began = clock()
        bigrams = count_bigrams(shards.tokens(TRAIN), model.config.vocab_size)
        counted = clock()
        copies = [table.detach().clone() for table in tables]
        fit_tables(copies[0], copies[1], bigrams, seed=0, steps=TIMED_STEPS)
        return counted - began + (clock() - counted) * STEPS / TIMED_STEPS


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
