"""Stage 4: the public model that the next stages fine-tune, as a plain Hugging Face folder."""

from collections.abc import Mapping
from pathlib import Path

from groundup.files import atomic_folder, link_or_copy, sha256_file
from groundup.model.config import ModelConfig
from groundup.model.footprint import FLOAT32_BYTES
from groundup.model.presets import PRESETS
from groundup.model.sizes import parameter_count
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.weights.card import ModelCard
from groundup.weights.model_io import find_model, open_model, save_model
from groundup.weights.named import CATALOG

PATTERNS = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*.json",
    "*.jinja",
    "README.md",
)


def run(context: StageContext) -> StageResult:
    """Pull it into the cache (once for all builds), and place its files here by hard link; a .gguf is read and written anew."""
    name = context.recipe.base.model
    source = find_model(name, progress=context.progress)
    with atomic_folder(context.folder, extra={"pulled": name}) as folder:
        if source.is_file():
            opened = open_model(source, context.compute)
            card = ModelCard(context.recipe.name, "Read from a GGUF file.", base=source.name, license=opened.license)
            save_model(opened.model, folder, opened.tokenizer, card=card)
        for file in model_files(source):
            link_or_copy(file, folder / file.name)
    opened = open_model(context.folder, context.compute)
    parameters = sum(parameter.numel() for parameter in opened.model.parameters())
    facts = {"name": name, "parameters": parameters, "licence": opened.license}
    return StageResult(f"{name}: {parameters:,} parameters, licence {opened.license or 'not stated'}", facts)


def model_files(folder: Path) -> list[Path]:
    """What makes up a model's folder; a run's own records and checkpoints stay behind. None for a file."""
    return sorted({file for pattern in PATTERNS for file in folder.glob(pattern)}) if folder.is_dir() else []


def outside(recipe: Recipe) -> Mapping[str, str]:
    """What pins the model: the archive's hash for a named one, else the bytes of its files."""
    name = recipe.base.model
    if name in CATALOG:
        archive = CATALOG[name].archive
        return {CATALOG[name].hub: archive.member_sha256 if archive else "as the hub has it"}
    path = Path(name)
    return {file.name: sha256_file(file) for file in ([path] if path.is_file() else model_files(path))}


def base_shape(recipe: Recipe) -> ModelConfig | None:
    """The config of the pulled model, where a preset tells it without opening the model."""
    return PRESETS.get(recipe.base.model.removesuffix("-instruct"))


def base_bytes(recipe: Recipe) -> float:
    """The pulled model's weights in float32; 0 where its size is not known before it is opened."""
    shape = base_shape(recipe)
    return parameter_count(shape).total * FLOAT32_BYTES if shape else 0.0


def describe(recipe: Recipe) -> str:
    """Its name and size."""
    shape = base_shape(recipe)
    size = f"{parameter_count(shape).total / 1e6:.0f}M parameters" if shape else "size not known before it is opened"
    return f"{recipe.base.model}, {size}"


STAGE = Stage(
    "base",
    1,
    run,
    share=0.06,
    describe=describe,
    disk_bytes=base_bytes,
    outputs=("*.safetensors", "*.json", "*.jinja"),
    outside=outside,
)
