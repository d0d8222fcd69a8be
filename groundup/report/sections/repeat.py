"""How to make this again: the command, the versions, the machine."""

import shlex

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import chapter, more
from groundup.report.report_data import ReportData
from groundup.report.values import JsonObject, flat, table, text, texts

KEY, KICKER, TITLE = "repeat", "Once more", "Make it again"
SEE = (
    "The same recipe with the same seed on the same versions does the same steps. "
    "On another machine the last digits may differ."
)


def repeat(story: ReportData) -> Node:
    """The chapter with the command, versions and machine."""
    made_by = provenance(story)
    rows = [*_time_and_seed(story, made_by), *_versions(made_by), *flat(table(made_by, "machine"))]
    recipe = more("The whole recipe, as it was resolved", settings(flat(story.recipe))) if story.recipe else None
    return chapter(KEY, KICKER, TITLE, SEE, _commands(story, made_by), settings(rows), recipe)


def provenance(story: ReportData) -> JsonObject:
    """The first record of versions and machine that the folder has: the build's own, else a run's."""
    runs = [record.run for record in (story.pretrain, story.chat, story.spam)]
    return next((record for record in (story.build, *runs) if record.get("packages") or record.get("python")), {})


def settings(pairs: list[tuple[str, str]]) -> Node:
    """Names and values in two columns."""
    rows = [node("div", node("dt", foreign(name)), node("dd", foreign(value))) for name, value in pairs]
    return node("dl", rows, class_="settings")


def _commands(story: ReportData, made_by: JsonObject) -> list[Node]:
    typed = ["groundup", *texts(made_by, "argv")[1:]]
    if not story.is_build:
        return [_command("As it was typed", shlex.join(typed))]
    shown = [
        _command(
            "From the recipe in this folder, which holds every setting, the seed and the budget",
            "groundup build recipe.toml --out AGAIN",
        )
    ]
    return [_command("As it was typed", shlex.join(typed)), *shown] if len(typed) > 1 else shown


def _command(what: Child, line: str) -> Node:
    return node("div", node("p", what, class_="step"), node("pre", node("code", line, dir="ltr"), class_="command"))


def _time_and_seed(story: ReportData, made_by: JsonObject) -> list[tuple[str, str]]:
    pairs = [("made", text(made_by, "created")), ("seed", text(story.build, "seed"))]
    return [(name, value) for name, value in pairs if value]


def _versions(made_by: JsonObject) -> list[tuple[str, str]]:
    pairs = [("groundup", text(made_by, "groundup")), ("Python", text(made_by, "python"))]
    pairs += [(name, text(version)) for name, version in table(made_by, "packages").items()]
    return [(name, value) for name, value in pairs if value]
