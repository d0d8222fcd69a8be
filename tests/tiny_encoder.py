"""A small encoder with a WordPiece vocabulary, for the tests of every room."""

from pathlib import Path

import torch

from groundup.model.config import ModelConfig
from groundup.model.heads import Encoder, initialise
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.spec import AddedToken, TokenizerTable
from groundup.tokenizer.wordpiece import WordPiece
from groundup.weights.model_io import save_model

CONTROL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORDS = (
    "the",
    "cat",
    "sat",
    "on",
    "mat",
    "to",
    "be",
    "or",
    "not",
    "that",
    "is",
    "question",
    "##ing",
    "##ed",
    "##s",
)


def wordpiece(style: WordPiece | None = None) -> Tokenizer:
    """Letters, a few words and endings, some signs; "z" inside a word, and every other sign, is unknown."""
    inside = [f"##{letter}" for letter in LETTERS if letter != "z"]
    tokens = [*CONTROL, *LETTERS, *inside, *WORDS, *".,!?'-[]#@", "漢", "é", "ß", "##ß"]
    added = {id: AddedToken(text, True) for id, text in enumerate(CONTROL)}
    vocabulary = {text: id for id, text in enumerate(tokens)}
    config = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    return Tokenizer(
        TokenizerTable(vocabulary, [], style or WordPiece(), added, "[CLS]", "[SEP]"), config
    )


def encoder_config(vocab_size: int, context_tokens: int = 24) -> ModelConfig:
    return ModelConfig(
        *(vocab_size, context_tokens, 32, 2, 4, 64),
        family="bert",
        norm="layer",
        block="post",
        causal=False,
        embedding_norm=True,
        norm_eps=1e-12,
        positions="learned",
        feedforward="gelu_exact",
        attention_bias=True,
        attention_output_bias=True,
        feedforward_bias=True,
    )


def tiny_encoder(vocab_size: int, context_tokens: int = 24) -> Encoder:
    """Random weights, the biases too."""
    model, generator = (
        Encoder(encoder_config(vocab_size, context_tokens)).eval(),
        torch.Generator().manual_seed(4),
    )
    initialise(model, generator, deviation=0.2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model


def save_encoder(folder: Path, context_tokens: int = 24) -> Path:
    words = wordpiece()
    save_model(tiny_encoder(words.vocab_size, context_tokens), folder, words)
    return folder
