"""The loss mask of training conversations made visible before the first step: what is trained, what
is only read, what the template adds.

    xray = MaskXray.of(conversations, rendered, limit, tokenizer)
    xray.lines(), xray.shown      counts for people, and the first examples as pieces of (kind,
                                  text)

A mask goes wrong without a word elsewhere: the loss falls all the same. So every turn of the
assistant is looked for in the mask, with the token that ends it: a model that never learns that
token does not stop. A template that ends no turn is refused, a turn that it drops is counted.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Literal

from groundup.errors import ModelError
from groundup.html_nodes import visible
from groundup.progress import Progress, show_parts
from groundup.tokenizer.chat import Conversation, Rendered
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
        """Of conversations as they are rendered, before they are cut at `limit` tokens.

        Raises ModelError where no turn has its end token.
        """
        spoken = [
            sum(
                each.role == "assistant" and bool(each.content.strip() or each.calls)
                for each in talk.messages
            )
            for talk in conversations
        ]
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
            sum(spoken),
            sum(spoken) - len(turns),
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
        lost = [
            f"{count:,} {what}"
            for count, what in (
                (
                    self.dropped,
                    "are not trained (the chat template leaves them out or changes them)",
                ),
                (self.cut, "lose their end to the limit of tokens"),
                (self.endless, "have no end token in the chat template"),
            )
            if count
        ]
        whole = f"all {self.turns:,} turns of the assistant are trained, each with its end token"
        found = f"of {self.turns:,} turns of the assistant {', '.join(lost)}" if lost else whole
        return f"Loss mask: {found}; {self.supervised_share:.0%} of the tokens are learned from."

    def show(self, progress: Progress) -> None:
        """Show the counts and the first examples: coloured on a terminal, elsewhere with [[ ]]
        around what is trained.
        """
        progress.say(self.line)
        for number, example in enumerate(self.shown, 1):
            legend = " (trained, read only, template)" if number == 1 else ""
            progress.say(f"Example {number}{legend}:")
            show_parts(
                progress, [(STYLES[kind], text, kind == "trained") for kind, text in example]
            )

    def plain(self) -> dict[str, Any]:
        """Return JSON values."""
        shown = [
            {"pieces": [{"kind": kind, "text": text} for kind, text in example]}
            for example in self.shown
        ]
        return {**asdict(self), "shown": shown}


def pieces(rendered: Rendered, tokenizer: Tokenizer) -> tuple[Piece, ...]:
    """Return the text of a rendered conversation in pieces of one kind, at most its first
    SHOWN_TOKENS tokens.
    """
    kinds: list[Kind] = [
        "trained" if trained else "read only" if content else "template"
        for trained, content in zip(rendered.mask, rendered.contents, strict=True)
    ][:SHOWN_TOKENS]
    found: list[Piece] = []
    for kind, group in groupby(zip(kinds, rendered.ids, strict=False), key=lambda pair: pair[0]):
        found.append((kind, visible(tokenizer.decode([id for _, id in group]))))
    more = len(rendered.ids) - SHOWN_TOKENS
    return (*found, ("template", f" ... and {more:,} tokens")) if more > 0 else tuple(found)
