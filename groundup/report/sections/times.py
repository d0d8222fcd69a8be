"""Planned and actual time, and peak memory, of each stage."""

from collections.abc import Sequence

from groundup.html_nodes import Child, foreign, node
from groundup.report.chapter import Chapter, data_table, facts, figure
from groundup.report.drawing import bar
from groundup.report.formatting import duration, size
from groundup.report.report_data import ReportData, StageRecord
from groundup.report.values import number


def parts(report: ReportData) -> Sequence[Child] | str:
    """Time and memory."""
    timed = [
        stage
        for stage in report.stages
        if stage.elapsed_s is not None and stage.status != "running"
    ]
    if not timed:
        return "no stage has finished yet"
    memory = [stage.peak_memory_bytes for stage in timed if stage.peak_memory_bytes is not None]
    totals = facts(
        (duration(report.elapsed_s), "total time"),
        (duration(number(report.build, "budget_s")), "time budget"),
        (size(max(memory, default=None)), "peak memory"),
    )
    largest = max(max(stage.elapsed_s or 0.0, stage.planned_s or 0.0) for stage in timed)
    rows = [_row(stage, largest) for stage in timed]
    head: list[Child] = ["stage", node("span", "time", class_="quiet"), "took", "planned", "memory"]
    caption = "Time of each stage, and the peak memory of the process up to its end"
    return [totals, figure(None, data_table(caption, head, rows, figures=(2, 3, 4), class_="bars"))]


def _row(stage: StageRecord, largest: float) -> list[Child]:
    drawing = node("div", bar(stage.elapsed_s, largest, stage.planned_s), class_="drawn")
    figures = (duration(stage.elapsed_s), duration(stage.planned_s), size(stage.peak_memory_bytes))
    return [foreign(stage.name), drawing, *figures]


TIMES = Chapter(
    "times",
    "Cost",
    "Time and memory",
    "A bar is the time a stage took; the vertical mark is the time that was planned.",
    parts,
)
