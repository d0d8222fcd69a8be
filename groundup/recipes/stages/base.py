"""Stage 4: the pretrained public model that the next stages fine-tune, as a Hugging Face folder."""

from collections.abc import Mapping
from pathlib import Path

from groundup.errors import ModelError
from groundup.files import atomic_folder, sha256_file
from groundup.model.config import ModelConfig
from groundup.model.footprint import FLOAT32_BYTES
from groundup.model.presets import PRESETS
from groundup.model.sizes import parameter_count
from groundup.recipes.downloads import of_models
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.weights.card import ModelCard
from groundup.weights.catalog import CATALOG, shape_of
from groundup.weights.hf_families import KIND_NAMES
from groundup.weights.model_io import find_model, open_model, save_model
from groundup.weights.stacked import link_or_copy

WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
PATTERNS = (
    *WEIGHTS,
    "config.json",
    "generation_config.json",
    "tokenizer*.json",
    "*.jinja",
    "README.md",
)


def run(context: StageContext) -> StageResult:
    """Pull it into the cache (once for all builds) and hard-link its files here; a .gguf is
    converted.
    """
    name = context.recipe.base.model
    source = find_model(name, progress=context.progress)
    with atomic_folder(context.folder, extra={"pulled": name}) as folder:
        if source.is_file():
            opened = open_model(source, context.compute)
            card = ModelCard(
                context.recipe.name,
                "Read from a GGUF file.",
                base=source.name,
                license=opened.license,
            )
            save_model(opened.model, folder, opened.tokenizer, card=card)
        for file in model_files(source):
            link_or_copy(file, folder / file.name)
    opened = open_model(context.folder, context.compute)
    if opened.kind != "language":
        raise ModelError(
            f"{name} is {KIND_NAMES[opened.kind]}: it can't be fine-tuned to answer.",
            fix="Name a language model as the base: see `groundup pull`.",
        )
    parameters = sum(parameter.numel() for parameter in opened.model.parameters())
    facts = {"name": name, "parameters": parameters, "licence": opened.license}
    return StageResult(
        f"{name}: {parameters:,} parameters, licence {opened.license or 'not stated'}", facts
    )


def model_files(folder: Path) -> list[Path]:
    """Leave out a run's records and checkpoints; none for a file."""
    return sorted({file for pattern in PATTERNS for file in folder.glob(pattern)})


def outside(recipe: Recipe) -> Mapping[str, str]:
    """Return the archive's hash for a named model, else the hashes of its files."""
    name = recipe.base.model
    if name in CATALOG:
        entry = CATALOG[name]
        if entry.archive is None:
            return {entry.hub: "as published on the hub"}
        return {entry.hub: entry.archive.fingerprint}
    files = [Path(name)]
    if not files[0].is_file():
        files = model_files(files[0])
    return {file.name: sha256_file(file) for file in files}


def base_shape(recipe: Recipe) -> ModelConfig | None:
    """None: no preset has it, or the build has none."""
    if not recipe.uses_public_model:
        return None
    return PRESETS.get(shape_of(recipe.base.model))


def base_bytes(recipe: Recipe) -> float:
    """In float32; 0 where its size is not known before it is opened."""
    shape = base_shape(recipe)
    if shape is None:
        return 0.0
    return parameter_count(shape).total * FLOAT32_BYTES


def describe(recipe: Recipe) -> str:
    shape = base_shape(recipe)
    size = "size unknown until it is opened"
    if shape:
        size = f"{parameter_count(shape).total / 1e6:.0f}M parameters"
    return f"{recipe.base.model}, {size}"


STAGE = Stage(
    "base",
    1,
    run,
    share=0.02,
    describe=describe,
    disk_bytes=base_bytes,
    outputs=("*.safetensors", "*.json", "*.jinja"),
    outside=outside,
    downloads=lambda recipe: of_models(recipe.base.model),
)
