"""The only door between models and disk for the other rooms: `open_model` and `save_model`.

open_model takes a name of the catalog, a Hugging Face or run folder, a .gguf, a folder with one .gguf, or a build folder (its chat stage, or the
stage that `prefer` names). Where a manifest of ours covers it, every byte is checked first: hashing costs half a second a
gigabyte, less than reading the weights. save_model writes a folder that transformers, vLLM and Ollama open as it is.
"""

import os
from pathlib import Path
from typing import Literal

import torch

from groundup.device import Compute
from groundup.errors import FormatError, ModelError, did_you_mean
from groundup.files import write_text
from groundup.model.heads import Classifier
from groundup.progress import Progress
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model
from groundup.weights.card import CARD_FILE, ModelCard
from groundup.weights.catalog import pull
from groundup.weights.formats import file_suffixes, reader_of
from groundup.weights.hf import write_hf
from groundup.weights.hf_config import CONFIG_FILE
from groundup.weights.model_format import OpenModel
from groundup.weights.named import CATALOG
from groundup.weights.verify import verify_covered

BUILD_FILE = "build.json"


def open_model(
    name_or_path: str | Path,
    compute: Compute,
    *,
    prefer: Literal["chat", "spam", "pretrain"] = "chat",
    progress: Progress | None = None,
) -> OpenModel:
    """Open a model; a name of the catalog is pulled when it is not there yet.

    Raises ModelError (unknown name, no model there), FormatError (damaged or not understood), NetworkError (can't be pulled).
    """
    path = find_model(name_or_path, prefer=prefer, progress=progress)
    verify_covered(path)
    opened = reader_of(path).open(path, compute.dtype)
    if opened.tokenizer is not None and opened.tokenizer.vocab_size > opened.config.vocab_size:
        raise FormatError(
            path,
            "vocabulary",
            f"the tokenizer has {opened.tokenizer.vocab_size} ids, the model's embedding {opened.config.vocab_size} rows",
            fix="Use the tokenizer that the model was trained with.",
        )
    opened.model.to(device=compute.device, dtype=compute.dtype)
    return opened


def find_model(name_or_path: str | Path, *, prefer: str = "chat", progress: Progress | None = None) -> Path:
    """The model folder or .gguf file that a name or path means. Raises ModelError, NetworkError."""
    path = Path(name_or_path)
    # pathlib's own is_file raises for what can't be a name, such as a long prompt in the model's place
    if os.path.isfile(path):
        return path
    if os.path.isdir(path):
        return _inner_model(path, prefer)
    if str(name_or_path) in CATALOG:
        return pull(str(name_or_path), None, progress)
    known = did_you_mean(str(name_or_path), CATALOG)
    raise ModelError(f"There is no model {str(name_or_path)!r}: no such folder or file, and no such name.", fix=known)


def _inner_model(folder: Path, prefer: str) -> Path:
    """The folder itself, a build's stage, or the one .gguf in it."""
    if (folder / CONFIG_FILE).exists():
        return folder
    if (folder / BUILD_FILE).exists():
        stage = folder / prefer
        if not (stage / CONFIG_FILE).exists():
            raise ModelError(
                f"The build {folder} has no finished {prefer} stage.", fix="Run the same build again: it goes on."
            )
        return stage
    suffixes = file_suffixes()
    files = sorted(file for suffix in suffixes for file in folder.glob("*" + suffix))
    if len(files) == 1:
        return files[0]
    what = (
        f"{len(files)} {' or '.join(suffixes)} files, name one of them"
        if files
        else f"no {CONFIG_FILE}, so it is no model folder or half-written"
    )
    raise ModelError(
        f"{folder} can't be opened as a model: it has {what}.",
        fix=f"Give a model's folder, a .gguf file, a build's folder, or a name: {', '.join(CATALOG)}.",
    )


def save_model(
    model: Model,
    folder: Path,
    tokenizer: Tokenizer | None = None,
    *,
    labels: tuple[str, ...] = (),
    card: ModelCard | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write `model` as a Hugging Face folder in `dtype` or that of its weights, every file atomically.

    A classifier needs its `labels`. Raises ModelError when model, tokenizer and labels do not fit each other, DiskError.
    """
    _check_fit(model, tokenizer, labels)
    write_hf(model, folder, tokenizer, labels=labels, dtype=dtype)
    if card is not None:
        write_text(folder / CARD_FILE, card.markdown())


def _check_fit(model: Model, tokenizer: Tokenizer | None, labels: tuple[str, ...]) -> None:
    if isinstance(model, Classifier) != bool(labels) or (
        isinstance(model, Classifier) and model.score.weight.shape[0] != len(labels)
    ):
        scores = model.score.weight.shape[0] if isinstance(model, Classifier) else 0
        raise ModelError(f"The model has {scores} class scores, but {len(labels)} labels were given.")
    if tokenizer is not None and tokenizer.vocab_size > model.config.vocab_size:
        raise ModelError(
            f"The tokenizer has {tokenizer.vocab_size} ids, the model's embedding only {model.config.vocab_size} rows."
        )
