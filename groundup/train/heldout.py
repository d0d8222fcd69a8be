"""What a language model is judged by while it trains: its surprise at held-out text, always the same places, and a few words of its own.

Loss a token depends on the tokenizer; bits per byte do not: all nats of the evaluated windows, divided by ln 2 and by the UTF-8
bytes of the tokens that were predicted in them. An end-of-text token has no bytes, but its surprise is counted.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from groundup.data.loader import Batch, Windows
from groundup.data.shards import ShardSet
from groundup.device import Compute
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.evaluate.metrics import bits_per_byte
from groundup.model.heads import LanguageModel
from groundup.model.products import fast_products
from groundup.tokenizer.fast import Tokenizer
from groundup.train.losses import next_token_loss
from groundup.train.rows import in_parts
from groundup.train.step import to_device

# The surprise of single tokens is spread by some 2.5 nats: the mean of so many is known to about 2.5 / sqrt(16,384) = 0.02.
MAX_TOKENS = 16_384
PROMPT_TOKENS = 8
SAMPLE_TOKENS = 64


class HeldOut:
    """The validation split of a shard set: figures and samples of a model on it. Raises DataError when it is shorter than one window."""

    def __init__(
        self,
        shards: ShardSet,
        tokenizer: Tokenizer,
        context_tokens: int,
        *,
        batch_size: int,
        seed: int,
        compute: Compute,
        at_once: int | None = None,
    ) -> None:
        """`at_once`: how many rows of a batch go through the model together; None: all of them."""
        self.windows = Windows(shards, "validation", context_tokens, batch_size, seed)
        self.tokenizer, self.compute, self.seed = tokenizer, compute, seed
        self.at_once = at_once or batch_size
        self.byte_counts = token_byte_counts(tokenizer)
        self.prompt_ids = [int(id) for id in self.windows.tokens[: min(PROMPT_TOKENS, context_tokens // 2)]]

    def batches(self) -> Iterator[Batch]:
        """The same places at every evaluation: the whole split, or where it is long, windows drawn from all over it."""
        size = self.windows.batch_size
        full = max(1, MAX_TOKENS // (self.windows.context_tokens * size))  # batches
        if self.windows.num_windows <= full * size:
            yield from self.windows.in_order()
        else:
            yield from (self.windows.batch(position) for position in range(full))

    @torch.no_grad()
    def measure(self, model: LanguageModel) -> dict[str, float]:
        """validation_loss (nats a token) and bits_per_byte."""
        nats, tokens, num_bytes = 0.0, 0, 0
        for batch in chain.from_iterable(in_parts(whole, self.at_once) for whole in self.batches()):
            with fast_products(self.compute.device):
                part = next_token_loss(model, to_device(batch, self.compute.device))
            nats += part.total.item()
            tokens += part.count
            num_bytes += int(self.byte_counts[batch.labels].sum())
        return {"validation_loss": nats / tokens, "bits_per_byte": bits_per_byte(nats, max(1, num_bytes))}

    def sample(self, model: LanguageModel) -> dict[str, Any]:
        """How the model goes on from the first words of the validation text: {"prompt", "text"}."""
        sampling = Sampling(temperature=0.8, max_tokens=SAMPLE_TOKENS, seed=self.seed)
        stops = self.tokenizer.special.stop_ids
        ids = list(generate_ids(model, self.prompt_ids, sampling, stops, compute=self.compute))
        return {
            "prompt": self.tokenizer.decode(self.prompt_ids, skip_control=True),
            "text": self.tokenizer.decode(ids, skip_control=True, starts=False),
        }


def token_byte_counts(tokenizer: Tokenizer) -> Int[Tensor, " V"]:
    """UTF-8 bytes of text that each id stands for; 0 for control tokens, which are no text."""
    control = set(tokenizer.special.tokens.values())
    counts = (0 if id in control else len(tokenizer.token_bytes(id)) for id in range(tokenizer.vocab_size))
    return torch.tensor(list(counts))
