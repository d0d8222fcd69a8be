"""Facts about a model that are read from its files' headers, without loading weights; and how deterministic its answers are."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundup.engine.precision import PrecisionChoice
from groundup.files import MANIFEST, sha256_file
from groundup.model.config import ModelConfig
from groundup.model.sizes import parameter_count
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer, read_template
from groundup.tokenizer.formats import tokenizer_from_gguf
from groundup.tokenizer.tools import call_format
from groundup.weights.card import is_from_scratch, read_license
from groundup.weights.gguf_header import read_gguf_header
from groundup.weights.hf_config import ModelKind
from groundup.weights.model_io import find_model
from groundup.weights.model_summary import read_model_summary


@dataclass(frozen=True)
class ModelInfo:
    """One model on this machine."""

    path: Path
    """Its location on disk; never sent to a client."""
    config: ModelConfig
    kind: ModelKind
    labels: tuple[str, ...]
    format: str
    """"safetensors" or "gguf"."""
    stored_as: str
    """The storage type of most of its weights: "F32", "Q8_0"."""
    size_bytes: int
    modified: datetime
    digest: str
    """64 hexadecimal digits that change when the model does."""
    parameters: int
    license: str
    calls_tools: bool
    """Whether its chat template supports tools, in a call format that can be parsed."""
    chats: bool
    """Whether it is a chat model; a base model only continues texts."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The requests that it can serve."""
        if self.kind == "classifier":
            return ("classification",)
        return ("completion", "embedding", *(("tools",) if self.calls_tools else ()))


def read_model_info(name_or_path: str | Path) -> ModelInfo:
    """Return the facts about a model. Raises ModelError (missing or incomplete) and FormatError (damaged)."""
    path = find_model(name_or_path)
    summary = read_model_summary(str(path))
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    return ModelInfo(
        path=path,
        config=summary.config,
        kind=summary.kind,
        labels=summary.labels,
        format="safetensors" if path.is_dir() else "gguf",
        stored_as=max(summary.stored, key=lambda kind: summary.stored[kind], default=""),
        size_bytes=sum(summary.stored.values()),
        modified=datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC),
        digest=_digest(path, files),
        parameters=parameter_count(summary.config, num_labels=len(summary.labels)).total,
        **(_of_folder(path) if path.is_dir() else _of_gguf(path)),
    )


def _digest(path: Path, files: list[Path]) -> str:
    """Return the hash of its manifest (which holds those of all files), else of names, sizes and times, as hashing weights takes long."""
    if (path / MANIFEST).is_file():
        return sha256_file(path / MANIFEST)
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()


def _of_folder(path: Path) -> dict[str, Any]:
    """Return the facts of a folder. Our own tokenizers always have a chat template, so the model card says whether it is a chat model."""
    template = read_template(path)
    return {
        "license": read_license(path),
        "calls_tools": call_format(template) is not None,
        "chats": template is not None and not is_from_scratch(path),
    }


def _of_gguf(path: Path) -> dict[str, Any]:
    metadata = read_gguf_header(path).metadata
    licence, template = metadata.get("general.license"), metadata.get("tokenizer.chat_template")
    return {
        "license": licence if isinstance(licence, str) else "",
        "calls_tools": isinstance(template, str) and call_format(template) is not None,
        "chats": isinstance(template, str),
    }


def read_tokenizer(path: Path) -> Tokenizer | None:
    """Return the tokenizer of a model's folder or .gguf file, or None. Raises FormatError."""
    if path.is_file():
        metadata = read_gguf_header(path).metadata
        return tokenizer_from_gguf(metadata, source=path) if "tokenizer.ggml.model" in metadata else None
    return Tokenizer.load(path) if (path / TOKENIZER_FILE).is_file() else None


def template_and_stops(path: Path) -> tuple[str, list[str]]:
    """Return a model's chat template ("" without one) and the texts of its stop tokens. Raises FormatError."""
    tokenizer = read_tokenizer(path)
    if tokenizer is None:
        return "", []
    stops = sorted(text for text, id in tokenizer.special.tokens.items() if id in tokenizer.special.stop_ids)
    return tokenizer.chat_template or "", stops


def determinism_note(precision: PrecisionChoice, *, reproducible: bool) -> str:
    """Return one sentence, for the log and /api/show, on whether an answer depends on concurrent requests.

    >>> determinism_note("int8", reproducible=False)
    'Precision int8: an answer may differ with concurrent requests; --reproducible makes it the same.'
    """
    if reproducible:
        return f"Precision {precision}, reproducible: with a seed, or at temperature 0, an answer is the same alone and among others."
    if precision == "float32":
        # 51,200 draws from the logits of 512 positions of SmolLM2, computed alone and among 32: none differed (docs/serving.md).
        return (
            "Precision float32: with a seed, or at temperature 0, an answer is the same alone and among others, except where two tokens "
            "differ by no more than float32 rounding (in 51,200 measured draws: none); --reproducible excludes that, too."
        )
    return f"Precision {precision}: an answer may differ with concurrent requests; --reproducible makes it the same."
