"""Stage 8: the exported files, and the parity checks of each in real llama.cpp."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import Heading, absent, chapter, data_table, more, note, notes_of
from groundup.report.report_data import ReportData
from groundup.report.sections.lineage import folded
from groundup.report.values import NBSP, JsonObject, count, number, size, table, tables, text

HEADING = Heading(
    "export",
    "Stage 8 · export",
    "Files for other programs, compared with the original",
    "An exported model can be wrong without any error message. "
    "So every file was loaded in real llama.cpp and compared with the original model: "
    "token ids, rendered conversations, stop tokens, and the probability of each token.",
)

# Column titles of the parity checks (evaluate/parity.py).
CHECKS = {
    "load": "loads",
    "tokens": "token ids",
    "stops": "stop tokens",
    "template": "conversations",
    "answers": "ends of answers",
    "greedy": "best next tokens",
}


def export(report: ReportData) -> Node:
    """The chapter on exported files and the parity gate."""
    files, gates = tables(report.export, "files"), tables(report.export, "gates")
    if not files and not gates:
        return absent(HEADING, "nothing has been exported")
    stage = report.stage("export")
    return chapter(
        HEADING,
        _outcome(gates),
        _gates(gates),
        _files(files),
        _details(gates),
        notes_of(stage.thin if stage else []),
    )


def _outcome(gates: list[JsonObject]) -> Node:
    failed = [gate for gate in gates if gate.get("passed") is not True]
    if not gates:
        return note("No file was compared with llama.cpp in this build; the files are unchecked.", kind="warning")
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
    return data_table("Checks in llama.cpp" + (f" ({llama})" if llama else ""), head, rows)


def _gate_name(gate: JsonObject) -> str:
    return text(gate, "file").rsplit("/", 1)[-1] or text(gate, "model")


def _check(gate: JsonObject, name: str) -> JsonObject:
    return next((check for check in tables(gate, "checks") if text(check, "name") == name), {})


def _mark(check: JsonObject) -> Node:
    if not check or text(check, "detail").startswith("not made"):
        return node("span", "not run", class_="quiet")
    if check.get("passed") is True:
        return node("span", f"✓{NBSP}agrees", class_="yes")
    return node("strong", f"✗{NBSP}differs", class_="no")


def _files(files: list[JsonObject]) -> list[Node]:
    if not files:
        return []
    head = ["file", "model", "encoding", "size"]
    beside = note(
        "Next to each file there is the same model as a Hugging Face folder (for transformers and vLLM) and a Modelfile: ",
        node("code", "ollama create NAME -f Modelfile"),
        ".",
    )
    hashes = folded([(text(entry, "path"), text(entry, "sha256")) for entry in files])
    rows = [_file(entry) for entry in files]
    shown = data_table("Files written below export/", head, rows, figures=(3,))
    return [shown, *([hashes] if hashes is not None else []), beside]


def _file(entry: JsonObject) -> list[Child]:
    return [*(foreign(text(entry, key)) for key in ("path", "model", "encoding")), size(number(entry, "bytes"))]


def _details(gates: list[JsonObject]) -> Node | None:
    rows = [_detail(gate, check) for gate in gates for check in tables(gate, "checks")]
    if not rows:
        return None
    made = data_table("Parity checks", ["file", "check", "", "result"], rows)
    return more(f"All checks with their figures ({count(len(rows))})", made)


def _detail(gate: JsonObject, check: JsonObject) -> list[Child]:
    figures = ", ".join(f"{name} {_figure(value)}" for name, value in table(check, "figures").items())
    result = ". ".join(part for part in (text(check, "detail"), figures) if part)
    return [foreign(_gate_name(gate)), foreign(text(check, "name")), _mark(check), foreign(result)]


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
