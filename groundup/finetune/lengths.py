"""The lengths of training examples against the limit in tokens: what is cut is said before the
first step, and written into results.json.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
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
    def of_texts(cls, lengths: Sequence[int], limit: int) -> "Lengths":
        """Of texts with so many tokens each."""
        return cls(
            limit,
            len(lengths),
            round(median(lengths)),
            max(lengths),
            sum(each > limit for each in lengths),
        )

    @classmethod
    def of_windows(cls, lengths: Sequence[int], limit: int, windows: int) -> "Lengths":
        """Of texts with so many tokens each, of which up to `windows` windows of `limit` tokens are
        read.
        """
        several = sum(limit < each for each in lengths) if windows > 1 else 0
        cut = sum(each > limit * windows for each in lengths)
        return cls(
            limit,
            len(lengths),
            round(median(lengths)),
            max(lengths),
            cut,
            windows=windows,
            several=several,
        )

    @classmethod
    def of_answers(cls, rendered: Sequence[Rendered], limit: int) -> "Lengths":
        """Of conversations as they are before they are cut."""
        found = cls.of_texts([len(each.ids) for each in rendered], limit)
        left_out = sum(not any(each.mask[1:limit]) for each in rendered)
        ends = sum(any(each.mask[1:limit]) and any(each.mask[limit:]) for each in rendered)
        return cls(
            found.limit, found.examples, found.median, found.longest, found.cut, ends, left_out
        )

    def plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    def line(self, field: str = "max_tokens") -> str:
        """Return the lengths as one line; `field` is the setting that sets the limit.

        >>> Lengths(64, 100, 24, 310, cut=2).line()
        'Lengths in tokens: median 24, longest 310; 2 of 100 are longer than 64 and are cut (--set
        max_tokens).'
        """
        line = f"Lengths in tokens: median {self.median:,}, longest {self.longest:,}"
        if self.several:
            line += f"; {self.several:,} of {self.examples:,} are longer than {self.limit:,} and are read in up to {self.windows} windows"
            return (
                f"{line}, {self.cut:,} of them are cut after {self.limit * self.windows:,} (--set windows)."
                if self.cut
                else f"{line}."
            )
        if not self.cut:
            return f"{line}; none is longer than {self.limit:,}, none is cut."
        line += f"; {self.cut:,} of {self.examples:,} are longer than {self.limit:,} and are cut (--set {field})"
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
    return next(
        (each for each in limits if sum(n <= each for n in lengths) >= share * len(lengths)),
        limits[-1],
    )
