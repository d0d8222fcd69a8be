"""What the assistant may do: the pack's actions.toml and world.sql, checked and copied, so that a
build is served without its pack. What is done with them stands in the build's world.sqlite
(`retrieve/assistant_actions.py`), which no build removes.

NAME/actions.toml, NAME/world.sql    as in the pack
"""

from collections.abc import Mapping
from pathlib import Path

from groundup.actions.action_file import ACTIONS_FILE, read_actions
from groundup.actions.statements import WORLD_SQL
from groundup.data.reading.source_files import Source, content_hash
from groundup.errors import DataError
from groundup.files import atomic_folder, write_text
from groundup.recipes.named_stages import ActionsStage
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, StageContext, StageResult

# Of the budget: nothing is computed.
SHARE = 0.001


def run(context: StageContext) -> StageResult:
    source = Path(context.table(ActionsStage).source)
    found = read_actions(source)
    if found is None:
        fix = f"Put it back, or build without the stage {context.name}."
        raise DataError(f"{source} has no {ACTIONS_FILE}.", fix=fix)
    with atomic_folder(context.folder) as folder:
        for file in files_of(source):
            write_text(folder / file.name, file.read_text(encoding="utf-8"))
    titles = [each.title for each in found.actions]
    return StageResult(f"{len(titles)} actions: {', '.join(titles)}", {"actions": titles})


def files_of(source: Path) -> list[Path]:
    """Return the files of a pack's actions that there are."""
    return [source / name for name in (ACTIONS_FILE, WORLD_SQL) if (source / name).is_file()]


def stage(name: str, share: float) -> Stage:
    def outside(recipe: Recipe) -> Mapping[str, str]:
        files = files_of(Path(recipe.of_kind(ActionsStage)[name].source))
        return {str(file): content_hash(Source(str(file))) for file in files}

    return Stage(
        name,
        1,
        run,
        share,
        describe=lambda recipe: f"the actions of {recipe.of_kind(ActionsStage)[name].source}",
        outputs=("*.toml", "*.sql"),
        outside=outside,
        kind="actions",
    )
