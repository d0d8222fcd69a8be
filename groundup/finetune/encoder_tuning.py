"""Contrastive tuning of a sentence encoder: a question and the texts that answer it come near one
another, the other texts of its collection away from it.

    q = E(question), t = E(text)    vectors of length 1; a batch holds questions of one collection
    L = -log( sum over texts that answer of exp(q . t / TAU) / sum over all candidates of ... )

(InfoNCE, van den Oord et al. 2018, arXiv 1807.03748, eq. 4, with several right texts as in Khosla
et al. 2020, arXiv 2004.11362.) Candidates are the texts that answer the batch's questions, those
beside them and some that are drawn. Each kind of text (passages, their sentences) has a loss of its
own; they are summed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.device import generator
from groundup.engine.padded_batch import batches_by_length, pad_right
from groundup.files import sha256_text
from groundup.finetune.order import EpochBatches, epoch_batches
from groundup.model.heads import Encoder
from groundup.train.steps.step import LossSum

TAU = 0.05
# Tokens of rows that are padded together.
GROUP_TOKENS = 4096
# Of a text; longer ones are cut.
MAX_TOKENS = 160


@dataclass(frozen=True)
class TextsOfKind:
    """Texts of one kind in a collection, as ids."""

    rows: Sequence[list[int]]
    beside: Sequence[int]
    """Of each the group that it stands in (of a sentence its passage): others of the group are
    candidates first.
    """
    drawn: int
    """Other texts that are candidates for a batch, at most."""


@dataclass(frozen=True)
class AskedText:
    """A question and the texts that answer it."""

    ids: list[int]
    collection: int
    answers: tuple[frozenset[int], ...]
    """Of each kind the texts that answer; empty: unknown, and the kind has no loss."""


@dataclass(frozen=True)
class EncoderRows:
    """Rows of about equal length."""

    ids: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]


@dataclass(frozen=True)
class EncoderBatch:
    """Questions first, then the candidates of each kind."""

    groups: tuple[EncoderRows, ...]
    places: Int[Tensor, " R"]
    """Of the rows of all groups, which in that order they are."""
    questions: int
    is_answer: tuple[Bool[Tensor, "Q N"], ...]
    """Of each kind which candidates answer which question."""


class EncoderBatches(EpochBatches):
    """Questions of one collection each, epoch after epoch in the order of (seed, epoch)."""

    def __init__(
        self,
        questions: Sequence[AskedText],
        collections: Sequence[Sequence[TextsOfKind]],
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        self._questions, self._collections = questions, collections
        self._of_collection: dict[int, list[int]] = {}
        for number, each in enumerate(questions):
            self._of_collection.setdefault(each.collection, []).append(number)
        super().__init__([len(each.ids) for each in questions], batch_size=batch_size, seed=seed)
        asked = [(each.ids, each.collection, list(map(sorted, each.answers))) for each in questions]
        texts = [
            [(list(kind.rows), list(kind.beside), kind.drawn) for kind in each]
            for each in collections
        ]
        self.fingerprint = sha256_text(f"{asked} {texts} {batch_size} {seed}")

    def _of_epoch(self, epoch: int) -> list[list[int]]:
        found = []
        for collection, own in self._of_collection.items():
            lengths = [0] * len(own)
            batches = epoch_batches(
                lengths, self._batch_size, seed=self._seed + collection, epoch=epoch
            )
            found += [[own[i] for i in batch] for batch in batches]
        order = torch.randperm(len(found), generator=generator(self._seed, f"epoch {epoch}"))
        return [found[i] for i in order.tolist()]

    @property
    def epoch_tokens(self) -> int:
        """The number of questions in an epoch, each of which has one loss."""
        return len(self._questions)

    def batch(self, position: int) -> EncoderBatch:
        """Return batch number `position`."""
        asked = [self._questions[i] for i in self.indices(position)]
        draw = generator(self._seed, f"candidates of batch {position}")
        rows, is_answer = [each.ids for each in asked], []
        for kind, texts in enumerate(self._collections[asked[0].collection]):
            wanted = sorted(set().union(*(each.answers[kind] for each in asked)))
            candidates = wanted + _drawn(texts, wanted, draw)
            rows += [list(texts.rows[i]) for i in candidates]
            right = [[i in each.answers[kind] for i in candidates] for each in asked]
            is_answer.append(torch.tensor(right).reshape(len(asked), len(candidates)))
        groups = list(batches_by_length([len(row) for row in rows], GROUP_TOKENS))
        padded = [pad_right([rows[i] for i in group], torch.device("cpu")) for group in groups]
        places = torch.tensor([i for group in groups for i in group])
        padded_rows = tuple(EncoderRows(ids, mask) for ids, mask in padded)
        return EncoderBatch(padded_rows, places, len(asked), tuple(is_answer))


def _drawn(texts: TextsOfKind, wanted: Sequence[int], draw: torch.Generator) -> list[int]:
    """Return other texts, those beside the wanted ones first."""
    near, taken = {texts.beside[i] for i in wanted}, set(wanted)
    order = torch.randperm(len(texts.rows), generator=draw).tolist()
    others = [i for i in order if i not in taken]
    others.sort(key=lambda i: texts.beside[i] not in near)
    return others[: texts.drawn]


def contrastive_loss(model: nn.Module, batch: EncoderBatch) -> LossSum:
    """The loss of an encoder, summed over questions."""
    assert isinstance(model, Encoder)
    made = torch.cat([model(each.ids, mask=each.mask).float() for each in batch.groups])
    vectors = made[batch.places.argsort()]
    total, start = vectors.sum() * 0, batch.questions
    for is_answer in batch.is_answer:
        end = start + is_answer.shape[1]
        total = total + _info_nce(vectors[: batch.questions], vectors[start:end], is_answer)
        start = end
    return LossSum(total, batch.questions)


def _info_nce(
    questions: Float[Tensor, "Q C"], texts: Float[Tensor, "N C"], is_answer: Bool[Tensor, "Q N"]
) -> Float[Tensor, ""]:
    """Return the loss, summed over the questions that a candidate answers."""
    asked = is_answer.any(1)
    scores, right = questions[asked] @ texts.T / TAU, is_answer[asked]
    return (scores.logsumexp(1) - scores.masked_fill(~right, -1e4).logsumexp(1)).sum()
