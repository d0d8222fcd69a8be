"""How tokens lie to one another: the rows of the embedding table of a few tokens, seen from the side where they differ most.

    embedding_map(model, tokenizer, ids)  ->  {"points": [{"id", "text", "x", "y"}], "explained": 0.21}

Principal components (Pearson 1901): the two directions in C dimensions along which the rows spread most. Two of a hundred
directions show little of it all; `explained` says how much.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.errors import DataError
from groundup.lab.tokens import token_text
from groundup.model.heads import Classifier, LanguageModel
from groundup.tokenizer.fast import Tokenizer

FEWEST = 3


def common_tokens(tokenizer: Tokenizer, texts: Iterable[str], count: int = 60) -> list[int]:
    """The ids that occur most often in the texts and hold a letter."""
    seen: Counter[int] = Counter()
    for text in texts:
        seen.update(tokenizer.encode(text))
    words = [id for id, _ in seen.most_common() if any(letter.isalpha() for letter in token_text(tokenizer, id))]
    return words[:count]


@torch.no_grad()
def embedding_map(model: LanguageModel | Classifier, tokenizer: Tokenizer, ids: Sequence[int]) -> dict[str, Any]:
    """The tokens `ids` on their first two principal components. Raises DataError for fewer than three."""
    if len(ids) < FEWEST:
        raise DataError(f"A map of tokens needs at least {FEWEST}, got {len(ids)}.", fix="Give a longer text.")
    rows = model.transformer.embedding.weight[torch.tensor(list(ids))].float().cpu()  # [n, C]
    places, explained = principal_components(rows)
    points = [
        {"id": id, "text": token_text(tokenizer, id), "x": round(x, 4), "y": round(y, 4)}
        for id, (x, y) in zip(ids, places.tolist(), strict=True)
    ]
    return {"points": points, "explained": round(explained, 4)}


def principal_components(rows: Float[Tensor, "n C"]) -> tuple[Float[Tensor, "n 2"], float]:
    """Coordinates along the two directions of largest variance, and their share of it (0 where all rows are equal)."""
    centred = rows - rows.mean(dim=0)
    left, spread, _ = torch.linalg.svd(centred, full_matrices=False)  # X = U S V^T; coordinates are U S
    variance = spread.square()
    total = float(variance.sum())
    return left[:, :2] * spread[:2], float(variance[:2].sum()) / total if total > 0 else 0.0
