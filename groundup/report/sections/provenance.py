"""The last chapters: lineage (the hashes of what each stage read and wrote), reproduction (the
command, the versions, the machine), and the planned and actual time and memory of each stage
"""

import shlex
from collections.abc import Iterator, Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import Chapter, data_table, facts, figure, more, note
from groundup.report.drawing import bar
from groundup.report.report_data import CONTINUED, RUN_KINDS, ReportData, RunRecord, StageRecord
from groundup.report.values import (
    MISSING,
    JsonObject,
    count,
    duration,
    fixed,
    flat,
    numbers,
    size,
    table,
    tables,
    text,
    texts,
)

SHOWN_OUTPUTS = 4
KINDS = [*RUN_KINDS, CONTINUED]


def parts(report: ReportData) -> Sequence[Child] | str:
    if not report.is_build:
        return _run_inputs(report)
    if not report.stages:
        return "no stage has written anything"
    rows = [_row(report, stage) for stage in report.stages]
    head = ["stage", "made from", "wrote"]
    made = data_table(
        "Each stage, what it was made from and what it wrote", head, rows, class_="stacked lineage"
    )
    return [figure(None, made), _all_hashes(report)]


def _row(report: ReportData, stage: StageRecord) -> list[Child]:
    outputs = list(table(stage.record, "outputs_sha256"))
    wrote = [
        node("li", foreign(name.removeprefix(f"{stage.name}/"))) for name in outputs[:SHOWN_OUTPUTS]
    ]
    hidden = len(outputs) - SHOWN_OUTPUTS
    if hidden > 0:
        wrote.append(node("li", say("and {count} more", count=count(hidden)), class_="quiet"))
    sources = [node("li", foreign(name)) for name in table(stage.record, "key_parts", "outside")]
    sources += [
        _input(report, name, hashes)
        for name, hashes in table(stage.record, "key_parts", "inputs").items()
    ]
    made_from: Child = MISSING
    if sources:
        made_from = node("ul", sources, class_="hashes")
    return [foreign(stage.name), made_from, node("ul", wrote, class_="hashes")]


def _input(report: ReportData, name: str, hashes: object) -> Node:
    """A stage that was read, and whether its files are still the ones that were read."""
    source, state = report.stage(name), node("strong", f"✗ {say('changed since')}", class_="no")
    if source is not None and table(source.record, "outputs_sha256") == hashes:
        state = node("span", f"✓ {say('unchanged')}", class_="yes")
    return node("li", foreign(name), " ", state)


def _all_hashes(report: ReportData) -> Node | None:
    named: list[tuple[str, object]] = []
    for stage in report.stages:
        named += table(stage.record, "key_parts", "outside").items()
        named += [(say("{name}: key", name=stage.name), text(stage.record, "key"))]
        named += table(stage.record, "outputs_sha256").items()
    return hash_details("SHA-256 of every file", named)


def hash_details(caption: str, named: list[tuple[str, object]]) -> Node | None:
    rows = [[foreign(name), node("code", text(digest), class_="whole")] for name, digest in named]
    title = say("All {count} full hashes", count=count(len(named)))
    if len(named) == 1:
        title = "The full hash"
    return more(title, data_table(caption, ["file", "SHA-256"], rows))


def _run_inputs(report: ReportData) -> Sequence[Child] | str:
    inputs = [
        pair for stage in report.kinds for pair in table(report.run(stage).run, "inputs").items()
    ]
    if not inputs:
        return "this run names no inputs"
    names = node("ul", [node("li", foreign(name)) for name, _ in inputs], class_="hashes")
    return [
        node("p", say("This run was made from:")),
        names,
        hash_details("SHA-256 of what it was made from", inputs),
    ]


LINEAGE = Chapter(
    "lineage",
    "From source to file",
    "Lineage",
    "A hash identifies the bytes of a file. From the last stage back to the first, the hashes show "
    "exactly what a model was made from; groundup verify checks every file.",
    parts,
    runs=KINDS,
)


def reproduction(report: ReportData) -> Sequence[Child]:
    made_by = provenance(report)
    rows = [
        (say("created"), text(made_by, "created")),
        (say("seed"), text(report.build, "seed")),
    ]
    rows += [("groundup", text(made_by, "groundup")), ("Python", text(made_by, "python"))]
    rows += [(name, text(version)) for name, version in table(made_by, "packages").items()]
    rows = [(name, value) for name, value in rows if value] + flat(table(made_by, "machine"))
    recipe = settings_details("The resolved recipe", report.recipe)
    return [_commands(report, made_by), settings(rows), *measured_choices(report), recipe]


def provenance(report: ReportData) -> JsonObject:
    """The first record of versions and machine in the folder: the build's own, else a run's."""
    records = [report.build, *[report.run(stage).run for stage in report.kinds]]
    known = (record for record in records if record.get("packages") or record.get("python"))
    return next(known, {})


def settings(pairs: list[tuple[str, str]]) -> Node:
    rows = [
        node("div", node("dt", foreign(name)), node("dd", foreign(value))) for name, value in pairs
    ]
    return node("dl", rows, class_="settings")


def settings_details(title: str, nested: JsonObject) -> Node | None:
    """Nested settings as closed details; None where there are none."""
    pairs = flat(nested)
    if not pairs:
        return None
    return more(title, settings(pairs))


def _commands(report: ReportData, made_by: JsonObject) -> list[Node]:
    typed, shown = ["groundup", *texts(made_by, "argv")[1:]], {}
    if len(typed) > 1 or not report.is_build:
        shown["The command"] = shlex.join(typed)
    if report.is_build:
        what = "From the recipe in this folder, which has all settings, the seed and the budget"
        shown[what] = "groundup build recipe.toml --out AGAIN"
        shown["Made again, and every file compared"] = "groundup verify --rebuild ."
    return [
        node(
            "div",
            node("p", say(what), class_="step"),
            node("pre", node("code", line, dir="ltr"), class_="command"),
        )
        for what, line in shown.items()
    ]


# Pairs of seconds a step in fit.json and plan.json, and what was chosen by them.
PAIRS = (("precision", "float32", "bf16"), ("torch.compile", "plain", "compiled"))
# Of the sizes in build.json those that answer a question of the stage itself.
INTERNAL = ("worth", "worth_s")


def measured_choices(report: ReportData) -> list[Node | None]:
    """A table of the choices, stage by stage; one sentence where there are none."""
    rows: list[list[Child]] = []
    for name in report.kinds:
        stage = report.stage(name)
        chosen = list(_choices_of(report.run(name)))
        if stage is not None:
            sizes = table(stage.record, "sizes").items()
            chosen += [(k, str(v), "the time that it had") for k, v in sizes if k not in INTERNAL]
        for what, value, how in chosen:
            rows.append([foreign(name), foreign(what.replace("_", " ")), foreign(value), say(how)])
    if not rows:
        return [note("No choice was made by measuring the machine.")]
    caption = (
        "Chosen by measuring this machine: "
        "where other programs keep it busy, the same command may choose otherwise"
    )
    return [data_table(caption, ["stage", "what", "chosen", "by"], rows)]


def _choices_of(run: RunRecord) -> Iterator[tuple[str, str, str]]:
    """Yield what was chosen in a run, the choice, and by what."""
    step_s = {**table(run.results, "planned", "precision_step_s"), **table(run.choices, "step_s")}
    chosen = {"precision": text(run.choices, "precision"), "torch.compile": "off"}
    if run.choices.get("compiled"):
        chosen["torch.compile"] = "on"
    for name, first, second in PAIRS:
        before_s, after_s = numbers(step_s, first, second)
        if before_s is not None and after_s is not None:
            times = (1000 * before_s, first), (1000 * after_s, second)
            said = ", ".join(f"{fixed(ms, decimals=1)} ms {way}" for ms, way in times)
            yield name, chosen[name], say("a step: {times}", times=said)
    if table(run.choices, "product_s"):
        yield "Muon's precision", text(run.choices, "muon_precision"), "a matrix product in both"
    threads = tables(run.results, "threads")
    if len(threads) > 1:
        changes = (
            say("{count} from step {step}", count=count(each, "count"), step=count(each, "step"))
            for each in threads
        )
        yield "threads", ", ".join(changes), "the time of the steps"
    if tables(run.results, "rescales"):
        yield "steps", count(run.results, "steps"), "the clock, to keep the time"


REPEAT = Chapter(
    "repeat",
    "Reproduction",
    "How to reproduce it",
    "Whoever has the texts can make this again. With --fixed-choices, the same versions, "
    "instruction set and number of threads every file is the same byte for byte; elsewhere the last "
    "digits may differ.",
    reproduction,
    runs=KINDS,
)


def times(report: ReportData) -> Sequence[Child] | str:
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
        (duration(report.build, "budget_s"), "time budget"),
        (size(max(memory, default=None)), "peak memory"),
    )
    largest = max(max(stage.elapsed_s or 0.0, stage.planned_s or 0.0) for stage in timed)
    rows: list[list[Child]] = [
        [
            foreign(stage.name),
            bar(stage.elapsed_s, largest, stage.planned_s),
            duration(stage.elapsed_s),
            duration(stage.planned_s),
            size(stage.peak_memory_bytes),
        ]
        for stage in timed
    ]
    head: list[Child] = [
        "stage",
        node("span", say("time"), class_="quiet"),
        "took",
        "planned",
        "memory",
    ]
    caption = "Time of each stage, and the peak memory of the process up to its end"
    return [totals, figure(None, data_table(caption, head, rows, figures=(2, 3, 4), class_="bars"))]


TIMES = Chapter(
    "times",
    "Cost",
    "Time and memory",
    "A bar is the time a stage took; the vertical mark is the time that was planned.",
    times,
)
