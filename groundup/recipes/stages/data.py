"""Stage 1: texts are collected, cleaned and split by document."""

from collections import Counter

from groundup.data.preparation.file_steps import items_of
from groundup.data.preparation.pipeline import prepare
from groundup.data.processing.steps import depends_on
from groundup.data.reading.source_files import content_hash
from groundup.recipes.downloads import of_sources
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, StageContext, StageResult

# Why files were skipped, in the stage's line; data.json has all.
SHOWN_REASONS = 2


def run(context: StageContext) -> StageResult:
    table = context.recipe.data
    card = prepare(
        table.sources, context.folder, table.config, seed=context.seed, progress=context.progress
    )
    kept = sum(source.kept_documents for source in card.sources)
    dropped = sum(noted.count for source in card.sources for noted in source.dropped.values())
    characters = sum(source.kept_characters for source in card.sources)
    facts = {"documents": kept, "dropped": dropped, "characters": characters}
    line = f"{kept:,} documents, {characters:,} characters; {dropped:,} dropped"
    skipped: Counter[str] = Counter()
    for source in card.sources:
        skipped.update({reason: noted.count for reason, noted in source.read.skipped.items()})
    for reason, count in skipped.most_common(SHOWN_REASONS):
        line += f"; {count:,} files skipped: {reason}"
    return StageResult(line, facts)


def outside(recipe: Recipe) -> dict[str, str]:
    table = recipe.data
    texts = {source.spec: content_hash(source) for source in table.sources}
    items = {
        f"decontaminate {source.spec}": content_hash(source) for source in items_of(table.process)
    }
    return texts | items | depends_on(table.process)


STAGE = Stage(
    "data",
    1,
    run,
    share=0.03,
    describe=lambda recipe: ", ".join(source.spec for source in recipe.data.sources),
    outputs=("*.jsonl", "data.json"),
    outside=outside,
    downloads=lambda recipe: of_sources((*recipe.data.sources, *items_of(recipe.data.process))),
)
