"""Sequence length warm-up: short rows first, full rows later, which takes less time for the same
tokens, as attention is cheaper in short rows.

Up to a position every batch is split into shorter rows: [B, T] -> [B T / S, S]. The tokens of each
batch, their labels and their order do not change, so nothing is read twice or omitted, and a batch
is the same after a restart. Dependencies longer than S tokens are learned from the full rows that
follow (as in Press et al. 2021, "Shortformer").
"""

import json
from dataclasses import dataclass, replace

from groundup.data.batches.batch_size_warmup import BatchSizeWarmup
from groundup.data.batches.loader import Batch, Windows
from groundup.data.batches.mixture import Mixture
from groundup.errors import ConfigError
from groundup.files import sha256_text


@dataclass(frozen=True)
class SequenceLengthWarmup:
    """`windows` with rows of `row_tokens` in the first `until` batches. Raises ConfigError unless
    `row_tokens` divides the context.

    >>> SequenceLengthWarmup(windows, row_tokens=32, until=1000).batch(0).ids.shape    # of windows [8, 128]
    torch.Size([32, 32])
    """

    windows: Windows | Mixture | BatchSizeWarmup
    row_tokens: int
    until: int

    def __post_init__(self) -> None:
        context = self.windows.context_tokens
        if not 0 < self.row_tokens < context or context % self.row_tokens:
            fits = [str(size) for size in range(8, context) if context % size == 0]
            fix = "Omit it: the context is too short to begin with a shorter one."
            if fits:
                fix = f"Use one of {', '.join(fits)}."
            raise ConfigError(
                f"start_context_tokens {self.row_tokens} does not divide the context of {context}.",
                fix=fix,
            )

    @property
    def fingerprint(self) -> str:
        return sha256_text(json.dumps([self.windows.fingerprint, self.row_tokens, self.until]))

    @property
    def context_tokens(self) -> int:
        return self.windows.context_tokens

    @property
    def epoch_tokens(self) -> int:
        return self.windows.epoch_tokens

    def batch(self, position: int) -> Batch:
        """Return batch number `position`, in short or full rows."""
        batch = self.windows.batch(position)
        if position >= self.until:
            return batch
        ids, labels = (part.reshape(-1, self.row_tokens) for part in (batch.ids, batch.labels))
        documents = batch.documents
        if documents is not None:
            documents = documents.reshape(-1, self.row_tokens)
        return replace(batch, ids=ids, labels=labels, documents=documents)
