"""Surprise: the bits of each token under the model's predictions, and what it expected instead.

    picture = surprise(model, tokenizer, "Strawberries and cream")
    {"text", "tokens": [{"id", "text", "bits", "entropy_bits", "rank", "expected": [{"id", "text", "probability"}]}],
     "words": [{"text", "bits", "tokens"}], "next": [{"id", "text", "probability"}],
     "bits_per_token", "bits_per_word", "entropy_bits_per_token", "caption"}

    surprise of token t   -log2 P(t | all before)                 (Shannon 1948: its length in an optimal code)
    entropy before t      -sum over v of P(v) log2 P(v)           the expected surprise

For a calibrated model both have the same mean. Bits per token depend on the tokenizer, bits per word do not: they compare models with
different tokenizers. A word is a run of characters without spaces, with its punctuation.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from groundup.errors import DataError
from groundup.lab.lens import lens_logits
from groundup.lab.request import require_language_model, require_tokenizer
from groundup.lab.stream import document_ids, stream
from groundup.lab.tokens import token_text
from groundup.progress import Progress
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

CAPTION = (
    "Surprise is -log2 of the probability of the token, given all before it; entropy is the expected surprise. "
    "The first token is predicted from the start of a document."
)
SPACES = re.compile(r"\s*")


def surprise(
    model: Model, tokenizer: Tokenizer | None, text: str, *, top: int = 5, progress: Progress | None = None
) -> dict[str, Any]:
    """Return bits, entropy and the `top` expected tokens along a text, and what is expected after it.

    Raises DataError (no text, `top` below 1), ModelError (a classifier, no tokenizer, beyond the context).
    """
    if top < 1:
        raise DataError(f"At least 1 expected token can be shown, got {top}.", fix="Give top=5.")
    model, tokenizer = require_language_model(model), require_tokenizer(tokenizer)
    rows = document_ids(model, tokenizer, text)
    *_, hidden = stream(model.transformer, rows, progress=progress)
    found = [
        entry
        for logits, wanted in lens_logits(model, hidden, rows)
        for entry in _entries(tokenizer, logits, wanted, top)
    ]
    tokens = [
        {"id": id, "text": token_text(tokenizer, id), **entry} for id, entry in zip(rows[1:], found, strict=False)
    ]
    words = word_bits(tokenizer, text, [token["bits"] for token in tokens])
    return {
        "text": text,
        "tokens": tokens,
        "words": words,
        "next": found[-1]["expected"],
        "bits_per_token": _mean([token["bits"] for token in tokens]),
        "bits_per_word": _mean([word["bits"] for word in words]) if words else None,
        "entropy_bits_per_token": _mean([token["entropy_bits"] for token in tokens]),
        "caption": CAPTION,
    }


def _entries(tokenizer: Tokenizer, logits: Tensor, following: Sequence[int | None], top: int) -> list[dict[str, Any]]:
    """Return for each row what was expected, and bits and rank of the actual token."""
    logprobs = logits.log_softmax(dim=-1)
    entropy = torch.special.entr(logprobs.exp()).sum(dim=-1) / math.log(2)  # entr: -p ln p, 0 at p = 0
    best, ids = logprobs.topk(min(top, logprobs.shape[-1]), dim=-1)
    entries = []
    for row, wanted in enumerate(following):
        expected = _expected(tokenizer, ids[row].tolist(), best[row].exp().tolist())
        entry: dict[str, Any] = {"entropy_bits": round(float(entropy[row]), 4), "expected": expected}
        if wanted is not None:
            entry["bits"] = round(-float(logprobs[row, wanted]) / math.log(2), 4)
            entry["rank"] = 1 + int((logprobs[row] > logprobs[row, wanted]).sum())
        entries.append(entry)
    return entries


def _expected(tokenizer: Tokenizer, ids: Sequence[int], probabilities: Sequence[float]) -> list[dict[str, Any]]:
    return [
        {"id": id, "text": token_text(tokenizer, id), "probability": round(probability, 6)}
        for id, probability in zip(ids, probabilities, strict=True)
    ]


def word_bits(tokenizer: Tokenizer, text: str, bits: Sequence[float]) -> list[dict[str, Any]]:
    """Return the bits of each word of `text`: the sum over its tokens, so that the sum over words is that over tokens.

    A token counts for the word of its first character other than a space; one of spaces only for the next word, or for the last one.
    """
    found = list(re.finditer(r"\S+", text))
    words: list[dict[str, Any]] = [{"text": match.group(), "bits": 0.0, "tokens": 0} for match in found]
    ends = [match.end() for match in found]
    if not words:
        return []
    _, offsets = tokenizer.encode_offsets(text)
    for (start, _), amount in zip(offsets, bits, strict=True):
        place = SPACES.match(text, start)
        assert place is not None  # it matches the empty string, too
        word = words[min(bisect_right(ends, place.end()), len(words) - 1)]
        word["bits"] += amount
        word["tokens"] += 1
    return [{**word, "bits": round(word["bits"], 4)} for word in words]


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)
