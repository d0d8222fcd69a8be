"""The nearest neighbours of a word in the embedding table, and those of a - b + c.

    neighbours(model, tokenizer, "Monday")              {"word", "pieces", "neighbours": [{"id", "text", "cosine"}], "caption"}
    analogy(model, tokenizer, "king", "man", "woman")   the same for king - man + woman (Mikolov et al. 2013, arXiv:1301.3781)

Every token of the vocabulary is a candidate. The table contains many spellings of one word ("Monday", " monday", " MONDAY"), which are
each other's nearest neighbours. So of each word only the nearest spelling counts, and none of the query word, nor of its tokens where it
has several.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from groundup.errors import DataError
from groundup.lab.request import require_tokenizer
from groundup.lab.tokens import pieces_of, token_text
from groundup.lab.vectors import word_ids, word_vectors
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

# Nearest rows examined first, for each neighbour wanted.
LOOKED_AT = 40
CAPTION = "Cosine with every row of the embedding table; of each word the nearest spelling only, without the query words and their tokens."


@dataclass(frozen=True)
class Candidates:
    """The words that may be neighbours, each with its vector."""

    words: Sequence[str]
    """Without spaces and in lower case; a word occurs once for each of its spellings."""
    unit: Float[Tensor, "n C"]
    """The vectors at length one."""

    @cached_property
    def num_words(self) -> int:
        """The number of different words."""
        return len(set(self.words))

    def nearest(self, vector: Float[Tensor, " C"], count: int, without: Sequence[str]) -> list[tuple[int, float]]:
        """Return the `count` nearest different words except `without`: (index of the nearest spelling, cosine)."""
        cosine = self.unit @ F.normalize(vector, dim=-1)
        # Sorting all of them for a few takes most of the time, and a few usually suffice.
        found = self._different(cosine, min(LOOKED_AT * count, len(cosine)), count, without)
        return found if len(found) == count else self._different(cosine, len(cosine), count, without)

    def _different(
        self, cosine: Float[Tensor, " n"], size: int, count: int, without: Sequence[str]
    ) -> list[tuple[int, float]]:
        """Search the `size` nearest spellings."""
        passed = {spelled(word) for word in without}
        found: list[tuple[int, float]] = []
        for place in cosine.topk(size).indices.tolist():
            if len(found) < count and self.words[place] not in passed:
                passed.add(self.words[place])
                found.append((place, float(cosine[place])))
        return found


def table_candidates(model: Model, tokenizer: Tokenizer) -> tuple[Candidates, list[int]]:
    """Return all tokens except control tokens, rows without a token and tokens of spaces only; and their ids."""
    control = set(tokenizer.special.tokens.values())
    words = {id: spelled(token_text(tokenizer, id)) for id in range(tokenizer.vocab_size) if id not in control}
    ids = [id for id, word in words.items() if word]
    table = model.transformer.embedding.weight.detach()[torch.tensor(ids)].float().cpu()
    return Candidates([words[id] for id in ids], F.normalize(table, dim=-1)), ids


def spelled(text: str) -> str:
    """Return the word that a token spells, without spaces and in lower case."""
    return text.strip().casefold()


def neighbours(model: Model, tokenizer: Tokenizer | None, word: str, *, count: int = 10) -> dict[str, Any]:
    """Return the words nearest to one in the embedding table; "pieces" are its tokens. Raises DataError, ModelError."""
    tokenizer = require_tokenizer(tokenizer)
    (vector,) = word_vectors(model, tokenizer, [word])
    return {
        "word": word,
        "pieces": pieces_of(tokenizer, word_ids(tokenizer, word)),
        "neighbours": _nearest(model, tokenizer, vector, count, [word]),
        "caption": CAPTION + _split(tokenizer, [word]),
    }


def longest_word_neighbours(model: Model, tokenizer: Tokenizer, text: str) -> dict[str, Any]:
    """Return the neighbours of the longest word of a text that is one token, or of its longest word. Raises DataError, ModelError."""
    words = [word.strip(".,;:!?\"'()[]") for word in text.split()]
    whole = [word for word in words if len(word_ids(tokenizer, word)) == 1]
    return neighbours(model, tokenizer, max(whole or words, key=len, default=""))


def analogy(model: Model, tokenizer: Tokenizer | None, a: str, b: str, c: str, *, count: int = 5) -> dict[str, Any]:
    """Return the words nearest to a - b + c, each normalised, except the three themselves. Raises DataError, ModelError."""
    tokenizer = require_tokenizer(tokenizer)
    first, minus, plus = F.normalize(word_vectors(model, tokenizer, [a, b, c]), dim=-1)
    return {
        "words": [a, b, c],
        "question": f"{a} - {b} + {c}",
        "neighbours": _nearest(model, tokenizer, first - minus + plus, count, [a, b, c]),
        "caption": CAPTION + _split(tokenizer, [a, b, c]),
    }


def _nearest(
    model: Model, tokenizer: Tokenizer, vector: Tensor, count: int, without: Sequence[str]
) -> list[dict[str, Any]]:
    if count < 1:
        raise DataError(f"At least 1 neighbour can be shown, got {count}.", fix="Give count=10.")
    candidates, ids = table_candidates(model, tokenizer)
    pieces = [token_text(tokenizer, id) for word in without for id in word_ids(tokenizer, word)]
    return [
        {"id": ids[place], "text": token_text(tokenizer, ids[place]), "cosine": round(cosine, 4)}
        for place, cosine in candidates.nearest(vector, count, [*without, *pieces])
    ]


def _split(tokenizer: Tokenizer, words: Sequence[str]) -> str:
    """Return a sentence about the words that are not one token; "" where all are."""
    several = {word: pieces_of(tokenizer, ids) for word in words if len(ids := word_ids(tokenizer, word)) > 1}
    parts = ", ".join(
        f"{word} is {' and '.join(repr(piece['text']) for piece in pieces)}" for word, pieces in several.items()
    )
    return f" The vector of a word of several tokens is their mean: {parts}." if several else ""
