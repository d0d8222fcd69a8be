"""Quantised weights on disk (model/quantised.py), read as they are: nothing is rounded again.

    MODEL/packed/int4-v2/model.safetensors, manifest.json       beside a model's own weights, made
                                                                once by `open_packed`
    the same without weights beside it                          a folder of `convert --precision`

A file has the parameters and buffers of the quantised model by our names: int8 [O, C] with bf16
scales [O], or uint8 [O/8, C/32, 4, 8, 4] with bf16 scales and offsets [O/8, C/32, 8, 2]; the rest
in bf16. Where it, or the config and weights it was made of, does not agree with the hashes of the
manifest, it is made again. Classifiers, encoders, adapters, GGUF files and folders without a
manifest of ours are quantised in memory each time.
"""

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import nn

from groundup.errors import ConfigError, DiskError, FormatError, ModelError
from groundup.files import MANIFEST, atomic_folder, read_json, sha256_file, write_json
from groundup.locks import only_one, remove_temporaries
from groundup.model.heads import LanguageModel
from groundup.model.quantised import Bits, Quantised, dequantise, quantise
from groundup.progress import Progress
from groundup.weights.assemble import check_table, empty_model, parameter_shapes
from groundup.weights.card import GENERATION_FILE, read_sampling
from groundup.weights.hf import HF_READER, opened_of, save_tensors, summary_of, write_texts
from groundup.weights.hf_config import CONFIG_FILE, HFConfig, has_class, read_hf_config
from groundup.weights.hf_families import KIND_NAMES
from groundup.weights.model_format import (
    ExportOptions,
    ModelFormat,
    ModelReader,
    ModelSummary,
    OpenModel,
    require_fitting,
    write_card,
)
from groundup.weights.names import hf_bindings
from groundup.weights.packed_files import BITS as BITS
from groundup.weights.packed_files import (
    is_language_model,
    made_of,
    note_unchanged,
    packed_bits,
    packed_folder,
    read_memory,
    refusal,
    source_of,
    verified_table,
    verify_kept,
)
from groundup.weights.packed_files import keeps_packed as keeps_packed
from groundup.weights.safetensors_header import WEIGHTS_FILE, open_tensors, read_header
from groundup.weights.verify import Covered, covered, verify_covered

# What numbers are stored as; all else is bf16.
STORED = {torch.int8: "I8", torch.uint8: "U8"}


def unpacked_note(path: Path, precision: str) -> str:
    """A sentence where packed weights are opened in another precision."""
    if not path.is_dir():
        return ""
    bits = packed_bits(path)
    if bits in (None, precision):
        return ""
    return f"{path} holds {bits} weights, which are unpacked for {precision}; --precision {bits} uses them as they are."


def open_packed(
    path: Path, bits: Bits, read: Callable[[], OpenModel], progress: Progress
) -> tuple[OpenModel, Quantised] | None:
    """Open a language model with packed weights, made first where they are missing or do not agree;
    None: this model has none. `read` opens it in bf16. Raises FormatError for a damaged model, not
    for damaged packed weights.
    """
    if not path.is_dir():
        return None
    found = covered(path)
    if found is None or packed_bits(path) not in (None, bits) or not is_language_model(path):
        return None
    folder = packed_folder(path, bits)
    if packed_bits(path) == bits:
        verify_covered(
            path, by_size=[f"{folder.relative_to(path).as_posix()}/{WEIGHTS_FILE}"]
        )  # read_packed hashes it
        return _open(path, bits, made_of(found))
    refused = refusal(folder)
    if refused:
        progress.say(
            f"note: {refused}, so packed weights are not kept there: the model is packed in memory."
        )
    elif folder.exists() and (kept := _open_kept(path, bits, found, progress)):
        return kept
    opened = read()
    made = quantise(opened.model, bits)
    if refused or not _write_kept(opened.model, path, bits, made_of(found)):
        return opened, made
    del opened  # before the same numbers are read
    return _open(path, bits, made_of(found))


def _open_kept(
    path: Path, bits: Bits, found: Covered, progress: Progress
) -> tuple[OpenModel, Quantised] | None:
    """With packed weights that lie beside its own; None where they do not agree, which is said."""
    now_s, unchanged = time.time(), verify_kept(path, bits, found)
    try:
        model, made = read_packed(path, bits, made_of(found))
    except FormatError as error:
        progress.say(f"{error.message}. The packed weights are made again.")
        return None
    if not unchanged:
        note_unchanged(path, bits, now_s)
    return require_fitting(opened_of(model, (), path)), made


def _open(path: Path, bits: Bits, source: str) -> tuple[OpenModel, Quantised]:
    model, made = read_packed(path, bits, source)
    return require_fitting(opened_of(model, (), path)), made


def _write_kept(model: nn.Module, path: Path, bits: Bits, source: str) -> bool:
    """False where that can't be done now: no permission, no space, another process at it."""
    folder = packed_folder(path, bits)
    try:
        with only_one(folder.parent):
            remove_temporaries(folder.parent)
            write_packed(model, folder, bits, source)
    except (ConfigError, DiskError, OSError):
        return False
    return True


def write_packed(model: nn.Module, folder: Path, bits: Bits, source: str) -> None:
    """Write a whole folder. Raises DiskError."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    needed_bytes = sum(tensor.nbytes for tensor in tensors.values()) + 2**20
    with atomic_folder(
        folder, needed_bytes=needed_bytes, extra={"packed": bits, "of": source}
    ) as temporary:
        save_tensors(tensors, temporary / WEIGHTS_FILE)


def read_packed(path: Path, bits: Bits, source: str) -> tuple[LanguageModel, Quantised]:
    """A model and what is packed. Raises FormatError, also for weights that were made of other
    files.
    """
    file, table = packed_folder(path, bits) / WEIGHTS_FILE, verified_table(path, bits, source)
    model = empty_model(read_hf_config(path))
    assert isinstance(model, LanguageModel)
    made = quantise(model, bits)
    expected = model.state_dict()
    bindings = hf_bindings(model.config, parameter_shapes(model), own=True)
    check_table(bindings, {name: entry.shape for name, entry in table.items()}, file)
    for name, tensor in expected.items():
        kind = STORED.get(tensor.dtype, "BF16")
        if table[name].dtype != kind:
            raise FormatError(
                file, f"tensor {name!r}", f"is of {table[name].dtype}, {kind} is expected"
            )
    numbers = {name: tensor for name, tensor in model.named_buffers() if name in expected}
    with open_tensors(file) as opened:  # mapped: of the embedding, only rows that are used are read
        tensors = {name: opened.get_tensor(name) for name in expected if name not in numbers}
    for name, part in read_memory(file, {name: table[name] for name in numbers}).items():
        tensors[name] = torch.from_numpy(part).view(numbers[name].dtype).view(numbers[name].shape)
    model.load_state_dict(tensors, strict=True, assign=True)
    return model.eval(), made


def _open_dequantised(folder: Path, dtype: torch.dtype) -> OpenModel:
    bits, found = packed_bits(folder), covered(folder)
    assert bits is not None
    if found is None:
        raise FormatError(
            folder / MANIFEST, "file", "is missing, which every folder of packed weights has"
        )
    opened, _ = _open(folder, bits, made_of(found))
    dequantise(opened.model, dtype)
    return opened


def _summary(folder: Path) -> ModelSummary:
    bits = packed_bits(folder)
    assert bits is not None
    entries = read_header(packed_folder(folder, bits) / WEIGHTS_FILE).values()
    return summary_of(folder, {bits: sum(entry.end - entry.begin for entry in entries)})


def _export(opened: OpenModel, out: Path, options: ExportOptions) -> None:
    if not isinstance(opened.model, LanguageModel):
        raise ModelError(
            f"{opened.path} is {KIND_NAMES[opened.kind]}; only language models have packed weights.",
            fix="Choose `to` hf.",
        )
    bits = cast(Bits, options.quantization)
    hf = HFConfig(opened.config, "language", own=not has_class(opened.config))
    model = copy.deepcopy(opened.model).bfloat16()
    quantise(model, bits)
    with atomic_folder(out, extra={"exported": "packed"}) as folder:
        write_texts(hf, folder, opened.tokenizer, "bfloat16")
        if sampling := read_sampling(opened.path):
            write_json(
                folder / GENERATION_FILE, {**read_json(folder / GENERATION_FILE), **sampling}
            )
        write_card(opened, folder)
        source = source_of({CONFIG_FILE: sha256_file(folder / CONFIG_FILE)})
        write_packed(model, packed_folder(folder, bits), bits, source)


PACKED_READER = ModelReader(
    "safetensors", _open_dequantised, _summary, HF_READER.texts, HF_READER.tokenizer
)
PACKED = ModelFormat("packed", "", BITS, "int8", _export)
