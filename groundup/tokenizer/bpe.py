"""Byte-pair encoding in its plainest form: the test of the fast one, and the place to learn it.

Training: cut the texts into pieces (`split.py`), write each piece as its bytes, then again and again join the pair of
neighbours that occurs most often into one new token. Encoding: start from the bytes and do the same joins in the order they
were learned.

From: Sennrich, Haddow, Birch 2016, "Neural Machine Translation of Rare Words with Subword Units" (algorithm 1); on bytes since GPT-2.
It counts everything anew for each merge, so it is for texts of a few hundred kilobytes; `fast.train_tokenizer` is for the rest.
No control tokens here: ids are 0 to 255 for bytes, then one for each merge, which are the ids of the fast tokenizer too.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from groundup.tokenizer.bytelevel import BYTE_ORDER
from groundup.tokenizer.split import split_text, training_texts

Pair = tuple[int, int]

BYTE_TO_ID = {byte: id for id, byte in enumerate(BYTE_ORDER)}


@dataclass(frozen=True)
class BPE:
    """A trained byte-pair encoding."""

    tokens: Sequence[bytes]
    """The bytes of every id."""
    merges: Mapping[Pair, int]
    """Which two ids join to which; in the order they were learned, which is the order of the new ids."""
    split: str
    """Name of the split, see `split.SPLITS`."""

    def encode(self, text: str) -> list[int]:
        """The ids of `text`.

        >>> train_bpe(["low lower lowest"], 258, "gpt-2").encode("low")
        [257]
        """
        return [id for piece in split_text(text, self.split) for id in self.encode_piece(piece.encode())]

    def encode_piece(self, piece: bytes) -> list[int]:
        """The ids of one piece: of the pairs that can be joined, always the one learned first."""
        ids = [BYTE_TO_ID[byte] for byte in piece]
        while known := [pair for pair in itertools.pairwise(ids) if pair in self.merges]:
            first = min(known, key=lambda pair: self.merges[pair])
            ids = join(ids, first, self.merges[first])
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; bytes that are no UTF-8 become U+FFFD."""
        return b"".join(self.tokens[id] for id in ids).decode("utf-8", "replace")


def train_bpe(texts: Iterable[str], vocab_size: int, split: str) -> BPE:
    """Learn merges until there are `vocab_size` tokens (256 bytes among them) or no pair occurs twice."""
    pieces = Counter(
        piece.encode() for text in texts for part in training_texts(text) for piece in split_text(part, split)
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
    """The pair of neighbours that occurs most often; of equals the one with the lowest ids. None when none occurs twice."""
    counts: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in itertools.pairwise(word):
            counts[pair] += count
    # Ties are broken as the `tokenizers` library does, so that both learn the same merges.
    best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
    return best if best is not None and counts[best] >= 2 else None


def join(ids: Sequence[int], pair: Pair, joined: int) -> list[int]:
    """`ids` with every occurrence of `pair`, from the left, replaced by `joined`.

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
