"""How to reproduce the build or run: the command, the versions, the machine."""

import shlex

from groundup.markup import Node, foreign, node
from groundup.report.chapter import Heading, chapter, more
from groundup.report.report_data import ReportData
from groundup.report.values import JsonObject, flat, table, text, texts

HEADING = Heading(
    "repeat",
    "Reproduction",
    "How to reproduce it",
    "The same recipe with the same seed and the same versions gives the same steps. "
    "On another machine the last digits may differ.",
)


def repeat(report: ReportData) -> Node:
    """The chapter with the command, the versions and the machine."""
    made_by = provenance(report)
    rows = [*_versions(report, made_by), *flat(table(made_by, "machine"))]
    recipe = more("The resolved recipe", settings(flat(report.recipe))) if report.recipe else None
    return chapter(HEADING, _commands(report, made_by), settings(rows), recipe)


def provenance(report: ReportData) -> JsonObject:
    """Return the first record of versions and machine in the folder: the build's own, else a run's."""
    runs = [record.run for record in (report.pretrain, report.chat, report.spam)]
    return next((record for record in (report.build, *runs) if record.get("packages") or record.get("python")), {})


def settings(pairs: list[tuple[str, str]]) -> Node:
    """Names and values in two columns."""
    rows = [node("div", node("dt", foreign(name)), node("dd", foreign(value))) for name, value in pairs]
    return node("dl", rows, class_="settings")


def _commands(report: ReportData, made_by: JsonObject) -> list[Node]:
    typed = ["groundup", *texts(made_by, "argv")[1:]]
    if not report.is_build:
        return [_command("The command", shlex.join(typed))]
    what = "From the recipe in this folder, which has all settings, the seed and the budget"
    shown = [_command(what, "groundup build recipe.toml --out AGAIN")]
    return [_command("The command", shlex.join(typed)), *shown] if len(typed) > 1 else shown


def _command(what: str, line: str) -> Node:
    return node("div", node("p", what, class_="step"), node("pre", node("code", line, dir="ltr"), class_="command"))


def _versions(report: ReportData, made_by: JsonObject) -> list[tuple[str, str]]:
    """Date, seed and versions."""
    pairs = [("created", text(made_by, "created")), ("seed", text(report.build, "seed"))]
    pairs += [("groundup", text(made_by, "groundup")), ("Python", text(made_by, "python"))]
    pairs += [(name, text(version)) for name, version in table(made_by, "packages").items()]
    return [(name, value) for name, value in pairs if value]
