"""`build`: a recipe, carried out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.config import Settings, checked_arguments
from groundup.progress import Progress, Silent
from groundup.recipes.packaged import RUNS

if TYPE_CHECKING:
    pass

AnyPath = str | Path


@checked_arguments
def build(
    recipe: AnyPath = "quickstart",
    out: AnyPath | None = None,
    *,
    budget: str | None = None,
    seed: int | None = None,
    follow_links: bool = False,
    teach: bool = False,
    added: Sequence[str] = (),
    settings: Settings | None = None,
    redo: Sequence[str] | None = None,
    dry_run: bool = False,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Carry out a recipe (a name, a .toml file, a folder of texts, or a domain pack) into `out`, by
    default runs/NAME. Return what build.json holds.

    A folder of texts makes a model of these texts alone; `added`: "spam", "chat", what quickstart
    makes of a public model besides. `budget`: the wall time of the whole build, as "30m". `teach`:
    the public model reads the texts before it learns to chat. `redo` names stages that are done
    again. `dry_run`: give the plan and do nothing. `fixed_choices`: precision, threads and
    compilation follow rules instead of measurements; how much is done in the time is still
    measured.

    >>> plan = groundup.build("my-texts", budget="3m", dry_run=True)
    >>> [stage["stage"] for stage in plan["stages"]][:3]
    ['data', 'tokenizer', 'pretrain']
    """
    from groundup.device import select_compute
    from groundup.recipes.builds.build import build, forget
    from groundup.recipes.builds.pipeline import plan_build, stages_of
    from groundup.recipes.recipe import load_recipe

    loaded = load_recipe(
        str(recipe),
        settings,
        budget=budget,
        seed=seed,
        follow_links=follow_links,
        teach=teach,
        added=added,
    )
    if dry_run:
        return plan_build(loaded)
    if loaded.pack and progress:
        progress.say(
            f"{recipe} is a domain pack (docs/packs.md), not a folder of texts: {loaded.description}"
        )
    folder = RUNS / loaded.name if out is None else Path(out)
    compute, stages = select_compute(device, fixed_choices=fixed_choices), stages_of(loaded)
    forget(folder, redo or (), stages)
    return build(
        loaded, folder, stages, compute=compute, progress=progress or Silent(), fresh=fresh
    )
