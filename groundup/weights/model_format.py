"""A format of models: how its files are opened and described, and what can be written in it.

`hf`, `gguf` and `ollama` each end with their `ModelFormat`; `formats.FORMATS` is the registry that
all verbs use.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from groundup.errors import ConfigError, FormatError, ModelError
from groundup.files import read_manifest, write_bytes, write_text
from groundup.model.config import ModelConfig
from groundup.progress import Progress
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer
from groundup.weights.assemble import Model
from groundup.weights.card import CARD_FILE, ModelCard, read_title
from groundup.weights.decision_rule import DecisionRule
from groundup.weights.hf_families import ModelKind
from groundup.weights.stacked import Stacked

# Called with a finished GGUF file.
Check = Callable[[Path], None]


@dataclass(frozen=True)
class OpenModel:
    """A model ready to use, and where it came from."""

    model: Model
    """On the device and in the dtype that were asked for, set to evaluation."""
    tokenizer: Tokenizer | None
    """None: the folder has none; verbs that take text refuse, tensors work."""
    config: ModelConfig
    path: Path
    kind: ModelKind
    labels: tuple[str, ...] = ()
    """Of a classifier, in the order of its scores."""
    license: str = ""
    """The hub's word for it, where a card or the GGUF names one."""
    decision: DecisionRule = field(default_factory=DecisionRule)
    """Of a classifier: how its scores become a label."""
    stacked: Stacked | None = None
    """Of a classifier: what gives its scores instead of its plain head."""
    adapter: Any = None
    """The `weights.adapter.Adapter` that is in its weights; None: it is no adapter's folder."""

    def require_tokenizer(self) -> Tokenizer:
        """Return the tokenizer. Raises ModelError when the model has none."""
        return require_tokenizer(self.tokenizer, self.path)


def require_tokenizer(tokenizer: Tokenizer | None, path: Path) -> Tokenizer:
    """Return the tokenizer of the model at `path`. Raises ModelError when there is none."""
    if tokenizer is None:
        raise ModelError(
            f"{path} has no tokenizer, so it can't read text.",
            fix=f"Put its {TOKENIZER_FILE} there.",
        )
    return tokenizer


def require_fitting(opened: OpenModel) -> OpenModel:
    """Return a model whose embedding has a row for each id of its tokenizer. Raises FormatError."""
    if opened.tokenizer is not None and opened.tokenizer.vocab_size > opened.config.vocab_size:
        raise FormatError(
            opened.path,
            "vocabulary",
            f"the tokenizer has {opened.tokenizer.vocab_size} ids, the model's embedding {opened.config.vocab_size} rows",
            fix="Use the tokenizer that the model was trained with.",
        )
    return opened


@dataclass(frozen=True)
class ModelSummary:
    """A model's shape and where it was read."""

    config: ModelConfig
    source: str
    """In words: "the preset quickstart", "runs/mine/config.json"."""
    name: str
    kind: ModelKind = "language"
    labels: tuple[str, ...] = ()
    stored: dict[str, int] = field(default_factory=dict)
    """Bytes of the weights on disk by their type ("F32", "Q8_0"); empty: there are none, or none
    yet.
    """


@dataclass(frozen=True)
class ModelTexts:
    """What the files of a model say beside its weights and its shape."""

    license: str
    """The hub's word for it; "" where none is named."""
    chat_template: str | None
    chats: bool
    """Whether it was tuned to answer; a base model only continues texts."""


@dataclass(frozen=True)
class ModelReader:
    """How models of one format are read.

    Every function takes a path that exists and raises FormatError for damaged files.
    """

    storage: str
    """What the weights are stored in, as the APIs name it: "safetensors", "gguf"."""
    open: Callable[[Path, torch.dtype], OpenModel]
    """The whole model on the CPU."""
    summary: Callable[[Path], ModelSummary]
    """From the headers alone, as are the next two."""
    texts: Callable[[Path], ModelTexts]
    tokenizer: Callable[[Path], Tokenizer | None]


@dataclass(frozen=True)
class ExportOptions:
    """What is asked for when a model is written."""

    quantization: str
    system: str | None = None
    """A system prompt for formats that hold one."""
    check: Check | None = None
    """Looks at a finished GGUF file before it takes its place: what it raises leaves the place as
    it was.
    """
    progress: Progress | None = None


@dataclass(frozen=True)
class ModelFormat:
    """One format of models."""

    name: str
    """As `convert --to` takes it."""
    suffix: str
    """Of its file; "" where a model is a folder."""
    quantizations: tuple[str, ...]
    """What its weights can be written as."""
    default_quantization: str
    write: Callable[[OpenModel, Path, ExportOptions], None]
    """Write a whole model or nothing.

    Raises ModelError for a model that the format can't hold, DiskError.
    """
    reader: ModelReader | None = None
    """None: a target of exports only."""
    runs_in_llamacpp: bool = False
    """Whether `check` of the options is called."""

    def require_writable(self, out: Path) -> None:
        """Refuse an output path that is of another form, or holds what must not be replaced.

        Raises ConfigError, ModelError.
        """
        if self.suffix and (out.suffix != self.suffix or out.is_dir()):
            raise ConfigError(f"`out` {out} must be a file whose name ends in {self.suffix}.")
        # a folder that holds anything but an earlier export of ours
        if not self.suffix and not is_free(out) and manifest_value(out, "exported") is None:
            raise ModelError(f"{out} is not an earlier export.", fix="Give a new or empty folder.")


def is_free(path: Path) -> bool:
    """Whether nothing is there, or an empty folder."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def manifest_value(path: Path, key: str) -> Any:
    """Return what the manifest of a folder of ours says under `key`; None where it says nothing, is
    damaged, or is no manifest of ours.
    """
    try:
        return read_manifest(path).get(key)
    except FormatError:
        return None


def model_name(opened: OpenModel) -> str:
    """What the model is called where a format wants a name: its card's title, else its folder's or
    file's name.
    """
    return read_title(opened.path) or opened.path.resolve().stem


def write_card(opened: OpenModel, folder: Path) -> None:
    """Write the model's card beside an export; one that has none gets the little that is known."""
    source = opened.path / CARD_FILE
    if source.is_file():
        write_bytes(folder / CARD_FILE, source.read_bytes())
    else:
        card = ModelCard(
            model_name(opened),
            "Converted by groundup.",
            license=opened.license,
            labels=opened.labels,
        )
        write_text(folder / CARD_FILE, card.markdown())
