"""Models for every table: how transformers opens one, and where the pulled one is."""

from pathlib import Path
from typing import Any

import torch
import transformers.models.llama.modeling_llama  # noqa: F401  (else the first model pays for the import)
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from groundup.files import cache_folder
from groundup.weights.hf_config import CONFIG_FILE

PULLED = "smollm2-135m-instruct"

disable_progress_bar()


def load_transformers(folder: Path, dtype: torch.dtype) -> Any:
    """Its own class for the model in `folder`, with its fused attention, set to evaluation."""
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="sdpa"
    ).eval()


def pulled_model() -> Path | None:
    """SmolLM2's folder, or None where it was never pulled. Nothing is fetched here: `groundup pull` says what it costs."""
    folder = cache_folder("models") / PULLED
    return folder if (folder / CONFIG_FILE).exists() else None
