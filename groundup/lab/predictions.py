"""The model's predictions along a text: after each block (logit lens: nostalgebraist 2020,
"interpreting GPT: the logit lens"), and how surprising each token was.

Every block adds to the residual stream, and the head reads it after the last one. The same final
norm and head applied after an earlier block show how the prediction forms. Layer 0 is the input of
block 1 (with a tied head it mostly predicts the token itself). Cell t belongs to piece t and
predicts piece t + 1; piece 0 is the token that begins a document. Early layers may contain what
this head, trained on the last one, can't decode (Belrose et al. 2023, arXiv:2303.08112): a wrong
early prediction does not prove that the information is absent.

    surprise of token t   -log2 P(t | all before)      (Shannon 1948: its length in an optimal code)
    entropy before t      -sum over v of P(v) log2 P(v), the expected surprise

For a calibrated model both have the same mean. Bits per token depend on the tokenizer, bits per
word (a run of characters without spaces) do not
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.engine.score import MAX_LOGITS
from groundup.errors import DataError
from groundup.lab.stream import document_ids, require_language_model, require_tokenizer, stream
from groundup.lab.tokens import pieces_of, token_text
from groundup.lab.values import (
    ExpectedPiece,
    LensCell,
    LensLayer,
    LensPicture,
    SurprisePicture,
    SurprisingPiece,
    WordBits,
)
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

LENS_CAPTION = (
    "After each block the model's final norm and head are applied to the residual stream, as "
    "after the last one. A cell has the most probable next token and its probability; layer 0 is "
    "the input of block 1."
)
SURPRISE_CAPTION = (
    "Surprise is -log2 of the probability of the token, given all before it; entropy is the "
    "expected surprise. The first token is predicted from the start of a document."
)
SPACES = re.compile(r"\s*")


def logit_lens(model: Model, tokenizer: Tokenizer | None, text: str) -> LensPicture:
    """The predictions of every layer at every token of a text.

    Raises DataError (no text), ModelError (classifier, no tokenizer, too long).
    """
    model, tokenizer = require_language_model(model), require_tokenizer(tokenizer)
    rows = document_ids(model, tokenizer, text)
    layers: list[LensLayer] = []
    for layer, hidden in enumerate(stream(model.transformer, rows)):
        cells = [
            cell
            for logits, wanted in lens_logits(model, hidden, rows)
            for cell in _cells(tokenizer, logits, wanted)
        ]
        bits = [cell["bits"] for cell in cells if cell["bits"] is not None]
        right = sum(cell["rank"] == 1 for cell in cells) / len(bits)
        layers.append(
            {
                "layer": layer,
                "bits_per_token": _mean(bits),
                "right": round(right, 4),
                "cells": cells,
            }
        )
    return {
        "text": text,
        "pieces": pieces_of(tokenizer, rows),
        "layers": layers,
        "caption": LENS_CAPTION,
    }


@torch.no_grad()
def lens_logits(
    model: LanguageModel, hidden: Float[Tensor, "T C"], ids: Sequence[int]
) -> Iterator[tuple[Float[Tensor, "rows V"], list[int | None]]]:
    """Yield the head's logits at any layer, float32, a bounded number of rows at a time, each
    with the actual next tokens.
    """
    following: list[int | None] = [*ids[1:], None]
    size = max(1, MAX_LOGITS // model.config.vocab_size)
    for start in range(0, len(ids), size):
        normed = model.transformer.final_norm(hidden[start : start + size])
        yield model.logits(normed).float(), following[start : start + size]


def _cells(tokenizer: Tokenizer, logits: Tensor, following: Sequence[int | None]) -> list[LensCell]:
    """A cell for each row: the prediction, and rank and bits of the actual next token (None
    after the last token).
    """
    logprobs = logits.log_softmax(dim=-1)
    best, ids = logprobs.max(dim=-1)
    pieces = zip(pieces_of(tokenizer, ids.tolist()), best.tolist(), following, strict=True)
    cells: list[LensCell] = []
    for row, (piece, top, wanted) in enumerate(pieces):
        rank = bits = None
        if wanted is not None:
            rank, bits = _rank_and_bits(logprobs[row], wanted)
        probability = round(math.exp(top), 6)
        cells.append({**piece, "probability": probability, "rank": rank, "bits": bits})
    return cells


def _rank_and_bits(logprobs: Float[Tensor, " V"], id: int) -> tuple[int, float]:
    """The rank of a token (1: the most probable) and its surprise."""
    return 1 + int((logprobs > logprobs[id]).sum()), round(-float(logprobs[id]) / math.log(2), 4)


def surprise(
    model: Model, tokenizer: Tokenizer | None, text: str, *, top: int = 5
) -> SurprisePicture:
    """Bits, entropy and the `top` expected tokens along a text, and what is expected after it.

    Raises DataError (no text, `top` below 1), ModelError (a classifier, no tokenizer, beyond the
    context).
    """
    if top < 1:
        raise DataError(f"At least 1 expected token can be shown, got {top}.", fix="Give top=5.")
    model, tokenizer = require_language_model(model), require_tokenizer(tokenizer)
    rows = document_ids(model, tokenizer, text)
    *_, hidden = stream(model.transformer, rows)
    tokens: list[SurprisingPiece] = []
    for logits, following in lens_logits(model, hidden, rows):
        logprobs = logits.log_softmax(dim=-1)
        # entr: -p ln p, 0 at p = 0
        entropy = torch.special.entr(logprobs.exp()).sum(dim=-1) / math.log(2)
        for row, wanted in enumerate(following):
            expected = expected_pieces(tokenizer, logprobs[row], top)
            if wanted is not None:
                rank, bits = _rank_and_bits(logprobs[row], wanted)
                tokens.append(
                    {
                        "id": wanted,
                        "text": token_text(tokenizer, wanted),
                        "entropy_bits": round(float(entropy[row]), 4),
                        "expected": expected,
                        "bits": bits,
                        "rank": rank,
                    }
                )
    words, bits_per_word = word_bits(tokenizer, text, [token["bits"] for token in tokens]), None
    if words:
        bits_per_word = _mean([word["bits"] for word in words])
    return {
        "text": text,
        "tokens": tokens,
        "words": words,
        "next": expected,
        "bits_per_token": _mean([token["bits"] for token in tokens]),
        "bits_per_word": bits_per_word,
        "entropy_bits_per_token": _mean([token["entropy_bits"] for token in tokens]),
        "caption": SURPRISE_CAPTION,
    }


def expected_pieces(
    tokenizer: Tokenizer, logprobs: Float[Tensor, " V"], top: int
) -> list[ExpectedPiece]:
    """The `top` most probable tokens, the best first."""
    best, ids = logprobs.topk(min(top, len(logprobs)))
    pieces = zip(pieces_of(tokenizer, ids.tolist()), best.exp().tolist(), strict=True)
    return [{**piece, "probability": round(share, 6)} for piece, share in pieces]


def word_bits(tokenizer: Tokenizer, text: str, bits: Sequence[float]) -> list[WordBits]:
    """The bits of each word of `text`: the sum over its tokens, so that the sum over words is that
    over tokens.

    A token counts for the word of its first character other than a space; one of spaces only for
    the next word, or for the last one.
    """
    found = list(re.finditer(r"\S+", text))
    words: list[WordBits] = [{"text": match.group(), "bits": 0.0, "tokens": 0} for match in found]
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
