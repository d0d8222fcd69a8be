"""Texts -> vectors: a long text in pieces has the vector that it has in one go, and an encoder's among others that it has alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny_encoder import save_encoder, tiny_encoder

from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.generate import PREFILL_TOKENS
from groundup.engine.padded_batch import embed, embed_in_chunks
from groundup.errors import ModelError
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.progress import Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import OpenModel, open_model


def test_a_long_text_in_pieces_has_the_vector_of_the_whole_and_short_ones_beside_it_have_theirs(
    config: ModelConfig, compute: Compute
) -> None:
    model = LanguageModel(replace(config, context_tokens=3 * PREFILL_TOKENS)).eval()
    initialise(model, torch.Generator().manual_seed(1), deviation=0.2)
    rows = [[n % 250 for n in range(length)] for length in (3, 2 * PREFILL_TOKENS + 9, 40)]
    with torch.inference_mode():
        expected = torch.stack(
            [F.normalize(model.hidden(torch.tensor([row]))[0].mean(dim=0), dim=0) for row in rows]
        )
    assert torch.allclose(embed(model, rows, compute=compute), expected, atol=1e-5)
    pieces = list(embed_in_chunks(model, rows[1], compute=compute))
    assert len(pieces) == 3 and torch.allclose(pieces[-1], expected[1], atol=1e-5)


def test_an_encoders_vectors_are_the_same_alone_and_in_every_batch(compute: Compute) -> None:
    model = tiny_encoder(50)
    rows = [[(7 * n + length) % 50 for n in range(length)] for length in (3, 24, 1, 9, 24, 17)]
    with torch.inference_mode():
        expected = torch.stack(
            [F.normalize(model.hidden(torch.tensor([row]))[0].mean(dim=0), dim=0) for row in rows]
        )
    for batch_tokens in (1, 40, 4096):
        assert torch.allclose(
            embed(model, rows, compute=compute, batch_tokens=batch_tokens), expected, atol=1e-5
        )


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_a_text_beyond_the_context_is_cut_before_its_end_token_and_that_is_said(
    tmp_path: Path, compute: Compute
) -> None:
    engine, said = Engine(open_model(save_encoder(tmp_path), compute), compute), Said()
    whole = engine.embedding_ids("cat " * 60)
    cut = engine.cut(whole, 24)
    assert cut == [*whole[:23], whole[-1]] and len(whole) == 62 and engine.cut(whole, 62) == whole
    vectors = engine.embed(["cat", "cat " * 60, "cat " * 22], progress=said)
    assert said.lines == [
        "1 of 3 texts is longer than 24 tokens and was cut: the rest of it is not in its vector."
    ]
    assert torch.allclose(vectors[1], vectors[2], atol=1e-6) and not torch.allclose(
        vectors[0], vectors[1], atol=1e-2
    )
    assert engine.embed([]).shape == (0, 32)


def test_a_classifier_makes_no_vectors(
    config: ModelConfig, tokenizer: Tokenizer, compute: Compute
) -> None:
    opened = OpenModel(
        Classifier(config, 2), tokenizer, config, Path("spam"), "classifier", ("ham", "spam")
    )
    with pytest.raises(ModelError, match="spam is a classifier and embeds no text"):
        Engine(opened, compute).embed(["to be"])
