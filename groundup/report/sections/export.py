"""Stage 8: the files that leave the build, and the gate each of them had to pass in real llama.cpp."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import absent, chapter, data_table, more, note, notes_of
from groundup.report.report_data import ReportData
from groundup.report.sections.lineage import folded
from groundup.report.values import JsonObject, tables, text
from groundup.report.values import number as value_of
from groundup.report.words import NBSP, count, size

KEY, KICKER, TITLE = "export", "Stage 8 · export", "Files for other programs, and proof that they agree"
SEE = (
    "An exported model can be wrong without a sound. "
    "So every file was opened in real llama.cpp and compared with our own model: "
    "numbers of the text, the conversation as sent, where it stops, and each token's probability."
)

# The checks of the gate (evaluate/parity.py), in words.
CHECKS = {
    "load": "opens",
    "tokens": "token ids",
    "stops": "stop tokens",
    "template": "conversations",
    "answers": "ends of answers",
    "greedy": "best next tokens",
}


def export(story: ReportData) -> Node:
    """The chapter on exported files and the parity gate."""
    files, gates = tables(story.export, "files"), tables(story.export, "gates")
    if not files and not gates:
        return absent(KEY, KICKER, TITLE, "nothing has been exported")
    stage = story.stage("export")
    return chapter(
        KEY,
        KICKER,
        TITLE,
        SEE,
        _outcome(gates),
        _gates(gates),
        _files(files),
        _details(gates),
        notes_of(stage.thin if stage else []),
    )


def _outcome(gates: list[JsonObject]) -> Node:
    failed = [gate for gate in gates if gate.get("passed") is not True]
    if not gates:
        return note("No file was compared with llama.cpp in this build: treat the files as unchecked.", kind="warning")
    if failed:
        names = [child for gate in failed for child in (foreign(text(gate, "file")), " ")]
        return note(f"{len(failed)} of {len(gates)} files failed the gate: ", names, "do not use them.", kind="warning")
    return note(f"All {len(gates)} files passed every check.", kind="good")


def _gates(gates: list[JsonObject]) -> Node | None:
    names = list(dict.fromkeys(text(check, "name") for gate in gates for check in tables(gate, "checks")))
    if not names:
        return None
    rows = [[foreign(_gate_name(gate)), *[_mark(_check(gate, name)) for name in names]] for gate in gates]
    head: list[Child] = ["file", *[foreign(CHECKS.get(name, name)) for name in names]]
    llama = next((version for gate in gates if (version := text(gate, "llama"))), "")
    return data_table(f"What was compared in llama.cpp {f'({llama})' if llama else ''}".rstrip(), head, rows)


def _gate_name(gate: JsonObject) -> str:
    return text(gate, "file").rsplit("/", 1)[-1] or text(gate, "model")


def _check(gate: JsonObject, name: str) -> JsonObject:
    return next((check for check in tables(gate, "checks") if text(check, "name") == name), {})


def _mark(check: JsonObject) -> Node:
    if not check or text(check, "detail").startswith("not made"):
        return node("span", "not made", class_="quiet")
    if check.get("passed") is True:
        return node("span", f"✓{NBSP}agrees", class_="yes")
    return node("strong", f"✗{NBSP}differs", class_="no")


def _files(files: list[JsonObject]) -> list[Node]:
    if not files:
        return []
    head = ["file", "model", "encoding", "size"]
    beside = note(
        "Beside each lie the same model as a Hugging Face folder, for transformers and vLLM, and a Modelfile: ",
        node("code", "ollama create NAME -f Modelfile"),
        ".",
    )
    hashes = folded([(text(entry, "path"), text(entry, "sha256")) for entry in files])
    shown = data_table("Files written below export/", head, [_file(entry) for entry in files], figures=(3,))
    return [shown, *([hashes] if hashes is not None else []), beside]


def _file(entry: JsonObject) -> list[Child]:
    return [
        foreign(text(entry, "path")),
        foreign(text(entry, "model")),
        foreign(text(entry, "encoding")),
        size(value_of(entry, "bytes")),
    ]


def _details(gates: list[JsonObject]) -> Node | None:
    rows = [_detail(gate, check) for gate in gates for check in tables(gate, "checks")]
    if not rows:
        return None
    return more(
        f"Every check with its figures ({count(len(rows))})",
        data_table("Checks of the parity gate", ["file", "check", "", "what was found"], rows),
    )


def _detail(gate: JsonObject, check: JsonObject) -> list[Child]:
    found = text(check, "detail")
    figures = check.get("figures")
    listed = (
        ", ".join(f"{name} {_figure(value)}" for name, value in figures.items()) if isinstance(figures, dict) else ""
    )
    return [
        foreign(_gate_name(gate)),
        foreign(text(check, "name")),
        _mark(check),
        foreign(". ".join(part for part in (found, listed) if part)),
    ]


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
