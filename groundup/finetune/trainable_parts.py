"""What learns of a classifier, as a module from prepared inputs to class scores, and the batches it
learns from: `LastBlock` and `ScoreHead` from features, `WholeModel` from ids. The scores of a text
are the mean of those of its windows.

The class is read from the last real token, the only one that attends to the whole window. So in the
last block only that token's query, feed-forward part and norm are needed, and the keys and values
of the others: an epoch costs little. A test compares its scores with those of the whole model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.engine.padded_batch import pad_right, pool_windows
from groundup.files import sha256_text
from groundup.finetune.features import Windows, ids_fingerprint, owners
from groundup.finetune.order import EpochBatches
from groundup.model.attention import IMPLEMENTATIONS
from groundup.model.attention_steps import padded_mask
from groundup.model.heads import Classifier

Padded = tuple[Tensor, Bool[Tensor, "W T"], Int[Tensor, " W"]]


class Inputs(Protocol):
    """The prepared inputs of all texts."""

    @property
    def fingerprint(self) -> str:
        """Of everything that the inputs depend on."""

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of each text."""

    def padded(self, chosen: Sequence[int]) -> Padded:
        """Return the windows of some texts, their masks, and which text each is of."""


class IdInputs:
    """The ids of all texts, for a model that learns in every block."""

    def __init__(self, key: str, texts: Sequence[Windows]) -> None:
        self._texts = texts
        self.fingerprint = ids_fingerprint(key, texts)
        self.lengths = [sum(map(len, windows)) for windows in texts]

    def padded(self, chosen: Sequence[int]) -> Padded:
        texts = [self._texts[text] for text in chosen]
        ids, mask = pad_right([row for windows in texts for row in windows], torch.device("cpu"))
        return ids, mask, owners(texts)


@dataclass(frozen=True)
class ClassBatch:
    windows: Float[Tensor, "W T C"] | Int[Tensor, "W T"]
    mask: Bool[Tensor, "W T"]
    texts: Int[Tensor, " W"]
    labels: Int[Tensor, " B"] | Int[Tensor, "B N"]
    weights: Float[Tensor, " B"] | Float[Tensor, "B N"]

    @property
    def inputs(self) -> Padded:
        """Return what the module is called with."""
        return self.windows, self.mask, self.texts


class ClassBatches(EpochBatches):
    """The texts `rows` as batches, epoch after epoch in the order of (seed, epoch)."""

    def __init__(
        self,
        inputs: Inputs,
        classes: Sequence[Any],
        rows: Sequence[int],
        *,
        weights: Sequence[Any],
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__([inputs.lengths[row] for row in rows], batch_size=batch_size, seed=seed)
        self._inputs, self._classes, self._rows, self._weights = inputs, classes, rows, weights
        self.fingerprint = sha256_text(
            f"{inputs.fingerprint} {list(classes)} {list(rows)} {list(weights)} {batch_size} {seed}"
        )

    @property
    def epoch_tokens(self) -> int:
        """The number of texts in an epoch, each of which has one loss."""
        return len(self._rows)

    def batch(self, position: int) -> ClassBatch:
        """Return batch number `position`."""
        rows = [self._rows[i] for i in self.indices(position)]
        classes = torch.tensor([self._classes[row] for row in rows])
        weights = weights_of(torch.tensor(self._weights), classes)
        return ClassBatch(*self._inputs.padded(rows), classes, weights)


def weights_of(weights: Tensor, classes: Tensor) -> Tensor:
    """Of [N], or of [N, 2] those of each label's 0 or 1 [B, N]."""
    if classes.ndim == 1:
        return weights[classes]
    return weights[torch.arange(classes.shape[1]), classes]


class LastBlock(nn.Module):
    """Last block, final norm and score head: hidden [W, T, C] -> scores [B, N]."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        transformer = classifier.transformer
        self.block = transformer.block(-1)
        self.final_norm = transformer.final_norm
        self.score = classifier.score
        self.places = transformer.metadata_builder  # has no weights

    def forward(
        self, hidden: Float[Tensor, "W T C"], mask: Bool[Tensor, "W T"], texts: Int[Tensor, " W"]
    ) -> Float[Tensor, "B N"]:
        """Scores from the last real tokens; rows are padded on the right."""
        rows, last = torch.arange(len(hidden), device=hidden.device), mask.sum(dim=1) - 1  # [W]
        attended = self._attend(hidden, mask, rows, last)
        stream = self.block.wire(hidden[rows, last][:, None], lambda _: attended)  # [W, 1, C]
        return pool_windows(self.score(self.final_norm(stream))[:, 0], texts)

    def _attend(self, hidden: Tensor, mask: Tensor, rows: Tensor, last: Tensor) -> Tensor:
        """The attention output of the last real tokens: [B, 1, C]."""
        attention = self.block.attention
        place = self.places(hidden[..., 0], None, None, hidden.dtype).by_block[-1]
        normed = self.block.attention_input(hidden)
        queries, keys = attention.queries_and_keys(normed, place.rotation)
        values = attention.split_heads(attention.value(normed)).transpose(1, 2)  # [B, K, T, D]
        allowed = padded_mask(mask, hidden.shape[1], attention.scoring.window_tokens)
        bias = place.bias
        if bias is not None:
            bias = of_last(bias.expand(len(rows), -1, -1, -1), rows, last)
        attend = IMPLEMENTATIONS[attention.implementation]
        mixed = attend(
            of_last(queries, rows, last),
            keys,
            values,
            of_last(allowed, rows, last),
            bias,
            attention.scoring,
        )  # [B, H, 1, D]
        output: Tensor = attention.output(mixed.transpose(1, 2).flatten(2))
        return output


def of_last(
    x: Float[Tensor, "B H T D"] | Bool[Tensor, "B 1 T S"], rows: Tensor, last: Tensor
) -> Tensor:
    """Select the query of each row's last real token: [B, H, 1, D]."""
    return x[rows, :, last][:, :, None]


class ScoreHead(nn.Module):
    """The score head behind the final norm, which alone learns: last tokens' states [W, 1, C] ->
    scores [B, N].
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.final_norm = classifier.transformer.final_norm
        self.score = classifier.score

    def forward(
        self, hidden: Float[Tensor, "W 1 C"], mask: Bool[Tensor, "W 1"], texts: Int[Tensor, " W"]
    ) -> Float[Tensor, "B N"]:
        return pool_windows(self.score(self.final_norm(hidden))[:, 0], texts)


class WholeModel(nn.Module):
    """A classifier: ids [W, T] -> class scores [B, N]."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(
        self, ids: Int[Tensor, "W T"], mask: Bool[Tensor, "W T"], texts: Int[Tensor, " W"]
    ) -> Float[Tensor, "B N"]:
        return pool_windows(self.classifier(ids, mask=mask), texts)


@torch.no_grad()
def scores_of(
    part: nn.Module,
    inputs: Inputs,
    rows: Sequence[int],
    *,
    device: torch.device,
    batch_size: int = 64,
) -> Float[Tensor, "rows N"]:
    order = sorted(range(len(rows)), key=lambda i: inputs.lengths[rows[i]])
    scores: dict[int, Tensor] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        found = part(*(tensor.to(device) for tensor in inputs.padded([rows[i] for i in batch])))
        scores |= dict(zip(batch, found.float().cpu(), strict=True))
    return torch.stack([scores[i] for i in range(len(rows))])
