"""What the files of a Hugging Face folder say of its model, but its weights. Without torch."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from groundup.errors import FormatError
from groundup.files import inside, read_json, safe_name
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer, read_template
from groundup.weights.card import is_from_scratch, read_license
from groundup.weights.hf_config import CONFIG_FILE, read_hf_config
from groundup.weights.model_format import ModelSummary, ModelTexts
from groundup.weights.packed_files import packed_bits
from groundup.weights.safetensors_header import (
    INDEX_FILE,
    WEIGHTS_FILE,
    TensorEntry,
    read_header,
)
from groundup.weights.verify import is_adapter

PICKLED_FILE = "pytorch_model.bin"
Entries: TypeAlias = dict[str, tuple[Path, TensorEntry]]
"""Name of a tensor -> its file and its entry there."""


def is_whole_folder(path: Path) -> bool:
    """A model's own folder: neither an adapter nor packed weights alone. Raises FormatError."""
    whole = path.is_dir() and (path / CONFIG_FILE).is_file() and not is_adapter(path)
    return whole and packed_bits(path) is None


def list_tensors(folder: Path, weights: Path | None = None) -> Entries:
    """Of `weights`, model.safetensors or all files of its index. Raises FormatError."""
    whole, index = weights or folder / WEIGHTS_FILE, folder / INDEX_FILE
    if whole.is_file():
        return {name: (whole, entry) for name, entry in read_header(whole).items()}
    if index.is_file():
        return _list_shards(folder, index)
    if (folder / PICKLED_FILE).exists():
        fix = f"Take a version with {WEIGHTS_FILE}."
        raise FormatError(
            folder, PICKLED_FILE, "holds pickled weights, which are never read", fix=fix
        )
    raise FormatError(folder, WEIGHTS_FILE, "is missing, so this is not a complete model")


def _list_shards(folder: Path, index: Path) -> Entries:
    """The index must list exactly the tensors of all shards."""
    content = read_json(index)
    files = content.get("weight_map") if isinstance(content, dict) else None
    if (
        not isinstance(files, dict)
        or not files
        or not all(isinstance(file, str) for file in files.values())
    ):
        raise FormatError(index, "weight_map", "is not a table of tensors and their files")
    listed: Entries = {}
    for name in sorted(set(files.values())):
        shard = inside(folder, safe_name(name))
        for tensor, entry in read_header(shard).items():
            if files.get(tensor) != name:
                raise FormatError(
                    shard, f"tensor {tensor[:80]!r}", "is not listed for this file in the index"
                )
            listed[tensor] = (shard, entry)
    missing = sorted(set(files) - set(listed))
    if missing:
        name = missing[0]
        raise FormatError(
            index,
            f"tensor {name[:80]!r}",
            f"is listed for {files[name][:80]!r}, which does not have it",
        )
    return listed


def folder_summary(folder: Path) -> ModelSummary:
    """A folder without weights has nothing stored."""
    listed = list_tensors(folder) if any(folder.glob("*.safetensors")) else {}
    return summary_of(folder, stored_bytes(listed))


def stored_bytes(entries: Entries) -> Counter[str]:
    """Bytes by type."""
    stored: Counter[str] = Counter()
    for _, entry in entries.values():
        stored[entry.dtype] += entry.end - entry.begin
    return stored


def summary_of(folder: Path, stored: Mapping[str, int]) -> ModelSummary:
    """By config.json; `stored`: bytes by type. Raises FormatError."""
    shape, name = read_hf_config(folder), folder.resolve().name
    return ModelSummary(
        shape.config, str(folder / CONFIG_FILE), name, shape.kind, shape.labels, dict(stored)
    )


def folder_texts(folder: Path) -> ModelTexts:
    """A tokenizer of ours always has a chat template, so the card says whether its model was
    tuned.
    """
    template = read_template(folder)
    return ModelTexts(
        read_license(folder), template, chats=template is not None and not is_from_scratch(folder)
    )


def folder_tokenizer(folder: Path) -> Tokenizer | None:
    """None where there is none. Raises FormatError."""
    if not (folder / TOKENIZER_FILE).is_file():
        return None
    return Tokenizer.load(folder)
