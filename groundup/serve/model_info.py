"""Facts about a model that are read from its files' headers, without loading weights; and how deterministic its answers are."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from groundup.engine.precision import PrecisionChoice
from groundup.files import MANIFEST, sha256_file
from groundup.model.config import ModelConfig
from groundup.model.sizes import parameter_count
from groundup.tokenizer.tools import call_format
from groundup.weights.formats import reader_of
from groundup.weights.hf_families import ModelKind
from groundup.weights.model_io import find_model, read_model_summary


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
    reader = reader_of(path)
    texts = reader.texts(path)
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    return ModelInfo(
        path=path,
        config=summary.config,
        kind=summary.kind,
        labels=summary.labels,
        format=reader.storage,
        stored_as=max(summary.stored, key=lambda kind: summary.stored[kind], default=""),
        size_bytes=sum(summary.stored.values()),
        modified=datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC),
        digest=_digest(path, files),
        parameters=parameter_count(summary.config, num_labels=len(summary.labels)).total,
        license=texts.license,
        calls_tools=call_format(texts.chat_template) is not None,
        chats=texts.chats,
    )


def _digest(path: Path, files: list[Path]) -> str:
    """Return the hash of its manifest (which holds those of all files), else of names, sizes and times, as hashing weights takes long."""
    if (path / MANIFEST).is_file():
        return sha256_file(path / MANIFEST)
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()


def template_and_stops(path: Path) -> tuple[str, list[str]]:
    """Return a model's chat template ("" without one) and the texts of its stop tokens. Raises FormatError."""
    tokenizer = reader_of(path).tokenizer(path)
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
