"""The only way between models and disk for the other rooms: `open_model`, `save_model`, and
`read_model_summary` for a shape without its weights.

open_model takes a name of the catalog, a Hugging Face or run folder, an adapter's folder, a .gguf,
a folder with one .gguf, a .safetensors with config and tokenizer in its metadata (`one_file.py`), or
a build folder (its chat model, or what `prefer` says). Where a manifest
of ours covers it, every byte is checked, beside the reading (0.7 s of processor time a gigabyte).
read_model_summary reads headers and configs only; it also takes a .toml with the fields of
ModelConfig, a run that has not ended, and a preset.
"""

import os
from pathlib import Path
from typing import Any, Literal

import torch

from groundup.config import build_config, read_toml
from groundup.device import Compute
from groundup.errors import ConfigError, FormatError, ModelError, did_you_mean
from groundup.files import cache_path, is_cached, write_text
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier
from groundup.model.presets import PRESETS
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model, empty_model, parameter_shapes
from groundup.weights.card import CARD_FILE, ModelCard
from groundup.weights.catalog import CATALOG
from groundup.weights.decision_rule import DecisionRule
from groundup.weights.find import find_model
from groundup.weights.find import opened_line as opened_line
from groundup.weights.find import require_model as require_model
from groundup.weights.find import require_stage as require_stage
from groundup.weights.find import stages_with_model as stages_with_model
from groundup.weights.formats import reader_of
from groundup.weights.hf import write_hf
from groundup.weights.hf_config import CONFIG_FILE, HFConfig, hf_reason
from groundup.weights.model_format import ModelSummary, OpenModel, require_fitting
from groundup.weights.model_hub import pull
from groundup.weights.names import hf_bindings
from groundup.weights.sentence_folder import Prompts
from groundup.weights.stacked import Stacked, remove_stacked
from groundup.weights.verify import is_adapter, verified_meanwhile

INSTRUCT = "-instruct"
MODEL_TABLE = "model"


def open_model(
    name_or_path: str | Path,
    compute: Compute,
    *,
    prefer: Literal["chat", "classifier", "pretrain"] = "chat",
    progress: Progress | None = None,
) -> OpenModel:
    """A name of the catalog is pulled when it is not there yet. Raises ModelError, FormatError
    (damaged or not understood), NetworkError.
    """
    path = find_model(name_or_path, prefer=prefer, progress=progress, hashes=False)
    try:
        opened = _read(path, compute)
    except FormatError:
        if not is_cached(path) or path.name not in CATALOG:
            raise
        # fetched again where it is damaged
        opened = _read(pull(path.name, None, progress), compute)
    opened.model.to(device=compute.device, dtype=compute.dtype)
    return opened


def _read(path: Path, compute: Compute) -> OpenModel:
    with verified_meanwhile(path):
        return require_fitting(reader_of(path).open(path, compute.dtype))


def save_model(
    model: Model,
    folder: Path,
    tokenizer: Tokenizer | None = None,
    *,
    labels: tuple[str, ...] = (),
    decision: DecisionRule | None = None,
    stacked: Stacked | None = None,
    card: ModelCard | None = None,
    prompts: Prompts = Prompts(),
    dtype: torch.dtype | None = None,
) -> None:
    """Write `model` as a Hugging Face folder in `dtype` or that of its weights, every file
    atomically. A classifier needs its `labels`. Raises ModelError when the parts do not fit each
    other, DiskError.
    """
    scores = model.score.weight.shape[0] if isinstance(model, Classifier) else 0
    if scores != len(labels):
        raise ModelError(
            f"The model has {scores} class scores, but {len(labels)} labels were given."
        )
    if tokenizer is not None and tokenizer.vocab_size > model.config.vocab_size:
        ids, rows = tokenizer.vocab_size, model.config.vocab_size
        raise ModelError(f"The tokenizer has {ids} ids, the model's embedding only {rows} rows.")
    multi_label = decision is not None and decision.multi_label
    write_hf(
        model,
        folder,
        tokenizer,
        labels=labels,
        multi_label=multi_label,
        prompts=prompts,
        dtype=dtype,
    )
    if decision is not None:
        decision.write(folder)
    remove_stacked(folder)
    if stacked is not None:
        stacked.write(folder)
    if card is not None:
        write_text(folder / CARD_FILE, card.markdown())


def read_model_summary(name_or_path: str) -> ModelSummary:
    """Raises ModelError, ConfigError, FormatError."""
    path = Path(name_or_path)
    is_file = os.path.isfile(path)
    if is_file and path.suffix == ".toml":
        return _of_toml(path)
    whole = (path / CONFIG_FILE).exists() or is_adapter(path)
    if os.path.isdir(path) and not whole and RunFolder(path).run_file.exists():
        return _of_unfinished(RunFolder(path))
    if os.path.exists(path):
        found = find_model(path.parent if is_file and path.name == CONFIG_FILE else path)
        return reader_of(found).summary(found)
    if name_or_path in PRESETS:
        return ModelSummary(PRESETS[name_or_path], f"the preset {name_or_path}", name_or_path)
    if name_or_path in CATALOG:
        return _of_catalog(name_or_path)
    known = did_you_mean(name_or_path, {*PRESETS, *CATALOG})
    what = "no such folder or file, no preset, no named model"
    raise ModelError(f"There is no model {name_or_path[:80]!r}: {what}.", fix=known)


def _of_toml(path: Path) -> ModelSummary:
    """At the top or in a table of that name beside others."""
    values = read_toml(path)
    table = values.get(MODEL_TABLE, values)
    if not isinstance(table, dict):
        fix = f"Write the model's fields below a line [{MODEL_TABLE}]."
        raise ConfigError(f"{path}: {MODEL_TABLE} is not a table.", fix=fix)
    return ModelSummary(_config(table, path), str(path), path.stem)


def _config(table: dict[str, Any], file: Path) -> ModelConfig:
    try:
        return build_config(ModelConfig, table)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", fix=error.fix) from error


def _of_unfinished(run: RunFolder) -> ModelSummary:
    """A training run names its shape before the first step."""
    config = run.read_run().get("config")
    table = config.get(MODEL_TABLE) if isinstance(config, dict) else None
    if not isinstance(table, dict):
        raise FormatError(
            run.run_file, "config.model", "is missing: this run has not written a model yet"
        )
    return ModelSummary(
        _config(table, run.run_file), f"{run.run_file}, a run in progress", run.path.resolve().name
    )


def _of_catalog(name: str) -> ModelSummary:
    """From the folder it was pulled into, else from the preset of its shape."""
    folder = cache_path("models") / name
    if (folder / CONFIG_FILE).exists():
        return reader_of(folder).summary(folder)
    base = name.removesuffix(INSTRUCT)  # training on instructions changes no shape
    if base not in PRESETS:
        raise ModelError(
            f"{name} is known, but not here yet.", fix=f"Fetch it: groundup pull {name}"
        )
    return ModelSummary(PRESETS[base], f"the preset {base} ({name} is not pulled)", name)


def tensor_names(summary: ModelSummary) -> list[dict[str, Any]]:
    """Return `name` and `shape` of every parameter, and the `hugging_face` name of its tensor; "":
    no class of transformers has this model.

    All from the config: nothing is allocated.
    """
    shapes = parameter_shapes(empty_model(HFConfig(summary.config, summary.kind, summary.labels)))
    theirs: dict[str, str] = {}
    if hf_reason(summary.config) is None:
        theirs = {
            ours: binding.theirs
            for binding in hf_bindings(summary.config, shapes)
            for ours in binding.ours
        }
    return [
        {"name": name, "shape": shape, "hugging_face": theirs.get(name, "")}
        for name, shape in shapes.items()
    ]
