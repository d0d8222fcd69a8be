"""Stage 4: the public model that the next stages fine-tune, as a plain Hugging Face folder."""

from pathlib import Path

from groundup.files import atomic_folder, link_or_copy
from groundup.recipes.stage import Outcome, Stage, StageContext
from groundup.weights.catalog import CATALOG, pull
from groundup.weights.door import find_model, open_model


def run(context: StageContext) -> Outcome:
    """Pull it into the cache (once for all builds), and place its files here by hard link."""
    name = context.recipe.base.model
    source = pull(name, progress=context.progress) if name in CATALOG else find_model(name, progress=context.progress)
    with atomic_folder(context.folder, extra={"pulled": name}) as folder:
        for file in model_files(source):
            link_or_copy(file, folder / file.name)
    opened = open_model(context.folder, context.compute)
    parameters = sum(parameter.numel() for parameter in opened.model.parameters())
    facts = {"name": name, "parameters": parameters}
    return Outcome(f"{name}: {parameters:,} parameters, from {'the cache' if name in CATALOG else source}", facts)


def model_files(folder: Path) -> list[Path]:
    """What makes up a model's folder; a run's own records and checkpoints stay behind."""
    wanted = (
        "*.safetensors",
        "*.safetensors.index.json",
        "config.json",
        "generation_config.json",
        "tokenizer*.json",
        "*.jinja",
        "README.md",
    )
    return sorted({file for pattern in wanted for file in folder.glob(pattern)})


STAGE = Stage("base", 1, run, share=0.06, outputs=("*.safetensors", "*.json", "*.jinja"))
