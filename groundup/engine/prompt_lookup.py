"""Prompt lookup: draft tokens for speculative decoding, taken from the text itself (Saxena 2023).

Where the last n-gram of a text occurred before, the tokens that followed it are proposed. The model
verifies them in one pass (Leviathan et al. 2022, arXiv:2211.17192): each position is sampled exactly
as without drafts, and the first draft that differs ends the verification, so that the text is the
same. A pass with drafts costs more than one without: a request begins with two, doubles them when
all were accepted, and when none was, waits for a number of steps that doubles too.
"""

from collections.abc import Sequence

# Length of the n-gram that must match; shorter ones match by chance.
NGRAM_TOKENS = 3
# The default of `--speculate`: a pass with this number of draft tokens costs torch little more than
# one of a single token.
DRAFT_TOKENS = 8
FIRST_DRAFTS = 2
MAX_PAUSE = 32


class PromptLookup:
    """Of one request."""

    def __init__(self, max_tokens: int) -> None:
        self._max = max_tokens
        self._size = min(FIRST_DRAFTS, max_tokens)
        self._pause = self._wait = 0
        self._after: dict[tuple[int, ...], int] = {}  # n-gram -> its last end
        self._read = NGRAM_TOKENS - 1  # the number of ids in `_after`, without the last n-gram

    def drafts(self, ids: Sequence[int]) -> list[int]:
        """After `ids`, which must extend those of the last call."""
        for end in range(self._read + 1, len(ids)):  # the last n-gram must not match itself
            self._after[tuple(ids[end - NGRAM_TOKENS : end])] = end
        self._read = max(self._read, len(ids) - 1)
        if self._wait:
            self._wait -= 1
            return []
        known = self._after.get(tuple(ids[-NGRAM_TOKENS:]), len(ids))
        return list(ids[known : known + self._size])

    def report_accepted(self, proposed: int, accepted: int) -> None:
        """Adapt the number of drafts."""
        if proposed == 0:
            return
        if accepted == proposed:
            self._size, self._pause = min(2 * self._size, self._max), 0
        elif accepted == 0:
            self._size = min(FIRST_DRAFTS, self._max)
            self._pause = min(2 * self._pause + 1, MAX_PAUSE)
            self._wait = self._pause
