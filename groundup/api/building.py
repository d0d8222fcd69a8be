"""`build`: a recipe, carried out."""

from pathlib import Path
from typing import TYPE_CHECKING

from groundup.config import checked_arguments
from groundup.progress import Progress, Silent
from groundup.recipes.build_config import BuildConfig
from groundup.recipes.packaged import RUNS

if TYPE_CHECKING:
    from groundup.recipes.builds.pipeline import BuildPlan
    from groundup.runs import BuildResults

AnyPath = str | Path


@checked_arguments
def build(
    recipe: AnyPath = "quickstart",
    out: AnyPath | None = None,
    config: BuildConfig | None = None,
    *,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> "BuildResults | BuildPlan":
    """Carry out a recipe (a name, a .toml file, a folder of texts, or a domain pack) into `out`, by
    default runs/NAME. Return what build.json holds, with `dry_run` the plan instead, and nothing is
    done.

    A folder of texts makes a model of these texts alone. `fixed_choices`: precision, threads and
    compilation follow rules instead of measurements; how much is done in the time is still
    measured. `fresh`: start again from the beginning.

    >>> plan = groundup.build("my-texts", config=groundup.BuildConfig(budget="3m"), dry_run=True)
    >>> [stage.stage for stage in plan.stages][:3]
    ['data', 'tokenizer', 'pretrain']
    """
    from groundup.device import select_compute
    from groundup.recipes.builds.build import build
    from groundup.recipes.builds.pipeline import plan_build, stages_of
    from groundup.recipes.recipe import load_recipe

    config, progress = config or BuildConfig(), progress or Silent()
    loaded = load_recipe(str(recipe), config)
    if dry_run:
        return plan_build(loaded)
    if loaded.pack:
        about = f"is a domain pack (docs/packs.md), not a folder of texts: {loaded.description}"
        progress.say(f"{recipe} {about}")
    return build(
        loaded,
        Path(out or RUNS / loaded.name),
        stages_of(loaded),
        compute=select_compute(device, fixed_choices=fixed_choices),
        progress=progress,
        fresh=fresh,
        redo=config.redo,
    )
