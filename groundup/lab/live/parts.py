"""A model in parts for the page that `groundup serve` gives: matrices in 8 bits with a scale for
each row, made from the model once and kept in the cache.

    CACHE/live/DIGEST/weights.bin   the numbers, little-endian; the page fetches it in parts of
                                    PART_BYTES
                      page.json     config, tokenizer, chat prompt, where each tensor lies, and the
                                    SHA-256 of each part

Rounded is as in `model.quantised` (round to nearest, s = max |row| / 127 in bf16), the embedding
too. A row is padded with zeros to a multiple of 16 numbers, which the page's kernel takes at once;
tensors begin at multiples of 16 bytes. Vectors, norms and learned positions stay float32.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch
from torch import Tensor

from groundup.engine.sampling import chat_sampling
from groundup.errors import ModelError
from groundup.files import (
    MANIFEST,
    atomic_folder,
    cache_folder,
    json_bytes,
    read_json_object,
    sha256_text,
    write_bytes,
)
from groundup.lab.live.supported import served_fault
from groundup.lab.live.tables import PREFIX, live_config, tokenizer_table
from groundup.lab.stream import require_language_model
from groundup.locks import hold, written_by_others
from groundup.model.config import ModelConfig
from groundup.model.quantised import round_int8
from groundup.operating_system import IS_WINDOWS
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_format import OpenModel

FOLDER, WEIGHTS_FILE, PAGE_FILE = "live", "weights.bin", "page.json"
VERSION = 1  # of these two files
PART_BYTES = 4 * 2**20
# Longer texts take minutes to read, one token after another.
CONTEXT_TOKENS = 1024
# Numbers of a row that the kernel takes at once, and bytes at whose multiples tensors begin.
STRIDE = 16
# A question that no template has: what stands before and after it belongs to the template.
QUESTION = " \ue000 "


class ModelParts(NamedTuple):
    folder: Path
    num_parts: int

    @property
    def page_file(self) -> Path:
        return self.folder / PAGE_FILE

    def read(self, part: int) -> bytes:
        """The bytes of a part, from 0: PART_BYTES, of the last one fewer. Raises IndexError."""
        if not 0 <= part < self.num_parts:
            raise IndexError(part)
        with (self.folder / WEIGHTS_FILE).open("rb") as file:
            file.seek(part * PART_BYTES)
            return file.read(PART_BYTES)


def page_config(config: ModelConfig) -> ModelConfig:
    """The model's config with as many tokens of context as the page reads."""
    return replace(config, context_tokens=min(config.context_tokens, CONTEXT_TOKENS))


def weight_bytes(config: ModelConfig, parameters: int) -> int:
    """About what weights.bin has: a byte a parameter, and the scales."""
    rows = config.vocab_size + config.num_layers * (4 * config.width + 3 * config.feedforward_width)
    return parameters + 4 * rows


def memory_bytes(config: ModelConfig, parameters: int) -> int:
    """About what a tab needs: the weights, and keys and values of the text as it is and as it is
    changed, as long as the page reads.
    """
    of_token = 8 * config.num_layers * config.num_kv_heads * config.head_width
    return weight_bytes(config, parameters) + 2 * page_config(config).context_tokens * of_token


def parts_digest(digest: str) -> str:
    """What the page's files are kept under; `digest` changes when the model does."""
    return sha256_text(f"{digest} page {VERSION}")


def kept_parts(digest: str) -> ModelParts | None:
    """Return those of a model that are in the cache; None: they are yet to be made."""
    folder = cache_folder(FOLDER) / parts_digest(digest)
    if not (hold(folder) and is_own(folder)):
        return None
    return ModelParts(folder, len(read_json_object(folder / PAGE_FILE)["parts"]))


def make_parts(opened: OpenModel, name: str, digest: str) -> ModelParts:
    """Make those of a model, which is called `name`, and keep them.

    Raises ModelError for a model that the page can't run, DiskError.
    """
    write_parts(opened, name, cache_folder(FOLDER) / parts_digest(digest))
    made = kept_parts(digest)
    if made is None:
        why = "is outside of the user's folder" if IS_WINDOWS else "can be written by other users"
        raise ModelError(f"The cache for {name} {why}: set GROUNDUP_CACHE to one of your own.")
    return made


def is_own(folder: Path) -> bool:
    """Whether the folder is whole and no other user can have written it."""
    files = (folder, folder / MANIFEST, folder / PAGE_FILE, folder / WEIGHTS_FILE)
    return all(each.exists() and not written_by_others(each) for each in files)


def write_parts(opened: OpenModel, name: str, folder: Path) -> None:
    """Write both files. Raises ModelError for a model that the page can't run, with its `name`."""
    model, tokenizer = require_language_model(opened.model), opened.require_tokenizer()
    parameters = sum(each.numel() for each in model.parameters())
    fault = served_fault(opened.config, parameters)
    if fault:
        raise ModelError(f"{name} has {fault}.", fix="Talk with it in the page's chat.")
    table = tokenizer_table(tokenizer)
    with atomic_folder(folder, needed_bytes=2 * parameters) as made:
        with (made / WEIGHTS_FILE).open("wb") as file:
            tensors = {
                each.removeprefix(PREFIX): _write_tensor(file, each, weight)
                for each, weight in model.state_dict().items()
            }
        content = {
            "config": live_config(page_config(opened.config)),
            "tokenizer": table,
            "tensors": tensors,
            "bytes": (made / WEIGHTS_FILE).stat().st_size,
            "part_bytes": PART_BYTES,
            "parts": list(_hashes(made / WEIGHTS_FILE)),
            "sampling": chat_sampling(opened.path),
            "chat": chat_prompt(tokenizer) if tokenizer.chat_template else None,
        }
        write_bytes(made / PAGE_FILE, json_bytes(content))


def is_matrix(name: str, weight: Tensor) -> bool:
    """Whether a tensor is kept in 8 bits."""
    return weight.dim() == 2 and "position_embedding" not in name


def _write_tensor(file: IO[bytes], name: str, weight: Tensor) -> dict[str, int]:
    """Write a tensor; return where it lies, in bytes (`Placed` of int8.js)."""
    if not bool(weight.isfinite().all()):
        raise ModelError("The model has weights that are not finite numbers.")
    if not is_matrix(name, weight):
        return {"start": _append(file, weight.float()), "length": weight.numel()}
    rows, columns = weight.shape
    stride = -(-columns // STRIDE) * STRIDE
    numbers, scales = round_int8(weight)
    padded = torch.nn.functional.pad(numbers, (0, stride - columns))
    return {
        "start": _append(file, padded),
        "rows": rows,
        "columns": columns,
        "stride": stride,
        "scales": _append(file, scales),
    }


def _append(file: IO[bytes], values: Tensor) -> int:
    """Return where they begin."""
    start = file.tell()
    file.write(values.contiguous().numpy().tobytes())
    file.write(bytes(-file.tell() % STRIDE))
    return start


def _hashes(file: Path) -> Iterator[str]:
    with file.open("rb") as opened:
        while part := opened.read(PART_BYTES):
            yield hashlib.sha256(part).hexdigest()


def chat_prompt(tokenizer: Tokenizer) -> dict[str, Any] | None:
    """How a question becomes a prompt by the chat template: the ids `before`, the text `start` and
    `end` around the question, encoded with it, and the ids `after`. `strips`: the template drops
    the spaces around a question. None where the template refuses a lone question.
    """
    try:
        conversation = Conversation((Message("user", QUESTION),))
        text = render(conversation, tokenizer, add_generation_prompt=True).text
    except ModelError:
        return None
    strips = QUESTION not in text
    question = QUESTION.strip() if strips else QUESTION
    parts = [part for part, _ in tokenizer.split_control(text)]
    place = next((at for at, part in enumerate(parts) if question in part), None)
    if place is None:
        return None
    start, end = parts[place].split(question, 1)
    before, after = ("".join(some) for some in (parts[:place], parts[place + 1 :]))
    return {
        "before": tokenizer.with_bos(tokenizer.encode_control(before)),
        "start": start,
        "end": end,
        "after": tokenizer.encode_control(after),
        "strips": strips,
    }
