"""Models of the catalog that are another one with an adapter of the package in its weights.

A folder of such a name without weights of its own is opened as the folder beside it, of the model
that it is tuned from, with the adapter: what `groundup app` carries, which has both models.
"""

from dataclasses import replace
from pathlib import Path

import torch

from groundup.model.lora import merge_lora
from groundup.weights import pulled
from groundup.weights.assemble import Model
from groundup.weights.catalog import untuned
from groundup.weights.hf import HF_READER
from groundup.weights.lora_file import attach_lora_file
from groundup.weights.model_format import OpenModel
from groundup.weights.safetensors_header import WEIGHTS_FILE
from groundup.weights.verify import verify_covered


def tune(model: Model, name: str) -> None:
    """Put the adapter of a tuned model into the weights of the one that it is tuned from, in
    float32. Raises FormatError, ModelError for another model.
    """
    attach_lora_file(model, model.transformer, pulled.ADAPTERS / f"{name}.safetensors")
    merge_lora(model)


def has_no_weights(folder: Path) -> bool:
    """Whether a folder is that of a tuned model without weights of its own."""
    return untuned(folder.name) != folder.name and not (folder / WEIGHTS_FILE).exists()


def _open(folder: Path, dtype: torch.dtype) -> OpenModel:
    base = folder.parent / untuned(folder.name)
    verify_covered(base)
    opened = HF_READER.open(base, torch.float32)
    tune(opened.model, folder.name)
    opened.model.to(dtype)
    return replace(opened, path=folder)


TUNED_READER = replace(HF_READER, open=_open)
