"""A config, a tokenizer and the shapes of weights as the page's program reads them."""

import re
from dataclasses import asdict
from typing import Any

from groundup.errors import ModelError
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.model.metadata import build_window_rotary
from groundup.model.positions import Rotary, alibi_slopes, attention_factor, rotary_frequencies
from groundup.tokenizer.bytelevel import BYTE_TO_CHARACTER, SPLITS, ByteLevel
from groundup.tokenizer.fast import Tokenizer

PREFIX = "transformer."  # of weights, which the page leaves out
_NO_CASE = re.compile(r"\(\?i:([^()]*)\)")
# JavaScript's \s has one character more and one less than Unicode's White_Space, which the
# tokenizers library goes by. The long s is what Unicode's folding makes an s of.
_SPACE = {r"\s": r"\p{White_Space}", r"\S": r"\P{White_Space}"}
_LONG_S = "\u017f"


def weight_shapes(model: LanguageModel) -> dict[str, list[int]]:
    """By the names in the page."""
    return {
        name.removeprefix(PREFIX): list(weight.shape) for name, weight in model.state_dict().items()
    }


def live_config(config: ModelConfig) -> dict[str, object]:
    """The config's fields as `model.js` reads them: windows and rotations of each block, ALiBi's
    slopes, the frequencies of sinusoidal positions.
    """
    layers, slopes, sinusoids = range(config.num_layers), [], []
    if config.positions == "alibi":
        slopes = alibi_slopes(config.num_heads).tolist()
    if config.positions == "sinusoidal":
        sinusoids = rotary_frequencies(config.width, 10_000.0).tolist()
    return {
        **asdict(config),
        "score_width": config.score_width or config.head_width,
        "windows": [config.window_of(layer) for layer in layers],
        "rotations": [_rotation(config, layer) for layer in layers],
        "slopes": slopes,
        "sinusoids": sinusoids,
    }


def _rotation(config: ModelConfig, layer: int) -> dict[str, Any] | None:
    if not config.rotates(layer):
        return None
    rotary = Rotary(config.head_width, base=config.rope_base, scaling=config.rope_scaling)
    if config.window_of(layer):
        rotary = build_window_rotary(config)
    return {
        "frequencies": rotary.frequencies.tolist(),
        "factor": attention_factor(rotary.scaling),
    }


def tokenizer_table(tokenizer: Tokenizer) -> dict[str, object]:
    """The `TokenizerTable` of `tokenizer.js`. Raises ModelError for another kind than byte-level
    BPE, or with added tokens that are no control tokens.
    """
    table, special = tokenizer.table, tokenizer.special
    if not isinstance(table.style, ByteLevel):
        raise ModelError(
            f"The page's program reads text by byte-level BPE, this model by a tokenizer of the "
            f"kind {tokenizer.kind}.",
            fix="Train with --kind bpe or byte, or talk with it through groundup serve.",
        )
    if not all(token.control for token in table.added.values()):
        raise ModelError(
            "This tokenizer has added tokens beside its control tokens, which the page's program "
            "does not find in a text.",
            fix="Talk with the model in the browser through groundup serve.",
        )
    ids, bos = table.vocabulary, special.bos_id
    texts = table.texts
    return {
        "tokens": [texts.get(id, "") for id in range(tokenizer.vocab_size)],
        "merges": [[ids[left], ids[right], ids[left + right]] for left, right in table.merges],
        "alphabet": "".join(BYTE_TO_CHARACTER[byte] for byte in range(256)),
        "splits": [javascript_expression(each) for each in SPLITS[table.style.split]],
        "nfc": table.style.nfc,
        "whole_pieces": table.style.whole_pieces,
        "control": {str(id): text for text, id in table.control.items()},
        "bos_id": bos if special.adds_bos else None,
        "stop_ids": sorted(special.stop_ids),
    }


def javascript_expression(expression: str) -> str:
    r"""An expression of `SPLITS` for JavaScript with the flag u.

    >>> javascript_expression(r"(?i:'s)|\S")
    "(?:'[sS\u017f])|\\P{White_Space}"
    """
    for ours, theirs in _SPACE.items():
        expression = expression.replace(ours, theirs)
    expression = expression.replace(r"\~", "~")  # which the flag u refuses
    return _NO_CASE.sub(lambda match: f"(?:{_either_case(match.group(1))})", expression)


def _either_case(letters: str) -> str:
    return "".join(_cases(letter) if letter.isalpha() else letter for letter in letters)


def _cases(letter: str) -> str:
    folded = _LONG_S if letter == "s" else ""
    return f"[{letter}{letter.upper()}{folded}]"
