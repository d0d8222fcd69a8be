"""Vectors of words, from the embedding table or any layer, and their similarity.

    word_vectors(model, tokenizer, ["Monday", "cat"])            [2, C]; layer=0: rows of the table, layer=n: after block n
    vector_in_text(model, tokenizer, "by the bank", "bank", layer=6)
    similarity(model, tokenizer, {"days": [...], "pets": [...]})   {"words", "groups", "values", "within", "between", "caption"}

A word is encoded as in running text, after a space (" Monday"). The vector of a word of several tokens is their mean. At layer 0 it depends
on the word alone; from layer 1 on also on the tokens before it, so the same word has another vector in each text.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from groundup.engine.padded_batch import right_padded
from groundup.errors import DataError
from groundup.lab.request import require_tokenizer
from groundup.lab.stream import batch_stream, begin_id, document_ids, require_layer, stream
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

DECIMALS = 4


def word_ids(tokenizer: Tokenizer, word: str) -> list[int]:
    """Return the tokens of a word in running text: after a space, unless that takes more tokens than without. Raises DataError for no word."""
    if not word.strip():
        raise DataError("An empty word has no vector.", fix="Give at least one word.")
    return min(tokenizer.encode(f" {word.strip()}"), tokenizer.encode(word.strip()), key=len)


@torch.no_grad()
def word_vectors(
    model: Model, tokenizer: Tokenizer | None, words: Sequence[str], *, layer: int = 0
) -> Float[Tensor, "n C"]:
    """Return a vector for each word, float32 on the CPU. From layer 1 on the text is the word alone, after the token that begins a document.

    Raises DataError (no words, an empty one), ModelError (no tokenizer, no such layer, a word beyond the context).
    """
    tokenizer, layer = require_tokenizer(tokenizer), require_layer(model, layer)
    if not words:
        raise DataError("There are no words to look up.", fix="Give at least one.")
    ids = [word_ids(tokenizer, word) for word in words]
    if layer == 0:
        table = model.transformer.embedding.weight
        return torch.stack([table[torch.tensor(each)].float().mean(dim=0) for each in ids]).cpu()
    rows, mask = right_padded([[begin_id(tokenizer), *each] for each in ids], torch.device("cpu"))
    mask[:, 0] = False  # without the token that begins the document
    states = next(islice(batch_stream(model.transformer, rows), layer, None)).float().cpu()  # [n, T, C]
    return (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def vector_in_text(
    model: Model, tokenizer: Tokenizer | None, text: str, word: str, *, layer: int
) -> Float[Tensor, " C"]:
    """Return the vector of the first occurrence of a word (or any passage) in a text, after `layer` blocks: the mean over its tokens.

    Raises DataError where the text lacks it, ModelError.
    """
    tokenizer, layer = require_tokenizer(tokenizer), require_layer(model, layer)
    rows = document_ids(model, tokenizer, text)
    start = text.find(word) if word else -1
    if start < 0:
        raise DataError(
            f"The text does not contain {word!r}.", fix="Give it exactly as in the text, with its capitals."
        )
    _, offsets = tokenizer.encode_offsets(text)
    touched = [place for place, (left, right) in enumerate(offsets, 1) if left < start + len(word) and right > start]
    state = next(islice(stream(model.transformer, rows), layer, None))
    return state[touched].float().mean(dim=0).cpu()


def similarity(
    model: Model, tokenizer: Tokenizer | None, groups: Mapping[str, Sequence[str]], *, layer: int = 0
) -> dict[str, Any]:
    """Return the cosine of every word with every other, and its mean within and between the groups. Raises as `word_vectors`."""
    words = [word for group in groups.values() for word in group]
    names = [name for name, group in groups.items() for _ in group]
    values = cosines(word_vectors(model, tokenizer, words, layer=layer))
    return {"words": words, "groups": names, "layer": layer, **_by_group(values, names), "caption": _caption(layer)}


def similarity_in_texts(
    model: Model, tokenizer: Tokenizer | None, word: str, texts: Mapping[str, str], *, layer: int
) -> dict[str, Any]:
    """Return the cosines of one word's vectors in several texts at one layer, each text with a name for its meaning there.

    `texts` maps text -> group. Raises as `vector_in_text`.
    """
    if not texts:
        raise DataError("There are no texts to look at.", fix="Give at least two.")
    vectors = torch.stack([vector_in_text(model, tokenizer, text, word, layer=layer) for text in texts])
    names = list(texts.values())
    caption = f"Cosine between the vectors of {word!r} in each text, after {layer} blocks."
    return {
        "words": list(texts),
        "groups": names,
        "layer": layer,
        **_by_group(cosines(vectors), names),
        "caption": caption,
    }


def cosines(vectors: Float[Tensor, "n C"]) -> Float[Tensor, "n n"]:
    """Return cos(a, b) = a b / (|a| |b|) of every pair."""
    unit = F.normalize(vectors, dim=-1)
    return unit @ unit.T


def _by_group(values: Float[Tensor, "n n"], names: Sequence[str]) -> dict[str, Any]:
    """Return the matrix, and its means over pairs of different words of one group and of two groups (None where there are no such pairs)."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    group = torch.tensor([numbers[name] for name in names])
    same = group[:, None] == group[None]
    return {
        "values": [[round(value, DECIMALS) for value in row] for row in values.tolist()],
        "within": _mean(values[same & ~torch.eye(len(names), dtype=torch.bool)]),
        "between": _mean(values[~same]),
    }


def _mean(values: Tensor) -> float | None:
    return round(float(values.mean()), DECIMALS) if values.numel() else None


def _caption(layer: int) -> str:
    source = (
        "its row of the embedding table" if layer == 0 else f"the stream after {layer} blocks, each word on its own"
    )
    return f"Cosine between the words' vectors: {source}; that of a word of several tokens is their mean."
