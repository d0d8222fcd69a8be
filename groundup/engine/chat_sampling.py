"""How answers are drawn where a person talks with a model: in `groundup chat` and on the page of `groundup serve`.

The model's own generation_config.json decides, and where it is silent the values here. The two APIs have the defaults of their dialects instead.
Small models need the narrow choice: drawing from all 49,152 tokens of SmolLM2 at temperature 0.8 soon takes one that no text would have.
"""

from pathlib import Path
from typing import Any

from groundup.weights.generation_config import read_sampling

CHAT_MAX_TOKENS = 512
CHAT_SAMPLING: dict[str, Any] = {
    "temperature": 0.7,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.05,
    "repetition_penalty": 1.0,
}


def chat_sampling(path: Path) -> dict[str, Any]:
    """Fields of `Sampling` for the model at `path`, a folder or a .gguf file."""
    return {**CHAT_SAMPLING, **read_sampling(path)}
