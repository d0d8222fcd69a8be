"""The residual stream of a text at every layer.

    rows = document_ids(model, tokenizer, "to be or not")   the ids of the text after the token that
                                                            begins a document
    for state in stream(model.transformer, rows):           [T, C] before block 1, after block 1,
                                                            ..., after block L

Layers are counted from 0 (the input of block 1) to L (after the last block): layer n is the stream
after n blocks.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from groundup.errors import DataError, ModelError
from groundup.lab.request import require_tokenizer
from groundup.model.transformer import Transformer
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model


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
