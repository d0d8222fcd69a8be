"""What was made from what: the hash of everything each stage read and wrote, from the source to the exported file."""

from groundup.report.chapter import absent, chapter, data_table, more
from groundup.report.markup import Child, Node, foreign, node
from groundup.report.story import Stage, Story
from groundup.report.values import table, tables, text, texts
from groundup.report.words import count, short_hash

KEY, KICKER, TITLE = "lineage", "From source to file", "Lineage"
SEE = (
    "A hash is a fingerprint of a file's bytes. "
    "Follow one from right to left and you know exactly what a model was made from; groundup verify checks them all."
)
SHOWN_OUTPUTS = 4


def lineage(story: Story) -> Node:
    """The chapter with the table of hashes."""
    if not story.is_build:
        return _run_inputs(story)
    rows = [_row(stage) for stage in story.stages]
    if not rows:
        return absent(KEY, KICKER, TITLE, "no stage has written anything")
    made = data_table(
        "Each stage, what it was made from and what it wrote",
        ["stage", "made from", "wrote", "key"],
        rows,
        class_="stacked lineage",
    )
    return chapter(KEY, KICKER, TITLE, SEE, made, _all_hashes(story))


def _row(stage: Stage) -> list[Child]:
    outputs = list(table(stage.record, "outputs_sha256").items())
    shown = [_hashed(name, digest) for name, digest in outputs[:SHOWN_OUTPUTS]]
    rest = (
        node("li", f"and {count(len(outputs) - SHOWN_OUTPUTS)} more", class_="quiet")
        if len(outputs) > SHOWN_OUTPUTS
        else None
    )
    key = text(stage.record, "key")
    return [
        foreign(stage.name),
        _inputs(stage),
        node("ul", shown, rest, class_="hashes"),
        node("code", short_hash(key)),
    ]


def _hashed(name: str, digest: object) -> Node:
    return node("li", foreign(name), " ", node("code", short_hash(digest if isinstance(digest, str) else "")))


def _inputs(stage: Stage) -> Child:
    named = texts(stage.record, "inputs")
    entries = [_hashed(text(entry, "name"), text(entry, "sha256")) for entry in tables(stage.record, "inputs")]
    entries += [_hashed(name, digest) for name, digest in table(stage.record, "inputs").items()]
    return (
        node("ul", [node("li", foreign(name)) for name in named], entries, class_="hashes") if named or entries else "–"
    )


def _all_hashes(story: Story) -> Node | None:
    rows = [
        [foreign(f"{stage.name}/{name}"), node("code", digest if isinstance(digest, str) else "", class_="whole")]
        for stage in story.stages
        for name, digest in table(stage.record, "outputs_sha256").items()
    ]
    return (
        more(
            f"All {count(len(rows))} hashes in full",
            data_table("SHA-256 of every file written", ["file", "SHA-256"], rows),
        )
        if rows
        else None
    )


def _run_inputs(story: Story) -> Node:
    run = next((record.run for record in (story.pretrain, story.spam, story.chat) if record.run), {})
    rows = [
        [foreign(name), node("code", text(entry) or text(entry, "sha256"), class_="whole")]
        for name, entry in table(run, "inputs").items()
    ]
    if not rows:
        return absent(KEY, KICKER, TITLE, "this run names no inputs")
    return chapter(KEY, KICKER, TITLE, SEE, data_table("What this run was made from", ["input", "hash"], rows))
