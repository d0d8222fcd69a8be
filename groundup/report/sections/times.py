"""Planned against actual seconds, and peak memory, stage by stage."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import absent, chapter, data_table, facts, figure
from groundup.report.drawing.rows import bar
from groundup.report.report_data import ReportData, Stage
from groundup.report.values import number
from groundup.report.words import duration, size

KEY, KICKER, TITLE = "times", "What it cost", "Time and memory"
SEE = "A bar is the time a stage took; the upright mark is the time it was given before it began."


def times(story: ReportData) -> Node:
    """The chapter on time and memory."""
    timed = [stage for stage in story.stages if stage.elapsed_s is not None and stage.status != "running"]
    if not timed:
        return absent(KEY, KICKER, TITLE, "no stage has finished yet")
    return chapter(KEY, KICKER, TITLE, SEE, _totals(story, timed), figure(None, _table(timed)))


def _totals(story: ReportData, timed: list[Stage]) -> Node | None:
    budget = number(story.build, "budget_s")
    memory = [stage.peak_memory_bytes for stage in timed if stage.peak_memory_bytes is not None]
    return facts(
        (duration(story.elapsed_s), "in all"),
        (duration(budget), "were allowed"),
        (size(max(memory)) if memory else "", "of memory at most"),
    )


def _table(timed: list[Stage]) -> Node:
    largest = max(max(stage.elapsed_s or 0.0, stage.planned_s or 0.0) for stage in timed)
    rows = [_row(stage, largest) for stage in timed]
    head: list[Child] = ["stage", node("span", "time", class_="quiet"), "took", "planned", "memory"]
    return data_table(
        "Seconds of each stage, and the most memory the process had held by its end",
        head,
        rows,
        figures=(2, 3, 4),
        class_="bars",
    )


def _row(stage: Stage, largest: float) -> list[Child]:
    drawing = node("div", bar(stage.elapsed_s, largest, stage.planned_s), class_="drawn")
    return [
        foreign(stage.name),
        drawing,
        duration(stage.elapsed_s),
        duration(stage.planned_s),
        size(stage.peak_memory_bytes),
    ]
