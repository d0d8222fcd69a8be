"""Texts -> vectors: a long text in pieces has the vector that it has in one go."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from groundup.device import Compute
from groundup.engine.generate import PREFILL_TOKENS
from groundup.engine.padded_batch import embed, embed_in_chunks
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise


def test_a_long_text_in_pieces_has_the_vector_of_the_whole_and_short_ones_beside_it_have_theirs(
    config: ModelConfig, compute: Compute
) -> None:
    model = LanguageModel(replace(config, context_tokens=3 * PREFILL_TOKENS)).eval()
    initialise(model, torch.Generator().manual_seed(1), deviation=0.2)
    rows = [[n % 250 for n in range(length)] for length in (3, 2 * PREFILL_TOKENS + 9, 40)]
    with torch.inference_mode():
        expected = torch.stack([F.normalize(model.hidden(torch.tensor([row]))[0].mean(dim=0), dim=0) for row in rows])
    assert torch.allclose(embed(model, rows, compute=compute), expected, atol=1e-5)
    pieces = list(embed_in_chunks(model, rows[1], compute=compute))
    assert len(pieces) == 3 and torch.allclose(pieces[-1], expected[1], atol=1e-5)
