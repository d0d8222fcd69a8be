"""What frozen lower blocks make of texts: computed once, kept on disk, read in every epoch.

    features = keep_features(file, transformer, rows, num_blocks, precision="auto", compute=compute, progress=progress)
    hidden, mask = features.padded([3, 7])      # [2, T, C] as it enters block `num_blocks`, and which tokens are real

Rows differ in length and are stored one behind another without padding: 2,400 messages of 24 tokens at width 576 are 133 MB in float32.
The file belongs to exactly these weights, ids and blocks (its fingerprint says so); a stage that was killed reads it instead of
computing it again.
"""

import functools
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from groundup.device import Compute, set_threads
from groundup.engine.padded_batch import batches_by_length, right_padded
from groundup.files import atomic_file
from groundup.model.matmul_precision import fast_matmul
from groundup.model.transformer import Transformer
from groundup.progress import Progress
from groundup.threads import ThreadTuner
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.train.config import Precision
from groundup.train.precision import WORTH_IT, open_kinds
from groundup.train.step import autocast

FEATURES_FILE = "features.safetensors"
# About 32 messages of 64 tokens at a time: small enough that a message of 10 tokens is never padded to 60.
FEATURE_BATCH_TOKENS = 2048


@dataclass(frozen=True)
class Features:
    """Hidden states of many rows, and where they came from."""

    hidden: Float[Tensor, "tokens C"]
    """All rows one behind another."""
    lengths: tuple[int, ...]
    """Tokens of each row."""
    fingerprint: str
    """Of the weights, the ids and the number of blocks."""
    precision: str
    """float32 or bf16: the arithmetic of the matrix products they were computed with (they are stored in float32)."""
    elapsed_s: float
    """Seconds it took to compute them."""

    @property
    def num_bytes(self) -> int:
        """Bytes in memory and on disk."""
        return self.hidden.nbytes

    def described(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "texts": len(self.lengths),
            "tokens": sum(self.lengths),
            "bytes": self.num_bytes,
            "precision": self.precision,
            "elapsed_s": round(self.elapsed_s, 1),
        }

    def padded(self, rows: Sequence[int]) -> tuple[Float[Tensor, "B T C"], Bool[Tensor, "B T"]]:
        """Some rows as a batch, padded on the right with zeros, and the mask of what is real."""
        pieces = [self.hidden[self.starts[row] : self.starts[row + 1]] for row in rows]
        lengths = torch.tensor([self.lengths[row] for row in rows])
        hidden = torch.nn.utils.rnn.pad_sequence(pieces, batch_first=True)
        return hidden, torch.arange(hidden.shape[1])[None] < lengths[:, None]

    @functools.cached_property
    def starts(self) -> list[int]:
        """Where each row begins in `hidden`, and the end of the last."""
        return [0, *accumulate(self.lengths)]


def keep_features(
    file: Path,
    transformer: Transformer,
    rows: Sequence[Sequence[int]],
    num_blocks: int,
    *,
    precision: Precision,
    compute: Compute,
    progress: Progress,
) -> Features:
    """The features of `rows` after the first `num_blocks` blocks: read from `file` when it is theirs, else computed and written. Raises DiskError."""
    fingerprint = features_fingerprint(transformer, rows, num_blocks)
    found = read_features(file, fingerprint, [len(row) for row in rows])
    if found is not None:
        progress.say(f"Hidden states of {len(rows):,} texts read from {file.name} ({found.num_bytes / 1e6:.0f} MB).")
        return found
    features = compute_features(
        transformer, rows, num_blocks, precision=precision, fingerprint=fingerprint, compute=compute, progress=progress
    )
    write_features(file, features)
    tokens = sum(features.lengths)
    progress.say(
        f"{num_blocks} frozen blocks run once over {len(rows):,} texts: {tokens:,} tokens in {features.elapsed_s:.0f} s "
        f"({features.precision}), {features.num_bytes / 1e6:.0f} MB kept."
    )
    return features


def features_fingerprint(transformer: Transformer, rows: Sequence[Sequence[int]], num_blocks: int) -> str:
    """SHA-256 of the frozen weights, the ids and the number of blocks. The transformer must be frozen as a whole."""
    assert not any(parameter.requires_grad for parameter in transformer.parameters())
    digest = hashlib.sha256(f"{frozen_fingerprint(transformer)} {num_blocks}\n".encode())
    for row in rows:
        digest.update(f"{list(row)}\n".encode())
    return digest.hexdigest()


def compute_features(
    transformer: Transformer,
    rows: Sequence[Sequence[int]],
    num_blocks: int,
    *,
    precision: Precision,
    fingerprint: str,
    compute: Compute,
    progress: Progress,
) -> Features:
    """Run all rows through the first blocks, sorted by length; "auto" takes the faster of float32 and bf16, measured on the longest batch."""
    started = time.monotonic()
    lengths = [len(row) for row in rows]
    starts = [0, *accumulate(lengths)]
    hidden = torch.empty(starts[-1], transformer.config.width)
    batches = list(batches_by_length(lengths, FEATURE_BATCH_TOKENS))
    bf16 = precision == "bf16"
    if len(open_kinds(precision, transformer.config.width, compute=compute)) > 1:
        seconds = measure_frozen(transformer, [rows[i] for i in batches[0]], num_blocks, compute=compute)
        bf16 = seconds[True] < WORTH_IT * seconds[False]
    with progress.track("frozen blocks", starts[-1], "tokens") as advance:
        tuner = ThreadTuner(compute.thread_counts, torch.get_num_threads())
        for batch in batches:
            begun = time.perf_counter()
            stream = run_frozen(transformer, [rows[i] for i in batch], num_blocks, compute=compute, bf16=bf16)
            tuner.told(time.perf_counter() - begun, stream.shape[0] * stream.shape[1])
            set_threads(tuner.count)
            for place, row in enumerate(batch):
                hidden[starts[row] : starts[row + 1]] = stream[place, : lengths[row]]
            advance(sum(lengths[i] for i in batch))
    elapsed_s = time.monotonic() - started
    return Features(hidden, tuple(lengths), fingerprint, "bf16" if bf16 else "float32", elapsed_s)


@torch.no_grad()
def run_frozen(
    transformer: Transformer, rows: Sequence[Sequence[int]], num_blocks: int, *, compute: Compute, bf16: bool
) -> Float[Tensor, "B T C"]:
    """One padded batch through embedding and the first blocks; float32 on the CPU."""
    ids, mask = right_padded(rows, compute.device)
    with fast_matmul(compute.device), autocast(compute.device, bf16):
        hidden = transformer.run_blocks(transformer.embed(ids), 0, num_blocks, mask=mask)
    return hidden.float().cpu()


def measure_frozen(
    transformer: Transformer, rows: Sequence[Sequence[int]], num_blocks: int, *, compute: Compute
) -> dict[bool, float]:
    """Seconds of one batch in float32 (False) and bf16 (True): measured through two blocks, alternated, the better of three: about a second."""
    measured_blocks = min(2, num_blocks)
    times: dict[bool, list[float]] = {False: [], True: []}
    for attempt in range(4):
        for bf16, taken in times.items():
            started = time.perf_counter()
            run_frozen(transformer, rows, measured_blocks, compute=compute, bf16=bf16)
            if attempt:  # the first warms up
                taken.append(time.perf_counter() - started)
    return {bf16: min(taken) * num_blocks / max(1, measured_blocks) for bf16, taken in times.items()}


def write_features(file: Path, features: Features) -> None:
    """One safetensors file, whole or not at all. Raises DiskError."""
    metadata = {
        "fingerprint": features.fingerprint,
        "precision": features.precision,
        "elapsed_s": f"{features.elapsed_s:.3f}",
        "sha256": tensor_sha256(features.hidden),
    }
    with atomic_file(file, needed_bytes=features.num_bytes) as temporary:
        save_file({"hidden": features.hidden}, temporary, metadata=metadata)


def read_features(file: Path, fingerprint: str, lengths: Sequence[int]) -> Features | None:
    """The features in `file`, or None when it is not there, damaged, or of other weights, ids or blocks."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            if metadata.get("fingerprint") != fingerprint or opened.get_slice("hidden").get_shape()[0] != sum(lengths):
                return None
            hidden = opened.get_tensor("hidden")
            if metadata.get("sha256") != tensor_sha256(hidden):
                return None
            return Features(hidden, tuple(lengths), fingerprint, metadata["precision"], float(metadata["elapsed_s"]))
    except (SafetensorError, KeyError, ValueError):
        return None


def tensor_sha256(tensor: Tensor) -> str:
    """Hex SHA-256 of a float32 tensor's bytes."""
    return hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
