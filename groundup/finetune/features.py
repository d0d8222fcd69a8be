"""Features, the hidden states of texts after the frozen lower blocks, computed once and kept in the cache; and the last block, trained on them.

    features = keep_features(FrozenBlocks(transformer, num_blocks, compute), rows, precision="auto", progress=progress)
    hidden, mask = features.padded([3, 7])      # [2, T, C] as it enters block `num_blocks`, and which tokens are real

Rows differ in length and are kept without padding: 2,400 messages of 24 tokens at width 576 are 133 MB in float32. They stay in the cache
(`feature_store`), so that another run on the same texts, whatever its splits or its learning rate, computes none again.

The class is read from the last real token, the only one that attends to the whole message. So in the last block (`LastBlock`) only that token's
query, feed-forward part and norm are needed, and the keys and values of the others: an epoch costs little. A test compares its scores with those
of the whole model.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.device import Compute, set_threads
from groundup.engine.padded_batch import batches_by_length, right_padded
from groundup.files import require_free_bytes, sha256_text
from groundup.finetune.feature_store import FeatureStore, row_key, segments_of
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


@dataclass(frozen=True)
class Features:
    """Hidden states of many rows, and their origin."""

    rows: tuple[Float[Tensor, "T C"], ...]
    """Each row's, parts of mapped files."""
    fingerprint: str
    """Of the weights, the ids and the number of blocks."""
    precision: str
    """float32 or bf16: the precision of the matrix products they were computed with (they are stored in float32)."""
    elapsed_s: float
    """Seconds it took to compute them."""
    cached: int
    """Rows that were in the cache before."""

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each row."""
        return tuple(map(len, self.rows))

    @property
    def num_bytes(self) -> int:
        """Bytes on disk."""
        return sum(row.nbytes for row in self.rows)

    def described(self) -> dict[str, Any]:
        """Return the figures of the features as JSON values."""
        return {
            "texts": len(self.lengths),
            "tokens": sum(self.lengths),
            "bytes": self.num_bytes,
            "precision": self.precision,
            "elapsed_s": round(self.elapsed_s, 1),
            "cached": self.cached,
        }

    def padded(self, rows: Sequence[int]) -> tuple[Float[Tensor, "B T C"], Bool[Tensor, "B T"]]:
        """Return some rows as a batch, padded on the right with zeros, and the mask of real tokens."""
        lengths = torch.tensor([self.lengths[row] for row in rows])
        hidden = torch.nn.utils.rnn.pad_sequence([self.rows[row] for row in rows], batch_first=True)
        return hidden, torch.arange(hidden.shape[1])[None] < lengths[:, None]


@dataclass(frozen=True)
class FrozenBlocks:
    """The first `num_blocks` blocks of a transformer that is frozen as a whole."""

    transformer: Transformer
    num_blocks: int
    compute: Compute

    def fingerprint(self, rows: Sequence[Sequence[int]]) -> str:
        """SHA-256 of the frozen weights, the ids and the number of blocks."""
        digest = hashlib.sha256(f"{self.key}\n".encode())
        for row in rows:
            digest.update(f"{list(row)}\n".encode())
        return digest.hexdigest()

    @cached_property
    def key(self) -> str:
        """SHA-256 of the frozen weights and the number of blocks."""
        assert not any(parameter.requires_grad for parameter in self.transformer.parameters())
        return sha256_text(f"{frozen_fingerprint(self.transformer)} {self.num_blocks}")

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
    frozen: FrozenBlocks, rows: Sequence[Sequence[int]], *, precision: TrainPrecision, progress: Progress
) -> Features:
    """Return the features of `rows` after the frozen blocks; those that the cache lacks are computed and kept there. Raises DiskError."""
    started = time.monotonic()
    keys = [row_key(row) for row in rows]
    wanted = dict(zip(keys, rows, strict=True))
    taken = precision_of(frozen, rows, precision)
    store, width = FeatureStore.of(frozen.key, taken), frozen.transformer.config.width
    found = store.read(wanted, width)
    missing = {key: row for key, row in wanted.items() if key not in found}
    cached = len(wanted) - len(missing)
    if missing:
        require_free_bytes(store.folder, FLOAT32_BYTES * width * sum(map(len, missing.values())))
        compute_features(frozen, missing, store, bf16=taken == "bf16", progress=progress)
        found |= store.read(missing, width)
    elapsed_s = time.monotonic() - started if missing else 0.0
    features = Features(tuple(found[key] for key in keys), frozen.fingerprint(rows), taken, elapsed_s, cached)
    said = f"Hidden states of {len(rows):,} texts after {frozen.num_blocks} frozen blocks ({taken}, {features.num_bytes / 1e6:.0f} MB):"
    new = (
        f"{sum(map(len, missing.values())):,} tokens computed once in {elapsed_s:.0f} s and kept in the cache"
        if missing
        else ""
    )
    progress.say(f"{said} " + ", ".join(filter(None, [new, f"{cached:,} texts read from it" if cached else ""])) + ".")
    return features


def precision_of(frozen: FrozenBlocks, rows: Sequence[Sequence[int]], precision: TrainPrecision) -> TrainPrecision:
    """Return the precision: with "auto" the one that the cache has features in, else the faster one, measured on the longest batch."""
    if precision == "auto":
        for kept in ("float32", "bf16"):
            if FeatureStore.exists(frozen.key, kept):
                return kept
    batch = next(batches_by_length([len(row) for row in rows], FEATURE_BATCH_TOKENS))
    return "bf16" if frozen.takes_bf16([rows[i] for i in batch], precision) else "float32"


def compute_features(
    frozen: FrozenBlocks, rows: Mapping[bytes, Sequence[int]], store: FeatureStore, *, bf16: bool, progress: Progress
) -> None:
    """Run rows through the frozen blocks, sorted by length, and store each segment as soon as it is complete."""
    with progress.track("frozen blocks", sum(map(len, rows.values())), "tokens") as advance:
        tuner = ThreadTuner(frozen.compute.thread_counts, torch.get_num_threads())
        for keys in segments_of(rows):
            hidden: dict[int, Tensor] = {}
            lengths = [len(rows[key]) for key in keys]
            for batch in batches_by_length(lengths, FEATURE_BATCH_TOKENS):
                begun = time.perf_counter()
                stream = frozen.run([rows[keys[i]] for i in batch], bf16=bf16)
                tuner.told(time.perf_counter() - begun, stream.shape[0] * stream.shape[1])
                set_threads(tuner.count)
                hidden |= {i: stream[place, : lengths[i]].clone() for place, i in enumerate(batch)}
                advance(sum(lengths[i] for i in batch))
            store.write(keys, [hidden[i] for i in range(len(keys))])


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
