"""What was chosen by measuring this machine: precision, compilation, threads, and how much a time
has room for.

Another program that keeps the machine busy may change such a choice, and with it the last bits or
the weights.
"""

from collections.abc import Iterator

from groundup.html_nodes import Child, Node, foreign
from groundup.report.chapter import data_table, note
from groundup.report.formatting import count
from groundup.report.report_data import ReportData, RunRecord, StageRecord
from groundup.report.values import number, numbers, table, tables, text

# Pairs of seconds a step in fit.json and plan.json, and what was chosen by them.
PAIRS = (("precision", "float32", "bf16"), ("torch.compile", "plain", "compiled"))
# Of the sizes in build.json those that answer a question of the stage itself.
INTERNAL = ("worth", "worth_s")


def measured_choices(report: ReportData) -> list[Node | None]:
    """A table of the choices, stage by stage; one sentence where there are none."""
    rows: list[list[Child]] = []
    for stage in report.kinds:
        for name, value, how in [*_of_run(report.run(stage)), *_fitted(report.stage(stage))]:
            rows.append([foreign(stage), foreign(name.replace("_", " ")), foreign(value), how])
    if not rows:
        return [note("No choice was made by measuring the machine.")]
    caption = (
        "Chosen by measuring this machine: "
        "where other programs keep it busy, the same command may choose otherwise"
    )
    return [data_table(caption, ["stage", "what", "chosen", "by"], rows)]


def _fitted(stage: StageRecord | None) -> Iterator[tuple[str, str, str]]:
    """Yield the sizes of a stage that were chosen to keep its time."""
    if stage is None:
        return
    for name, value in table(stage.record, "sizes").items():
        if name not in INTERNAL:
            yield name, str(value), "the time that it had"


def _of_run(run: RunRecord) -> Iterator[tuple[str, str, str]]:
    """Yield what was chosen in a run, the choice, and by what."""
    step_s = {**table(run.results, "planned", "precision_step_s"), **table(run.choices, "step_s")}
    chosen = {"precision": text(run.choices, "precision"), "torch.compile": "off"}
    if run.choices.get("compiled"):
        chosen["torch.compile"] = "on"
    for name, first, second in PAIRS:
        before_s, after_s = numbers(step_s, first, second)
        if before_s is not None and after_s is not None:
            times = f"{1000 * before_s:.1f} ms {first}, {1000 * after_s:.1f} ms {second}"
            yield name, chosen[name], f"a step: {times}"
    if table(run.choices, "product_s"):
        yield "Muon's precision", text(run.choices, "muon_precision"), "a matrix product in both"
    threads = tables(run.results, "threads")
    if len(threads) > 1:
        changes = (
            f"{count(number(each, 'count'))} from step {count(number(each, 'step'))}"
            for each in threads
        )
        yield "threads", ", ".join(changes), "the time of the steps"
    if tables(run.results, "rescales"):
        yield "steps", count(number(run.results, "steps")), "the clock, to keep the time"
