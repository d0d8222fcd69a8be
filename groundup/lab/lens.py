"""Logit lens: the predictions of the model after each block (nostalgebraist 2020, "interpreting GPT: the logit lens")

    picture = logit_lens(model, tokenizer, "The capital of France is")
    {"text", "pieces": [T + 1 of {"id", "text"}], "layers": [{"layer": 0, "cells": [...], "bits_per_token", "right"}, ...], "caption"}

Every block adds to the residual stream, and the head reads it after the last one. The same final norm and head applied after an earlier
block show how the prediction forms. Layer 0 is the input of block 1 (with a tied head it mostly predicts the token itself), the last layer is the
model's own prediction. Cell t belongs to piece t and predicts piece t + 1; piece 0 is the token that begins a document.

Left out: early layers may contain what this head, trained on the last one, can't decode (Belrose et al. 2023, arXiv:2303.08112, train a
translator for each layer). So a wrong early prediction does not prove that the information is absent.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.engine.score import MAX_LOGITS
from groundup.lab.request import require_language_model, require_tokenizer
from groundup.lab.stream import document_ids, stream
from groundup.lab.tokens import pieces_of, token_text
from groundup.model.heads import LanguageModel
from groundup.progress import Progress
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

CAPTION = (
    "After each block the model's final norm and head are applied to the residual stream, as after the last one. "
    "A cell has the most probable next token and its probability; layer 0 is the input of block 1."
)


def logit_lens(
    model: Model, tokenizer: Tokenizer | None, text: str, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Return the predictions of every layer at every token of a text. Raises DataError (no text), ModelError (classifier, no tokenizer, too long)."""
    model, tokenizer = require_language_model(model), require_tokenizer(tokenizer)
    rows = document_ids(model, tokenizer, text)
    layers = []
    for layer, hidden in enumerate(stream(model.transformer, rows, progress=progress)):
        cells = [
            cell for logits, wanted in lens_logits(model, hidden, rows) for cell in _cells(tokenizer, logits, wanted)
        ]
        layers.append({"layer": layer, **_summary(cells), "cells": cells})
    return {"text": text, "pieces": pieces_of(tokenizer, rows), "layers": layers, "caption": CAPTION}


@torch.no_grad()
def lens_logits(
    model: LanguageModel, hidden: Float[Tensor, "T C"], ids: Sequence[int]
) -> Iterator[tuple[Float[Tensor, "rows V"], list[int | None]]]:
    """Yield the head's logits at any layer, float32, a bounded number of rows at a time, each with the actual next tokens."""
    following: list[int | None] = [*ids[1:], None]
    size = max(1, MAX_LOGITS // model.config.vocab_size)
    for start in range(0, len(ids), size):
        normed = model.transformer.final_norm(hidden[start : start + size])
        yield model.logits(normed).float(), following[start : start + size]


def _cells(tokenizer: Tokenizer, logits: Tensor, following: Sequence[int | None]) -> list[dict[str, Any]]:
    """Return a cell for each row: the prediction, and rank and bits of the actual next token (None after the last token)."""
    logprobs = logits.log_softmax(dim=-1)
    best, ids = logprobs.max(dim=-1)
    cells = []
    for row, (top, id, wanted) in enumerate(zip(best.tolist(), ids.tolist(), following, strict=True)):
        cell = {"id": id, "text": token_text(tokenizer, id), "probability": round(math.exp(top), 6)}
        cells.append({**cell, **_truth(logprobs[row], wanted)})
    return cells


def _truth(logprobs: Float[Tensor, " V"], wanted: int | None) -> dict[str, Any]:
    """Return rank (1: the most probable) and bits of the actual next token."""
    if wanted is None:
        return {"rank": None, "bits": None}
    rank = 1 + int((logprobs > logprobs[wanted]).sum())
    return {"rank": rank, "bits": round(-float(logprobs[wanted]) / math.log(2), 4)}


def _summary(cells: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return mean bits of one layer and the share of correct predictions, over the tokens whose next one is known."""
    known = [cell for cell in cells if cell["rank"] is not None]
    bits = sum(cell["bits"] for cell in known) / len(known)
    return {"bits_per_token": round(bits, 4), "right": round(sum(cell["rank"] == 1 for cell in known) / len(known), 4)}
