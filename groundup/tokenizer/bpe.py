"""Readable byte-pair encoding (BPE), the test of the fast one.

Training: split the texts into pieces (`bytelevel.split_text`), write each piece as its bytes, then
repeatedly merge the most frequent pair of adjacent tokens into a new token. Encoding: start from
the bytes and apply the merges in the order they were learned.

From: Sennrich, Haddow, Birch 2016, "Neural Machine Translation of Rare Words with Subword Units"
(algorithm 1); on bytes since GPT-2. All pairs are counted again for each merge, so it is for texts
of a few hundred kilobytes; `fast.train_tokenizer` is for larger ones. There are no control tokens:
ids are 0 to 255 for bytes, then one per merge, as in the fast tokenizer.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from groundup.tokenizer.bytelevel import BYTE_ORDER, split_text, training_texts

Pair = tuple[int, int]

BYTE_TO_ID = {byte: id for id, byte in enumerate(BYTE_ORDER)}


@dataclass(frozen=True)
class BPE:
    tokens: Sequence[bytes]
    """The bytes of every id."""
    merges: Mapping[Pair, int]
    """Pair of ids -> merged id, in the order they were learned, which is the order of the new
    ids.
    """
    split: str
    """Name of the split, see `bytelevel.SPLITS`."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`.

        >>> train_bpe(["low lower lowest"], 258, "gpt-2").encode("low")
        [257]
        """
        return [
            id for piece in split_text(text, self.split) for id in self.encode_piece(piece.encode())
        ]

    def encode_piece(self, piece: bytes) -> list[int]:
        """Return the ids of one piece: of the possible merges, always the one learned first."""
        ids = [BYTE_TO_ID[byte] for byte in piece]
        while known := [pair for pair in itertools.pairwise(ids) if pair in self.merges]:
            first = min(known, key=lambda pair: self.merges[pair])
            ids = join(ids, first, self.merges[first])
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; invalid UTF-8 becomes U+FFFD."""
        return b"".join(self.tokens[id] for id in ids).decode("utf-8", "replace")


def train_bpe(texts: Iterable[str], vocab_size: int, split: str) -> BPE:
    """Learn merges until there are `vocab_size` tokens (256 bytes among them) or no pair occurs
    twice.
    """
    pieces = Counter(
        piece.encode()
        for text in texts
        for part in training_texts(text)
        for piece in split_text(part, split)
    )
    words = {tuple(BYTE_TO_ID[byte] for byte in piece): count for piece, count in pieces.items()}
    tokens = [bytes([byte]) for byte in BYTE_ORDER]
    merges: dict[Pair, int] = {}
    while len(tokens) < vocab_size and (pair := most_frequent_pair(words)) is not None:
        merges[pair] = len(tokens)
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        words = {tuple(join(word, pair, merges[pair])): count for word, count in words.items()}
    return BPE(tokens, merges, split)


def most_frequent_pair(words: Mapping[tuple[int, ...], int]) -> Pair | None:
    """Return the most frequent pair of adjacent ids; of equals the one with the lowest ids.

    None when none occurs twice.
    """
    counts: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in itertools.pairwise(word):
            counts[pair] += count
    # Ties are broken as the `tokenizers` library does, so that both learn the same merges.
    best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
    if best is None or counts[best] < 2:
        return None
    return best


def join(ids: Sequence[int], pair: Pair, joined: int) -> list[int]:
    """Return `ids` with every occurrence of `pair`, from the left, replaced by `joined`.

    >>> join([1, 1, 1, 2], (1, 1), 9)
    [9, 1, 2]
    """
    result: list[int] = []
    position = 0
    while position < len(ids):
        if tuple(ids[position : position + 2]) == pair:
            result.append(joined)
            position += 2
        else:
            result.append(ids[position])
            position += 1
    return result
