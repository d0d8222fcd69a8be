"""A format of models: how its files are opened and described, and what can be written in it
(`formats.FORMATS`). Torch is not imported.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import ConfigError, FormatError, ModelError
from groundup.files import disk_errors, make_folder, read_manifest, write_bytes, write_text
from groundup.locks import temporary_folder
from groundup.model.config import ModelConfig
from groundup.progress import Progress
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer
from groundup.weights.card import (
    CARD_FILE,
    ModelCard,
    read_title,
)
from groundup.weights.decision_rule import DecisionRule
from groundup.weights.hf_families import ModelKind
from groundup.weights.sentence_folder import Prompts

if TYPE_CHECKING:
    import torch

    from groundup.weights.assemble import Model
    from groundup.weights.stacked import Stacked

# Called with a finished GGUF file.
Check = Callable[[Path], None]


@dataclass(frozen=True)
class OpenModel:
    model: "Model"
    """On the device and in the dtype that were asked for, set to evaluation."""
    tokenizer: Tokenizer | None
    """None: the folder has none; verbs that take text refuse, tensors work."""
    config: ModelConfig
    path: Path
    kind: ModelKind
    labels: tuple[str, ...] = ()
    """In the order of the scores."""
    license: str = ""
    """The hub's word for it."""
    decision: DecisionRule = field(default_factory=DecisionRule)
    stacked: "Stacked | None" = None
    """Of a classifier: what gives its scores instead of its plain head."""
    prompts: Prompts = field(default_factory=Prompts)
    """Of an encoder: what stands before its texts."""
    adapter: Any = None
    """The `Adapter` that is in its weights; None: no adapter's folder."""

    def require_tokenizer(self) -> Tokenizer:
        return require_tokenizer(self.tokenizer, self.path)


def require_tokenizer(tokenizer: Tokenizer | None, path: Path) -> Tokenizer:
    """Raises ModelError when there is none."""
    if tokenizer is None:
        raise ModelError(
            f"{path} has no tokenizer, so it can't read text.",
            fix=f"Put its {TOKENIZER_FILE} there.",
        )
    return tokenizer


def require_fitting(opened: OpenModel) -> OpenModel:
    """The embedding must have a row for each id of the tokenizer. Raises FormatError."""
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
    config: ModelConfig
    source: str
    """In words: "the preset quickstart", "runs/mine/config.json"."""
    name: str
    kind: ModelKind = "language"
    labels: tuple[str, ...] = ()
    stored: dict[str, int] = field(default_factory=dict)
    """Bytes on disk by type ("F32", "Q8_0"); empty: no weights yet."""


@dataclass(frozen=True)
class ModelTexts:
    """What the files of a model say beside its weights and its shape."""

    license: str
    chat_template: str | None
    chats: bool
    """Whether it was tuned to answer; a base model only continues texts."""


@dataclass(frozen=True)
class ModelReader:
    """How models of one format are read: from a path that exists; FormatError for damaged files."""

    storage: str
    """"safetensors", "gguf"."""
    open: "Callable[[Path, torch.dtype], OpenModel]"
    """The whole model on the CPU."""
    summary: Callable[[Path], ModelSummary]
    """From the headers alone, as are the next two."""
    texts: Callable[[Path], ModelTexts]
    tokenizer: Callable[[Path], Tokenizer | None]


@dataclass(frozen=True)
class ExportOptions:
    quantization: str
    system: str | None = None
    """A system prompt for formats that hold one."""
    check: Check | None = None
    """Looks at a finished GGUF file before it takes its place."""
    progress: Progress | None = None


@dataclass(frozen=True)
class ModelFormat:
    name: str
    """As `convert --to` takes it."""
    suffix: str
    """Of its file; "" where a model is a folder."""
    quantizations: tuple[str, ...]
    default_quantization: str
    write: Callable[[OpenModel, Path, ExportOptions], None]
    """A whole model or nothing. Raises ModelError where the format can't hold it, DiskError."""
    reader: ModelReader | None = None
    """None: a target of exports only."""
    runs_in_llamacpp: bool = False
    """Whether `check` of the options is called."""

    def require_writable(self, out: Path) -> None:
        """Refuse a path of another form, or that holds what must not be replaced. Raises
        ConfigError, ModelError.
        """
        if self.suffix and (out.suffix != self.suffix or out.is_dir()):
            raise ConfigError(f"`out` {out} must be a file whose name ends in {self.suffix}.")
        # a folder that holds anything but an earlier export of ours
        if not self.suffix and not is_free(out) and manifest_value(out, "exported") is None:
            raise ModelError(f"{out} is not an earlier export.", fix="Give a new or empty folder.")


def is_free(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def manifest_value(path: Path, key: str) -> Any:
    """None where the manifest says nothing, is damaged, or is not ours."""
    try:
        return read_manifest(path).get(key)
    except FormatError:
        return None


def write_checked(out: Path, options: ExportOptions, write: Callable[[Path], None]) -> None:
    """Write a file in a folder beside its place, where it is put once the options' check passed."""
    with temporary_folder(make_folder(out.parent)) as folder:
        file = folder / out.name
        write(file)
        if options.check is not None:
            options.check(file)
        with disk_errors(out):
            file.replace(out)


def model_name(opened: OpenModel) -> str:
    """Its card's title, else its folder's or file's name."""
    return read_title(opened.path) or opened.path.resolve().stem


def write_card(opened: OpenModel, folder: Path) -> None:
    """A model that has no card gets the little that is known."""
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
