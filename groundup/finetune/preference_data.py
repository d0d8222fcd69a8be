"""Pairs of answers as batches: rendered, cut, with the log-probabilities of both in the base model.

prompt, chosen, rejected -> two conversations -> render() -> Pair: ids and masks of both ->
PreferenceBatch
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from groundup.data.documents import PreferenceExample
from groundup.data.reading.example_splits import hold_out
from groundup.errors import DataError
from groundup.files import sha256_text
from groundup.finetune.instruction_data import ChatData, padded, render_to_learn
from groundup.finetune.lengths import Lengths
from groundup.finetune.order import EpochBatches
from groundup.progress import Progress
from groundup.tokenizer.chat import Conversation, Message, Rendered
from groundup.tokenizer.fast import Tokenizer


@dataclass(frozen=True)
class PreferenceBatch:
    """Pairs of answers; the chosen one first."""

    ids: Tensor  # [B, 2, T]
    labels: Tensor  # [B, 2, T]
    reference: Tensor  # [B, 2]
    """The log-probabilities of the answers in the base model."""
    beta: float


@dataclass(frozen=True)
class Pair:
    """A pair, rendered and cut."""

    chosen: Rendered
    rejected: Rendered
    reference: tuple[float, float] = (0.0, 0.0)
    """The log-probabilities of both in the base model."""

    @property
    def num_tokens(self) -> int:
        """Tokens of both texts."""
        return len(self.chosen.ids) + len(self.rejected.ids)


class PreferenceBatches(EpochBatches):
    """Pairs as padded batches."""

    def __init__(self, pairs: Sequence[Pair], *, beta: float, batch_size: int, seed: int) -> None:
        super().__init__([pair.num_tokens for pair in pairs], batch_size=batch_size, seed=seed)
        self._pairs, self._beta = pairs, beta
        ids = [
            (pair.chosen.ids, pair.chosen.mask, pair.rejected.ids, pair.rejected.mask)
            for pair in pairs
        ]
        self.fingerprint = sha256_text(f"{ids} {beta} {batch_size} {seed}")

    def batch(self, position: int) -> PreferenceBatch:
        """Return batch number `position`."""
        return as_batch([self._pairs[i] for i in self.indices(position)], self._beta)


def as_batch(pairs: Sequence[Pair], beta: float) -> PreferenceBatch:
    """Return pairs as one batch."""
    ids, labels = padded([text for pair in pairs for text in (pair.chosen, pair.rejected)])
    reference = torch.tensor([pair.reference for pair in pairs], dtype=torch.float32)
    return PreferenceBatch(ids.unflatten(0, (-1, 2)), labels.unflatten(0, (-1, 2)), reference, beta)


@dataclass(frozen=True)
class PreferenceData(ChatData):
    """Pairs to train on, and held-out ones."""

    aside: tuple[PreferenceExample, ...]
    """The examples of the held-out pairs."""

    def report(self, progress: Progress, what: str = "pairs") -> None:
        """Say also how many pairs were left out."""
        super().report(progress, what)
        if self.left_out:
            progress.say(f"{self.left_out:,} pairs left out that are the same within the limit.")


def prepare_pairs(
    examples: Sequence[PreferenceExample], tokenizer: Tokenizer, *, max_tokens: int, seed: int
) -> PreferenceData:
    """Make distinct, separate the held-out pairs, render, truncate.

    Raises DataError for equal answers, and where nothing is left.
    """
    for example in examples:
        if example.chosen.strip() == example.rejected.strip():
            raise DataError(
                f"The pair {example.id!r} has the same answer as chosen and as rejected: nothing "
                "can be learned from it.",
                fix="Remove it, or give two answers.",
            )
    sides = hold_out(examples, seed)
    whole = {
        id(example): _rendered(example, tokenizer) for example in (*sides.train, *sides.held_out)
    }
    train, held_out = (
        [(example, pair) for example in side if (pair := _cut(whole[id(example)], max_tokens))]
        for side in (sides.train, sides.held_out)
    )
    if not train or not held_out:
        raise DataError(
            f"No pair of answers differs within {max_tokens} tokens: nothing is left to learn, or "
            "to measure on.",
            fix="Give shorter prompts, or raise max_tokens.",
        )
    learned, pairs = zip(*train, strict=True)
    aside, others = zip(*held_out, strict=True)
    texts = [text for example in sides.train for text in whole[id(example)]]
    left_out = len(whole) - len(train) - len(held_out)
    lengths = Lengths.of_answers(texts, max_tokens)
    return PreferenceData(pairs, others, learned, sides.repeats, left_out, lengths, aside)


def _rendered(example: PreferenceExample, tokenizer: Tokenizer) -> tuple[Rendered, Rendered]:
    """Return both conversations; the loss counts in the last answer alone."""
    chosen, rejected = (
        _last_only(
            render_to_learn(
                Conversation((*example.prompt, Message("assistant", answer))), tokenizer
            )
        )
        for answer in (example.chosen, example.rejected)
    )
    return chosen, rejected


def _last_only(rendered: Rendered) -> Rendered:
    """Return the rendering with the last turn of the assistant alone in its mask."""
    start = rendered.turns[-1].start if rendered.turns else len(rendered.ids)
    return dataclasses.replace(
        rendered, mask=[counts and place >= start for place, counts in enumerate(rendered.mask)]
    )


def _cut(texts: tuple[Rendered, Rendered], max_tokens: int) -> Pair | None:
    """Return a pair within the limit; None where its answers are the same there, or one of them has
    nothing to learn.
    """
    chosen, rejected = (text.cut(max_tokens) for text in texts)
    differs = chosen.ids != rejected.ids and any(chosen.mask[1:]) and any(rejected.mask[1:])
    return Pair(chosen, rejected) if differs else None


def with_reference(pairs: Sequence[Pair], sums: Sequence[tuple[float, float]]) -> list[Pair]:
    """Return the pairs with the base model's log-probabilities."""
    return [
        dataclasses.replace(pair, reference=each) for pair, each in zip(pairs, sums, strict=True)
    ]
