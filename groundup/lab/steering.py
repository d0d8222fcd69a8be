"""Steering: add a direction to the residual stream at a layer, and compare what the model predicts
and writes.

    direction = word_direction(model, tokenizer, "Paris")          more like this word
    direction = text_direction(model, tokenizer, glad, sad, 6)     from these texts to those
    with steer(model, 6, direction, strength=4): ...
    steering(model, tokenizer, "I think that you", direction, layer=6)

A direction is the difference of two means: of two words in the embedding table, or of two sets of
texts in the residual stream after the same layer (Turner et al. 2023, arXiv:2308.10248: activation
addition; Rimsky et al. 2024, arXiv:2312.06681, with means of many texts). It is added at every
token. Too strong, the model writes no text at all: `kl_bits` says how far its prediction is from
the unsteered one
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.device import Compute
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.errors import DataError
from groundup.lab.embeddings import word_vectors
from groundup.lab.hooks import changed
from groundup.lab.predictions import expected_pieces
from groundup.lab.stream import (
    document_ids,
    require_language_model,
    require_layer,
    require_tokenizer,
    stream,
)
from groundup.lab.values import SteeredText, SteeringPicture
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

STRENGTHS = (-0.5, -0.25, 0.0, 0.25, 0.5)
WRITTEN_TOKENS = 20
CAPTION = (
    "The direction, with length 1, times the strength times {length:.2f} is added to the residual "
    "stream at layer {layer}, at every token of the text and of the continuation. {length:.2f} is "
    "the median length of the text's own vectors there, so that strength 1 adds as much as they "
    "are. Continuations take the most probable token."
)


def word_direction(
    model: Model, tokenizer: Tokenizer | None, word: str, away_from: str | None = None
) -> Float[Tensor, " C"]:
    """From one word to another in the embedding table; None: from the mean of the table.

    A word of several tokens is their mean. Raises DataError (no word), ModelError.
    """
    wanted = word_vectors(model, tokenizer, [word])[0]
    if away_from is None:
        return wanted - model.transformer.embedding.weight.detach().float().mean(dim=0).cpu()
    return wanted - word_vectors(model, tokenizer, [away_from])[0]


def text_direction(
    model: Model,
    tokenizer: Tokenizer | None,
    texts: Sequence[str],
    away_from: Sequence[str],
    layer: int,
) -> Float[Tensor, " C"]:
    """The mean stream vector of the last token of `texts` minus that of the others, at a layer.

    Raises DataError (no text), ModelError (no such layer, a text that is too long).
    """
    layer = require_layer(model, layer)
    if not texts or not away_from:
        raise DataError("A direction is between two sets of texts.", fix="Give some of each.")
    wanted, other = (
        torch.stack(
            [_at(model, document_ids(model, tokenizer, text), layer)[-1] for text in some]
        ).mean(dim=0)
        for some in (texts, away_from)
    )
    return wanted - other


def _at(model: Model, ids: Sequence[int], layer: int) -> Float[Tensor, "T C"]:
    """The residual stream at one layer, float32 on the CPU."""
    states = stream(model.transformer, ids)
    return next(state for number, state in enumerate(states) if number == layer).float().cpu()


def steer(
    model: Model, layer: int, direction: Float[Tensor, " C"], strength: float = 1.0
) -> AbstractContextManager[Model]:
    """Add `strength` times `direction`, as it is, to the residual stream at a layer, at every token
    that is read or written, until the `with` ends. Raises ModelError for no such layer.

    >>> with steer(model, 1, torch.zeros(model.config.width)):
    ...     ids = list(generate_ids(model, [5, 6], sampling, (), compute=compute))
    """
    return changed(model, "stream", layer, lambda found: found + (strength * direction).to(found))


def stream_length(model: Model, tokenizer: Tokenizer | None, text: str, layer: int) -> float:
    """The median length of the stream vectors of a text at a layer, without the token that begins
    it, whose vector is far longer than others in many models.
    """
    ids = document_ids(model, require_tokenizer(tokenizer), text)
    return float(_at(model, ids, require_layer(model, layer))[1:].norm(dim=1).median())


def steering(
    model: Model,
    tokenizer: Tokenizer | None,
    text: str,
    direction: Float[Tensor, " C"],
    *,
    layer: int,
    strengths: Sequence[float] = STRENGTHS,
    max_tokens: int = WRITTEN_TOKENS,
    progress: Progress | None = None,
) -> SteeringPicture:
    """Predictions and greedy continuations of a text with a direction added at a layer, at several
    strengths; only its direction counts. Strength 0 is the model as it is.

    Raises DataError (no text, a direction without length), ModelError.
    """
    model, tokenizer = require_language_model(model), require_tokenizer(tokenizer)
    size = float(direction.norm())
    if not 0 < size < math.inf or direction.shape != (model.config.width,):
        raise DataError(
            f"A direction has {model.config.width} finite numbers, not all 0; this one has "
            f"{direction.numel()} and the length {size:.3g}.",
            fix="Take two words or texts that differ.",
        )
    ids, length = document_ids(model, tokenizer, text), stream_length(model, tokenizer, text, layer)
    before, found = _next_logprobs(model, ids), []
    with (progress or Silent()).track("steering", len(strengths), "strengths") as advance:
        for strength in strengths:
            added = strength * length / size
            with steer(model, layer, direction, added) if strength else nullcontext():
                found.append(_steered(model, tokenizer, ids, before, strength, max_tokens))
            advance(1, f"strength {strength:g}")
    return {
        "text": text,
        "layer": layer,
        "length": round(length, 4),
        "strengths": found,
        "caption": CAPTION.format(length=length, layer=layer),
    }


def _steered(
    model: LanguageModel,
    tokenizer: Tokenizer,
    ids: Sequence[int],
    before: Float[Tensor, " V"],
    strength: float,
    max_tokens: int,
) -> SteeredText:
    """What the model, steered or not, predicts and writes."""
    logprobs = _next_logprobs(model, ids)
    divergence = float((logprobs.exp() * (logprobs - before)).sum()) / math.log(2)
    written: list[int] = []
    if len(ids) < model.config.context_tokens:
        greedy = Sampling(max_tokens=max_tokens, temperature=0.0)
        stops, compute = tokenizer.special.stop_ids, Compute(before.device)
        written = list(generate_ids(model, ids, greedy, stops, compute=compute))
    return {
        "strength": strength,
        "next": expected_pieces(tokenizer, logprobs, 5),
        "kl_bits": round(abs(divergence), 4),
        "continuation": tokenizer.decode(
            [id for id in written if id not in tokenizer.special.stop_ids]
        ),
    }


@torch.no_grad()
def _next_logprobs(model: LanguageModel, ids: Sequence[int]) -> Float[Tensor, " V"]:
    rows = torch.tensor([list(ids)], device=model.transformer.embedding.weight.device)
    return model(rows)[0, -1].float().log_softmax(dim=-1)
