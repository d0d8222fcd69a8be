"""The features of a transcoder on texts: how often each is active, where most, and which tokens its
direction raises.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from groundup.errors import ModelError
from groundup.lab.circuit_values import FeatureList, FeatureValues, TopText
from groundup.lab.circuits.run_texts import run_rows
from groundup.lab.circuits.top_texts import top_texts
from groundup.lab.circuits.transcoder import (
    Transcoder,
    TranscoderCard,
    load_transcoder,
    replaced,
    weights_sha256,
)
from groundup.lab.stream import require_language_model
from groundup.lab.tokens import token_text
from groundup.model.heads import LanguageModel
from groundup.model.norm import LayerNorm, RMSNorm
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import OpenModel

# Of the texts that are looked through.
TEXT_ROWS, ROW_TOKENS = 512, 64
ROWS_AT_ONCE, FEATURES_AT_ONCE = 16, 64
SHOWN_TEXTS, SHOWN_TOKENS = 4, 6
DECIMALS = 5


def look_at_run(
    opened: OpenModel, folder: Path, *, progress: Progress | None = None
) -> FeatureList:
    """The features of the transcoder in `folder` on the texts that the model was trained on.

    Raises FormatError, ModelError for a transcoder of another model.
    """
    model, transcoder, card = own_transcoder(opened, folder)
    tokenizer = opened.require_tokenizer()
    tokens = min(ROW_TOKENS, model.config.context_tokens)
    rows = run_rows(opened, TEXT_ROWS, tokens, seed=1, progress=progress)
    return look_at_features(model, tokenizer, transcoder, card.block, rows, progress=progress)


def own_transcoder(
    opened: OpenModel, folder: Path
) -> tuple[LanguageModel, Transcoder, TranscoderCard]:
    """Raises FormatError, ModelError for a transcoder of another model."""
    model = require_language_model(opened.model)
    transcoder, card = load_transcoder(folder)
    if card.model_sha256 != weights_sha256(model):
        message = f"{folder} holds a transcoder of another model."
        raise ModelError(message, fix="Train one: groundup lab RUN --features.")
    return model, transcoder, card


@torch.no_grad()
def look_at_features(
    model: LanguageModel,
    tokenizer: Tokenizer,
    transcoder: Transcoder,
    block: int,
    rows: Sequence[Sequence[int]],
    *,
    progress: Progress | None = None,
) -> FeatureList:
    """Read `rows`, ids of equal length, and describe every feature that is active in them. The
    first token of each row is left out.
    """
    read: list[tuple[Tensor, Tensor]] = []

    def keep(inputs: Tensor, output: Tensor) -> Tensor:
        read.append(transcoder.sparse(inputs.float()))
        return output

    parts = torch.tensor(rows).split(ROWS_AT_ONCE)
    with (
        (progress or Silent()).track("features in texts", len(rows), "rows") as advance,
        replaced(model, block, keep),
    ):
        for part in parts:
            model.transformer(part.to(model.transformer.embedding.weight.device))
            advance(len(part))
    values, places = (torch.cat(each).cpu() for each in zip(*read, strict=True))  # [R, T, K]
    values[:, 0] = 0.0
    count, tokens = len(transcoder.decoder), values[:, 1:, 0].numel()
    sums = _by_feature(values, places, count)
    active = _by_feature((values > 0).float(), places, count)
    energy = _by_feature(values.square(), places, count)
    raised = raised_tokens(model, tokenizer, transcoder, block)
    found: list[FeatureValues] = []
    order = energy.argsort(descending=True)[: int((energy > 0).sum())]
    for some in order.split(FEATURES_AT_ONCE):
        # [some, R, T], of a part of the features, as all would not fit
        dense = torch.stack([(values * (places == number)).sum(dim=-1) for number in some])
        for number, activations in zip(some.tolist(), dense, strict=True):
            texts = top_texts(tokenizer, rows, activations, SHOWN_TEXTS)
            found.append(
                {
                    "number": number + 1,
                    "name": _name(texts),
                    "share": round(float(active[number]) / tokens, DECIMALS),
                    "mean": float(sums[number]) / tokens,
                    "writes": round(float(energy[number] / energy.sum()), DECIMALS),
                    "texts": texts,
                    "raises": raised[number],
                }
            )
    return {"block": block, "tokens": tokens, "features": found}


def _by_feature(values: Tensor, places: Int[Tensor, "R T K"], count: int) -> Float[Tensor, " M"]:
    return torch.zeros(count).index_add(0, places.flatten(), values.flatten())


def _name(texts: Sequence[TopText]) -> str:
    """The commonest token at the peaks; of several the one of the largest activation."""
    peaks = Counter(text["pieces"][text["peak"]]["text"] for text in texts)
    return peaks.most_common(1)[0][0]


def raised_tokens(
    model: LanguageModel, tokenizer: Tokenizer, transcoder: Transcoder, block: int
) -> list[list[str]]:
    """Of each feature the tokens whose logits its direction raises most on its way past all later
    blocks, with the gains of the norms on that way and without their scales.
    """
    directions = transcoder.directions
    norms = model.transformer.block(block - 1).feedforward_output_norm, model.transformer.final_norm
    for norm in norms:
        if isinstance(norm, RMSNorm | LayerNorm):
            directions = directions * norm.weight.float()
    found = []
    for some in directions.split(FEATURES_AT_ONCE):
        best = (some @ model.head_weight.float().T).topk(SHOWN_TOKENS, dim=1).indices
        found += [[token_text(tokenizer, id) for id in row] for row in best.tolist()]
    return found
