"""What the page with a model inside holds: the config with what Python computes from it, the
tokenizer as tables, and the weights as float32 in base64 (5.33 bytes a parameter).

A model that the page's program does not compute is refused here, with the reason: another kind than
a language model, experts, an activation or a tokenizer without a twin in `model.js` or
`tokenizer.js`, and more parameters than a browser tab should hold.
"""

import base64
import re
import zlib
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from groundup.errors import ModelError
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.model.metadata import build_window_rotary
from groundup.model.positions import Rotary, alibi_slopes, attention_factor, rotary_frequencies
from groundup.tokenizer.bytelevel import BYTE_TO_CHARACTER, SPLITS, ByteLevel
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.hf_families import KIND_NAMES
from groundup.weights.model_format import OpenModel

# A file of 107 MB: Chromium opens it in seconds, and writes some tokens a second.
MAX_PARAMETERS = 20_000_000
# Those with a twin in model.js.
FEEDFORWARDS = ("swiglu", "geglu", "gelu")
_PREFIX = "transformer."
_NO_CASE = re.compile(r"\(\?i:([^()]*)\)")
# JavaScript's \s has one character more and one less than Unicode's White_Space, which the
# tokenizers library goes by. The long s is what Unicode's folding makes an s of.
_SPACE = {r"\s": r"\p{White_Space}", r"\S": r"\P{White_Space}"}
_LONG_S = "\u017f"


class PageContents(NamedTuple):
    config: dict[str, Any]
    tokenizer: dict[str, Any]
    weights: str
    """Little-endian float32, one tensor after another, in base64."""
    tensors: dict[str, tuple[int, int]]
    """Of each tensor: where it begins and its length, in numbers."""
    checksum: int
    """CRC-32 of the bytes of the weights."""
    shapes: dict[str, list[int]]
    """Of each tensor, in the order of the weights."""

    @property
    def parameters(self) -> int:
        return sum(length for _, length in self.tensors.values())


def page_contents(opened: OpenModel) -> PageContents:
    """Raises ModelError for a model that the page can't run."""
    model, tokenizer = _require_language_model(opened)
    _require_supported(opened)
    table = tokenizer_table(tokenizer)
    tensors, weights = _weights(model)
    if not all(bool(tensor.isfinite().all()) for tensor in weights):
        raise ModelError(
            f"{opened.path} has weights that are not finite numbers.",
            fix="Its training had diverged: use an earlier checkpoint.",
        )
    content = b"".join(tensor.numpy().astype("<f4").tobytes() for tensor in weights)
    return PageContents(
        live_config(model.config),
        table,
        base64.b64encode(content).decode(),
        tensors,
        zlib.crc32(content),
        weight_shapes(model),
    )


def weight_shapes(model: LanguageModel) -> dict[str, list[int]]:
    """By the names in the page."""
    return {
        name.removeprefix(_PREFIX): list(weight.shape)
        for name, weight in model.state_dict().items()
    }


def _require_language_model(opened: OpenModel) -> tuple[LanguageModel, Tokenizer]:
    if not isinstance(opened.model, LanguageModel):
        raise ModelError(
            f"{opened.path} is {KIND_NAMES[opened.kind]}; the page runs a language model.",
            fix="Give the folder of a model that generates text.",
        )
    return opened.model, opened.require_tokenizer()


def _require_supported(opened: OpenModel) -> None:
    config = opened.config
    parameters = sum(weight.numel() for weight in opened.model.parameters())
    if parameters > MAX_PARAMETERS:
        raise ModelError(
            f"{opened.path} has {parameters:,} parameters ({parameters * 16 // 3 / 1e6:,.0f} MB as "
            f"a page); a page holds {MAX_PARAMETERS:,}.",
            fix=f"Talk with it in the browser by: groundup serve {opened.path}",
        )
    if config.num_experts:
        raise ModelError(
            f"{opened.path} has experts, which the page's program does not compute.",
            fix=f"Talk with it in the browser by: groundup serve {opened.path}",
        )
    if config.feedforward not in FEEDFORWARDS:
        raise ModelError(
            f"{opened.path} has the activation {config.feedforward}; the page's program has "
            f"{', '.join(FEEDFORWARDS)}.",
            fix=f"Talk with it in the browser by: groundup serve {opened.path}",
        )


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


def _weights(model: LanguageModel) -> tuple[dict[str, tuple[int, int]], list[Tensor]]:
    """Where each tensor begins, and the tensors in that order, in float32."""
    tensors, found, start = {}, [], 0
    for name, weight in model.state_dict().items():
        tensors[name.removeprefix(_PREFIX)] = start, weight.numel()
        start += weight.numel()
        found.append(weight.detach().to("cpu", torch.float32).contiguous())
    return tensors, found
