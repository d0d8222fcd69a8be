"""Features, the hidden states of texts after the frozen lower blocks, computed once and kept on disk; and the last block, trained on them.

    features = keep_features(file, FrozenBlocks(transformer, num_blocks, compute), rows, precision="auto", progress=progress)
    hidden, mask = features.padded([3, 7])      # [2, T, C] as it enters block `num_blocks`, and which tokens are real

Rows differ in length and are concatenated without padding: 2,400 messages of 24 tokens at width 576 are 133 MB in float32. A fingerprint
ties the file to these weights, ids and blocks; a killed stage reads it when it is resumed.

The class is read from the last real token, the only one that attends to the whole message. So in the last block (`LastBlock`) only that token's
query, feed-forward part and norm are needed, and the keys and values of the others: an epoch costs little. A test compares its scores with those
of the whole model.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from groundup.device import Compute, machine_memory_bytes, set_threads
from groundup.engine.padded_batch import batches_by_length, right_padded
from groundup.errors import DataError
from groundup.files import atomic_file, require_free_bytes, sha256_text
from groundup.finetune.order import EpochOrder
from groundup.model.attention import IMPLEMENTATIONS
from groundup.model.attention_steps import padded_mask
from groundup.model.footprint import FLOAT32_BYTES
from groundup.model.heads import Classifier
from groundup.model.matmul_precision import fast_matmul
from groundup.model.transformer import Transformer
from groundup.progress import Progress
from groundup.threads import ThreadTuner
from groundup.timing import shortest, timed
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.train.config import TrainPrecision
from groundup.train.precision import MEASURED_S, WORTH_IT, open_kinds
from groundup.train.step import autocast

FEATURES_FILE = "features.safetensors"
# About 32 messages of 64 tokens at a time: small enough that a message of 10 tokens is never padded to 60.
FEATURE_BATCH_TOKENS = 2048
# Of the machine's memory; the model and the system have the rest.
MAX_MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class Features:
    """Hidden states of many rows, and their origin."""

    hidden: Float[Tensor, "tokens C"]
    """All rows, concatenated."""
    lengths: tuple[int, ...]
    """Tokens of each row."""
    fingerprint: str
    """Of the weights, the ids and the number of blocks."""
    precision: str
    """float32 or bf16: the precision of the matrix products they were computed with (they are stored in float32)."""
    elapsed_s: float
    """Seconds it took to compute them."""

    @property
    def num_bytes(self) -> int:
        """Bytes in memory and on disk."""
        return self.hidden.nbytes

    def described(self) -> dict[str, Any]:
        """Return the figures of the features as JSON values."""
        return {
            "texts": len(self.lengths),
            "tokens": sum(self.lengths),
            "bytes": self.num_bytes,
            "precision": self.precision,
            "elapsed_s": round(self.elapsed_s, 1),
        }

    def padded(self, rows: Sequence[int]) -> tuple[Float[Tensor, "B T C"], Bool[Tensor, "B T"]]:
        """Return some rows as a batch, padded on the right with zeros, and the mask of real tokens."""
        pieces = [self.hidden[self.starts[row] : self.starts[row + 1]] for row in rows]
        lengths = torch.tensor([self.lengths[row] for row in rows])
        hidden = torch.nn.utils.rnn.pad_sequence(pieces, batch_first=True)
        return hidden, torch.arange(hidden.shape[1])[None] < lengths[:, None]

    @cached_property
    def starts(self) -> list[int]:
        """Where each row begins in `hidden`, and the end of the last."""
        return [0, *accumulate(self.lengths)]


@dataclass(frozen=True)
class FrozenBlocks:
    """The first `num_blocks` blocks of a transformer that is frozen as a whole."""

    transformer: Transformer
    num_blocks: int
    compute: Compute

    def fingerprint(self, rows: Sequence[Sequence[int]]) -> str:
        """SHA-256 of the frozen weights, the ids and the number of blocks."""
        assert not any(parameter.requires_grad for parameter in self.transformer.parameters())
        digest = hashlib.sha256(f"{frozen_fingerprint(self.transformer)} {self.num_blocks}\n".encode())
        for row in rows:
            digest.update(f"{list(row)}\n".encode())
        return digest.hexdigest()

    @torch.no_grad()
    def run(self, rows: Sequence[Sequence[int]], *, bf16: bool) -> Float[Tensor, "B T C"]:
        """Run one padded batch through embedding and blocks; returns float32 on the CPU."""
        ids, mask = right_padded(rows, self.compute.device)
        with fast_matmul(self.compute.device), autocast(self.compute.device, bf16):
            hidden = self.transformer.run_blocks(self.transformer.embed(ids), 0, self.num_blocks, mask=mask)
        return hidden.float().cpu()

    def takes_bf16(self, rows: Sequence[Sequence[int]], precision: TrainPrecision) -> bool:
        """Whether bf16 is the precision, or with "auto" the faster one: measured on a batch through two blocks, for about a second."""
        if len(open_kinds(precision, self.transformer.config.width, compute=self.compute)) < 2:
            return precision == "bf16"
        few = replace(self, num_blocks=min(2, self.num_blocks))
        kinds = {bf16: partial(timed, partial(few.run, rows, bf16=bf16)) for bf16 in (False, True)}
        seconds = shortest(kinds, seconds=MEASURED_S / 2)
        return seconds[True] < WORTH_IT * seconds[False]


def keep_features(
    file: Path, frozen: FrozenBlocks, rows: Sequence[Sequence[int]], *, precision: TrainPrecision, progress: Progress
) -> Features:
    """Return the features of `rows` after the frozen blocks: read from `file`, or computed and written to it. Raises DataError, DiskError."""
    fingerprint = frozen.fingerprint(rows)
    found = read_features(file, fingerprint, [len(row) for row in rows])
    if found is not None:
        progress.say(f"Hidden states of {len(rows):,} texts read from {file.name} ({found.num_bytes / 1e6:.0f} MB).")
        return found
    require_room(file, frozen, rows)
    features = compute_features(frozen, rows, fingerprint, precision=precision, progress=progress)
    write_features(file, features)
    tokens = sum(features.lengths)
    progress.say(
        f"{frozen.num_blocks} frozen blocks run once over {len(rows):,} texts: {tokens:,} tokens in {features.elapsed_s:.0f} s "
        f"({features.precision}), {features.num_bytes / 1e6:.0f} MB kept."
    )
    return features


def require_room(file: Path, frozen: FrozenBlocks, rows: Sequence[Sequence[int]]) -> None:
    """Refuse features that neither memory nor disk would hold, before any is computed. Raises DataError, DiskError."""
    tokens, width = sum(map(len, rows)), frozen.transformer.config.width
    needed_bytes, memory = FLOAT32_BYTES * tokens * width, machine_memory_bytes()
    if needed_bytes > MAX_MEMORY_SHARE * memory:
        raise DataError(
            f"The hidden states of {len(rows):,} texts ({tokens:,} tokens of width {width}) take {needed_bytes / 1e9:.1f} GB of memory; "
            f"this machine has {memory / 1e9:.1f} GB.",
            fix="Take fewer of them: --messages N.",
        )
    require_free_bytes(file, needed_bytes)


def compute_features(
    frozen: FrozenBlocks,
    rows: Sequence[Sequence[int]],
    fingerprint: str,
    *,
    precision: TrainPrecision,
    progress: Progress,
) -> Features:
    """Run all rows, sorted by length, through the frozen blocks; "auto" takes the faster precision, measured on the longest batch."""
    started = time.monotonic()
    lengths = [len(row) for row in rows]
    starts = [0, *accumulate(lengths)]
    hidden = torch.empty(starts[-1], frozen.transformer.config.width)
    batches = list(batches_by_length(lengths, FEATURE_BATCH_TOKENS))
    bf16 = frozen.takes_bf16([rows[i] for i in batches[0]], precision)
    with progress.track("frozen blocks", starts[-1], "tokens") as advance:
        tuner = ThreadTuner(frozen.compute.thread_counts, torch.get_num_threads())
        for batch in batches:
            begun = time.perf_counter()
            stream = frozen.run([rows[i] for i in batch], bf16=bf16)
            tuner.told(time.perf_counter() - begun, stream.shape[0] * stream.shape[1])
            set_threads(tuner.count)
            for place, row in enumerate(batch):
                hidden[starts[row] : starts[row + 1]] = stream[place, : lengths[row]]
            advance(sum(lengths[i] for i in batch))
    elapsed_s, taken = time.monotonic() - started, "bf16" if bf16 else "float32"
    return Features(hidden, tuple(lengths), fingerprint, taken, elapsed_s)


def write_features(file: Path, features: Features) -> None:
    """Write one safetensors file atomically. Raises DiskError."""
    metadata = {
        "fingerprint": features.fingerprint,
        "precision": features.precision,
        "elapsed_s": f"{features.elapsed_s:.3f}",
        "sha256": tensor_sha256(features.hidden),
    }
    with atomic_file(file, needed_bytes=features.num_bytes) as temporary:
        save_file({"hidden": features.hidden}, temporary, metadata=metadata)


def read_features(file: Path, fingerprint: str, lengths: Sequence[int]) -> Features | None:
    """Return the features in `file`, or None when it is missing, damaged, or of other weights, ids or blocks."""
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


@dataclass(frozen=True)
class FeatureBatch:
    """Cached hidden states of a few messages, padded on the right, and their classes."""

    hidden: Float[Tensor, "B T C"]
    mask: Bool[Tensor, "B T"]
    labels: Int[Tensor, " B"]


class LastBlock(nn.Module):
    """Last block, final norm and score head of a classifier (the same objects): hidden [B, T, C] -> class scores [B, N]."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        transformer = classifier.transformer
        self.block = transformer.block(-1)
        self.final_norm = transformer.final_norm
        self.score = classifier.score
        self.places = transformer.metadata_builder  # has no weights

    def forward(self, hidden: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B N"]:
        """Scores of the last real tokens; rows are padded on the right."""
        rows, last = torch.arange(len(hidden), device=hidden.device), mask.sum(dim=1) - 1  # [B]
        attended = self._attend(hidden, mask, rows, last)
        stream = self.block.after_attention(hidden[rows, last][:, None], attended)  # [B, 1, C]
        scores: Tensor = self.score(self.final_norm(stream))[:, 0]
        return scores

    def _attend(self, hidden: Tensor, mask: Tensor, rows: Tensor, last: Tensor) -> Tensor:
        """The attention output of the last real tokens: [B, 1, C]."""
        attention = self.block.attention
        place = self.places(hidden[..., 0], None, None, hidden.dtype).by_block[-1]
        normed = self.block.attention_input(hidden)
        queries, keys = attention.queries_and_keys(normed, place.rotation)
        values = attention.split_heads(attention.value(normed)).transpose(1, 2)  # [B, K, T, D]
        allowed = padded_mask(mask, hidden.shape[1], attention.scoring.window_tokens)
        bias = None if place.bias is None else of_last(place.bias.expand(len(rows), -1, -1, -1), rows, last)
        attend = IMPLEMENTATIONS[attention.implementation]
        mixed = attend(
            of_last(queries, rows, last), keys, values, of_last(allowed, rows, last), bias, attention.scoring
        )  # [B, H, 1, D]
        output: Tensor = attention.output(mixed.transpose(1, 2).flatten(2))
        return output


def of_last(x: Float[Tensor, "B H T D"] | Bool[Tensor, "B 1 T S"], rows: Tensor, last: Tensor) -> Tensor:
    """Select in each row the query of its last real token: [B, H, 1, D]."""
    return x[rows, :, last][:, :, None]


class FeatureBatches:
    """The messages `rows` as batches of features, epoch after epoch in the order of (seed, epoch)."""

    def __init__(
        self, features: Features, classes: Sequence[int], rows: Sequence[int], *, batch_size: int, seed: int
    ) -> None:
        self._features, self._classes, self._rows = features, classes, rows
        self._order = EpochOrder([features.lengths[row] for row in rows], batch_size, seed)
        self.batches_per_epoch = self._order.batches_per_epoch
        self.fingerprint = sha256_text(
            f"{features.fingerprint} {features.precision} {list(classes)} {list(rows)} {batch_size} {seed}"
        )

    @property
    def epoch_tokens(self) -> int:
        """The number of texts in an epoch, each of which has one loss."""
        return len(self._rows)

    def batch(self, position: int) -> FeatureBatch:
        """Return batch number `position`."""
        rows = [self._rows[i] for i in self._order.indices(position)]
        return FeatureBatch(*self._features.padded(rows), torch.tensor([self._classes[row] for row in rows]))


@torch.no_grad()
def class_scores(
    model: LastBlock, features: Features, rows: Sequence[int], *, device: torch.device, batch_size: int = 64
) -> Float[Tensor, "rows N"]:
    """Return the scores of many messages, in order, on the CPU."""
    order = sorted(range(len(rows)), key=lambda i: features.lengths[rows[i]])
    scores = torch.zeros(len(rows), model.score.out_features)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        hidden, mask = features.padded([rows[i] for i in batch])
        scores[batch] = model(hidden.to(device), mask.to(device)).float().cpu()
    return scores
