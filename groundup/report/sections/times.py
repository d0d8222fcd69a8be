"""Planned and actual time, and peak memory, of each stage."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import Heading, absent, chapter, data_table, facts, figure
from groundup.report.drawing.rows import bar
from groundup.report.report_data import ReportData, Stage
from groundup.report.values import duration, number, size

HEADING = Heading(
    "times",
    "Cost",
    "Time and memory",
    "A bar is the time a stage took; the vertical mark is the time that was planned.",
)


def times(report: ReportData) -> Node:
    """The chapter on time and memory."""
    timed = [stage for stage in report.stages if stage.elapsed_s is not None and stage.status != "running"]
    if not timed:
        return absent(HEADING, "no stage has finished yet")
    return chapter(HEADING, _totals(report, timed), figure(None, _table(timed)))


def _totals(report: ReportData, timed: list[Stage]) -> Node | None:
    budget = number(report.build, "budget_s")
    memory = [stage.peak_memory_bytes for stage in timed if stage.peak_memory_bytes is not None]
    return facts(
        (duration(report.elapsed_s), "total time"),
        (duration(budget), "time budget"),
        (size(max(memory)) if memory else "", "peak memory"),
    )


def _table(timed: list[Stage]) -> Node:
    largest = max(max(stage.elapsed_s or 0.0, stage.planned_s or 0.0) for stage in timed)
    rows = [_row(stage, largest) for stage in timed]
    head: list[Child] = ["stage", node("span", "time", class_="quiet"), "took", "planned", "memory"]
    caption = "Time of each stage, and the peak memory of the process up to its end"
    return data_table(caption, head, rows, figures=(2, 3, 4), class_="bars")


def _row(stage: Stage, largest: float) -> list[Child]:
    drawing = node("div", bar(stage.elapsed_s, largest, stage.planned_s), class_="drawn")
    figures = (duration(stage.elapsed_s), duration(stage.planned_s), size(stage.peak_memory_bytes))
    return [foreign(stage.name), drawing, *figures]
