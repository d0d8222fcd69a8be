"""A stacked classifier: hidden states of the language model, TF-IDF of letters, and maybe the
vectors of an encoder, each with a linear classifier, their scores added.

    scores = mean over tokens of the hidden states after some blocks x W + TF-IDF of letters x V +
        vector of the encoder x U + b

`stacked/stacked.json` (blocks, n-grams) and `stacked/stacked.safetensors` (W, V, U, b, the rarity
of the n-grams) lie in a folder of their own in the model's, and so does the encoder
(`stacked/encoder/`), so that no program takes them for weights of the model: transformers and vLLM
read the plain head, which decides by itself and differs.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from groundup.errors import FormatError
from groundup.files import atomic_file, disk_errors, read_json_object, write_json
from groundup.model.config import ModelConfig
from groundup.weights.shared_files import link_or_copy
from groundup.weights.tfidf import TfIdf

FOLDER = "stacked"
JSON_FILE, TENSOR_FILE = f"{FOLDER}/stacked.json", f"{FOLDER}/stacked.safetensors"
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
    """What a stacked classifier has learned, float64; the shares of both parts are in the
    weights.
    """

    blocks: tuple[int, ...]
    """Hidden states are read after so many blocks, ascending; none: of letters alone."""
    hidden_weight: Float[Tensor, "KC N"]
    """Of the hidden states, those after the first of `blocks` first."""
    letters: TfIdf
    """No n-grams: of hidden states alone."""
    letters_weight: Float[Tensor, "G N"]
    bias: Float[Tensor, " N"]
    encoder: Path | None = None
    """The folder of the encoder, where it has one."""
    vectors_weight: Float[Tensor, "E N"] | None = None
    """Of the encoder's vectors."""

    def scores(
        self,
        states: Float[Tensor, "texts K C"],
        texts: list[str],
        vectors: Float[Tensor, "texts E"] | None = None,
    ) -> Float[Tensor, "texts N"]:
        """Return the scores of texts, given their mean hidden states after `blocks`, and the
        encoder's `vectors` of them where there is one.
        """
        found = states.flatten(1).double() @ self.hidden_weight + self.of_letters(texts) + self.bias
        if self.vectors_weight is None:
            return found
        assert vectors is not None
        return found + vectors.double() @ self.vectors_weight

    def of_letters(self, texts: list[str]) -> Float[Tensor, "texts N"]:
        """Return what the letters of texts add to the scores."""
        found = torch.zeros(len(texts), len(self.bias), dtype=torch.float64)
        for place, text in enumerate(texts):
            indices, values = self.letters.row(text)
            found[place] = torch.from_numpy(values) @ self.letters_weight[torch.from_numpy(indices)]
        return found

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the file."""
        return {
            "hidden_weight": self.hidden_weight,
            "letters_weight": self.letters_weight,
            "letters_rarity": torch.from_numpy(self.letters.rarity),
            "bias": self.bias,
            **({} if self.vectors_weight is None else {"vectors_weight": self.vectors_weight}),
        }

    def write(self, folder: Path) -> None:
        """Write it into a model folder, with the encoder, JSON last. Raises DiskError."""
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
        write_json(folder / JSON_FILE, table)


def encoder_files(folder: Path) -> list[Path]:
    """Return the files of an encoder's folder that make its vectors."""
    return sorted(file for pattern in ENCODER_FILES for file in folder.glob(pattern))


def remove_stacked(folder: Path) -> None:
    """Remove what an earlier run left in a model folder. Raises DiskError."""
    with disk_errors(folder):
        (folder / JSON_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / FOLDER, ignore_errors=True)


def read_stacked(folder: Path, config: ModelConfig, labels: tuple[str, ...]) -> Stacked | None:
    """Return what a classifier's folder has; None: it has only the plain head.

    Raises FormatError.
    """
    file = folder / JSON_FILE
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
    """The tensors of the file, finite, float64 and of these shapes. Raises FormatError."""
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
