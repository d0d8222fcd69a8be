"""Vectors of tokens and words, from the embedding table or any layer, their similarity, and maps of
them: C dimensions projected to a plane.

    word_vectors(model, tokenizer, ["Monday", "cat"])       [2, C]; layer=n: after block n
    word_map(model, tokenizer, {"days": ["Monday", ...], "months": [...]}, layer=0, method="umap")

"pca"    principal components (Pearson 1901): the two directions in C dimensions with the largest
         variance; `explained` is their share of the variance, which is small.
"umap"   UMAP (McInnes et al. 2018, arXiv:1802.03426; the extra `umap`): preserves neighbourhoods.
         Its axes and its large distances have no meaning, and another seed gives another map.

A word is encoded as in running text, after a space (" Monday"); the vector of a word of several
tokens is their mean. At layer 0 it depends on the word alone, from layer 1 on also on the tokens
before it
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from groundup.engine.padded_batch import pad_right
from groundup.errors import DataError, MissingExtra, did_you_mean
from groundup.lab.stream import (
    batch_stream,
    begin_id,
    document_ids,
    require_layer,
    require_tokenizer,
    stream,
)
from groundup.lab.tokens import pieces_of, token_text
from groundup.lab.values import EmbeddingMap, SimilarityTable
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

Method = Literal["pca", "umap"]
DECIMALS = 4
MIN_COUNT = 3
MAP_TOKENS = 60
# umap-learn's own default: small enough for groups of a dozen words.
UMAP_NEIGHBOURS = 15
CAPTIONS = {
    "pca": (
        "The {count} vectors of {width} numbers, centred, on their first two principal components."
    ),
    "umap": (
        "UMAP of {count} vectors of {width} numbers, by cosine, {neighbours} neighbours each: "
        "only neighbourhoods have a meaning, axes and large distances do not."
    ),
}


def word_ids(tokenizer: Tokenizer, word: str) -> list[int]:
    """The tokens of a word in running text: after a space, unless that takes more tokens than
    without. Raises DataError for no word.
    """
    if not word.strip():
        raise DataError("An empty word has no vector.", fix="Give at least one word.")
    return min(tokenizer.encode(f" {word.strip()}"), tokenizer.encode(word.strip()), key=len)


@torch.no_grad()
def word_vectors(
    model: Model, tokenizer: Tokenizer | None, words: Sequence[str], *, layer: int = 0
) -> Float[Tensor, "n C"]:
    """A vector for each word, float32 on the CPU. From layer 1 on the text is the word alone, after
    the token that begins a document.

    Raises DataError (no words, an empty one), ModelError (no tokenizer, no such layer, a word
    beyond the context).
    """
    tokenizer, layer = require_tokenizer(tokenizer), require_layer(model, layer)
    if not words:
        raise DataError("There are no words to look up.", fix="Give at least one.")
    ids = [word_ids(tokenizer, word) for word in words]
    if layer == 0:
        table = model.transformer.embedding.weight
        return torch.stack([table[torch.tensor(each)].float().mean(dim=0) for each in ids]).cpu()
    rows, mask = pad_right([[begin_id(tokenizer), *each] for each in ids], torch.device("cpu"))
    mask[:, 0] = False  # without the token that begins the document
    states = (
        next(islice(batch_stream(model.transformer, rows), layer, None)).float().cpu()
    )  # [n, T, C]
    return (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def vector_in_text(
    model: Model, tokenizer: Tokenizer | None, text: str, word: str, *, layer: int
) -> Float[Tensor, " C"]:
    """The vector of the first occurrence of a word (or any passage) in a text, after `layer`
    blocks: the mean over its tokens.

    Raises DataError where the text lacks it, ModelError.
    """
    tokenizer, layer = require_tokenizer(tokenizer), require_layer(model, layer)
    rows = document_ids(model, tokenizer, text)
    start = text.find(word)
    if start < 0 or not word:
        raise DataError(
            f"The text does not contain {word!r}.",
            fix="Give it exactly as in the text, with its capitals.",
        )
    _, offsets = tokenizer.encode_offsets(text)
    touched = [
        place
        for place, (left, right) in enumerate(offsets, 1)
        if left < start + len(word) and right > start
    ]
    state = next(islice(stream(model.transformer, rows), layer, None))
    return state[touched].float().mean(dim=0).cpu()


def similarity(
    model: Model,
    tokenizer: Tokenizer | None,
    groups: Mapping[str, Sequence[str]],
    *,
    layer: int = 0,
) -> SimilarityTable:
    """The cosine of every word with every other, and its mean within and between the groups (None
    where there are no such pairs).

    Raises as `word_vectors`.
    """
    words = [word for group in groups.values() for word in group]
    names = [name for name, group in groups.items() for _ in group]
    values = cosines(word_vectors(model, tokenizer, words, layer=layer))
    same = torch.tensor([[one == other for other in names] for one in names])
    source = f"the stream after {layer} blocks, each word on its own"
    if layer == 0:
        source = "its row of the embedding table"
    caption = (
        f"Cosine between the words' vectors: {source}; "
        "that of a word of several tokens is their mean."
    )
    return {
        "words": words,
        "groups": names,
        "layer": layer,
        "values": [[round(value, DECIMALS) for value in row] for row in values.tolist()],
        "within": _mean(values[same & ~torch.eye(len(names), dtype=torch.bool)]),
        "between": _mean(values[~same]),
        "caption": caption,
    }


def cosines(vectors: Float[Tensor, "n C"]) -> Float[Tensor, "n n"]:
    """Cos(a, b) = a b / (|a| |b|) of every pair."""
    unit = F.normalize(vectors, dim=-1)
    return unit @ unit.T


def _mean(values: Tensor) -> float | None:
    if not values.numel():
        return None
    return round(float(values.mean()), DECIMALS)


def common_tokens(tokenizer: Tokenizer, texts: Iterable[str], count: int = MAP_TOKENS) -> list[int]:
    """The ids that occur most often in the texts and contain a letter."""
    seen: Counter[int] = Counter()
    for text in texts:
        seen.update(tokenizer.encode(text))
    words = [id for id, _ in seen.most_common() if any(map(str.isalpha, token_text(tokenizer, id)))]
    return words[:count]


def text_map(
    model: Model, tokenizer: Tokenizer, text: str, *, count: int = MAP_TOKENS
) -> EmbeddingMap:
    """Map the most common tokens of a text, and where it has too few the first words of the
    vocabulary too. Raises as `embedding_map`.
    """
    ids = common_tokens(tokenizer, [text], count)
    texts = {id: token_text(tokenizer, id) for id in range(tokenizer.vocab_size)}
    words = [
        id
        for id, text in texts.items()
        if id not in ids and len(text) > 3 and text.strip().isalpha()
    ]
    words.sort(key=lambda id: not texts[id].startswith(" "))  # whole words before parts of words
    return embedding_map(model, tokenizer, [*ids, *words][:count])


def embedding_map(
    model: Model, tokenizer: Tokenizer, ids: Sequence[int], *, method: Method = "pca", seed: int = 0
) -> EmbeddingMap:
    """Map the tokens `ids` by their rows of the embedding table.

    Raises DataError for fewer than three, MissingExtra without UMAP.
    """
    if len(ids) < MIN_COUNT:
        raise DataError(
            f"A map of tokens needs at least {MIN_COUNT}, got {len(ids)}.",
            fix="Give a longer text.",
        )
    table = model.transformer.embedding.weight.detach()
    rows = table[torch.tensor(list(ids))].float().cpu()  # [n, C]
    places, explained, caption = _project(rows, method, seed)
    points = zip(pieces_of(tokenizer, ids), places, strict=True)
    return {
        "points": [{**piece, "x": x, "y": y} for piece, (x, y) in points],
        "method": method,
        "explained": explained,
        "caption": caption,
    }


def word_map(
    model: Model,
    tokenizer: Tokenizer | None,
    groups: Mapping[str, Sequence[str]],
    *,
    layer: int = 0,
    method: Method = "pca",
    seed: int = 0,
) -> EmbeddingMap:
    """Map words of several groups by their vectors at any layer; each point has its "group".

    Raises as `embedding_map`, `word_vectors`.
    """
    words = [(word, name) for name, group in groups.items() for word in group]
    if len(words) < MIN_COUNT:
        raise DataError(
            f"A map of words needs at least {MIN_COUNT}, got {len(words)}.", fix="Give more words."
        )
    vectors = word_vectors(model, tokenizer, [word for word, _ in words], layer=layer)
    places, explained, caption = _project(vectors, method, seed)
    return {
        "points": [
            {"text": word, "group": name, "x": x, "y": y}
            for (word, name), (x, y) in zip(words, places, strict=True)
        ],
        "method": method,
        "explained": explained,
        "caption": caption,
        "layer": layer,
    }


def _project(
    rows: Float[Tensor, "n C"], method: Method, seed: int
) -> tuple[list[list[float]], float | None, str]:
    """Coordinates on a plane, the share of the variance that they have (None: UMAP), and a caption
    that explains the axes.

    Raises DataError for an unknown method.
    """
    if method not in get_args(Method):
        raise DataError(
            f"There is no map by {method!r}.", fix=did_you_mean(method, get_args(Method))
        )
    if method == "umap":
        places, explained = umap_places(rows, seed), None
    else:
        places, share = principal_components(rows)
        explained = round(share, DECIMALS)
    caption = CAPTIONS[method].format(
        count=len(rows), width=rows.shape[1], neighbours=min(UMAP_NEIGHBOURS, len(rows) - 1)
    )
    rounded = [[round(x, DECIMALS), round(y, DECIMALS)] for x, y in places.tolist()]
    return rounded, explained, caption


def principal_components(rows: Float[Tensor, "n C"]) -> tuple[Float[Tensor, "n 2"], float]:
    """Coordinates along the two directions of largest variance, and their share of it (0 where
    all rows are equal).
    """
    centred = rows - rows.mean(dim=0)
    # X = U S V^T; coordinates are U S
    left, spread, _ = torch.linalg.svd(centred, full_matrices=False)
    variance, share = spread.square(), 0.0
    if float(variance.sum()) > 0:
        share = float(variance[:2].sum()) / float(variance.sum())
    return left[:, :2] * spread[:2], share


def umap_places(rows: Float[Tensor, "n C"], seed: int) -> Float[Tensor, "n 2"]:
    """Coordinates by UMAP on cosine distances; the same seed gives the same map.

    Raises MissingExtra without the extra `umap`.
    """
    threads = torch.get_num_threads()
    try:
        import umap
    except ImportError as error:
        raise MissingExtra("umap-learn", "umap") from error
    # Spectral initialisation needs more points than dimensions; few words begin at random
    # coordinates.
    start = "random"
    if len(rows) > UMAP_NEIGHBOURS:
        start = "spectral"
    near = min(UMAP_NEIGHBOURS, len(rows) - 1)
    reducer = umap.UMAP(n_neighbors=near, metric="cosine", random_state=seed, n_jobs=1, init=start)
    places = torch.from_numpy(reducer.fit_transform(rows.numpy()))
    torch.set_num_threads(threads)  # UMAP's numba changes the number for the whole process
    return places
