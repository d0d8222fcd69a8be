"""Lineage: the hash of everything that each stage read and wrote, from the source to the exported file."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import Heading, absent, chapter, data_table, figure, more
from groundup.report.report_data import ReportData, Stage
from groundup.report.values import JsonObject, count, table, text

HEADING = Heading(
    "lineage",
    "From source to file",
    "Lineage",
    "A hash identifies the bytes of a file. From the last stage back to the first, the hashes show "
    "exactly what a model was made from; groundup verify checks every file.",
)
SHOWN_OUTPUTS = 4


def lineage(report: ReportData) -> Node:
    """The chapter with the table of hashes."""
    if not report.is_build:
        return _run_inputs(report)
    if not report.stages:
        return absent(HEADING, "no stage has written anything")
    rows = [_row(report, stage) for stage in report.stages]
    head = ["stage", "made from", "wrote"]
    made = data_table("Each stage, what it was made from and what it wrote", head, rows, class_="stacked lineage")
    return chapter(HEADING, figure(None, made), _all_hashes(report))


def _row(report: ReportData, stage: Stage) -> list[Child]:
    outputs = list(table(stage.record, "outputs_sha256"))
    hidden = len(outputs) - SHOWN_OUTPUTS
    rest = node("li", f"and {count(hidden)} more", class_="quiet") if hidden > 0 else None
    wrote = [node("li", foreign(name.removeprefix(f"{stage.name}/"))) for name in outputs[:SHOWN_OUTPUTS]]
    return [foreign(stage.name), _made_from(report, stage), node("ul", wrote, rest, class_="hashes")]


def _made_from(report: ReportData, stage: Stage) -> Child:
    outside = [node("li", foreign(name)) for name in table(stage.record, "key_parts", "outside")]
    inputs = [_input(report, name, hashes) for name, hashes in table(stage.record, "key_parts", "inputs").items()]
    return node("ul", outside, inputs, class_="hashes") if outside or inputs else "–"


def _input(report: ReportData, name: str, hashes: object) -> Node:
    """A stage that was read, and whether its files are still the ones that were read."""
    source = report.stage(name)
    if source is not None and table(source.record, "outputs_sha256") == hashes:
        return node("li", foreign(name), " ", node("span", "✓ unchanged", class_="yes"))
    return node("li", foreign(name), " ", node("strong", "✗ changed since", class_="no"))


def _all_hashes(report: ReportData) -> Node | None:
    named: list[tuple[str, object]] = []
    for stage in report.stages:
        named += table(stage.record, "key_parts", "outside").items()
        named += [(f"{stage.name}: key", text(stage.record, "key"))]
        named += table(stage.record, "outputs_sha256").items()
    return folded(named)


def folded(named: list[tuple[str, object]]) -> Node | None:
    """The full hashes, as closed details."""
    rows = [[foreign(name), node("code", text(digest), class_="whole")] for name, digest in named]
    title = "The full hash" if len(named) == 1 else f"All {count(len(named))} full hashes"
    return more(title, data_table("SHA-256", ["file", "SHA-256"], rows)) if named else None


def _run_inputs(report: ReportData) -> Node:
    run: JsonObject = next((record.run for record in (report.pretrain, report.spam, report.chat) if record.run), {})
    inputs = list(table(run, "inputs").items())
    if not inputs:
        return absent(HEADING, "this run names no inputs")
    names = node("ul", [node("li", foreign(name)) for name, _ in inputs], class_="hashes")
    return chapter(HEADING, node("p", "This run was made from:"), names, folded(inputs))
