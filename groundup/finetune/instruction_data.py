"""Instruction data: instructions with answers -> training examples (rendered, truncated, masked, in
batches) and held-out ones.

Only the answers' tokens have labels; prompts and padding have none. The mask comes from the
rendering that `groundup chat` uses too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from groundup.data.batches.loader import IGNORED_LABEL, Batch
from groundup.data.documents import ChatExample, PreferenceExample, to_conversation
from groundup.data.reading.example_splits import hold_out
from groundup.errors import DataError, ModelError
from groundup.files import sha256_text
from groundup.finetune.lengths import Lengths
from groundup.finetune.loss_mask_view import MaskXray
from groundup.finetune.order import EpochBatches
from groundup.progress import Progress
from groundup.tokenizer.chat import Conversation, Rendered, can_call_tools, render
from groundup.tokenizer.fast import Tokenizer

# Examples up to which only form and tone are learned, and up to which the kinds of tasks that they
# show.
FORM_EXAMPLES, TASK_EXAMPLES = 1000, 10_000


@dataclass(frozen=True)
class ChatData:
    """Examples to train a chat model on, and held-out ones."""

    train: tuple[Any, ...]
    """Rendered and cut."""
    held_out: tuple[Any, ...]
    learned: Sequence[ChatExample] | Sequence[PreferenceExample]
    """The examples of `train`."""
    repeats: int
    """Examples left out, as their instructions occur elsewhere (see `data.reading.distinct`)."""
    left_out: int
    """Examples left out, as there is nothing to learn within the limit of tokens."""
    lengths: Lengths
    """Of the training examples, before they were cut."""

    @property
    def counts(self) -> dict[str, int]:
        """`ChatResults.examples`."""
        train, held_out = len(self.train), len(self.held_out)
        return {
            "train": train,
            "held_out": held_out,
            "left_out": self.left_out,
            "repeats": self.repeats,
        }

    @property
    def held_out_key(self) -> str:
        """SHA-256 of the held-out examples."""
        return sha256_text(repr(self.held_out))

    def report(self, progress: Progress, what: str = "examples") -> None:
        """Say how many examples there are and how long they are."""
        progress.say(self.lengths.line())
        line = f"{len(self.train):,} {what} to learn from, {len(self.held_out):,} held out"
        if self.repeats:
            line += f", {self.repeats:,} repeats left out"
        progress.say(f"{line}.")


@dataclass(frozen=True)
class InstructionData(ChatData):
    """Rendered conversations, and held-out ones."""

    mask: MaskXray
    """What of the training examples is trained."""

    @property
    def supervised_share(self) -> float:
        """The share of training tokens that have labels."""
        tokens = sum(len(each.ids) for each in self.train)
        return sum(sum(each.mask) for each in self.train) / tokens

    def report(self, progress: Progress, what: str = "examples") -> None:
        """Say also what of the examples is trained, and what they can teach."""
        super().report(progress, what)
        self.mask.show(progress)
        progress.say(what_they_teach(len(self.train)))


def what_they_teach(examples: int) -> str:
    """Return what a model can learn from this many examples, in one sentence.

    >>> what_they_teach(27)[:58]
    '27 examples can teach form and tone, not facts: the loss f'
    """
    many = "an example" if examples == 1 else f"{examples:,} examples"
    taught = "form and tone"
    if examples > FORM_EXAMPLES:
        taught = "form, tone and the kinds of tasks that they show"
    if examples > TASK_EXAMPLES:
        return f"{many} can teach {taught}; facts are better looked up (retrieval) than learned."
    return (
        f"{many} can teach {taught}, not facts: the loss falls, and names, prices and dates are "
        "made up all the same. For facts the way is retrieval: put the passage that holds the "
        "answer before the question."
    )


def make_instruction_data(
    examples: Sequence[ChatExample], tokenizer: Tokenizer, *, max_tokens: int, seed: int
) -> InstructionData:
    """Make distinct, separate the held-out examples, render, truncate.

    Raises DataError when nothing is left to train or to measure on, ModelError when the chat
    template can't write what is in them.
    """
    sides = hold_out(examples, seed)
    talks = [to_conversation(example) for example in sides.train]
    whole = [render_to_learn(talk, tokenizer) for talk in talks]
    kept = [
        (example, cut)
        for example, each in zip(sides.train, whole, strict=True)
        if any((cut := each.cut(max_tokens)).mask[1:])
    ]
    if not kept:
        raise DataError(
            f"None of the {len(whole)} training examples has an answer within {max_tokens} tokens: "
            "nothing is left to learn.",
            fix="Give examples with answers, or raise max_tokens.",
        )
    learned, train = zip(*kept, strict=True)
    lengths = Lengths.of_answers(whole, max_tokens)
    mask = MaskXray.of(talks, whole, max_tokens, tokenizer)
    held_out, left_out = tuple(sides.held_out), lengths.left_out
    return InstructionData(train, held_out, learned, sides.repeats, left_out, lengths, mask)


def render_to_learn(conversation: Conversation, tokenizer: Tokenizer) -> Rendered:
    """Return the rendering whose mask has the assistant's answers and tool calls.

    Raises ModelError where the template can't write the calls.
    """
    calls = any(message.calls for message in conversation.messages)
    if calls and not can_call_tools(tokenizer):
        raise ModelError(
            "The conversations have tool calls, and this model's chat template does not write "
            "them.",
            fix="Use a model that was made for tools, or leave these conversations out.",
        )
    return render(conversation, tokenizer, learn_calls=calls)


class AnswerBatches(EpochBatches):
    """Rendered examples as padded batches whose labels are the answers' tokens."""

    def __init__(self, rendered: Sequence[Rendered], *, batch_size: int, seed: int) -> None:
        super().__init__([len(each.ids) for each in rendered], batch_size=batch_size, seed=seed)
        self._rendered = rendered
        self.fingerprint = sha256_text(
            f"{[(each.ids, each.mask) for each in rendered]} {batch_size} {seed}"
        )

    @property
    def epoch_tokens(self) -> int:
        """Tokens with labels in an epoch."""
        return sum(sum(each.mask[1:]) for each in self._rendered)

    def batch(self, position: int) -> Batch:
        """Return batch number `position`.

        It needs no mask: padding is on the right, where no real token attends, and has no labels.
        """
        return Batch(*padded([self._rendered[i] for i in self.indices(position)]))


def padded(rows: Sequence[Rendered]) -> tuple[Tensor, Tensor]:
    """Return ids and labels of texts [B, T], those of the answers alone; padding is on the
    right.
    """
    longest = max(len(row.ids) for row in rows) - 1
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORED_LABEL)
    for place, row in enumerate(rows):
        count = len(row.ids) - 1
        ids[place, :count] = torch.tensor(row.ids[:-1])
        targets = zip(row.ids[1:], row.mask[1:], strict=True)
        labels[place, :count] = torch.tensor(
            [id if counts else IGNORED_LABEL for id, counts in targets]
        )
    return ids, labels
