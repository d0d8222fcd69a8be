"""What was made from what: the hash of everything each stage read and wrote, from the source to the exported file."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import absent, chapter, data_table, figure, more
from groundup.report.report_data import ReportData, Stage
from groundup.report.values import JsonObject, table, text
from groundup.report.words import count

KEY, KICKER, TITLE = "lineage", "From source to file", "Lineage"
SEE = (
    "A hash is a fingerprint of a file's bytes. Follow the stages from the last to the first and you know exactly "
    "what a model was made from; groundup verify checks every file."
)
SHOWN_OUTPUTS = 4


def lineage(story: ReportData) -> Node:
    """The chapter with the table of hashes."""
    if not story.is_build:
        return _run_inputs(story)
    if not story.stages:
        return absent(KEY, KICKER, TITLE, "no stage has written anything")
    rows = [_row(story, stage) for stage in story.stages]
    head = ["stage", "made from", "wrote"]
    made = data_table("Each stage, what it was made from and what it wrote", head, rows, class_="stacked lineage")
    return chapter(KEY, KICKER, TITLE, SEE, figure(None, made), _all_hashes(story))


def _row(story: ReportData, stage: Stage) -> list[Child]:
    outputs = list(table(stage.record, "outputs_sha256"))
    rest = (
        node("li", f"and {count(len(outputs) - SHOWN_OUTPUTS)} more", class_="quiet")
        if len(outputs) > SHOWN_OUTPUTS
        else None
    )
    wrote = [node("li", foreign(name.removeprefix(f"{stage.name}/"))) for name in outputs[:SHOWN_OUTPUTS]]
    return [foreign(stage.name), _made_from(story, stage), node("ul", wrote, rest, class_="hashes")]


def _made_from(story: ReportData, stage: Stage) -> Child:
    outside = [node("li", foreign(name)) for name in table(stage.record, "key_parts", "outside")]
    inputs = [_input(story, name, hashes) for name, hashes in table(stage.record, "key_parts", "inputs").items()]
    return node("ul", outside, inputs, class_="hashes") if outside or inputs else "–"


def _input(story: ReportData, name: str, hashes: object) -> Node:
    """A stage that was read, and whether what it holds today is what was read then."""
    source = story.stage(name)
    same = source is not None and table(source.record, "outputs_sha256") == hashes
    mark = (
        node("span", "✓ the same files", class_="yes") if same else node("strong", "✗ other files today", class_="no")
    )
    return node("li", foreign(name), " ", mark)


def _all_hashes(story: ReportData) -> Node | None:
    named: list[tuple[str, object]] = []
    for stage in story.stages:
        named += table(stage.record, "key_parts", "outside").items()
        named += [(f"{stage.name}: key", text(stage.record, "key"))]
        named += table(stage.record, "outputs_sha256").items()
    return folded(named)


def folded(named: list[tuple[str, object]]) -> Node | None:
    """Hashes in full, to be opened."""
    title = "The hash in full" if len(named) == 1 else f"All {count(len(named))} hashes in full"
    return more(title, data_table("SHA-256", ["of what", "SHA-256"], whole(named))) if named else None


def whole(named: list[tuple[str, object]]) -> list[list[Child]]:
    """Rows of names with their hashes in full."""
    return [
        [foreign(name), node("code", digest if isinstance(digest, str) else "", class_="whole")]
        for name, digest in named
    ]


def _run_inputs(story: ReportData) -> Node:
    run: JsonObject = next((record.run for record in (story.pretrain, story.spam, story.chat) if record.run), {})
    inputs = list(table(run, "inputs").items())
    if not inputs:
        return absent(KEY, KICKER, TITLE, "this run names no inputs")
    names = node("ul", [node("li", foreign(name)) for name, _ in inputs], class_="hashes")
    return chapter(KEY, KICKER, TITLE, SEE, node("p", "This run was made from:"), names, folded(inputs))
