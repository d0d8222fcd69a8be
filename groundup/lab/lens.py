"""Logit lens: what would the model say if it had to answer after each block? (nostalgebraist 2020, "interpreting GPT: the logit lens")

    picture = logit_lens(model, tokenizer, "The capital of France is")
    {"text", "pieces": [T + 1 of {"id", "text"}], "layers": [{"layer": 0, "cells": [...], "bits_per_token", "right"}, ...], "caption"}

Every block adds to one stream, and the head reads the stream's end. Reading it earlier, through the same final norm and head, shows the
guess form. Layer 0 is what enters block 1 (with a tied head it mostly names the token itself), the last layer is the model's own answer.
Cell t belongs to piece t and guesses piece t + 1; piece 0 is the token that begins a document.

Left out: early layers may well hold what the head, made for the last one, can't read (Belrose et al. 2023, arXiv:2303.08112, train a
translator for each layer). So a wrong early guess does not prove that the model knows nothing yet.
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
from groundup.model.heads import Classifier, LanguageModel
from groundup.progress import Progress
from groundup.tokenizer.fast import Tokenizer

CAPTION = (
    "After each block the stream goes through the model's final norm and head, as after the last one. "
    "A cell names the most probable next token and its probability; layer 0 is what enters block 1."
)


def logit_lens(
    model: LanguageModel | Classifier, tokenizer: Tokenizer | None, text: str, *, progress: Progress | None = None
) -> dict[str, Any]:
    """The guesses of every layer at every token of a text. Raises DataError (no text), ModelError (classifier, no tokenizer, too long)."""
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
    """The head's logits on the stream at any layer, float32, a bounded number of rows at a time, each with the tokens that truly come next."""
    following: list[int | None] = [*ids[1:], None]
    size = max(1, MAX_LOGITS // model.config.vocab_size)
    for start in range(0, len(ids), size):
        normed = model.transformer.final_norm(hidden[start : start + size])
        yield model.logits(normed).float(), following[start : start + size]


def _cells(tokenizer: Tokenizer, logits: Tensor, following: Sequence[int | None]) -> list[dict[str, Any]]:
    """One for each row: the best guess, and where the truth stands (None behind the last token)."""
    logprobs = logits.log_softmax(dim=-1)
    best, ids = logprobs.max(dim=-1)
    cells = []
    for row, (top, id, wanted) in enumerate(zip(best.tolist(), ids.tolist(), following, strict=True)):
        cell = {"id": id, "text": token_text(tokenizer, id), "probability": round(math.exp(top), 6)}
        cells.append({**cell, **_truth(logprobs[row], wanted)})
    return cells


def _truth(logprobs: Float[Tensor, " V"], wanted: int | None) -> dict[str, Any]:
    """Rank (1: the best guess) and bits of the token that truly comes next."""
    if wanted is None:
        return {"rank": None, "bits": None}
    rank = 1 + int((logprobs > logprobs[wanted]).sum())
    return {"rank": rank, "bits": round(-float(logprobs[wanted]) / math.log(2), 4)}


def _summary(cells: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of one layer, over the tokens whose next one is known: mean bits, and the share of right first guesses."""
    known = [cell for cell in cells if cell["rank"] is not None]
    bits = sum(cell["bits"] for cell in known) / len(known)
    return {"bits_per_token": round(bits, 4), "right": round(sum(cell["rank"] == 1 for cell in known) / len(known), 4)}
