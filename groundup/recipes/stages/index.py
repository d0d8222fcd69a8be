"""An index: the documents are made searchable, as by `groundup index`."""

from collections.abc import Mapping

from groundup.files import write_manifest
from groundup.recipes.named_stages import IndexStage
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, StageContext, StageResult, source_content
from groundup.retrieve.database import VERSION
from groundup.retrieve.index import INDEX_FILE, Index
from groundup.retrieve.index_config import IndexConfig
from groundup.retrieve.stop_words import UNKNOWN
from groundup.retrieve.update import update_index

# SQLite makes these whenever the index is read.
OF_READERS = (f"{INDEX_FILE}-wal", f"{INDEX_FILE}-shm")
# Of the budget, for all indexes of a build together.
SHARE = 0.02


def run(context: StageContext) -> StageResult:
    """Read the documents into the index; those in another language than expected are noted."""
    table = context.recipe.of_kind(IndexStage)[context.name]
    report = update_index(context.folder, [table.source], IndexConfig(table.passage_tokens), progress=context.progress)
    with Index(context.folder) as index:
        counts, languages = index.counts(), index.languages
    write_manifest(context.folder, skip=OF_READERS)
    line = f"{counts.documents:,} documents, {counts.passages:,} passages in {report.elapsed_s:.1f} s"
    facts = {"documents": counts.documents, "passages": counts.passages, "languages": languages}
    return StageResult(line, facts, tuple(other_languages(languages, table.language)))


def other_languages(languages: Mapping[str, int], expected: str) -> list[str]:
    """Return a note on passages in other languages than the models know; nothing where there are none.

    >>> other_languages({"en": 90, "de": 10, "unknown": 2}, "en")
    ['10 of 102 passages are in another language than en (de): the models here hardly know it.']
    """
    others = {code: count for code, count in languages.items() if code not in (expected, UNKNOWN)}
    if not others:
        return []
    found = f"{sum(others.values()):,} of {sum(languages.values()):,} passages are in another language than {expected}"
    return [f"{found} ({', '.join(others)}): the models here hardly know it."]


def table_of(recipe: Recipe, name: str) -> IndexStage:
    """Return the table of an index."""
    return recipe.of_kind(IndexStage)[name]


def stage(name: str, share: float) -> Stage:
    """Return the stage of an index."""

    def outside(recipe: Recipe) -> Mapping[str, str]:
        return {**source_content(table_of, name)(recipe), "format of the index": str(VERSION)}

    return Stage(
        name,
        1,
        run,
        share,
        describe=lambda recipe: f"{table_of(recipe, name).source.spec} made searchable",
        outputs=(INDEX_FILE,),
        outside=outside,
        kind="index",
    )
