"""Batch size warm-up: fewer rows a batch first, all of them later. Far from its end a run learns as
much from a step of a small batch (McCandlish et al. 2018), which takes less time.

    steps     0 .. until - 1    `start_rows` rows each
              from until on     `windows.batch_size` rows

The rows are those of the endless sequence in its order: none is read twice or omitted, and a batch
is the same after a restart.
"""

import json
from dataclasses import dataclass

from groundup.data.batches.loader import Batch, Windows
from groundup.data.batches.mixture import Mixture
from groundup.errors import ConfigError
from groundup.files import sha256_text


@dataclass(frozen=True)
class BatchSizeWarmup:
    """`windows` with `start_rows` rows in each of the first `until` batches. Raises ConfigError
    unless those are fewer than the batch has.

    >>> BatchSizeWarmup(windows, start_rows=2, until=100).batch(0).ids.shape  # of windows [8, 128]
    torch.Size([2, 128])
    """

    windows: Windows | Mixture
    start_rows: int
    until: int

    def __post_init__(self) -> None:
        if not 0 < self.start_rows < self.windows.batch_size:
            raise ConfigError(
                f"start_batch_size {self.start_rows} must be less than the batch of "
                f"{self.windows.batch_size} rows.",
                fix="Set fewer, or omit it.",
            )

    @property
    def fingerprint(self) -> str:
        parts = [self.windows.fingerprint, "rows", self.start_rows, self.until]
        return sha256_text(json.dumps(parts))

    @property
    def context_tokens(self) -> int:
        return self.windows.context_tokens

    @property
    def epoch_tokens(self) -> int:
        return self.windows.epoch_tokens

    def rows_before(self, position: int) -> int:
        """The rows of the batches before this one."""
        few = min(position, self.until)
        return few * self.start_rows + (position - few) * self.windows.batch_size

    def batch(self, position: int) -> Batch:
        """Return batch number `position`, of few or of all rows."""
        return self.windows.rows(range(self.rows_before(position), self.rows_before(position + 1)))
