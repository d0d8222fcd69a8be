"""The lengths of training examples against the limit in tokens: what is cut is said before the
first step, and written into results.json.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from groundup.tokenizer.chat import Rendered


@dataclass(frozen=True)
class Lengths:
    """How long examples are, in tokens, and how many are cut."""

    limit: int
    """Tokens that are kept of each."""
    examples: int
    median: int
    longest: int
    cut: int
    """Examples that are longer than what is read of them."""
    answers_cut: int = 0
    """Of these, the ones whose answer lost its end (but not all of it)."""
    left_out: int = 0
    """Of these, the ones whose whole answer lies behind the limit: nothing is learned from them."""
    windows: int = 1
    """Windows of `limit` tokens that are read of a longer example."""
    several: int = 0
    """Examples that are read in several windows."""

    @classmethod
    def of_texts(cls, lengths: Sequence[int], limit: int, windows: int = 1) -> "Lengths":
        """Of texts of these lengths, of which up to `windows` windows of `limit` tokens are
        read.
        """
        several = 0
        if windows > 1:
            several = sum(each > limit for each in lengths)
        return cls(
            limit,
            len(lengths),
            round(median(lengths)),
            max(lengths),
            cut=sum(each > limit * windows for each in lengths),
            windows=windows,
            several=several,
        )

    @classmethod
    def of_answers(cls, rendered: Sequence[Rendered], limit: int) -> "Lengths":
        """Of conversations as they are before they are cut."""
        return replace(
            cls.of_texts([len(each.ids) for each in rendered], limit),
            answers_cut=sum(
                any(each.mask[1:limit]) and any(each.mask[limit:]) for each in rendered
            ),
            left_out=sum(not any(each.mask[1:limit]) for each in rendered),
        )

    def plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    def line(self) -> str:
        """Return the lengths as one line, with the field of the config that sets the limit.

        >>> Lengths(64, 100, 24, 310, cut=2).line()
        'Lengths in tokens: median 24, longest 310; 2 of 100 are longer than 64 and are cut
        (max_tokens).'
        """
        line = f"Lengths in tokens: median {self.median:,}, longest {self.longest:,}"
        longer = f"{self.examples:,} are longer than {self.limit:,} and are"
        if self.several:
            line += f"; {self.several:,} of {longer} read in up to {self.windows} windows"
            if self.cut:
                end = self.limit * self.windows
                line += f", {self.cut:,} of them are cut after {end:,} (windows)"
            return f"{line}."
        if not self.cut:
            return f"{line}; none is longer than {self.limit:,}, none is cut."
        line += f"; {self.cut:,} of {longer} cut (max_tokens)"
        if self.answers_cut:
            line += f", {self.answers_cut:,} of their answers lose the end"
        if self.left_out:
            line += f", {self.left_out:,} are left out (the answer lies behind the cut)"
        return f"{line}."


def shortest_limit(lengths: Sequence[int], limits: Sequence[int], share: float = 0.95) -> int:
    """Return the first of the ascending limits that this share of the texts does not exceed; else
    the last.

    >>> shortest_limit([10] * 99 + [300], (64, 128, 256, 512))
    64
    """
    for limit in limits:
        if sum(length <= limit for length in lengths) >= share * len(lengths):
            return limit
    return limits[-1]
