"""The merges of a tokenizer as ranks for the `tiktoken` library, which encodes about three times as fast as `tokenizers`.

tiktoken merges the adjacent pair with the lowest merged id; `tokenizers` uses the list of merges. Both give the same ids when

  1. merge n makes a token of a higher id than merge n - 1 (so rank order is merge order), every byte is a token, and every
     other token is made by one merge; and
  2. every token, encoded alone, gives itself.

Proof: tokens are never split, so the merges inside the bytes that are now covered by adjacent tokens (x, y) are the same as for those bytes
alone. Alone they end as the token t = xy (2), and the last state before has two tokens: those of t's merge. So (x, y) is that merge, and both
libraries see the same candidates. A test also checks it on random vocabularies.

Where the conditions don't hold (SentencePiece, several split steps, normalisation, added tokens other than control tokens) the result is None
and `tokenizers` is used.
"""

import itertools
import re

import tiktoken
from tokenizers import models

from groundup.tokenizer.bytelevel import BYTE_TO_CHARACTER, CHARACTER_TO_BYTE, SPLITS, ByteLevel
from groundup.tokenizer.spec import TokenizerTable

# tiktoken panics (which can't be caught as an Exception) on about a million spaces in a row; from a tenth of that on, `tokenizers` is used.
MAX_RUN_OF_SPACES = 100_000
_LONG_RUN = re.compile(rf"(?<!\s)\s{{{MAX_RUN_OF_SPACES + 1}}}")


def fits_tiktoken(text: str) -> bool:
    """Whether `text` has no longer run of spaces than the limit above."""
    return len(text) <= MAX_RUN_OF_SPACES or _LONG_RUN.search(text) is None


def rank_encoder(table: TokenizerTable) -> tiktoken.Encoding | None:
    """Return a tiktoken encoder that gives the ids of `table`, or None where that is not certain."""
    style = table.style
    if not isinstance(style, ByteLevel) or len(SPLITS[style.split]) != 1 or style.nfc:
        return None
    if len(table.control) != len(table.added):
        return None
    tokens = {text: id for text, id in table.vocabulary.items() if text not in table.control}
    made = [left + right for left, right in table.merges]
    rising = all(tokens[first] < tokens[second] for first, second in itertools.pairwise(made))
    if not rising or set(BYTE_TO_CHARACTER.values()) | set(made) != tokens.keys():
        return None  # condition 1
    merging = models.BPE(vocab=dict(table.vocabulary), merges=list(table.merges))  # without the look-up of whole pieces
    if any([token.id for token in merging.tokenize(text)] != [id] for text, id in tokens.items()):
        return None  # condition 2
    ranks = {bytes(CHARACTER_TO_BYTE[each] for each in text): id for text, id in tokens.items()}
    return tiktoken.Encoding("groundup", pat_str=SPLITS[style.split][0], mergeable_ranks=ranks, special_tokens={})
