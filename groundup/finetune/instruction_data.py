"""Instruction data: instructions with answers -> training examples (rendered, truncated, masked,
in batches) and held-out ones, and their loss mask made visible before the first step.

Only the answers' tokens have labels; prompts and padding have none. The mask comes from the
rendering that `groundup chat` uses too. A mask goes wrong without a word elsewhere: the loss falls
all the same. So every turn of the assistant is looked for in it, with the token that ends the
turn: a model that never learns that token does not stop. A template that ends no turn is refused,
a turn that it drops is counted.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Literal

import torch
from torch import Tensor

from groundup.data.batches.loader import IGNORED_LABEL, Batch
from groundup.data.documents import ChatExample, PreferenceExample, RatedExample, to_conversation
from groundup.data.reading.example_splits import hold_out
from groundup.errors import ModelError
from groundup.files import sha256_text
from groundup.finetune.order import EpochBatches, Lengths
from groundup.html_nodes import visible
from groundup.progress import Progress, show_parts
from groundup.tokenizer.chat import Conversation, Rendered, can_call_tools, render
from groundup.tokenizer.fast import Tokenizer

Kind = Literal["trained", "read only", "template"]
Piece = tuple[Kind, str]
SHOWN_EXAMPLES, SHOWN_TOKENS = 2, 400
STYLES: dict[Kind, str] = {"trained": "bold green", "read only": "", "template": "dim"}


@dataclass(frozen=True)
class MaskXray:
    """What the mask of the training examples has, counted in turns of the assistant."""

    turns: int
    """Turns of the assistant that say or call something."""
    dropped: int
    """Of these, the ones that are not in the mask: the chat template leaves them out, or changes
    them.
    """
    cut: int
    """Of these, the ones that lose their end, or all, to the limit of tokens."""
    endless: int
    """Of these, the ones after which the template has no end-of-turn token."""
    supervised_share: float
    """Of all tokens, before cutting."""
    shown: tuple[tuple[Piece, ...], ...]
    """The first examples."""

    @classmethod
    def of(
        cls,
        conversations: Sequence[Conversation],
        rendered: Sequence[Rendered],
        limit: int,
        tokenizer: Tokenizer,
    ) -> "MaskXray":
        """`rendered` is whole, before it is cut at `limit` tokens. Raises ModelError where no turn
        has its end token.
        """
        spoken = sum(
            each.role == "assistant" and bool(each.content.strip() or each.calls)
            for talk in conversations
            for each in talk.messages
        )
        turns = [turn for each in rendered for turn in each.turns]
        endless = sum(not turn.ended for turn in turns)
        if turns and endless == len(turns):
            raise ModelError(
                "The chat template puts no end-of-turn token after the assistant's turns: a model "
                "trained so would not stop.",
                fix="Name the token that ends a turn as eos_token in tokenizer_config.json, or use "
                "another chat template.",
            )
        return cls(
            spoken,
            spoken - len(turns),
            sum(turn.end > limit for turn in turns),
            endless,
            sum(sum(each.mask) for each in rendered)
            / max(1, sum(len(each.ids) for each in rendered)),
            tuple(pieces(each.cut(limit), tokenizer) for each in rendered[:SHOWN_EXAMPLES]),
        )

    @property
    def line(self) -> str:
        """The counts as one line.

        >>> MaskXray(9, 0, 0, 0, 0.42, ()).line
        'Loss mask: all 9 turns of the assistant are trained, each with its end token; 42% of the
        tokens are learned from.'
        """
        losses = {
            "are not trained (the chat template leaves them out or changes them)": self.dropped,
            "lose their end to the limit of tokens": self.cut,
            "have no end token in the chat template": self.endless,
        }
        lost = [f"{count:,} {what}" for what, count in losses.items() if count]
        whole = f"all {self.turns:,} turns of the assistant are trained, each with its end token"
        found = f"of {self.turns:,} turns of the assistant {', '.join(lost)}" if lost else whole
        return f"Loss mask: {found}; {self.supervised_share:.0%} of the tokens are learned from."

    def show(self, progress: Progress) -> None:
        """Coloured on a terminal, elsewhere with [[ ]] around what is trained."""
        progress.say(self.line)
        for number, example in enumerate(self.shown, 1):
            legend = " (trained, read only, template)" if number == 1 else ""
            progress.say(f"Example {number}{legend}:")
            show_parts(
                progress, [(STYLES[kind], text, kind == "trained") for kind, text in example]
            )

    def plain(self) -> dict[str, float | list[dict[str, list[dict[str, str]]]]]:
        shown = [
            {"pieces": [{"kind": kind, "text": text} for kind, text in example]}
            for example in self.shown
        ]
        return {**asdict(self), "shown": shown}


def pieces(rendered: Rendered, tokenizer: Tokenizer) -> tuple[Piece, ...]:
    """At most its first SHOWN_TOKENS tokens."""
    kinds: list[Kind] = [
        "trained" if trained else "read only" if content else "template"
        for trained, content in zip(rendered.mask, rendered.contents, strict=True)
    ][:SHOWN_TOKENS]
    found: list[Piece] = []
    for kind, group in groupby(zip(kinds, rendered.ids, strict=False), key=lambda pair: pair[0]):
        found.append((kind, visible(tokenizer.decode([id for _, id in group]))))
    more = len(rendered.ids) - SHOWN_TOKENS
    return (*found, ("template", f" ... and {more:,} tokens")) if more > 0 else tuple(found)


# Examples up to which only form and tone are learned, and up to which the kinds of tasks that they
# show.
FORM_EXAMPLES, TASK_EXAMPLES = 1000, 10_000


@dataclass(frozen=True)
class ChatData:
    """Examples to train a chat model on, and held-out ones."""

    train: tuple[Any, ...]
    """Rendered and cut."""
    held_out: tuple[Any, ...]
    learned: Sequence[ChatExample] | Sequence[PreferenceExample] | Sequence[RatedExample]
    """The examples of `train`."""
    repeats: int
    """Examples left out, as their instructions occur elsewhere (see `data.reading.example_splits`)."""
    left_out: int
    """Examples left out, as there is nothing to learn within the limit of tokens."""
    lengths: Lengths
    """Of the training examples, before they were cut."""

    @property
    def counts(self) -> dict[str, int]:
        """`ChatResults.examples`."""
        counts = {"train": len(self.train), "held_out": len(self.held_out)}
        return {**counts, "left_out": self.left_out, "repeats": self.repeats}

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
    lengths = Lengths.of_answers(whole, max_tokens)
    lengths.require_whole_answer()
    kept = [
        (example, cut)
        for example, each in zip(sides.train, whole, strict=True)
        if any((cut := each.cut(max_tokens)).mask[1:])
    ]
    learned, train = zip(*kept, strict=True)
    mask = MaskXray.of(talks, whole, max_tokens, tokenizer)
    held_out, left_out = tuple(sides.held_out), lengths.left_out
    return InstructionData(train, held_out, learned, sides.repeats, left_out, lengths, mask)


def render_to_learn(conversation: Conversation, tokenizer: Tokenizer) -> Rendered:
    """Raises ModelError where the template can't write the calls."""
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
        return sum(sum(each.mask[1:]) for each in self._rendered)

    def batch(self, position: int) -> Batch:
        return Batch(*padded([self._rendered[i] for i in self.indices(position)]))


def padded(rows: Sequence[Rendered]) -> tuple[Tensor, Tensor]:
    """Return ids and the answers' labels [B, T]; padding is on the right."""
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
