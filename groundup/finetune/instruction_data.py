"""Instruction data: instructions with answers -> training examples (rendered, truncated, masked, in batches) and held-out ones.

Only the answers' tokens have labels; prompts and padding have none. The mask comes from the rendering that `groundup chat` uses too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from groundup.data.batches.loader import IGNORED_LABEL, Batch
from groundup.data.documents import ChatExample, to_conversation
from groundup.data.reading.distinct import hold_out
from groundup.errors import DataError
from groundup.evaluate.tasks.answers import cut
from groundup.files import sha256_text
from groundup.finetune.lengths import Lengths
from groundup.finetune.order import EpochOrder
from groundup.tokenizer.chat import Rendered, render
from groundup.tokenizer.fast import Tokenizer


@dataclass(frozen=True)
class InstructionData:
    """The training examples and the held-out ones."""

    train: tuple[Rendered, ...]
    held_out: tuple[ChatExample, ...]
    learned: tuple[ChatExample, ...]
    """The examples of `train`."""
    repeats: int
    """Examples left out, as their instructions occur elsewhere (see `data.reading.distinct`)."""
    lengths: Lengths
    """Of the training examples, before they were cut."""

    @property
    def left_out(self) -> int:
        """Training examples whose whole answer was cut off."""
        return self.lengths.left_out

    @property
    def supervised_share(self) -> float:
        """The share of training tokens that have labels."""
        return sum(sum(each.mask) for each in self.train) / sum(len(each.ids) for each in self.train)


def make_instruction_data(
    examples: Sequence[ChatExample], tokenizer: Tokenizer, *, max_tokens: int, seed: int
) -> InstructionData:
    """Make distinct, separate the held-out examples, render, truncate. Raises DataError when nothing is left to train or to measure on."""
    sides = hold_out(examples, seed)
    whole = [render(to_conversation(example), tokenizer) for example in sides.train]
    rendered = [(example, cut(each, max_tokens)) for example, each in zip(sides.train, whole, strict=True)]
    kept = [(example, each) for example, each in rendered if any(each.mask[1:])]
    if not kept:
        raise DataError(
            f"None of the {len(whole)} training examples has an answer within {max_tokens} tokens: nothing is left to learn.",
            fix="Give examples with answers, or raise max_tokens.",
        )
    learned, train = zip(*kept, strict=True)
    lengths = Lengths.of_answers(whole, max_tokens)
    return InstructionData(train, tuple(sides.held_out), learned, sides.repeats, lengths)


class AnswerBatches:
    """Rendered examples as padded batches whose labels are the answers' tokens, epoch after epoch in the order of (seed, epoch)."""

    def __init__(self, rendered: Sequence[Rendered], *, batch_size: int, seed: int) -> None:
        self._rendered = rendered
        self._order = EpochOrder([len(each.ids) for each in rendered], batch_size, seed)
        self.fingerprint = sha256_text(f"{[(each.ids, each.mask) for each in rendered]} {batch_size} {seed}")

    @property
    def epoch_tokens(self) -> int:
        """Tokens with labels in an epoch."""
        return sum(sum(each.mask[1:]) for each in self._rendered)

    def batch(self, position: int) -> Batch:
        """Return batch number `position`. It needs no mask: padding is on the right, where no real token attends, and has no labels."""
        rows = [self._rendered[i] for i in self._order.indices(position)]
        longest = max(len(row.ids) for row in rows) - 1
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        labels = torch.full((len(rows), longest), IGNORED_LABEL)
        for place, row in enumerate(rows):
            count = len(row.ids) - 1
            ids[place, :count] = torch.tensor(row.ids[:-1])
            targets = zip(row.ids[1:], row.mask[1:], strict=True)
            labels[place, :count] = torch.tensor([id if counts else IGNORED_LABEL for id, counts in targets])
        return Batch(ids, labels)

    def steps_for(self, tokens: int) -> int:
        """Return how many batches from the first on have `tokens` tokens, padding not counted; at least one."""
        steps, read = 0, 0
        while read < tokens:
            read += self.num_tokens(steps)
            steps += 1
        return steps

    def num_tokens(self, position: int) -> int:
        """Return the tokens in one batch, padding not counted."""
        return sum(len(self._rendered[i].ids) for i in self._order.indices(position))
