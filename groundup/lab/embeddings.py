"""Maps of tokens and words: their vectors in C dimensions, projected to a plane.

    embedding_map(model, tokenizer, ids)   {"points": [{"id", "text", "x", "y"}], "method": "pca", "explained": 0.21, "caption"}
    word_map(model, tokenizer, {"days": ["Monday", ...], "months": [...]}, layer=0, method="umap")

"pca"    principal components (Pearson 1901): the two directions in C dimensions with the largest variance; `explained` is their share of
         the variance, which is small.
"umap"   UMAP (McInnes et al. 2018, arXiv:1802.03426; the extra `umap`): preserves neighbourhoods. Its axes and its large distances have no
         meaning, and another seed gives another map; `explained` is None.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.errors import DataError, MissingExtra, did_you_mean
from groundup.lab.tokens import token_text
from groundup.lab.vectors import word_vectors
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

Method = Literal["pca", "umap"]
MIN_COUNT = 3
MAP_TOKENS = 60
# umap-learn's own default: small enough for groups of a dozen words.
UMAP_NEIGHBOURS = 15
CAPTIONS = {
    "pca": "The {count} vectors of {width} numbers, centred, on their first two principal components.",
    "umap": (
        "UMAP of {count} vectors of {width} numbers, by cosine, {neighbours} neighbours each: only neighbourhoods have a meaning, "
        "axes and large distances do not."
    ),
}


def common_tokens(tokenizer: Tokenizer, texts: Iterable[str], count: int = MAP_TOKENS) -> list[int]:
    """Return the ids that occur most often in the texts and contain a letter."""
    seen: Counter[int] = Counter()
    for text in texts:
        seen.update(tokenizer.encode(text))
    words = [id for id, _ in seen.most_common() if any(letter.isalpha() for letter in token_text(tokenizer, id))]
    return words[:count]


def text_map(model: Model, tokenizer: Tokenizer, text: str, *, count: int = MAP_TOKENS) -> dict[str, Any]:
    """Map the most common tokens of a text, and where it has too few the first words of the vocabulary too. Raises as `embedding_map`."""
    ids = common_tokens(tokenizer, [text], count)
    texts = {id: token_text(tokenizer, id) for id in range(tokenizer.vocab_size)}
    words = [id for id, text in texts.items() if id not in ids and len(text) > 3 and text.strip().isalpha()]
    words.sort(key=lambda id: not texts[id].startswith(" "))  # whole words before parts of words
    return embedding_map(model, tokenizer, [*ids, *words][:count])


def embedding_map(
    model: Model, tokenizer: Tokenizer, ids: Sequence[int], *, method: Method = "pca", seed: int = 0
) -> dict[str, Any]:
    """Map the tokens `ids` by their rows of the embedding table. Raises DataError for fewer than three, MissingExtra without UMAP."""
    if len(ids) < MIN_COUNT:
        raise DataError(f"A map of tokens needs at least {MIN_COUNT}, got {len(ids)}.", fix="Give a longer text.")
    rows = model.transformer.embedding.weight.detach()[torch.tensor(list(ids))].float().cpu()  # [n, C]
    pieces = [{"id": id, "text": token_text(tokenizer, id)} for id in ids]
    return _map(pieces, rows, method, seed)


def word_map(
    model: Model,
    tokenizer: Tokenizer | None,
    groups: Mapping[str, Sequence[str]],
    *,
    layer: int = 0,
    method: Method = "pca",
    seed: int = 0,
) -> dict[str, Any]:
    """Map words of several groups by their vectors at any layer; each point has its "group". Raises as `embedding_map`, `word_vectors`."""
    words = [{"text": word, "group": name} for name, group in groups.items() for word in group]
    if len(words) < MIN_COUNT:
        raise DataError(f"A map of words needs at least {MIN_COUNT}, got {len(words)}.", fix="Give more words.")
    vectors = word_vectors(model, tokenizer, [word["text"] for word in words], layer=layer)
    return {**_map(words, vectors, method, seed), "layer": layer}


def _map(named: Sequence[Mapping[str, Any]], rows: Float[Tensor, "n C"], method: Method, seed: int) -> dict[str, Any]:
    """Return points with coordinates; the caption explains the axes. Raises DataError for an unknown method."""
    if method not in get_args(Method):
        raise DataError(f"There is no map by {method!r}.", fix=did_you_mean(method, get_args(Method)))
    places, explained = principal_components(rows) if method == "pca" else (umap_places(rows, seed), None)
    points = [
        {**entry, "x": round(x, 4), "y": round(y, 4)} for entry, (x, y) in zip(named, places.tolist(), strict=True)
    ]
    caption = CAPTIONS[method].format(count=len(points), width=rows.shape[1], neighbours=_num_neighbours(len(rows)))
    shown = None if explained is None else round(explained, 4)
    return {"points": points, "method": method, "explained": shown, "caption": caption}


def principal_components(rows: Float[Tensor, "n C"]) -> tuple[Float[Tensor, "n 2"], float]:
    """Return coordinates along the two directions of largest variance, and their share of it (0 where all rows are equal)."""
    centred = rows - rows.mean(dim=0)
    left, spread, _ = torch.linalg.svd(centred, full_matrices=False)  # X = U S V^T; coordinates are U S
    variance = spread.square()
    total = float(variance.sum())
    return left[:, :2] * spread[:2], float(variance[:2].sum()) / total if total > 0 else 0.0


def umap_places(rows: Float[Tensor, "n C"], seed: int) -> Float[Tensor, "n 2"]:
    """Return coordinates by UMAP on cosine distances; the same seed gives the same map. Raises MissingExtra without the extra `umap`."""
    threads = torch.get_num_threads()
    try:
        import umap
    except ImportError as error:
        raise MissingExtra("umap-learn", "umap") from error
    # Spectral initialisation needs more points than dimensions; few words begin at random coordinates.
    start = "spectral" if len(rows) > UMAP_NEIGHBOURS else "random"
    reducer = umap.UMAP(
        n_neighbors=_num_neighbours(len(rows)), metric="cosine", random_state=seed, n_jobs=1, init=start
    )
    places = torch.from_numpy(reducer.fit_transform(rows.numpy()))
    torch.set_num_threads(threads)  # UMAP's numba changes the number for the whole process
    return places


def _num_neighbours(count: int) -> int:
    return min(UMAP_NEIGHBOURS, count - 1)
