"""Guesses of what comes next, looked up in the text itself: speculative decoding by prompt lookup. Plain Python, no tensors.

Answers quote: names, code, passages of the prompt. Where the last tokens of a text stood in it before, what followed them then is
proposed again. The model checks several guesses in one pass (`batch.py`): each place is drawn exactly as it would be without, and the
first guess that is not what was drawn ends the check, so that the text is the same. Idea: Saxena 2023 (prompt lookup decoding);
verification in one pass: Leviathan et al. 2022 (arXiv:2211.17192).

A pass with guesses costs more than one without. So a request begins with two, doubles them when all were right, and when none was, asks
again only after a pause that doubles too.
"""

from collections.abc import Sequence

# So many tokens must have stood there before: fewer match by chance.
NGRAM_TOKENS = 3
FIRST_GUESSES = 2
MAX_PAUSE = 32


class PromptLookup:
    """The guesses of one request, at most `most_tokens` at a time."""

    def __init__(self, most_tokens: int) -> None:
        self._most = most_tokens
        self._size = min(FIRST_GUESSES, most_tokens)
        self._pause = self._wait = 0
        self._after: dict[tuple[int, ...], int] = {}  # n-gram -> where it ended last
        self._read = NGRAM_TOKENS - 1  # so many ids are in `_after`, but for the last n-gram

    def guesses(self, ids: Sequence[int]) -> list[int]:
        """What could follow `ids`, which must have grown from those of the last call. Empty where nothing is known."""
        for end in range(self._read + 1, len(ids)):  # the last n-gram of all is not its own past
            self._after[tuple(ids[end - NGRAM_TOKENS : end])] = end
        self._read = max(self._read, len(ids) - 1)
        if self._wait:
            self._wait -= 1
            return []
        known = self._after.get(tuple(ids[-NGRAM_TOKENS:]))
        return [] if known is None else list(ids[known : known + self._size])

    def checked(self, guessed: int, right: int) -> None:
        """Learn from the last guesses how many to make next time."""
        if guessed == 0:
            return
        if right == guessed:
            self._size, self._pause = min(2 * self._size, self._most), 0
        elif right == 0:
            self._size = min(FIRST_GUESSES, self._most)
            self._pause = min(2 * self._pause + 1, MAX_PAUSE)
            self._wait = self._pause
