"""Byte-level BPE by the `tiktoken` library, several times as fast as `tokenizers`, where both give
the same ids.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tokenizers import models

from groundup.tokenizer.bytelevel import BYTE_TO_CHARACTER, CHARACTER_TO_BYTE, SPLITS, ByteLevel
from groundup.tokenizer.spec import TokenizerTable

if TYPE_CHECKING:
    import tiktoken

# tiktoken panics (which can't be caught as an Exception) on about a million spaces in a row; from a
# tenth of that on, `tokenizers` is used.
MAX_RUN_OF_SPACES = 100_000
GROUP_CHARACTERS = 2**13
_LONG_SPACES = re.compile(rf"(?<!\s)\s{{{MAX_RUN_OF_SPACES + 1}}}")


def in_groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield texts in groups of about GROUP_CHARACTERS: a short text alone takes less time than
    handing it to a thread.
    """
    group, characters = list[str](), 0
    for text in texts:
        group.append(text)
        characters += len(text)
        if characters >= GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def fits_tiktoken(text: str) -> bool:
    """Whether `text` has no longer run of spaces than the limit above."""
    return len(text) <= MAX_RUN_OF_SPACES or _LONG_SPACES.search(text) is None


def rank_encoder(table: TokenizerTable) -> "tiktoken.Encoding | None":
    """Return an encoder of the `tiktoken` library, about three times as fast as `tokenizers`, that
    gives the ids of `table`, or None.

    tiktoken merges the adjacent pair with the lowest merged id; `tokenizers` uses the list of
    merges. Both give the same ids when

      1. merge n makes a token of a higher id than merge n - 1 (so rank order is merge order), every
         byte is a token, and every other token is made by one merge; and
      2. every token, encoded alone, gives itself.

    Proof: tokens are never split, so the merges inside the bytes that are now covered by adjacent
    tokens (x, y) are the same as for those bytes alone. Alone they end as the token t = xy (2), and
    the last state before has two tokens: those of t's merge. So (x, y) is that merge, and both
    libraries see the same candidates. A test also checks it on random vocabularies.

    Where the conditions don't hold (SentencePiece, several split steps, normalisation, added tokens
    other than control tokens): None.
    """
    style = table.style
    if not isinstance(style, ByteLevel) or len(SPLITS[style.split]) != 1 or style.nfc:
        return None
    if len(table.control) != len(table.added):
        return None
    tokens = {text: id for text, id in table.vocabulary.items() if text not in table.control}
    merged = [left + right for left, right in table.merges]
    rising = all(tokens[first] < tokens[second] for first, second in itertools.pairwise(merged))
    if not rising or set(BYTE_TO_CHARACTER.values()) | set(merged) != tokens.keys():
        return None  # condition 1
    # without the look-up of whole pieces
    merging = models.BPE(vocab=dict(table.vocabulary), merges=list(table.merges))
    if any([token.id for token in merging.tokenize(text)] != [id] for text, id in tokens.items()):
        return None  # condition 2
    ranks = {bytes(CHARACTER_TO_BYTE[each] for each in text): id for text, id in tokens.items()}
    import tiktoken

    return tiktoken.Encoding(
        "groundup", pat_str=SPLITS[style.split][0], mergeable_ranks=ranks, special_tokens={}
    )
