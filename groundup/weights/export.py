"""An open model in another format: a Hugging Face folder, a GGUF file, or a folder that Ollama makes a model of.

Folders are written whole or not at all, with a manifest; a folder that holds something else is never replaced.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import torch

from groundup.errors import ConfigError, FormatError, ModelError
from groundup.files import (
    MANIFEST,
    atomic_folder,
    disk_errors,
    read_manifest,
    temporary_folder,
    write_bytes,
    write_text,
)
from groundup.progress import Progress
from groundup.weights.card import CARD_FILE, ModelCard, read_title
from groundup.weights.gguf import write_gguf
from groundup.weights.gguf_tensors import Encoding
from groundup.weights.hf import write_hf
from groundup.weights.model_io import OpenModel
from groundup.weights.modelfile import write_modelfile

# Called with a finished GGUF file.
Check = Callable[[Path], None]
TARGETS = ("hf", "gguf", "ollama")
# What a Hugging Face folder may hold; transformers has no name for GGUF's quantised formats in safetensors.
HF_DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
GGUF_SUFFIX = ".gguf"


def export(
    opened: OpenModel,
    to: str,
    out: Path,
    *,
    encoding: str | None = None,
    system: str | None = None,
    check: Check | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write `opened` as `to` (hf, gguf, ollama) at `out`; gives `out` back.

    `check` looks at the finished GGUF file before it takes its place: what it raises leaves `out` as it was.
    Raises ConfigError for a target or encoding that is not known, ModelError for a model that the format can't hold or a folder that
    holds something else, DiskError.
    """
    encoding = check_target(to, out, encoding)
    if to == "gguf":
        return _export_gguf(opened, out, encoding, check, progress)  # type: ignore[arg-type]
    if to == "hf":
        return _export_hf(opened, out, HF_DTYPES[encoding])
    return _export_ollama(opened, out, encoding, system, check, progress)  # type: ignore[arg-type]


def check_target(to: str, out: Path, encoding: str | None) -> str:
    """Refuse what can't be written before a model is read; gives the encoding, the target's default where it is None.

    Raises ConfigError, ModelError.
    """
    if to not in TARGETS:
        raise ConfigError(f"--to {to!r} is not one of {', '.join(TARGETS)}.")
    encoding = encoding or ("f32" if to == "hf" else "f16")
    known = tuple(HF_DTYPES) if to == "hf" else get_args(Encoding)
    if encoding not in known:
        raise ConfigError(f"--encoding {encoding!r} is not one of {', '.join(known)} (for --to {to}).")
    if to != "gguf":
        require_replaceable(out)
    elif out.suffix != GGUF_SUFFIX or out.is_dir():
        raise ConfigError(f"--out {out} must be a file whose name ends in {GGUF_SUFFIX}.")
    return encoding


def require_replaceable(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier export of ours. Raises ModelError."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        if folder.is_dir() and (folder / MANIFEST).exists() and "exported" in read_manifest(folder):
            return
    except FormatError:
        pass
    raise ModelError(f"{folder} exists and is no earlier export.", fix="Give a new or empty folder with --out.")


def model_name(opened: OpenModel) -> str:
    """What the model is called where a format wants a name: its card's title, else its folder's or file's name."""
    return (read_title(opened.path) if opened.path.is_dir() else "") or opened.path.resolve().stem


def _export_gguf(
    opened: OpenModel, out: Path, encoding: Encoding, check: Check | None, progress: Progress | None
) -> Path:
    """In a folder beside its place until it is checked."""
    named = {"encoding": encoding, "name": model_name(opened), "license_id": opened.license}
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(out.parent) as folder:
        file = folder / out.name
        write_gguf(opened.model, opened.tokenizer, file, **named, progress=progress)  # type: ignore[arg-type]
        if check is not None:
            check(file)
        with disk_errors(out):
            os.replace(file, out)
    return out


def _export_hf(opened: OpenModel, out: Path, dtype: torch.dtype) -> Path:
    with atomic_folder(out, extra={"exported": "hf"}) as folder:
        write_hf(opened.model, folder, opened.tokenizer, labels=opened.labels, dtype=dtype)
        _write_card(opened, folder)
    return out


def _export_ollama(
    opened: OpenModel,
    out: Path,
    encoding: Encoding,
    system: str | None,
    check: Check | None,
    progress: Progress | None,
) -> Path:
    name = f"{safe_file_name(model_name(opened))}-{encoding}{GGUF_SUFFIX}"
    with atomic_folder(out, extra={"exported": "ollama"}) as folder:
        _export_gguf(opened, folder / name, encoding, check, progress)
        write_modelfile(folder, name, opened.require_tokenizer(), system)
        _write_card(opened, folder)
    return out


def safe_file_name(name: str) -> str:
    """A name for people -> one that files and Modelfiles take everywhere."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:100] or "model"


def _write_card(opened: OpenModel, folder: Path) -> None:
    """The model's card goes with it; one that has none gets the little that is known."""
    source = opened.path / CARD_FILE
    if source.is_file():
        write_bytes(folder / CARD_FILE, source.read_bytes())
    else:
        card = ModelCard(model_name(opened), "Converted by groundup.", license=opened.license, labels=opened.labels)
        write_text(folder / CARD_FILE, card.markdown())
