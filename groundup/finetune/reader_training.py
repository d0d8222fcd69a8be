"""Training of the reader (`retrieve/reader.py`): questions with passages, and which of their
sentences answer.

    questions -> ReaderQuestion -> ReaderBatches -> fit() with `answer_loss` -> adapter

    L = -log( sum over answering i of exp(s_i) / (1 + sum over all i of exp(s_i)) )     of a question

(marginal likelihood of several right sentences, Clark and Gardner 2018, arXiv 1710.10723, with "no
answer" as one more choice of score 0); of a question whose answer is in none of its passages
L = -log(1 / (1 + sum exp(s_i))). The passages that don't answer are the nearest neighbours of the
question, so that near is not enough.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.engine.padded_batch import batches_by_length, pad_right
from groundup.files import sha256_text
from groundup.finetune.order import EpochBatches
from groundup.retrieve.cite import statements
from groundup.retrieve.passages import Passage
from groundup.retrieve.reader import ReaderRow, SentenceScorer, joined_owners, reader_row
from groundup.tokenizer.fast import Tokenizer
from groundup.train.steps.step import LossSum

# Passages behind the nearest, as an answer reads them, from which some are drawn.
FURTHER = 16
# Rows of a batch that are padded together: padding to the longest of all was half of the work.
GROUP_TOKENS = 2048


@dataclass(frozen=True)
class ReaderQuestion:
    """A question with the passages that are read for it."""

    question: str
    passages: tuple[Passage, ...]
    answers: frozenset[tuple[int, int]]
    """(passage, sentence) that answer; empty: the passages hold no answer."""


@dataclass(frozen=True)
class PaddedRows:
    """Rows of about equal length, and their number of sentences."""

    ids: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]
    owners: Int[Tensor, "B T"]
    sentences: int


@dataclass(frozen=True)
class ReaderBatch:
    """The rows of several questions, in groups of about equal length."""

    groups: tuple[PaddedRows, ...]
    questions: Int[Tensor, " S"]
    """The question of each sentence, through all groups."""
    right: Bool[Tensor, " S"]
    """Whether it answers."""
    count: int
    """Questions."""


class ReaderBatches(EpochBatches):
    """Questions as batches, epoch after epoch in the order of (seed, epoch)."""

    def __init__(
        self,
        questions: Sequence[ReaderQuestion],
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        self._counts = [[len(statements(p)) for p in each.passages] for each in questions]
        self._rows = [
            [reader_row(tokenizer, each.question, passage) for passage in each.passages]
            for each in questions
        ]
        self._answers = [each.answers for each in questions]
        lengths = [sum(len(row.ids) for row in rows) for rows in self._rows]
        super().__init__(lengths, batch_size=batch_size, seed=seed)
        kept = [[(row.ids, row.owners) for row in rows] for rows in self._rows]
        answers = [sorted(each) for each in self._answers]
        self.fingerprint = sha256_text(f"{kept} {answers} {batch_size} {seed}")

    @property
    def epoch_tokens(self) -> int:
        """The number of questions in an epoch, each of which has one loss."""
        return len(self._rows)

    def batch(self, position: int) -> ReaderBatch:
        """Return batch number `position`."""
        chosen = self.indices(position)
        places = [
            (number, i, p) for number, i in enumerate(chosen) for p in range(len(self._rows[i]))
        ]
        lengths = [len(self._rows[i][place].ids) for _, i, place in places]
        groups: list[PaddedRows] = []
        questions: list[int] = []
        right: list[bool] = []
        for group in batches_by_length(lengths, GROUP_TOKENS):
            rows: list[ReaderRow] = []
            counts: list[int] = []
            for number, index, place in (places[each] for each in group):
                count = self._counts[index][place]
                rows.append(self._rows[index][place])
                counts.append(count)
                questions += [number] * count
                right += [(place, each) in self._answers[index] for each in range(count)]
            ids, mask = pad_right([row.ids for row in rows], torch.device("cpu"))
            groups.append(PaddedRows(ids, mask, joined_owners(rows, counts), sum(counts)))
        return ReaderBatch(tuple(groups), torch.tensor(questions), torch.tensor(right), len(chosen))


def answer_loss(model: nn.Module, batch: ReaderBatch) -> LossSum:
    """The loss of the module, summed over questions."""
    assert isinstance(model, SentenceScorer)
    scores = torch.cat([model(g.ids, g.mask, g.owners, g.sentences) for g in batch.groups])
    every = _log_sums(scores, batch.questions, batch.count, start=0.0)
    is_answered = torch.zeros(batch.count, dtype=torch.bool, device=scores.device)
    is_answered[batch.questions[batch.right]] = True
    right = _log_sums(scores[batch.right], batch.questions[batch.right], batch.count, start=-1e4)
    total = (every - torch.where(is_answered, right, torch.zeros_like(right))).sum()
    return LossSum(total, batch.count)


def _log_sums(scores: Tensor, groups: Tensor, count: int, *, start: float) -> Tensor:
    """Return log(exp(start) + sum of exp(score)) of each group."""
    first = torch.full((count,), start, device=scores.device)
    highest = first.scatter_reduce(0, groups, scores.detach(), "amax")
    sums = (first - highest).exp().index_add(0, groups, (scores - highest[groups]).exp())
    return sums.log() + highest


@dataclass(frozen=True)
class Library:
    """Passages that questions are asked of together, with the vectors of an encoder."""

    passages: Sequence[Passage]
    vectors: Float[Tensor, "P C"]

    @classmethod
    def of(cls, passages: Sequence[Passage], embed: Callable[[list[str]], Any]) -> "Library":
        """Embed the passages."""
        rows = embed([f"{each.title}\n{each.text}".strip() for each in passages])
        return cls(passages, torch.as_tensor(rows))

    def question(
        self,
        question: str,
        vector: Float[Tensor, " C"],
        answers: Mapping[int, AbstractSet[int]],
        *,
        count: int,
        is_answered: bool = True,
        draw: random.Random | None = None,
    ) -> ReaderQuestion:
        """Return a question with `count` passages: those that answer (at most two; none unless
        `is_answered`), and the nearest of the others; with `draw` only half of them are the
        nearest, and half are drawn from the FURTHER next ones.

        `answers`: passage -> its sentences that answer.
        """
        near = (self.vectors @ vector).argsort(descending=True).tolist()
        right = [i for i in near if i in answers][:2] if is_answered else []
        others = [i for i in near if i not in answers]
        room = count - len(right)
        if draw is not None:
            nearest = others[: (room + 1) // 2]
            further = others[len(nearest) : len(nearest) + FURTHER]
            others = nearest + draw.sample(further, min(room // 2, len(further)))
        others = others[:room]
        found = frozenset(
            (place, each) for place, index in enumerate(right) for each in answers[index]
        )
        passages = tuple(self.passages[i] for i in [*right, *others])
        return ReaderQuestion(question, passages, found)
