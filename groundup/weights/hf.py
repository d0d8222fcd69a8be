"""A Hugging Face folder <-> a model: config.json, model.safetensors (whole or sharded),
generation_config.json.

read_hf     config.json -> a model on the meta device -> the list of tensors that must be there,
            compared with the headers of the safetensors files before a weight is read
write_hf    one model.safetensors, the two configs and the tokenizer's files, each atomically

Older files are read too: base models without a prefix in their names, causal masks among the
weights, a copy of a tied head. Pickled weights (pytorch_model.bin) are never opened.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from groundup.errors import FormatError
from groundup.files import atomic_file, atomic_folder, write_json
from groundup.model.heads import Encoder
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import (
    Model,
    check_table,
    empty_model,
    fill,
    kind_of,
    parameter_shapes,
    require_finite,
)
from groundup.weights.card import GENERATION_FILE, read_license
from groundup.weights.decision_rule import DecisionRule, read_decision
from groundup.weights.hf_config import (
    CONFIG_FILE,
    HFConfig,
    generation_json,
    has_class,
    hf_config_json,
    read_hf_config,
)
from groundup.weights.hf_files import (
    Entries,
    folder_summary,
    folder_texts,
    folder_tokenizer,
    list_tensors,
)
from groundup.weights.hf_files import summary_of as summary_of
from groundup.weights.model_format import (
    ExportOptions,
    ModelFormat,
    ModelReader,
    OpenModel,
    write_card,
)
from groundup.weights.names import LAYOUTS, hf_bindings, widened
from groundup.weights.safetensors_header import (
    INDEX_FILE,
    WEIGHTS_FILE,
    TensorEntry,
)
from groundup.weights.sentence_folder import Prompts, read_prompts, write_sentence_folder
from groundup.weights.stacked import read_stacked

FLOATS = ("F32", "F16", "BF16", "F64")
HEAD = "lm_head.weight"
# What a folder's weights can be written as; transformers has no name for GGUF's quantised formats
# in safetensors.
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def read_hf(
    folder: Path, *, dtype: torch.dtype = torch.float32, weights: Path | None = None
) -> tuple[Model, tuple[str, ...]]:
    """The model of a folder, on the CPU, and a classifier's labels; `weights`: the safetensors file
    where it is elsewhere. Raises FormatError.
    """
    hf = read_hf_config(folder)
    entries = _named_tensors(list_tensors(folder, weights), hf)
    if len(entries) < hf.config.num_layers:
        reason = f"{hf.config.num_layers} layers, but the weights are {len(entries)} tensors in all"
        raise FormatError(folder / CONFIG_FILE, "num_hidden_layers", reason)
    model = empty_model(hf)
    bindings = hf_bindings(hf.config, parameter_shapes(model), own=hf.own)
    table = {name: entry.shape for name, (_, entry) in entries.items()}
    folded = _take_folded(hf, entries, table, folder)
    whole = weights or folder / WEIGHTS_FILE
    check_table(bindings, table, whole if whole.is_file() else folder / INDEX_FILE)

    with _Opened() as opened:

        def tensor(name: str) -> Tensor:
            whole = opened.load(*entries[name])
            return (
                widened(whole) + widened(opened.load(*folded[name])[0]) if name in folded else whole
            )

        # one tensor in memory at a time
        return fill(
            model, ((each, tensor(each.theirs)) for each in bindings), dtype, folder
        ), hf.labels


def _take_folded(
    hf: HFConfig, entries: Entries, table: dict[str, tuple[int, ...]], folder: Path
) -> Entries:
    """Take the tables that are folded into others out of `table`; by the name of the other."""
    folded: Entries = {}
    for name, target in (LAYOUTS[hf.config.family].folded if not hf.own else {}).items():
        if name not in entries:
            raise FormatError(folder, f"tensor {name!r}", "is missing")
        file, entry = folded[target] = entries[name]
        if len(entry.shape) != 2 or entry.shape[0] < 1 or entry.shape[1] != hf.config.width:
            raise FormatError(
                file, f"tensor {name!r}", f"is not a table of rows of {hf.config.width}"
            )
        del table[name]
    return folded


def _named_tensors(listed: Entries, hf: HFConfig) -> Entries:
    """The tensors of a model under their full names, without those that are no weights."""
    entries: Entries = {}
    layout = None if hf.own else LAYOUTS[hf.config.family]
    bare = layout is not None and not any(name.startswith(layout.prefix) for name in listed)
    for name, (file, entry) in listed.items():
        if layout is not None and name.endswith(layout.ignored):
            continue
        if entry.dtype not in FLOATS:
            raise FormatError(
                file, f"tensor {name!r}", f"is of {entry.dtype}; {', '.join(FLOATS)} are read"
            )
        full = (
            layout.prefix + name if layout and bare and name not in (HEAD, "score.weight") else name
        )
        entries[full] = (file, entry)
    if hf.kind == "language" and hf.config.tied_head and HEAD in entries and layout:
        _check_tied(entries.pop(HEAD), entries.get(layout.rules[0].theirs + ".weight"))
    return entries


def _check_tied(head: tuple[Path, TensorEntry], embedding: tuple[Path, TensorEntry] | None) -> None:
    """The copy of a tied head that older files have must be the embedding."""
    if embedding is None:
        return
    with _Opened() as opened:
        if head[1].shape == embedding[1].shape and torch.equal(
            opened.load(*head), opened.load(*embedding)
        ):
            return
    reason = "differs from the embedding, while config.json says tie_word_embeddings"
    raise FormatError(head[0], f"tensor {HEAD!r}", reason)


class _Opened:
    """Safetensors files, each opened once; tensors stay mapped after they are closed."""

    def __init__(self) -> None:
        self._files, self._stack = dict[Path, Any](), ExitStack()

    def __enter__(self) -> "_Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def load(self, file: Path, entry: TensorEntry) -> Tensor:
        try:
            if file not in self._files:
                self._files[file] = self._stack.enter_context(safe_open(file, framework="pt"))
            tensor: Tensor = self._files[file].get_tensor(entry.name)
        except SafetensorError as error:
            reason = f"can't be read ({str(error)[:120]})"
            raise FormatError(file, f"tensor {entry.name!r}", reason) from error
        return tensor


def write_hf(
    model: Model,
    folder: Path,
    tokenizer: Tokenizer | None = None,
    *,
    labels: Sequence[str] = (),
    multi_label: bool = False,
    prompts: Prompts = Prompts(),
    dtype: torch.dtype | None = None,
) -> None:
    """Write model and tokenizer, in `dtype` or that of the weights; an encoder also as a folder of
    sentence-transformers, with its `prompts`. Raises DiskError, FormatError (not finite).
    """
    kind = kind_of(model)
    hf = HFConfig(model.config, kind, tuple(labels), multi_label, own=not has_class(model.config))
    parameters = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    tensors = {}
    for binding in hf_bindings(hf.config, parameter_shapes(model), own=hf.own):
        packed = binding.pack(parameters)
        tensors[binding.theirs] = require_finite(
            packed.to(dtype or packed.dtype), binding.theirs, folder
        )
    if not hf.own:
        first = next(iter(tensors.values()))
        tensors |= {
            name: first.new_zeros(1, model.config.width)
            for name in LAYOUTS[model.config.family].folded
        }
    needed_bytes = sum(tensor.nbytes for tensor in tensors.values())
    with atomic_file(folder / WEIGHTS_FILE, needed_bytes=needed_bytes) as temporary:
        save_tensors(tensors, temporary)
    name = str(next(iter(tensors.values())).dtype).removeprefix("torch.")
    if isinstance(model, Encoder):
        write_sentence_folder(
            folder,
            width=model.config.width,
            context_tokens=model.config.context_tokens,
            pooling=model.pooling,
            prompts=prompts,
        )
    write_texts(hf, folder, tokenizer, name)


def write_texts(hf: HFConfig, folder: Path, tokenizer: Tokenizer | None, dtype: str) -> None:
    """Write the two configs and the tokenizer. Raises DiskError."""
    write_json(folder / CONFIG_FILE, hf_config_json(hf, tokenizer, dtype))
    if hf.kind == "language":
        write_json(folder / GENERATION_FILE, generation_json(tokenizer))
    if tokenizer is not None:
        tokenizer.save(folder)


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, dtypes, shapes and values, whatever their order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_tensors(tensors: dict[str, Tensor], path: Path, metadata: Mapping[str, str] = {}) -> None:
    """Write a safetensors file; the library's own error for a full disk becomes an OSError."""
    try:
        save_file(tensors, path, metadata={"format": "pt", **metadata})
    except SafetensorError as error:
        code = re.search(r"os error (\d+)", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1]))) from error
    path.chmod(0o644)  # the library makes it readable for its owner alone


def _open(folder: Path, dtype: torch.dtype) -> OpenModel:
    return opened_of(*read_hf(folder, dtype=dtype), folder)


def opened_of(model: Model, labels: tuple[str, ...], folder: Path) -> OpenModel:
    """A model with what the other files of its folder say. Raises FormatError."""
    tokenizer = folder_tokenizer(folder)
    if tokenizer is not None:
        tokenizer = tokenizer.without_ids_from(model.config.vocab_size)
    multi_label = read_hf_config(folder).multi_label
    decision = read_decision(folder, labels, multi_label=multi_label) if labels else DecisionRule()
    stacked = read_stacked(folder, model.config, labels) if labels else None
    kind, license = kind_of(model), read_license(folder)
    prompts = read_prompts(folder) if kind == "encoder" else Prompts()
    return OpenModel(
        model,
        tokenizer,
        model.config,
        folder,
        kind,
        labels,
        license,
        decision,
        stacked,
        prompts,
    )


def _export(opened: OpenModel, out: Path, options: ExportOptions) -> None:
    with atomic_folder(out, extra={"exported": "hf"}) as folder:
        labels: dict[str, Any] = {
            "labels": opened.labels,
            "multi_label": opened.decision.multi_label,
            "prompts": opened.prompts,
        }
        write_hf(
            opened.model, folder, opened.tokenizer, **labels, dtype=DTYPES[options.quantization]
        )
        if opened.labels:
            opened.decision.write(folder)
        if opened.stacked is not None:
            opened.stacked.write(folder)
        write_card(opened, folder)


HF_READER = ModelReader("safetensors", _open, folder_summary, folder_texts, folder_tokenizer)
HF = ModelFormat("hf", "", tuple(DTYPES), "f32", _export, HF_READER)
