"""The part of a classifier that learns, fed with the features of its frozen part.

The class is read from the last real token, the only one that has seen the whole message. So in the last block only that token's
query, feed-forward part and norm are needed, and of the others their keys and values: an epoch costs little. That it gives the
same scores as the whole model is a test.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.files import sha256_text
from groundup.finetune.features import Features
from groundup.finetune.order import EpochOrder
from groundup.model.attention import IMPLEMENTATIONS
from groundup.model.attention_steps import padded_mask
from groundup.model.heads import Classifier
from groundup.train.step import LossSum


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
        """What the last real tokens gather from the tokens before them: [B, 1, C]."""
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
    """Of each row what belongs to the query of its last real token: [B, H, 1, D]."""
    return x[rows, :, last][:, :, None]


def feature_loss(model: nn.Module, batch: FeatureBatch) -> LossSum:
    """Cross-entropy of the true classes, summed over messages."""
    scores = model(batch.hidden, batch.mask)
    return LossSum(F.cross_entropy(scores.float(), batch.labels, reduction="sum"), len(batch.labels))


def feature_batch(features: Features, classes: Sequence[int], rows: Sequence[int]) -> FeatureBatch:
    """Some messages as a batch."""
    hidden, mask = features.padded(rows)
    return FeatureBatch(hidden, mask, torch.tensor([classes[row] for row in rows]))


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
        """Texts of an epoch: each has one loss."""
        return len(self._rows)

    def batch(self, position: int) -> FeatureBatch:
        """Batch number `position`."""
        rows = [self._rows[i] for i in self._order.indices(position)]
        return feature_batch(self._features, self._classes, rows)


@torch.no_grad()
def class_scores(
    model: LastBlock, features: Features, rows: Sequence[int], *, device: torch.device, batch_size: int = 64
) -> Float[Tensor, "rows N"]:
    """Scores of many messages, in order, on the CPU."""
    order = sorted(range(len(rows)), key=lambda i: features.lengths[rows[i]])
    scores = torch.zeros(len(rows), model.score.out_features)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        hidden, mask = features.padded([rows[i] for i in batch])
        scores[batch] = model(hidden.to(device), mask.to(device)).float().cpu()
    return scores
