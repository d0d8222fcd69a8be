"""What the page with a model inside holds: the config with what Python computes from it, the
tokenizer as tables, and the weights in base64: as float32 (5.33 bytes a parameter), or as int8 with
a scale for each 32 numbers where that loses nothing, as of a GGUF in q8_0 (1.5 bytes).

A model that the page's program does not compute is refused here, with the reason: another kind than
a language model, experts, an activation or a tokenizer without a twin in `model.js` or
`tokenizer.js`, and more parameters than a browser tab should hold.
"""

import base64
import zlib
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from groundup.errors import ModelError
from groundup.lab.live.supported import MAX_PARAMETERS, MAX_SERVED_PARAMETERS, config_fault
from groundup.lab.live.tables import PREFIX, live_config, tokenizer_table
from groundup.lab.live.training_choices import TrainingChoices, training_choices
from groundup.lab.stream import require_language_model
from groundup.model.heads import LanguageModel
from groundup.weights.model_format import OpenModel

# Numbers that share a scale, as in GGUF's q8_0.
GROUP = 32


class PageContents(NamedTuple):
    config: dict[str, Any]
    tokenizer: dict[str, Any]
    weights: str
    """One tensor after another in base64: little-endian float32, or for each GROUP numbers a
    float32 scale and the int8.
    """
    tensors: dict[str, int]
    """How many numbers each has."""
    rounded: list[str]
    """The tensors in int8."""
    checksum: int
    """CRC-32 of the bytes of the weights."""
    training: TrainingChoices
    """The models that the page can train."""

    @property
    def parameters(self) -> int:
        return sum(self.tensors.values())


def page_contents(opened: OpenModel) -> PageContents:
    """Raises ModelError for a model that the page can't run."""
    model, tokenizer = require_language_model(opened.model), opened.require_tokenizer()
    _require_supported(opened)
    table = tokenizer_table(tokenizer)
    weights = _weights(model)
    if not all(bool(weight.isfinite().all()) for weight in weights.values()):
        raise ModelError(
            f"{opened.path} has weights that are not finite numbers.",
            fix="Its training had diverged: use an earlier checkpoint.",
        )
    grouped = {name: _as_int8(weight) for name, weight in weights.items()}
    content = b"".join(
        grouped[name] or weight.numpy().astype("<f4").tobytes() for name, weight in weights.items()
    )
    return PageContents(
        live_config(model.config),
        table,
        base64.b64encode(content).decode(),
        {name: weight.numel() for name, weight in weights.items()},
        [name for name, found in grouped.items() if found],
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


def _weights(model: LanguageModel) -> dict[str, Tensor]:
    """The tensors by the page's names, in float32."""
    return {
        name.removeprefix(PREFIX): weight.detach().to("cpu", torch.float32).contiguous()
        for name, weight in model.state_dict().items()
    }


def _as_int8(weight: Tensor) -> bytes:
    """For each GROUP numbers a scale and int8; empty where that would change a number."""
    if weight.numel() % GROUP:
        return b""
    groups = weight.reshape(-1, GROUP)
    scales = groups.abs().amax(dim=1, keepdim=True) / 127
    numbers = (groups / scales).nan_to_num_().round_()  # 0 / 0 in a group of zeros
    if not torch.equal(scales * numbers, groups):
        return b""
    blocks = np.empty((len(groups), 4 + GROUP), np.uint8)
    blocks[:, :4] = scales.numpy().astype("<f4").view(np.uint8)
    blocks[:, 4:] = numbers.to(torch.int8).numpy().view(np.uint8)
    return blocks.tobytes()
