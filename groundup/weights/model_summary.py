"""The shape of a model without its weights: what `groundup model show` draws. Only headers and configs are read, so it answers at once.

A name or path means, in this order: a .toml with the fields of ModelConfig, a .gguf, a folder (Hugging Face, run, build; also a run that has not
come to its end, whose run.json has the shape), a preset, a model of the catalog that was pulled or whose shape is a preset.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.config import build_config, read_toml
from groundup.errors import ConfigError, FormatError, ModelError, did_you_mean
from groundup.files import cache_folder
from groundup.model.config import ModelConfig
from groundup.model.presets import PRESETS
from groundup.runs import RunFolder
from groundup.weights.assemble import empty_model, parameter_shapes
from groundup.weights.formats import reader_of
from groundup.weights.hf_config import CONFIG_FILE, HFConfig, hf_reason
from groundup.weights.model_format import ModelSummary
from groundup.weights.model_io import find_model
from groundup.weights.named import CATALOG
from groundup.weights.names import hf_bindings

INSTRUCT = "-instruct"
MODEL_TABLE = "model"


def read_model_summary(name_or_path: str) -> ModelSummary:
    """The outline of what a name or path means. Raises ModelError, ConfigError, FormatError."""
    path = Path(name_or_path)
    if os.path.isfile(path):
        return _of_file(path)
    if os.path.isdir(path):
        return _of_folder(path)
    if name_or_path in PRESETS:
        return ModelSummary(PRESETS[name_or_path], f"the preset {name_or_path}", name_or_path)
    if name_or_path in CATALOG:
        return _of_catalog(name_or_path)
    near = did_you_mean(name_or_path, {*PRESETS, *CATALOG})
    raise ModelError(
        f"There is no model {name_or_path[:80]!r}: no such folder or file, no preset, no named model.", fix=near
    )


def _of_file(path: Path) -> ModelSummary:
    if path.suffix == ".toml":
        return _of_toml(path)
    if path.name == CONFIG_FILE:
        path = path.parent
    return reader_of(path).summary(path)


def _of_toml(path: Path) -> ModelSummary:
    """The fields of ModelConfig, at the top or in a table of that name beside others."""
    values = read_toml(path)
    table = values.get(MODEL_TABLE, values)
    if not isinstance(table, dict):
        raise ConfigError(
            f"{path}: {MODEL_TABLE} is no table.", fix=f"Write the model's fields below a line [{MODEL_TABLE}]."
        )
    return ModelSummary(_config(table, path), str(path), path.stem)


def _config(table: dict[str, Any], file: Path) -> ModelConfig:
    """The config of plain fields. Raises ConfigError, which names the file."""
    try:
        return build_config(ModelConfig, table)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", fix=error.fix) from error


def _of_folder(path: Path) -> ModelSummary:
    run = RunFolder(path)
    if not (path / CONFIG_FILE).exists() and run.run_file.exists():
        return _of_unfinished(run)
    found = find_model(path)
    return reader_of(found).summary(found)


def _of_unfinished(run: RunFolder) -> ModelSummary:
    """A training run names its shape before the first step. Raises FormatError."""
    config = run.read_run().get("config")
    table = config.get(MODEL_TABLE) if isinstance(config, dict) else None
    if not isinstance(table, dict):
        raise FormatError(run.run_file, "config.model", "is missing: this run has not come to a model")
    return ModelSummary(_config(table, run.run_file), f"{run.run_file}, a run at work", run.path.resolve().name)


def _of_catalog(name: str) -> ModelSummary:
    """From the folder it was pulled into, else from the preset of its shape. Raises ModelError."""
    folder = cache_folder("models") / name
    if (folder / CONFIG_FILE).exists():
        return reader_of(folder).summary(folder)
    base = name.removesuffix(INSTRUCT)  # training on instructions changes no shape
    if base not in PRESETS:
        raise ModelError(f"{name} is known, but not here yet.", fix=f"Fetch it: groundup pull {name}")
    return ModelSummary(PRESETS[base], f"the preset {base} ({name} is not pulled)", name)


@dataclass(frozen=True)
class TensorName:
    """A parameter and where a Hugging Face file has it."""

    name: str
    shape: tuple[int, ...]
    hugging_face: str
    """"": no class of transformers has this model, its files have our names."""


def tensor_names(outline: ModelSummary) -> list[TensorName]:
    """Every parameter of the model, from its config: nothing is allocated."""
    shapes = parameter_shapes(empty_model(HFConfig(outline.config, outline.kind, outline.labels)))
    theirs: dict[str, str] = {}
    if hf_reason(outline.config) is None:
        theirs = {ours: binding.theirs for binding in hf_bindings(outline.config, shapes) for ours in binding.ours}
    return [TensorName(name, shape, theirs.get(name, "")) for name, shape in shapes.items()]
