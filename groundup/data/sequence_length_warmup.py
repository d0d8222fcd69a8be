"""Short rows first, long ones later: the same tokens in less time, since a token in a short row has fewer before it to look at.

Up to a position every batch is cut into shorter rows: [B, T] -> [B T / S, S]. The tokens of each batch, their labels and their order stay what
they are, so nothing is read twice or left out, and the batch at a position is the same today and after a restart. What lies further back than
S tokens is learned from the whole rows that follow (as in Press et al. 2021, "Shortformer").
"""

import json
from dataclasses import dataclass, replace

from groundup.data.loader import Batch, Windows
from groundup.errors import ConfigError
from groundup.files import sha256_text


@dataclass(frozen=True)
class SequenceLengthWarmup:
    """`windows`, their rows cut to `row_tokens` in the first `until` batches. Raises ConfigError where the cut leaves a rest.

    >>> Shortened(windows, row_tokens=32, until=1000).batch(0).ids.shape    # of windows [8, 128]
    torch.Size([32, 32])
    """

    windows: Windows
    row_tokens: int
    until: int

    def __post_init__(self) -> None:
        context = self.windows.context_tokens
        if not 0 < self.row_tokens < context or context % self.row_tokens:
            fits = ", ".join(str(size) for size in range(8, context) if context % size == 0)
            raise ConfigError(
                f"start_context_tokens {self.row_tokens} does not divide the context of {context}.",
                fix=f"Take one of {fits}." if fits else "Leave it out: the context is too short to begin shorter.",
            )

    @property
    def fingerprint(self) -> str:
        """Tells the data, their order and the cut from any other."""
        return sha256_text(json.dumps([self.windows.fingerprint, self.row_tokens, self.until]))

    @property
    def context_tokens(self) -> int:
        """Of the whole rows."""
        return self.windows.context_tokens

    @property
    def epoch_tokens(self) -> int:
        """Tokens whose loss is counted when every window is read once."""
        return self.windows.num_windows * self.windows.context_tokens

    def batch(self, position: int) -> Batch:
        """Batch number `position`, in short rows or whole."""
        batch = self.windows.batch(position)
        if position >= self.until:
            return batch
        cut = [part.reshape(-1, self.row_tokens) for part in (batch.ids, batch.labels)]
        return replace(batch, ids=cut[0], labels=cut[1])
