"""What can be said of a model without loading its weights: read from its files' headers, as true as they are."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from groundup.files import MANIFEST, sha256_file
from groundup.model.config import ModelConfig
from groundup.model.sizes import parameter_count
from groundup.tokenizer.tools import call_format
from groundup.weights.formats import reader_of
from groundup.weights.hf_config import ModelKind
from groundup.weights.model_io import find_model
from groundup.weights.model_summary import read_model_summary


@dataclass(frozen=True)
class ModelInfo:
    """One model on this machine."""

    path: Path
    """Where it is: never told to a client."""
    config: ModelConfig
    kind: ModelKind
    labels: tuple[str, ...]
    format: str
    """"safetensors" or "gguf"."""
    stored_as: str
    """How most of its numbers are stored: "F32", "Q8_0"."""
    size_bytes: int
    modified: datetime
    digest: str
    """64 hexadecimal digits that change when the model does."""
    parameters: int
    license: str
    calls_tools: bool
    """Whether its chat template knows tools, in a format of calls that can be read."""
    chats: bool
    """Whether it was tuned to answer; a base model only continues texts."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What it can be asked for here."""
        if self.kind == "classifier":
            return ("classification",)
        return ("completion", "embedding", *(("tools",) if self.calls_tools else ()))


def read_model_info(name_or_path: str | Path) -> ModelInfo:
    """The facts of a model. Raises ModelError (none there, half-written) and FormatError (damaged)."""
    path = find_model(name_or_path)
    outline = read_model_summary(str(path))
    reader = reader_of(path)
    texts = reader.texts(path)
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    return ModelInfo(
        path=path,
        config=outline.config,
        kind=outline.kind,
        labels=outline.labels,
        format=reader.storage,
        stored_as=max(outline.stored, key=lambda kind: outline.stored[kind], default=""),
        size_bytes=sum(outline.stored.values()),
        modified=datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC),
        digest=_digest(path, files),
        parameters=parameter_count(outline.config, num_labels=len(outline.labels)).total,
        license=texts.license,
        calls_tools=call_format(texts.chat_template) is not None,
        chats=texts.chats,
    )


def _digest(path: Path, files: list[Path]) -> str:
    """The hash of its manifest, which has those of all files; without one, of their names, sizes and times: weights take long to hash."""
    if (path / MANIFEST).is_file():
        return sha256_file(path / MANIFEST)
    seen = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(seen).encode()).hexdigest()


def template_and_stops(path: Path) -> tuple[str, list[str]]:
    """The chat template of a model ("" where it brings none) and the texts of the tokens that end its answers. Raises FormatError."""
    tokenizer = reader_of(path).tokenizer(path)
    if tokenizer is None:
        return "", []
    stops = sorted(text for text, id in tokenizer.special.tokens.items() if id in tokenizer.special.stop_ids)
    return tokenizer.chat_template or "", stops
