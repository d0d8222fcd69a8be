"""One safetensors file with a whole model: config.json, tokenizer.json and tokenizer_config.json
stand as text in its metadata. The page with a model inside (`groundup lab --live`) saves what it
has trained so.

It is read as a Hugging Face folder whose weights are elsewhere: the texts are written into a
temporary folder. Every check of `hf.py` holds.
"""

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from groundup.errors import FormatError
from groundup.files import write_text
from groundup.tokenizer.fast import CONFIG_FILE as TOKENIZER_CONFIG
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer
from groundup.weights.hf import HF_READER, opened_of, read_hf
from groundup.weights.hf_config import CONFIG_FILE
from groundup.weights.hf_files import list_tensors, stored_bytes, summary_of
from groundup.weights.model_format import ModelReader, ModelSummary, ModelTexts, OpenModel
from groundup.weights.safetensors_header import read_metadata

ONE_FILE_SUFFIX = ".safetensors"
TEXTS = (CONFIG_FILE, TOKENIZER_FILE, TOKENIZER_CONFIG)


@contextmanager
def unpacked(file: Path) -> Iterator[Path]:
    """A folder with the texts of the metadata. Raises FormatError where there is no
    config.json among them.
    """
    metadata = read_metadata(file)
    if CONFIG_FILE not in metadata:
        fix = "Give the folder that it is in, with its config.json."
        raise FormatError(file, CONFIG_FILE, "is not in its metadata: weights alone", fix=fix)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / file.stem
        folder.mkdir()
        for name in TEXTS:
            if name in metadata:
                write_text(folder / name, metadata[name])
        yield folder


def _open(file: Path, dtype: torch.dtype) -> OpenModel:
    with unpacked(file) as folder:
        opened = opened_of(*read_hf(folder, dtype=dtype, weights=file), folder)
        return dataclasses.replace(opened, path=file)


def _summary(file: Path) -> ModelSummary:
    with unpacked(file) as folder:
        stored = stored_bytes(list_tensors(folder, file))
        return dataclasses.replace(summary_of(folder, stored), source=str(file))


def _texts(file: Path) -> ModelTexts:
    with unpacked(file) as folder:
        return dataclasses.replace(HF_READER.texts(folder), chats=False)


def _tokenizer(file: Path) -> Tokenizer | None:
    with unpacked(file) as folder:
        return HF_READER.tokenizer(folder)


ONE_FILE_READER = ModelReader("safetensors", _open, _summary, _texts, _tokenizer)
