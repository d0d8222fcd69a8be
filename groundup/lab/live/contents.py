"""What the page with a model inside holds: the config with what Python computes from it, the
tokenizer as tables, and the weights as float32 in base64 (5.33 bytes a parameter).

A model that the page's program does not compute is refused here, with the reason: another kind than
a language model, experts, an activation or a tokenizer without a twin in `model.js` or
`tokenizer.js`, and more parameters than a browser tab should hold.
"""

import base64
import zlib
from typing import Any, NamedTuple

import torch
from torch import Tensor

from groundup.errors import ModelError
from groundup.lab.live.supported import MAX_PARAMETERS, MAX_SERVED_PARAMETERS, config_fault
from groundup.lab.live.tables import PREFIX, live_config, tokenizer_table
from groundup.lab.live.training_choices import TrainingChoices, training_choices
from groundup.lab.stream import require_language_model
from groundup.model.heads import LanguageModel
from groundup.weights.model_format import OpenModel


class PageContents(NamedTuple):
    config: dict[str, Any]
    tokenizer: dict[str, Any]
    weights: str
    """Little-endian float32, one tensor after another, in base64."""
    tensors: dict[str, tuple[int, int]]
    """Of each tensor: where it begins and its length, in numbers."""
    checksum: int
    """CRC-32 of the bytes of the weights."""
    training: TrainingChoices
    """The models that the page can train."""

    @property
    def parameters(self) -> int:
        return sum(length for _, length in self.tensors.values())


def page_contents(opened: OpenModel) -> PageContents:
    """Raises ModelError for a model that the page can't run."""
    model, tokenizer = require_language_model(opened.model), opened.require_tokenizer()
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
        training_choices(model, tokenizer),
    )


def _require_supported(opened: OpenModel) -> None:
    config = opened.config
    parameters = sum(weight.numel() for weight in opened.model.parameters())
    fault, talk = config_fault(config), f"groundup serve {opened.path}"
    if fault:
        fix = f"Talk with it in the browser by: {talk}"
        raise ModelError(f"{opened.path} has {fault}.", fix=fix)
    if parameters > MAX_PARAMETERS:
        served = (
            f"A server's page fetches it in parts: {talk}, then open /live/{opened.path.name} there"
        )
        if parameters > MAX_SERVED_PARAMETERS:
            served = f"Talk with it in the browser by: {talk}"
        raise ModelError(
            f"{opened.path} has {parameters:,} parameters ({parameters * 16 // 3 / 1e6:,.0f} MB as "
            f"a page); a page holds {MAX_PARAMETERS:,}.",
            fix=served,
        )


def _weights(model: LanguageModel) -> tuple[dict[str, tuple[int, int]], list[Tensor]]:
    """Where each tensor begins, and the tensors in that order, in float32."""
    tensors, found, start = {}, [], 0
    for name, weight in model.state_dict().items():
        tensors[name.removeprefix(PREFIX)] = start, weight.numel()
        start += weight.numel()
        found.append(weight.detach().to("cpu", torch.float32).contiguous())
    return tensors, found
