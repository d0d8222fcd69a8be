"""What a view reads of a model: the ids of a text, the numbers of blocks, heads and tokens (users
count from 1; indices of tensors are from 0), and the residual stream at every layer.

    for state in stream(model.transformer, ids):    [T, C] before block 1, after block 1, ..., L

Layer n is the stream after n blocks
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from groundup.errors import DataError, ModelError
from groundup.model.heads import LanguageModel
from groundup.model.transformer import Transformer
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model, kind_of
from groundup.weights.hf_families import KIND_NAMES


def ids_of(
    model: Model, tokenizer: Tokenizer | None, text: str, *, fewest: int = 1, most: int = 0
) -> list[int]:
    """The ids of a text, after the begin-of-text token where the model has one.

    Raises ModelError without a tokenizer or beyond the model's context, DataError for fewer than
    `fewest` tokens of text or more than `most` (0: any number).
    """
    ids = require_tokenizer(tokenizer).encode(text)
    if len(ids) < fewest:
        needed = "a text"
        if fewest > 1:
            needed = f"a text of at least {fewest} tokens"
        raise DataError(f"This needs {needed}, got {len(ids)} tokens.", fix="Give a longer text.")
    if most and len(ids) > most:
        raise DataError(
            f"This picture can show {most} tokens, the text has {len(ids):,}.",
            fix="Give a shorter text.",
        )
    ids = [*first_ids(tokenizer), *ids]
    if len(ids) > model.config.context_tokens:
        raise ModelError(
            f"A text of {len(ids):,} tokens is longer than the model's context of "
            f"{model.config.context_tokens:,}.",
            fix="Shorten the text, or use a model with a longer context.",
        )
    return ids


def require_tokenizer(tokenizer: Tokenizer | None) -> Tokenizer:
    """The tokenizer. Raises ModelError where there is none."""
    if tokenizer is None:
        raise ModelError(
            "This model has no tokenizer, so it can't read text.",
            fix="Put its tokenizer.json beside its weights.",
        )
    return tokenizer


def first_ids(tokenizer: Tokenizer | None) -> list[int]:
    """The ids that the model expects before every text: its begin-of-text token, or none."""
    if tokenizer is None:
        return []
    special = tokenizer.special
    if not special.adds_bos or special.bos_id is None:
        return []
    return [special.bos_id]


def block_index(model: Model, block: int) -> int:
    """Block 1 .. L -> 0 .. L-1. Raises ModelError."""
    return _index("block", block, model.config.num_layers)


def head_index(model: Model, head: int) -> int:
    """Head 1 .. H -> 0 .. H-1. Raises ModelError."""
    return _index("head", head, model.config.num_heads)


def token_index(num_tokens: int, token: int) -> int:
    """Token 1 .. T -> 0 .. T-1. Raises DataError."""
    if not 1 <= token <= num_tokens:
        raise DataError(f"The text has no token {token}.", fix=f"Its tokens are 1 to {num_tokens}.")
    return token - 1


def require_language_model(model: Model) -> LanguageModel:
    """The model if it predicts tokens. Raises ModelError for another kind."""
    if not isinstance(model, LanguageModel):
        raise ModelError(
            f"This model is {KIND_NAMES[kind_of(model)]}: it predicts no next token.",
            fix="Use a language model.",
        )
    return model


def _index(what: str, number: int, count: int) -> int:
    if not 1 <= number <= count:
        raise ModelError(f"The model has no {what} {number}.", fix=f"Its {what}s are 1 to {count}.")
    return number - 1


def document_ids(model: Model, tokenizer: Tokenizer | None, text: str) -> list[int]:
    """The ids of a text after `begin_id`, so that its first token is predicted as well.

    Raises ModelError without a tokenizer or beyond the model's context, DataError for no text.
    """
    tokenizer = require_tokenizer(tokenizer)
    ids = tokenizer.encode(text)
    if not ids:
        raise DataError("The text is empty.", fix="Give at least one word.")
    room = model.config.context_tokens - 1
    if len(ids) > room:
        raise ModelError(
            f"A text of {len(ids):,} tokens is longer than the model's context: {room:,} after "
            "the token that begins it.",
            fix="Shorten the text, or use a model with a longer context.",
        )
    return [begin_id(tokenizer), *ids]


def begin_id(tokenizer: Tokenizer) -> int:
    """The token before a document: bos where the tokenizer adds one, else the one that separates
    documents in training data.
    """
    special = tokenizer.special
    if special.adds_bos and special.bos_id is not None:
        return special.bos_id
    return special.document_end_id


def stream(transformer: Transformer, ids: Sequence[int]) -> Iterator[Float[Tensor, "T C"]]:
    """Yield the residual stream after 0, 1, ... L blocks, before the final norm; each block runs
    when its layer is asked for.
    """
    for state in batch_stream(transformer, torch.tensor([list(ids)])):
        yield state[0]


def batch_stream(
    transformer: Transformer, ids: Int[Tensor, "B T"]
) -> Iterator[Float[Tensor, "B T C"]]:
    """Yield the same for rows of ids, which may be padded on the right, as no token attends to
    later ones.
    """
    for layer in range(transformer.config.num_layers + 1):
        # Inside the loop: a generator must not leave gradients disabled for its caller.
        with torch.no_grad():
            if layer == 0:
                state = transformer.embed(ids.to(transformer.embedding.weight.device))
            else:
                state = transformer.run_blocks(state, layer - 1, layer)
        yield state


def require_layer(model: Model, layer: int) -> int:
    """The layer itself. Raises ModelError with the range."""
    last = model.config.num_layers
    if not 0 <= layer <= last:
        fix = f"Its layers are 0 (the embedding) to {last} (after the last block)."
        raise ModelError(f"The model has no layer {layer}.", fix=fix)
    return layer


@torch.no_grad()
def run_from(
    model: LanguageModel, state: Float[Tensor, "B T C"], first: int
) -> Float[Tensor, "B T C"]:
    """The residual stream after the last block, from that at layer `first`."""
    return model.transformer.run_blocks(state, first, model.config.num_layers)


@torch.no_grad()
def next_logits(model: LanguageModel, final: Float[Tensor, "B C"]) -> Float[Tensor, "B V"]:
    """The logits, in float32, from the residual stream after the last block."""
    return model.logits(model.transformer.final_norm(final)).float()
