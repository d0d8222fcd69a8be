"""Validation and test: the loss of a language model on held-out text, always on the same windows,
source by source.

Loss a token depends on the tokenizer; bits per byte do not: all nats of the evaluated windows,
divided by ln 2 and by the UTF-8 bytes of the tokens that were predicted in them. An end-of-text
token has no bytes, but its loss is counted. A run on packed documents is measured on packed
documents: their first tokens are not predicted, nor seen from another document, so its figures are
not comparable with those of windows.

    validation_loss, bits_per_byte, and where the shards know of several sources:
        bits_per_byte:SOURCE

The best checkpoint is chosen by validation, so that its figure is too good by the choice; that of
test, measured once at the end, is not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from groundup.data.batches.loader import IGNORED_LABEL, Batch, Windows
from groundup.data.batches.packing import PackedWindows
from groundup.data.batches.shards import ShardSet
from groundup.data.batches.spans import LabelAt, read_spans
from groundup.data.split import VALIDATION
from groundup.device import Compute
from groundup.evaluate.metrics import bits_per_byte
from groundup.model.heads import LanguageModel
from groundup.model.linear_cross_entropy import summed_cross_entropy
from groundup.model.matmul_precision import fast_matmul
from groundup.progress import Advance
from groundup.tokenizer.fast import Tokenizer
from groundup.train.steps.batches import in_micro_batches
from groundup.train.steps.step import to_device

# The loss of single tokens has a standard deviation of some 2.5 nats: the mean of this many is known
# to about 2.5 / sqrt(16,384) = 0.02.
MAX_TOKENS = 16_384
# A source with fewer among them has no figure of its own: it would be known to worse than 2.5 /
# sqrt(512) = 0.11.
MIN_SOURCE_TOKENS = 512


@dataclass(frozen=True)
class HeldOutRows:
    """Which rows of a split are evaluated, and how."""

    batch_size: int
    seed: int
    at_once: int | None = None
    """How many rows of a batch go through the model together; None: all of them."""
    packing: bool = False
    """Rows are packed, as in training."""
    aside: Sequence[str] = ()
    """Sources that have figures of their own and do not count in the others: replayed text, as
    weights are not chosen by it.
    """


class Validation:
    """The validation (or test) split of a shard set: figures of a model on it.

    Raises DataError when it is shorter than one window.
    """

    def __init__(
        self,
        shards: ShardSet,
        tokenizer: Tokenizer,
        context_tokens: int,
        rows: HeldOutRows,
        *,
        compute: Compute,
        split: str = VALIDATION,
    ) -> None:
        kind = PackedWindows if rows.packing else Windows
        self.windows = kind(shards, split, context_tokens, rows.batch_size, rows.seed)
        self.compute = compute
        self.at_once = rows.at_once or rows.batch_size
        self.byte_counts = token_byte_counts(tokenizer)
        spans = read_spans(shards.folder, split, len(self.windows.tokens))
        self._label_at = LabelAt(spans or [("", len(self.windows.tokens))])
        self._sources = self.windows.over(self._label_at)
        self._aside = set(rows.aside)

    def batches(self) -> Iterator[Batch]:
        """Yield the same windows at every evaluation: the whole split, or where it is long, windows
        drawn from all over it.
        """
        return self._places(self.windows)

    @property
    def num_tokens(self) -> int:
        """The number of tokens that are predicted in an evaluation."""
        return sum(int((batch.labels != IGNORED_LABEL).sum()) for batch in self.batches())

    def _places(self, windows: Windows) -> Iterator[Batch]:
        full = max(1, MAX_TOKENS // (windows.context_tokens * windows.batch_size))  # batches
        if windows.num_windows <= full * windows.batch_size:
            yield from windows.in_order()
        else:
            yield from (windows.batch(position) for position in range(full))

    def _parts(self, windows: Windows) -> Iterator[Batch]:
        for whole in self._places(windows):
            yield from in_micro_batches(whole, self.at_once)

    def measure(self, model: LanguageModel) -> dict[str, float]:
        """Return validation_loss (nats per token), bits_per_byte, and bits_per_byte:SOURCE for each
        source with enough tokens.
        """
        found = self.figures(model)
        return {
            "validation_loss": found["loss"],
            **{name: found[name] for name in found if "bits_per_byte" in name},
        }

    @torch.no_grad()
    def figures(self, model: LanguageModel, advance: Advance | None = None) -> dict[str, float]:
        """Return loss (nats per token), bits_per_byte, tokens (how many were predicted), and
        bits_per_byte:SOURCE; `advance` counts tokens.
        """
        names = self._label_at.labels
        nats, tokens, num_bytes = [0.0] * len(names), [0] * len(names), [0] * len(names)
        for batch, sources in zip(
            self._parts(self.windows), self._parts(self._sources), strict=True
        ):
            counts, labels = (
                self.byte_counts[batch.labels.clamp(min=0)],
                sources.labels,
            )  # of padding: -100, no source
            losses = loss_by_source(
                model, to_device(batch, self.compute.device), labels, len(names)
            )
            for number, loss in enumerate(losses):
                chosen = labels == number
                nats[number] += loss
                tokens[number] += int(chosen.sum())
                num_bytes[number] += int(counts[chosen].sum())
            if advance:
                advance(int((labels != IGNORED_LABEL).sum()))
        counted = [
            i for i in range(len(names)) if names[i] not in self._aside and tokens[i]
        ] or list(range(len(names)))
        all_nats, all_tokens, all_bytes = (
            sum(each[i] for i in counted) for each in (nats, tokens, num_bytes)
        )
        figures = {
            "loss": all_nats / all_tokens,
            "bits_per_byte": bits_per_byte(all_nats, max(1, all_bytes)),
            "tokens": all_tokens,
        }
        enough = [
            i
            for i in range(len(names))
            if tokens[i] >= MIN_SOURCE_TOKENS and len(names) > 1 and num_bytes[i]
        ]
        return figures | {
            f"bits_per_byte:{names[i]}": bits_per_byte(nats[i], num_bytes[i]) for i in enough
        }


def loss_by_source(
    model: LanguageModel, batch: Batch, groups: Int[Tensor, "B T"], num_groups: int
) -> Iterator[float]:
    """Yield the nats of the labels of each group, from one forward pass; the head is applied to
    each position once.
    """
    with fast_matmul(batch.ids.device):
        hidden = model.hidden(batch.ids, documents=batch.documents).flatten(0, 1)  # [B*T, C]
        labels = batch.labels.flatten()  # [B*T]
        for number in range(num_groups):
            places = (groups.flatten() == number).nonzero().squeeze(1).to(hidden.device)
            chosen, wanted = hidden.index_select(0, places), labels[places]
            yield summed_cross_entropy(
                chosen, model.head_weight, wanted, model.config.logit_softcap
            ).item()


def token_byte_counts(tokenizer: Tokenizer) -> Int[Tensor, " V"]:
    """Return the UTF-8 bytes of each id; 0 for control tokens, which are no text."""
    control = set(tokenizer.special.tokens.values())
    counts = (
        0 if id in control else len(tokenizer.token_bytes(id)) for id in range(tokenizer.vocab_size)
    )
    return torch.tensor(list(counts))
