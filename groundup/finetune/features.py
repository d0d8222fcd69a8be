"""Features, the hidden states of texts after the frozen lower blocks, computed once and kept in
the cache, from which the last block (`trainable_parts.LastBlock`) is trained.

    [features] = keep_features([FrozenBlocks(transformer, num_blocks, compute)], texts,
        precision="auto", progress=progress)
    hidden, mask, texts = features.padded([3, 7])   # [W, T, C] as it enters block `num_blocks`,
                                                    which tokens are real, and of which text each
                                                    row is

    CACHE/features/KEY/segment-*.safetensors      KEY: weights, number of blocks, precision
        hidden [tokens, C] float32    starts [rows + 1]    keys [rows, 16]: the first bytes of the
                                                           SHA-256 of each row's ids

Rows differ in length and are kept without padding: 2,400 messages of 24 tokens at width 576 are
133 MB in float32. A row is computed once, whatever run, split or learning rate asks for it. The
rows of a segment were computed together, and differ from rows computed alone in the last bits; a
killed run loses one segment, a damaged segment is computed anew. `groundup cache` removes the
longest unused.

Several `FrozenBlocks` of one transformer (those of the last block's training, and those of a
stacked classifier) are computed in one forward pass, each kept in a folder of its own: the same
batches as one at a time, so the same bits.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from groundup.device import Compute, shortest, timed
from groundup.engine.padded_batch import batches_by_length, pad_right
from groundup.files import atomic_file, cache_folder, require_free_bytes, sha256_text
from groundup.locks import hold
from groundup.model.footprint import FLOAT32_BYTES
from groundup.model.matmul_precision import fast_matmul
from groundup.model.transformer import Transformer
from groundup.progress import Progress
from groundup.threads import ThreadTuner, set_thread_count
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.train.steps.config import TrainPrecision
from groundup.train.steps.precision import MEASURED_S, WORTH_IT, open_kinds
from groundup.train.steps.step import autocast
from groundup.weights.hf import tensors_sha256

FOLDER = "features"
KEY_BYTES = 16
# 151 MB of SmolLM2's states: what a killed run computes again, and what is in memory at once.
SEGMENT_TOKENS = 2**16


def row_key(row: Sequence[int]) -> bytes:
    """Return the first bytes of the SHA-256 of a row's ids."""
    return hashlib.sha256(f"{list(row)}".encode()).digest()[:KEY_BYTES]


def segments_of(rows: Mapping[bytes, Sequence[int]]) -> list[list[bytes]]:
    """The longest rows first: the same rows give the same segments, and those that a killed run
    left are its next ones.
    """
    segments: list[list[bytes]] = []
    tokens = SEGMENT_TOKENS
    for key in sorted(rows, key=lambda each: (-len(rows[each]), each)):
        if tokens + len(rows[key]) > SEGMENT_TOKENS:
            segments.append([])
            tokens = 0
        segments[-1].append(key)
        tokens += len(rows[key])
    return segments


@dataclass(frozen=True)
class FeatureStore:
    """The features of one frozen model in one precision."""

    folder: Path

    @classmethod
    def of(cls, key: str, precision: str) -> "FeatureStore":
        """Its folder is held until this process ends. Raises DiskError."""
        folder = cache_folder(FOLDER, f"{key[:32]}-{precision}")
        hold(folder)
        return cls(folder)

    @staticmethod
    def exists(key: str, precision: str) -> bool:
        return any((cache_folder(FOLDER) / f"{key[:32]}-{precision}").glob("segment-*"))

    def read(self, lengths: Mapping[bytes, int], width: int) -> dict[bytes, Float[Tensor, "T C"]]:
        """Return the rows that are stored with so many tokens, as parts of mapped files."""
        found: dict[bytes, Tensor] = {}
        for file in sorted(self.folder.glob("segment-*.safetensors")):
            for key, hidden in read_segment(file, width).items():
                if lengths.get(key) == len(hidden):
                    found[key] = hidden
        return found

    def write(self, keys: Sequence[bytes], hidden: Sequence[Float[Tensor, "T C"]]) -> None:
        """Write rows as one segment, atomically. Raises DiskError."""
        name = hashlib.sha256(b"".join(keys)).hexdigest()[:32]
        lengths = torch.tensor([0, *map(len, hidden)])
        whole = torch.cat(list(hidden))
        tensors = {
            "hidden": whole,
            "starts": lengths.cumsum(0),
            "keys": torch.tensor([list(key) for key in keys], dtype=torch.uint8),
        }
        file = self.folder / f"segment-{name}.safetensors"
        with atomic_file(file, needed_bytes=whole.nbytes) as temporary:
            save_file(tensors, temporary, metadata={"sha256": tensors_sha256(tensors)})


def read_segment(file: Path, width: int) -> dict[bytes, Float[Tensor, "T C"]]:
    """Return {} where it is damaged, of another width, or removed meanwhile."""
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in ("hidden", "starts", "keys")}
            written = (opened.metadata() or {}).get("sha256")
        hidden, starts, keys = tensors["hidden"], tensors["starts"].tolist(), tensors["keys"]
        if (
            written != tensors_sha256(tensors)
            or hidden.shape != (starts[-1], width)
            or keys.shape != (len(starts) - 1, KEY_BYTES)
        ):
            return {}
        names = (bytes(key) for key in keys.tolist())
        return {
            name: hidden[start:end]
            for name, start, end in zip(names, starts[:-1], starts[1:], strict=True)
        }
    except (SafetensorError, OSError, KeyError, ValueError, IndexError):
        return {}


# About 32 messages of 64 tokens at a time: small enough that a message of 10 tokens is never padded
# to 60.
FEATURE_BATCH_TOKENS = 2048
# A shorter reading has its bar only.
WORTH_SAYING_S = 10.0


# A text as windows of ids: one, but for texts longer than the limit.
Windows = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Features:
    """Hidden states of the windows of many texts, and their origin."""

    texts: tuple[tuple[Float[Tensor, "T C"], ...], ...]
    """Of each text those of each window, parts of mapped files."""
    fingerprint: str
    """Of the weights, the ids, the number of blocks and the precision."""
    precision: str
    """float32 or bf16: the precision of the matrix products they were computed with (they are
    stored in float32).
    """
    elapsed_s: float
    """Seconds it took to compute them."""
    cached: int
    """Windows that were in the cache before."""

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        return tuple(sum(map(len, windows)) for windows in self.texts)

    @property
    def num_bytes(self) -> int:
        return sum(window.nbytes for windows in self.texts for window in windows)

    def plain(self) -> dict[str, float | str]:
        return {
            "texts": len(self.texts),
            "tokens": sum(self.lengths),
            "bytes": self.num_bytes,
            "precision": self.precision,
            "elapsed_s": round(self.elapsed_s, 1),
            "cached": self.cached,
        }

    def padded(
        self, chosen: Sequence[int]
    ) -> tuple[Float[Tensor, "W T C"], Bool[Tensor, "W T"], Int[Tensor, " W"]]:
        """Return the windows of some texts, padded on the right with zeros, the mask of real
        tokens, and which text each is of.
        """
        windows = [window for text in chosen for window in self.texts[text]]
        hidden = torch.nn.utils.rnn.pad_sequence(windows, batch_first=True)
        lengths = torch.tensor(list(map(len, windows)))
        return (
            hidden,
            torch.arange(hidden.shape[1])[None] < lengths[:, None],
            owners([self.texts[text] for text in chosen]),
        )


def owners(texts: Sequence[Sequence[Any]]) -> Int[Tensor, " W"]:
    """Return of each window the place of its text.

    >>> owners([["a"], ["b", "c"]])
    tensor([0, 1, 1])
    """
    return torch.tensor([place for place, windows in enumerate(texts) for _ in windows])


@dataclass(frozen=True)
class FrozenBlocks:
    """The first `num_blocks` blocks of a transformer that is frozen as a whole."""

    transformer: Transformer
    num_blocks: int
    compute: Compute

    @property
    def last_only(self) -> bool:
        """Then nothing but the last token's state is needed."""
        return self.num_blocks == self.transformer.config.num_layers

    def fingerprint(self, texts: Sequence[Windows]) -> str:
        """SHA-256 of the frozen weights, the ids and the number of blocks."""
        return ids_fingerprint(self.key, texts)

    @cached_property
    def key(self) -> str:
        """SHA-256 of the frozen weights and the number of blocks."""
        assert not any(parameter.requires_grad for parameter in self.transformer.parameters())
        return sha256_text(f"{frozen_fingerprint(self.transformer)} {self.num_blocks}")

    @property
    def stops(self) -> tuple[int, ...]:
        """After how many blocks states are kept, ascending."""
        return (self.num_blocks,)

    def states_after(
        self, block: int, hidden: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B K C"]:
        """Return what is kept of the states after one of `stops`."""
        if self.last_only:
            return hidden[torch.arange(len(hidden)), mask.sum(dim=1) - 1][:, None]
        return hidden

    def run(self, rows: Sequence[Sequence[int]], *, bf16: bool) -> Float[Tensor, "B K C"]:
        """Run one padded batch; returns float32 on the CPU."""
        return run_once([self], rows, bf16=bf16)[0]

    def kept_tokens(self, row: Sequence[int]) -> int:
        """Return how many tokens of a row have features."""
        return 1 if self.last_only else len(row)

    def takes_bf16(self, rows: Sequence[Sequence[int]], precision: TrainPrecision) -> bool:
        """With "auto" the faster one: a batch through two blocks, for about a second."""
        if len(open_kinds(precision, self.transformer.config.width, compute=self.compute)) < 2:
            return precision == "bf16"
        few = FrozenBlocks(self.transformer, min(2, self.num_blocks), self.compute)
        kinds = {bf16: partial(timed, partial(few.run, rows, bf16=bf16)) for bf16 in (False, True)}
        seconds = shortest(kinds, seconds=MEASURED_S / 2)
        return seconds[True] < WORTH_IT * seconds[False]


@torch.no_grad()
def run_once(
    frozen: Sequence[FrozenBlocks], rows: Sequence[Sequence[int]], *, bf16: bool
) -> list[Float[Tensor, "B _ C"]]:
    """What each keeps of one padded batch, float32 on the CPU; all are of one transformer."""
    transformer, compute = frozen[0].transformer, frozen[0].compute
    ids, mask = pad_right(rows, compute.device)
    kept: list[list[Tensor]] = [[] for _ in frozen]
    with fast_matmul(compute.device), autocast(compute.device, bf16):
        hidden, done = transformer.embed(ids), 0
        for stop in sorted({stop for each in frozen for stop in each.stops}):
            hidden, done = transformer.run_blocks(hidden, done, stop, mask=mask), stop
            for each, states in zip(frozen, kept, strict=True):
                if stop in each.stops:
                    states.append(each.states_after(stop, hidden, mask).float().cpu())
    return [torch.cat(states, dim=1) for states in kept]


def ids_fingerprint(key: str, texts: Sequence[Windows]) -> str:
    """SHA-256 of a key and the ids of all windows."""
    digest = hashlib.sha256(f"{key}\n".encode())
    for windows in texts:
        digest.update(f"{[list(row) for row in windows]}\n".encode())
    return digest.hexdigest()


def keep_features(
    frozen: Sequence[FrozenBlocks],
    texts: Sequence[Windows],
    *,
    precision: TrainPrecision,
    progress: Progress,
) -> list[Features]:
    """Those of each of `frozen`, which are of one transformer; what the cache lacks is computed in
    one forward pass for all of them and kept there. Raises DiskError.
    """
    started = time.monotonic()
    rows = {row_key(row): row for windows in texts for row in windows}
    taken = precision_of(frozen, list(rows.values()), precision)
    parts = [_Part.of(each, rows, taken) for each in frozen]
    lacking = [part for part in parts if part.missing]
    missing = {key: rows[key] for key in rows if any(key in part.missing for part in lacking)}
    for part in lacking:
        part.require_room()
    if missing:
        what = f"{len(texts):,} texts, {reading_line(texts, missing)}"
        compute_features(lacking, missing, bf16=taken == "bf16", what=what, progress=progress)
    elapsed_s = time.monotonic() - started if missing else 0.0
    found = [part.features(texts, taken, elapsed_s) for part in parts]
    depths = " and ".join(str(each.num_blocks) for each in frozen)
    size = sum(each.num_bytes for each in found)
    origins = []
    if missing:
        tokens = f"{sum(map(len, missing.values())):,} tokens"
        origins.append(f"{tokens} computed once in {elapsed_s:.0f} s and kept in the cache")
    if cached := len(rows) - len(missing):
        origins.append(f"{cached:,} of {len(rows):,} windows read from the cache")
    progress.say(
        f"Hidden states of {len(texts):,} texts after {depths} frozen blocks "
        f"({taken}, {size / 1e6:.0f} MB): {', '.join(origins)}."
    )
    return found


@dataclass
class _Part:
    """What the cache has of one of several that are computed together, and what it lacks."""

    frozen: FrozenBlocks
    store: FeatureStore
    lengths: dict[bytes, int]
    """Of each row, how many of its states are kept."""
    found: dict[bytes, Tensor]

    @classmethod
    def of(
        cls, frozen: FrozenBlocks, rows: Mapping[bytes, Sequence[int]], precision: str
    ) -> "_Part":
        store = FeatureStore.of(frozen.key, precision)
        lengths = {key: frozen.kept_tokens(row) for key, row in rows.items()}
        return cls(frozen, store, lengths, store.read(lengths, frozen.transformer.config.width))

    @cached_property
    def missing(self) -> frozenset[bytes]:
        """The rows that the cache lacked at the beginning."""
        return frozenset(self.lengths.keys() - self.found.keys())

    def require_room(self) -> None:
        """Raises DiskError."""
        states = sum(self.lengths[key] for key in self.missing)
        width = self.frozen.transformer.config.width
        require_free_bytes(self.store.folder, FLOAT32_BYTES * width * states)

    def write(self, keys: Sequence[bytes], hidden: Sequence[Tensor]) -> None:
        """Store those that it lacks."""
        lacking = [place for place, key in enumerate(keys) if key in self.missing]
        if lacking:
            self.store.write([keys[i] for i in lacking], [hidden[i] for i in lacking])

    def features(self, texts: Sequence[Windows], precision: str, elapsed_s: float) -> Features:
        if self.missing:
            lengths = {key: self.lengths[key] for key in self.missing}
            self.found |= self.store.read(lengths, self.frozen.transformer.config.width)
        return Features(
            tuple(tuple(self.found[row_key(row)] for row in windows) for windows in texts),
            sha256_text(f"{self.frozen.fingerprint(texts)} {precision}"),
            precision,
            elapsed_s,
            len(self.lengths) - len(self.missing),
        )


def reading_line(texts: Sequence[Windows], missing: Mapping[bytes, Sequence[int]]) -> str:
    """How much of them is to be read: tokens, and of these those of texts in several windows."""
    tokens, several = sum(map(len, missing.values())), 0
    for windows in texts:
        if len(windows) > 1:
            several += sum(len(row) for row in windows if row_key(row) in missing)
    line = f"{tokens:,} tokens"
    return f"{line}, of which {min(several, tokens):,} in windows" if several else line


def in_words(seconds: float) -> str:
    """Return a rough time as text.

    >>> in_words(42.4), in_words(190), in_words(9000)
    ('42 s', '3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def precision_of(
    frozen: Sequence[FrozenBlocks], rows: Sequence[Sequence[int]], precision: TrainPrecision
) -> TrainPrecision:
    """With "auto" the one that the cache has, else the faster one on the longest batch."""
    if precision == "auto" and not frozen[0].compute.fixed_choices:
        for kept in ("float32", "bf16"):
            if any(FeatureStore.exists(each.key, kept) for each in frozen):
                return kept
    batch = next(batches_by_length([len(row) for row in rows], FEATURE_BATCH_TOKENS))
    return "bf16" if frozen[0].takes_bf16([rows[i] for i in batch], precision) else "float32"


def compute_features(
    parts: Sequence[_Part],
    rows: Mapping[bytes, Sequence[int]],
    *,
    bf16: bool,
    what: str,
    progress: Progress,
) -> None:
    """Each segment is stored as soon as it is complete. After the first batch it is said how long
    `what` will take, if that is long.
    """
    frozen, tokens, expected_s = [part.frozen for part in parts], sum(map(len, rows.values())), 0.0
    with progress.track("frozen blocks", tokens, "tokens") as advance:
        tuner = ThreadTuner(frozen[0].compute.thread_counts, torch.get_num_threads())
        for keys in segments_of(rows):
            hidden: list[dict[int, Tensor]] = [{} for _ in parts]
            lengths = [len(rows[key]) for key in keys]
            for batch in batches_by_length(lengths, FEATURE_BATCH_TOKENS):
                begun = time.perf_counter()
                ids = [rows[keys[i]] for i in batch]
                streams = run_once(frozen, ids, bf16=bf16)
                if not expected_s:
                    expected_s = tokens / sum(map(len, ids)) * (time.perf_counter() - begun)
                    if expected_s > WORTH_SAYING_S:
                        progress.say(
                            f"{what}: features about {in_words(expected_s)} at this speed."
                        )
                padded = len(ids) * max(map(len, ids))
                tuner.told(time.perf_counter() - begun, padded)
                set_thread_count(tuner.count)
                for part, stream, kept in zip(parts, streams, hidden, strict=True):
                    kept |= {
                        i: stream[place, : part.lengths[keys[i]]].clone()
                        for place, i in enumerate(batch)
                    }
                advance(sum(lengths[i] for i in batch))
            for part, kept in zip(parts, hidden, strict=True):
                part.write(keys, [kept[i] for i in range(len(keys))])
