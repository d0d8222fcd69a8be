"""A stacked classifier: hidden states of the language model, TF-IDF of letters, and maybe the
vectors of an encoder, each with a linear classifier, their scores added.

    scores = mean over tokens of the hidden states after some blocks x W + TF-IDF of letters x V +
        vector of the encoder x U + b

`stacked/` holds it apart from the model: transformers and vLLM read the plain head, which differs.

The n-grams of a word are its runs of LOWEST to HIGHEST characters, in lower case and with a space
on either side (scikit-learn's `char_wb`, which the tests compare). The weight of one is (1 + ln
count) (1 + ln (1 + n) / (1 + texts that have it)).
"""

import math
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from groundup.errors import FormatError
from groundup.files import atomic_file, disk_errors, read_json_object, write_json
from groundup.model.config import ModelConfig
from groundup.weights.card import STACKED_FILE

LOWEST, HIGHEST = 2, 5


def letter_ngrams(text: str) -> list[str]:
    """Return the n-grams of a text, repeats included.

    >>> letter_ngrams("Hi")
    [' h', 'hi', 'i ', ' hi', 'hi ', ' hi ']
    """
    found: list[str] = []
    for word in text.lower().split():
        padded = f" {word} "
        for size in range(LOWEST, HIGHEST + 1):
            found += [
                padded[start : start + size] for start in range(max(1, len(padded) - size + 1))
            ]
            if len(padded) <= size:  # a short word counts once
                break
    return found


@dataclass(frozen=True)
class TfIdf:
    ngrams: tuple[str, ...]
    """In the order of the components."""
    rarity: np.ndarray
    """Inverse document frequency of each, float64."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> "TfIdf":
        counts = Counter(ngram for text in texts for ngram in set(letter_ngrams(text)))
        ngrams = tuple(sorted(counts))
        rarity = [1 + math.log((1 + len(texts)) / (1 + counts[ngram])) for ngram in ngrams]
        return cls(ngrams, np.array(rarity, dtype=np.float64))

    @cached_property
    def places(self) -> dict[str, int]:
        """N-gram -> its component."""
        return {ngram: place for place, ngram in enumerate(self.ngrams)}

    def row(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The components of a text that are not 0, and their values, a vector of length 1."""
        places = self.places
        counts = Counter(
            place for ngram in letter_ngrams(text) if (place := places.get(ngram)) is not None
        )
        indices = np.array(sorted(counts), dtype=np.int64)
        values = (
            1 + np.log(np.array([counts[place] for place in indices.tolist()], dtype=np.float64))
        ) * self.rarity[indices]
        return indices, values / max(float(np.linalg.norm(values)), 1e-12)


FOLDER = "stacked"
TENSOR_FILE = f"{FOLDER}/stacked.safetensors"
ENCODER_FOLDER = f"{FOLDER}/encoder"
ENCODER_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "tokenizer*.json",
    "README.md",
)
VERSION = 1


@dataclass(frozen=True)
class Stacked:
    """Float64; the shares of the parts are in the weights."""

    blocks: tuple[int, ...]
    """Hidden states are read after so many blocks, ascending."""
    hidden_weight: Float[Tensor, "KC N"]
    """Of the hidden states, those after the first of `blocks` first."""
    letters: TfIdf
    letters_weight: Float[Tensor, "G N"]
    bias: Float[Tensor, " N"]
    encoder: Path | None = None
    vectors_weight: Float[Tensor, "E N"] | None = None

    def scores(
        self,
        states: Float[Tensor, "texts K C"],
        texts: list[str],
        vectors: Float[Tensor, "texts E"] | None = None,
    ) -> Float[Tensor, "texts N"]:
        """Of texts, given their mean hidden states after `blocks` and the encoder's `vectors`."""
        found = states.flatten(1).double() @ self.hidden_weight + self.of_letters(texts) + self.bias
        if self.vectors_weight is None:
            return found
        assert vectors is not None
        return found + vectors.double() @ self.vectors_weight

    def of_letters(self, texts: list[str]) -> Float[Tensor, "texts N"]:
        found = torch.zeros(len(texts), len(self.bias), dtype=torch.float64)
        for place, text in enumerate(texts):
            indices, values = self.letters.row(text)
            found[place] = torch.from_numpy(values) @ self.letters_weight[torch.from_numpy(indices)]
        return found

    def tensors(self) -> dict[str, Tensor]:
        return {
            "hidden_weight": self.hidden_weight,
            "letters_weight": self.letters_weight,
            "letters_rarity": torch.from_numpy(self.letters.rarity),
            "bias": self.bias,
            **({} if self.vectors_weight is None else {"vectors_weight": self.vectors_weight}),
        }

    def write(self, folder: Path) -> None:
        """JSON last. Raises DiskError."""
        if self.encoder is not None:
            with disk_errors(folder):
                (folder / ENCODER_FOLDER).mkdir(parents=True, exist_ok=True)
                for file in encoder_files(self.encoder):
                    link_or_copy(file, folder / ENCODER_FOLDER / file.name)
        tensors = {name: tensor.double().contiguous() for name, tensor in self.tensors().items()}
        with atomic_file(
            folder / TENSOR_FILE, needed_bytes=sum(each.nbytes for each in tensors.values())
        ) as temporary:
            save_file(tensors, temporary)
        table = {
            "version": VERSION,
            "blocks": list(self.blocks),
            "ngrams": list(self.letters.ngrams),
        }
        if self.vectors_weight is not None:
            table["vector_width"] = len(self.vectors_weight)
        write_json(folder / STACKED_FILE, table)


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link, or a copy where the disk has none: our writes replace files and never modify
    one.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def encoder_files(folder: Path) -> list[Path]:
    return sorted(file for pattern in ENCODER_FILES for file in folder.glob(pattern))


def remove_stacked(folder: Path) -> None:
    """Remove what an earlier run left. Raises DiskError."""
    with disk_errors(folder):
        (folder / STACKED_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / FOLDER, ignore_errors=True)


def read_stacked(folder: Path, config: ModelConfig, labels: tuple[str, ...]) -> Stacked | None:
    """None: only the plain head. Raises FormatError."""
    file = folder / STACKED_FILE
    if not file.is_file():
        return None
    values = read_json_object(file)
    if values.get("version") != VERSION:
        reason = f"is {values.get('version')!r}, and this groundup reads {VERSION}"
        raise FormatError(file, "version", reason, fix="Use the version of groundup that wrote it.")
    blocks, ngrams = _blocks(values, file, config), _ngrams(values, file)
    shapes: dict[str, tuple[int, ...]] = {
        "hidden_weight": (len(blocks) * config.width, len(labels)),
        "letters_weight": (len(ngrams), len(labels)),
        "letters_rarity": (len(ngrams),),
        "bias": (len(labels),),
    }
    width = values.get("vector_width")
    if width is not None:
        if type(width) is not int or width < 1:
            raise FormatError(
                file, "vector_width", f"is {str(width)[:80]}, expected a positive whole number"
            )
        shapes["vectors_weight"] = (width, len(labels))
    found = _read_tensors(folder / TENSOR_FILE, shapes)
    letters = TfIdf(ngrams, found["letters_rarity"].numpy())
    encoder = None if width is None else folder / ENCODER_FOLDER
    main = (blocks, found["hidden_weight"], letters, found["letters_weight"], found["bias"])
    return Stacked(*main, encoder, found.get("vectors_weight"))


def _blocks(values: Mapping[str, Any], file: Path, config: ModelConfig) -> tuple[int, ...]:
    found = values.get("blocks")
    if (
        not isinstance(found, list)
        or not all(type(each) is int and 1 <= each <= config.num_layers for each in found)
        or found != sorted(set(found))
    ):
        reason = f"is {str(found)[:80]}, expected ascending numbers from 1 to {config.num_layers}"
        raise FormatError(file, "blocks", reason)
    return tuple(found)


def _ngrams(values: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    found = values.get("ngrams")
    if (
        not isinstance(found, list)
        or not all(isinstance(each, str) for each in found)
        or len(set(found)) < len(found)
    ):
        raise FormatError(file, "ngrams", "is no list of distinct texts")
    return tuple(found)


def _read_tensors(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise FormatError(file, "content", f"can't be read ({error})") from error
    for name, shape in shapes.items():
        tensor = tensors.get(name)
        if (
            tensor is None
            or tensor.shape != shape
            or tensor.dtype != torch.float64
            or not tensor.isfinite().all()
        ):
            found = "is missing" if tensor is None else f"is {tensor.dtype} {list(tensor.shape)}"
            raise FormatError(file, name, f"{found}, expected finite float64 {list(shape)}")
    return tensors
