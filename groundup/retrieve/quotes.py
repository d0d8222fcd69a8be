"""QuoteConstraint: an answer in which what stands between quotation marks can only be bytes of a
passage, whatever the model would rather write.

    outside      any token, but no quotation mark other than "
    " opens      then only bytes that continue at least one place of the passages
    " closes     where at least one character was quoted, and the last one is whole

The constraint works on bytes, since a token may hold a part of a character, or the end of a word, a
closing mark and more. A quotation never contains the mark " itself: where a passage has one, no
quotation runs across it. Apostrophes (' and ’) are letters here, not marks.
"""

import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Bool

from groundup.tokenizer.fast import Tokenizer

MARK = b'"'
# Unicode's Quotation_Mark but ", ' and ’ (which are also apostrophes), and the doubled forms of
# typewriters and TeX.
OTHER_MARKS = tuple(
    mark.encode() for mark in [*"«»‘‚‛“”„‟‹›⹂「」『』〝〞〟﹁﹂﹃﹄＂＇｢｣", "''", "``", "’’"]
)
_OTHER_MARK = re.compile(b"|".join(map(re.escape, OTHER_MARKS)))
_BEGINNINGS = sorted(
    {mark[:length] for mark in OTHER_MARKS for length in range(1, len(mark))}, key=len, reverse=True
)


class Quotable:
    """The bytes of some passages, and the tokens of a model: what the constraints of several
    answers share.
    """

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, vocab_size: int) -> None:
        """`vocab_size`: rows of the embedding, of which the tokenizer may have fewer."""
        control = frozenset(tokenizer.special.tokens.values())
        self.text = MARK.join(text.encode("utf-8", "replace") for text in texts)
        self.tokens = [
            b"" if id in control else tokenizer.token_bytes(id) for id in range(vocab_size)
        ]
        self.control = np.array([id in control for id in range(vocab_size)])
        self.ids: dict[bytes, list[int]] = {}
        self.marked = []
        for id, token in enumerate(self.tokens):
            if MARK in token:
                self.marked.append(id)
            elif token:
                self.ids.setdefault(token, []).append(id)
        self.longest = max(map(len, self.ids), default=0)
        self._outside: dict[bytes, Bool[np.ndarray, " V"]] = {}

    @cached_property
    def starts(self) -> list[int]:
        """The places where a quotation may begin: at characters that are not spaces."""
        return [
            at
            for at, byte in enumerate(self.text)
            if byte & 0xC0 != 0x80 and byte not in b'" \t\r\n'
        ]

    @cached_property
    def first_mask(self) -> Bool[np.ndarray, " V"]:
        """The mask right after an opening mark, which is the same in every answer."""
        return inside_mask(self, self.starts, opened=True)

    def prepare(self) -> None:
        """Make the masks that every answer needs, where they are not to be made in the midst of
        it.
        """
        self.outside_mask(b"")
        _ = self.first_mask

    def outside_mask(self, tail: bytes) -> Bool[np.ndarray, " V"]:
        """Return the mask outside of quotations, where the answer ends with `tail`, the beginning
        of another mark or nothing.
        """
        if tail not in self._outside:
            allowed = [
                bool(token) and not _OTHER_MARK.search(tail + token) for token in self.tokens
            ]
            for id in self.marked:
                allowed[id] = State(tail).after(self, self.tokens[id]) is not None
            self._outside[tail] = np.array(allowed) | self.control
        return self._outside[tail]


def inside_mask(
    quotable: Quotable, places: Sequence[int], *, opened: bool
) -> Bool[np.ndarray, " V"]:
    """Return True for each token that continues a quotation from one of `places`, closes it, or
    goes on behind it. `opened`: nothing quoted yet.
    """
    mask = np.zeros(len(quotable.tokens), bool)
    allowed: set[int] = set()
    seen: set[bytes] = set()
    for place in places:
        ahead, _, _ = quotable.text[place : place + quotable.longest].partition(MARK)
        if ahead not in seen:
            seen.add(ahead)
            for length in range(1, len(ahead) + 1):
                allowed.update(quotable.ids.get(ahead[:length], ()))
    allowed.update(
        id
        for id in quotable.marked
        if State(b"", places, opened).after(quotable, quotable.tokens[id])
    )
    mask[list(allowed)] = True
    return mask


class State:
    """Where an answer stands: outside of quotations, or inside of one at `places` of the
    passages.
    """

    def __init__(
        self, tail: bytes = b"", places: Sequence[int] | None = None, opened: bool = False
    ) -> None:
        """`tail`: what an answer outside of quotations ends with, if it is the beginning of another
        mark; `opened`: nothing quoted yet.
        """
        self.tail, self.places, self.opened = tail, places, opened

    def after(self, quotable: Quotable, token: bytes) -> "State | None":
        """Return the state after the bytes of a token, or None where they are not allowed."""
        first, *others = token.split(MARK)
        state = self._after_part(quotable, first)
        for part in others:
            state = state and state._after_mark(quotable)
            state = state and state._after_part(quotable, part)
        return state

    def _after_part(self, quotable: Quotable, part: bytes) -> "State | None":
        """The state after bytes without a mark."""
        if not part:
            return self
        if self.places is not None:
            places = [
                place + len(part) for place in self.places if quotable.text.startswith(part, place)
            ]
            if not places:
                return None
            return State(places=places)
        text = self.tail + part
        if any(mark in text for mark in OTHER_MARKS):
            return None
        return State(next((tail for tail in _BEGINNINGS if text.endswith(tail)), b""))

    def _after_mark(self, quotable: Quotable) -> "State | None":
        if self.places is None:
            return State(places=quotable.starts, opened=True)
        text = quotable.text
        whole = any(place == len(text) or text[place] & 0xC0 != 0x80 for place in self.places)
        if self.opened or not whole:
            return None
        return State()


class QuoteConstraint:
    """The `engine.request.Constraint` of one answer."""

    def __init__(self, quotable: Quotable) -> None:
        self._quotable = quotable
        self._state = State()

    @property
    def finished(self) -> bool:
        """Whether nothing may follow: never, the model ends its answer."""
        return False

    @property
    def is_inside(self) -> bool:
        """Whether a quotation is open."""
        return self._state.places is not None

    def mask(self) -> Bool[np.ndarray, " V"]:
        """Return True for each allowed id. An answer can't end inside a quotation."""
        state, quotable = self._state, self._quotable
        if state.places is None:
            return quotable.outside_mask(state.tail)
        if state.opened:
            return quotable.first_mask
        return inside_mask(quotable, state.places, opened=False)

    def accept(self, token_id: int) -> None:
        """Advance by the chosen id."""
        if bool(self._quotable.control[token_id]):
            return
        state = self._state.after(self._quotable, self._quotable.tokens[token_id])
        assert state is not None, "a token was chosen that the mask forbids"
        self._state = state


def quotations(text: str) -> list[str]:
    """Return what stands between quotation marks, an unclosed one at the end too.

    >>> quotations('It says "24 months" and "no')
    ['24 months', 'no']
    """
    return [part for part in text.split('"')[1::2] if part]
