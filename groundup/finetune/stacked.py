"""Training of a stacked classifier: logistic regressions on mean hidden states after BLOCKS and on
TF-IDF of letters, their scores added (`weights.stacked`). Nothing of the language model learns.

Each regression has its optimum for its strength of regularisation; the strengths and the share of
the letters have the lowest cross-entropy on the validation texts. The mean over several blocks is
as good as the best one, and makes their choice unnecessary. An encoder's vectors are a third part.
The plain head, which other programs read, is a regression on the last token's state after all
blocks. Where a text may have several labels, each has regressions of its own (one against the rest),
of one strength for all. scikit-learn fits them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groundup.engine.padded_batch import mean_state
from groundup.errors import MissingExtra
from groundup.evaluate.calibration import label_loss, label_temperature
from groundup.files import sha256_text
from groundup.finetune.features import Features, FrozenBlocks
from groundup.finetune.messages import Messages
from groundup.weights.stacked import Stacked, TfIdf

# Of the blocks, where hidden states are read: of 30 after 10, 18 and 26 (docs/log.md).
BLOCK_SHARES = (1 / 3, 3 / 5, 13 / 15)
# Inverse strengths of regularisation that are tried: of standardised states, of TF-IDF.
STATE_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
LETTER_STRENGTHS = (1.0, 10.0, 100.0)
# Of an encoder's vectors, which have length 1.
VECTOR_STRENGTHS = (1.0, 3.0, 10.0, 30.0)
SHARES = tuple(step / 20 for step in range(21))
SMALLEST_DEVIATION = 1e-6
MAX_STEPS = 1000
# The score of a class without training texts.
UNSEEN = -30.0


@dataclass(frozen=True)
class PooledBlocks(FrozenBlocks):
    """All blocks, frozen: of a row the mean states after some of them, and the last token's state
    after the final norm.
    """

    @property
    def blocks(self) -> tuple[int, ...]:
        """Where states are read, ascending."""
        layers = self.transformer.config.num_layers
        return tuple(sorted({max(1, round(share * layers)) for share in BLOCK_SHARES}))

    @cached_property
    def key(self) -> str:
        """SHA-256 of the frozen weights and the blocks."""
        whole = FrozenBlocks(self.transformer, self.num_blocks, self.compute)
        return sha256_text(f"{whole.key} mean states after {self.blocks}")

    def kept_tokens(self, row: Sequence[int]) -> int:
        """Return how many states of a row are kept."""
        return len(self.blocks) + 1

    @property
    def stops(self) -> tuple[int, ...]:
        return tuple(sorted({*self.blocks, self.num_blocks}))

    def states_after(
        self, block: int, hidden: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B K C"]:
        kept = []
        if block in self.blocks:
            kept.append(mean_state(hidden, mask))
        if block == self.num_blocks:
            last = hidden[torch.arange(len(hidden)), mask.sum(dim=1) - 1]
            kept.append(self.transformer.final_norm(last).float())
        return torch.stack(kept, dim=1)


@dataclass(frozen=True)
class Linear:
    """Scores x W + b of one part, with the strength that was chosen and its loss on the validation
    texts.
    """

    weight: np.ndarray
    bias: np.ndarray
    strength: float
    loss: float

    def scores(self, rows: Any) -> np.ndarray:
        return np.asarray(rows @ self.weight + self.bias)


def require_scikit_learn() -> None:
    """Raise MissingExtra where scikit-learn is not installed."""
    if find_spec("sklearn") is None:
        raise MissingExtra("scikit-learn", "demo")


def fit_linear(
    rows: tuple[Any, Any],
    classes: tuple[Sequence[Any], Sequence[Any]],
    weights: Sequence[Any],
    strengths: Sequence[float],
    **options: Any,
) -> Linear:
    """Return the one with the lowest loss on validation rows. `weights`: of each class; of several
    labels, whose classes are lists of 0 and 1, of each label's 0 and 1.
    """
    learned, judged = map(np.array, classes)
    fit = _fit_one_label if learned.ndim == 1 else _fit_each_label
    found = []
    for strength in strengths:
        weight, bias = fit(rows[0], learned, weights, C=strength, max_iter=MAX_STEPS, **options)
        loss = label_loss(np.asarray(rows[1] @ weight + bias), judged)
        found.append(Linear(weight, bias, strength, loss))
    return min(found, key=lambda each: each.loss)


def _fit_one_label(
    rows: Any, classes: np.ndarray, weights: Sequence[float], **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LogisticRegression

    of_class = {label: weights[label] for label in set(classes.tolist())}
    model = LogisticRegression(class_weight=of_class, **options)
    return weights_of(model.fit(rows, classes), len(weights))


def _fit_each_label(
    rows: Any, present: np.ndarray, weights: Sequence[tuple[float, float]], **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """A regression for each label; constant where all texts have it, or none."""
    from sklearn.linear_model import LogisticRegression

    weight, bias = np.zeros((rows.shape[1], len(weights))), np.full(len(weights), UNSEEN)
    for label, column in enumerate(present.T):
        if column.all():
            bias[label] = -UNSEEN
        elif column.any():
            of_class = dict(enumerate(weights[label]))
            model = LogisticRegression(class_weight=of_class, **options).fit(rows, column)
            weight[:, label], bias[label] = model.coef_[0], model.intercept_[0]
    return weight, bias


def weights_of(model: Any, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return W [F, N] and b [N]; a class that it has not seen gets the score UNSEEN."""
    weight, bias = model.coef_.T, np.broadcast_to(model.intercept_, len(model.coef_))
    if weight.shape[1] == 1:  # of two classes: the score of the second over that of the first
        weight, bias = np.hstack([-weight / 2, weight / 2]), np.hstack([-bias / 2, bias / 2])
    whole, biases = np.zeros((len(weight), num_classes)), np.full(num_classes, UNSEEN)
    whole[:, model.classes_], biases[model.classes_] = weight, bias
    return whole, biases


def sparse_rows(letters: TfIdf, texts: Sequence[str]) -> Any:
    """As a sparse matrix of SciPy, which scikit-learn brings."""
    from scipy.sparse import csr_matrix

    rows = [letters.row(text) for text in texts]
    starts = np.cumsum([0, *(len(indices) for indices, _ in rows)])
    indices, values = (np.concatenate([row[part] for row in rows]) for part in (0, 1))
    return csr_matrix((values, indices, starts), shape=(len(texts), len(letters.ngrams)))


@dataclass(frozen=True)
class StackedFit:
    stacked: Stacked
    head: np.ndarray
    """The plain head's weight, [N, C]."""
    chosen: dict[str, Any]
    """Strengths and share, with their losses on the validation texts, as JSON values."""


@dataclass(frozen=True)
class StackedTraining:
    """All texts with their features, and what is learned from some of them."""

    messages: Messages
    features: Features
    blocks: tuple[int, ...]
    weights: Sequence[Any]
    """Of each class in the loss; of several labels, of each label's 0 and 1."""
    encoder: Path | None = None
    """The folder of an encoder whose vectors of the texts are a part, too."""
    vectors: Float[Tensor, "texts E"] | None = None
    """Those of all texts."""
    fitted: dict[tuple[int, ...], StackedFit] = field(default_factory=dict)
    """Texts that were learned from -> what came of it without vectors; a copy with vectors
    (`dataclasses.replace`) has the same.
    """

    @cached_property
    def states(self) -> Float[Tensor, "texts K+1 C"]:
        """Of each text the mean of its windows' states."""
        return torch.stack([torch.stack(windows).mean(dim=0) for windows in self.features.texts])

    def texts(self, rows: Sequence[int]) -> list[str]:
        return [self.messages.examples[row].text for row in rows]

    def scores(self, stacked: Stacked, rows: Sequence[int]) -> Float[Tensor, "rows N"]:
        vectors = (
            None
            if stacked.vectors_weight is None or self.vectors is None
            else self.vectors[list(rows)]
        )
        return stacked.scores(
            self.states[list(rows), : len(stacked.blocks)], self.texts(rows), vectors
        )

    def head_scores(self, head: np.ndarray, rows: Sequence[int]) -> Float[Tensor, "rows N"]:
        """Return the scores of the plain head of some texts."""
        return self.states[list(rows), -1].double() @ torch.from_numpy(head).T

    def fit(self, rows: Sequence[int] | None = None) -> StackedFit:
        """Learn from `rows` (None: all training texts), choose on the other validation texts."""
        known = list(self.messages.rows["train"] if rows is None else rows)
        validation, learned = self.messages.rows["validation"], set(known)
        judged = [row for row in validation if row not in learned] or list(validation)
        numbers = self.messages.classes
        classes = [numbers[row] for row in known], [numbers[row] for row in judged]
        found = self.fitted.get(tuple(known))
        if found is None:
            found = self.fitted[tuple(known)] = self._without_vectors((known, judged), classes)
        if self.vectors is None:
            return found
        stacked, of_vectors = self._with_vectors(found.stacked, (known, judged), classes)
        return replace(found, stacked=stacked, chosen={**found.chosen, **of_vectors})

    def _without_vectors(self, rows: tuple[list[int], list[int]], classes: Any) -> StackedFit:
        known, judged = rows
        parts = [self._of_states(place, rows, classes) for place in range(len(self.blocks))]
        letters = TfIdf.of(self.texts(known))
        sparse = sparse_rows(letters, self.texts(known)), sparse_rows(letters, self.texts(judged))
        of_letters = fit_linear(sparse, classes, self.weights, LETTER_STRENGTHS)
        states = self.states[judged].double().numpy()
        by_states = np.mean(
            [part.scores(states[:, place]) for place, part in enumerate(parts)], axis=0
        )
        shares = choose_shares(by_states, of_letters.scores(sparse[1]), classes[1])
        return StackedFit(
            self._stacked(parts, of_letters, letters, shares),
            self._plain_head(rows, classes),
            {
                "blocks": [
                    {"block": block, "strength": part.strength, "validation_loss": part.loss}
                    for block, part in zip(self.blocks, parts, strict=True)
                ],
                "letters": {
                    "ngrams": len(letters.ngrams),
                    "strength": of_letters.strength,
                    "validation_loss": of_letters.loss,
                },
                "letters_share": shares.share,
                "validation_loss": shares.loss,
                "states_loss": shares.losses[0],
                "letters_loss": shares.losses[1],
            },
        )

    def _with_vectors(
        self, stacked: Stacked, rows: tuple[list[int], list[int]], classes: Any
    ) -> tuple[Stacked, dict[str, Any]]:
        assert self.vectors is not None and self.encoder is not None
        known, judged = (self.vectors[part].double().numpy() for part in rows)
        part = fit_linear((known, judged), classes, self.weights, VECTOR_STRENGTHS)
        mixed = choose_shares(
            self.scores(stacked, rows[1]).numpy(), part.scores(judged), classes[1]
        )
        chosen = {"encoder": self.encoder.name, "strength": part.strength, "share": mixed.share}
        chosen |= {
            "loss_without": mixed.losses[0],
            "loss_alone": mixed.losses[1],
            "validation_loss": mixed.loss,
        }
        if not mixed.letters:
            return stacked, {"vectors": chosen}
        bias = mixed.states * stacked.bias + mixed.letters * torch.from_numpy(part.bias)
        found = replace(
            stacked,
            hidden_weight=mixed.states * stacked.hidden_weight,
            letters_weight=mixed.states * stacked.letters_weight,
            bias=bias,
            encoder=self.encoder,
            vectors_weight=mixed.letters * torch.from_numpy(part.weight),
        )
        return found, {"vectors": chosen}

    def _of_states(self, place: int, rows: tuple[list[int], list[int]], classes: Any) -> Linear:
        """Standardising is in its weights."""
        known, judged = (self.states[part, place].double().numpy() for part in rows)
        center, scale = known.mean(axis=0), known.std(axis=0) + SMALLEST_DEVIATION
        standard = ((known - center) / scale, (judged - center) / scale)
        found = fit_linear(standard, classes, self.weights, STATE_STRENGTHS)
        weight = found.weight / scale[:, None]
        return Linear(weight, found.bias - center @ weight, found.strength, found.loss)

    def _plain_head(self, rows: tuple[list[int], list[int]], classes: Any) -> np.ndarray:
        """The plain head has no bias, so states are scaled and not centred."""
        known, judged = (self.states[part, -1].double().numpy() for part in rows)
        scale = known.std(axis=0) + SMALLEST_DEVIATION
        found = fit_linear(
            (known / scale, judged / scale),
            classes,
            self.weights,
            STATE_STRENGTHS,
            fit_intercept=False,
        )
        return np.asarray(found.weight / scale[:, None]).T

    def _stacked(
        self, parts: Sequence[Linear], of_letters: Linear, letters: TfIdf, shares: "Shares"
    ) -> Stacked:
        """The parts with their shares; a part whose share is 0 is left out."""
        factor = shares.states / len(parts)
        hidden = np.concatenate([factor * part.weight for part in parts])
        bias = factor * sum(part.bias for part in parts) + shares.letters * of_letters.bias
        weight = shares.letters * of_letters.weight
        if not shares.letters:
            letters, weight = TfIdf((), np.zeros(0)), weight[:0]
        blocks, hidden = (self.blocks, hidden) if shares.states else ((), hidden[:0])
        hidden_weight, letters_weight, biases = (
            torch.from_numpy(each) for each in (hidden, weight, bias)
        )
        return Stacked(blocks, hidden_weight, letters, letters_weight, biases)


@dataclass(frozen=True)
class Shares:
    """Factors of the scores of both parts, and the losses of mixtures on the validation texts."""

    states: float
    letters: float
    loss: float
    losses: tuple[float, float]
    """Of the states alone, of the letters alone, each with its temperature."""
    share: float
    """Of the letters, between 0 and 1, where both parts have their temperatures."""


def choose_shares(by_states: np.ndarray, by_letters: np.ndarray, classes: Sequence[Any]) -> Shares:
    """Of two parts' scores [n, N]: the lowest cross-entropy, each part and the mixture at its best
    temperature.
    """
    true = np.array(classes)
    temperatures = [label_temperature(part, true) for part in (by_states, by_letters)]
    states, letters = by_states / temperatures[0], by_letters / temperatures[1]
    found = []
    for share in SHARES:
        mixed = (1 - share) * states + share * letters
        temperature = label_temperature(mixed, true)
        found.append((label_loss(mixed, true, temperature), share, temperature))
    loss, share, temperature = min(found)
    factors = (1 - share) / (temperatures[0] * temperature), share / (temperatures[1] * temperature)
    return Shares(*factors, loss, (found[0][0], found[-1][0]), share)
