"""Which public models fit a machine, before anything is fetched: `groundup doctor`.

    fits = model_fits(bandwidth=read_bandwidth())

Memory is that of the packed weights (model/quantised.py), counted on modules without numbers, and
of the keys and values of `ANSWER_TOKENS`. To write a token every packed weight is read once, so
that

    tokens a second = share * bandwidth / bytes a token

where `bandwidth` is what the threads of torch read from memory together, and `share` what the
compiled step got of it where that was measured. Prompts are not counted.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, get_args

import numpy as np
import torch
from torch import nn

from groundup.kernels.module_arrays import linears
from groundup.kernels.step_shape import is_packed_whole, unsupported_part
from groundup.model.config import ModelConfig
from groundup.model.footprint import FLOAT32_BYTES, cache_bytes
from groundup.model.heads import LanguageModel
from groundup.model.presets import PRESETS, preset
from groundup.model.quantised import Bits, quantise
from groundup.weights.assemble import empty_model
from groundup.weights.catalog import CATALOG, CatalogEntry, shape_of
from groundup.weights.hf_config import HFConfig
from groundup.weights.model_hub import pulled

# A prompt with an answer.
ANSWER_TOKENS = 4096
# Python and torch.
PROGRAM_BYTES = 0.5e9
# Read in pieces, four times: more than most processors cache, and each piece short enough that
# some are read while no other program computes.
READ_BYTES, PIECE_BYTES, READ_TIMES = 256 * 2**20, 8 * 2**20, 4
# Of the bandwidth, which the compiled step gets (docs/log.md).
SHARE = 0.9
BITS: tuple[Bits, ...] = get_args(Bits)


@dataclass(frozen=True)
class ModelFit:
    """Of one model of the catalog."""

    name: str
    license: str
    download_bytes: int
    """0: it is on this machine."""
    origin: str
    """Who made the package that it comes from, where that is not the model's publisher."""
    memory_bytes: Mapping[Bits, int]
    tokens_per_s: Mapping[Bits, float]
    """Expected of one answer; empty where the compiled step does not know the architecture."""
    obstacle: str
    """Why it does not fit; "": it does."""


def read_bandwidth() -> float:
    """Bytes a second that torch's threads read from memory: of the best piece, since other programs
    only slow it.
    """
    numbers = torch.from_numpy(np.ones(READ_BYTES // FLOAT32_BYTES, np.float32))
    taken_s = []
    for piece in READ_TIMES * numbers.split(PIECE_BYTES // FLOAT32_BYTES):
        started = time.perf_counter()
        piece.sum()
        taken_s.append(time.perf_counter() - started)
    return PIECE_BYTES / min(taken_s)


def model_fits(*, bandwidth: float, memory_bytes: float, disk_bytes: float) -> list[ModelFit]:
    """The language models of the catalog whose shape is known, smallest first. `bandwidth` in bytes
    a second; memory of the machine and free disk in bytes.
    """
    named = {name: entry for name, entry in CATALOG.items() if shape_of(name) in PRESETS}
    return [
        _fit(name, entry, bandwidth, memory_bytes, disk_bytes)
        for name, entry in sorted(named.items(), key=lambda item: item[1].parameters)
    ]


def _fit(
    name: str, entry: CatalogEntry, bandwidth: float, memory_bytes: float, disk_bytes: float
) -> ModelFit:
    config, is_here = preset(shape_of(name)), pulled(name) is not None
    packed = {bits: packed_bytes(config, bits) for bits in BITS}
    cache = cache_bytes(
        config, batch=1, capacity=min(ANSWER_TOKENS, config.context_tokens), value_bytes=2
    )
    speeds: dict[Bits, float] = {}
    if not unsupported_part(config):
        speeds = {
            bits: SHARE * bandwidth / packed[bits].read
            for bits in BITS
            if is_packed_whole(config, bits)
        }
    download_bytes = 0 if is_here else entry.download_bytes
    return ModelFit(
        name,
        entry.license,
        download_bytes,
        entry.origin,
        {bits: packed[bits].kept + cache for bits in BITS},
        speeds,
        "" if is_here else _obstacle(entry, memory_bytes, disk_bytes),
    )


def _obstacle(entry: CatalogEntry, memory_bytes: float, disk_bytes: float) -> str:
    """A pulled model is converted in float32 in memory, and kept so on the disk."""
    float32_bytes = FLOAT32_BYTES * entry.parameters
    needs = {
        "memory": (float32_bytes + PROGRAM_BYTES, memory_bytes),
        "disk": (float32_bytes + entry.download_bytes, disk_bytes),
    }
    lacking = (
        f"pulling needs {needed / 1e9:.1f} GB of {what}, here are {found / 1e9:.1f}"
        for what, (needed, found) in needs.items()
        if needed > found
    )
    return "; ".join(lacking)


class PackedBytes(NamedTuple):
    kept: int
    """In memory."""
    read: int
    """For a token, by the compiled step."""


def packed_bytes(config: ModelConfig, bits: Bits) -> PackedBytes:
    """Of packed weights, from shapes alone. All blocks have the shapes of the first."""
    model = packed_model(replace(config, num_layers=1), bits)
    block, more = model.transformer.block(0), config.num_layers - 1
    matrices = [] if unsupported_part(config) else list(dict.fromkeys(linears(model)))
    return PackedBytes(
        num_bytes(model) + more * num_bytes(block),
        num_bytes(*matrices) + more * num_bytes(*matrices[:-1]),  # the last is the head
    )


def packed_model(config: ModelConfig, bits: Bits) -> LanguageModel:
    """On the meta device: shapes without numbers."""
    model = empty_model(HFConfig(config, "language"))
    assert isinstance(model, LanguageModel)
    quantise(model.bfloat16(), bits)
    return model


def num_bytes(*modules: nn.Module) -> int:
    return sum(tensor.nbytes for each in modules for tensor in each.state_dict().values())
