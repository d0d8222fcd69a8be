"""The exported files, and the parity checks of each in real llama.cpp."""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import Chapter, StageCard, data_table, more, note
from groundup.report.formatting import NBSP, count, size
from groundup.report.report_data import ReportData
from groundup.report.sections.provenance import folded
from groundup.report.values import JsonObject, number, table, tables, text

# Column titles of the parity checks (evaluate/parity.py).
CHECKS = {
    "load": "loads",
    "tokens": "token ids",
    "stops": "stop tokens",
    "template": "conversations",
    "answers": "ends of answers",
    "greedy": "best next tokens",
}


def parts(report: ReportData) -> Sequence[Child] | str:
    """The exported files and the parity gate."""
    record = exported(report)
    files, gates = tables(record, "files"), tables(record, "gates")
    if not files and not gates:
        return "nothing has been exported"
    return [_outcome(gates), _gates(gates), _files(files), _details(gates)]


def exported(report: ReportData) -> JsonObject:
    """Return the files and gates of the stage; of a failed export, which has no folder, the failed
    gate.
    """
    if found := report.json("export/results.json"):
        return found
    failed = report.json("gate-failed.json")
    return {"gates": [failed]} if failed else {}


def _outcome(gates: list[JsonObject]) -> Node:
    failed = [gate for gate in gates if gate.get("passed") is not True]
    if not gates:
        return note(
            "No file was compared with llama.cpp in this build; the files are unchecked.",
            kind="warning",
        )
    if failed:
        names = [child for gate in failed for child in (foreign(text(gate, "file")), " ")]
        return note(
            f"{len(failed)} of {len(gates)} files failed the gate: ",
            names,
            "do not use them.",
            kind="warning",
        )
    return note(f"All {len(gates)} files passed every check.", kind="good")


def _gates(gates: list[JsonObject]) -> Node | None:
    names = list(
        dict.fromkeys(text(check, "name") for gate in gates for check in tables(gate, "checks"))
    )
    if not names:
        return None
    rows = []
    for gate in gates:
        checks = {text(check, "name"): check for check in tables(gate, "checks")}
        rows.append([foreign(_gate_name(gate)), *[_mark(checks.get(name, {})) for name in names]])
    head: list[Child] = ["file", *[foreign(CHECKS.get(name, name)) for name in names]]
    llama = next((version for gate in gates if (version := text(gate, "llama"))), "")
    return data_table("Checks in llama.cpp" + (f" ({llama})" if llama else ""), head, rows)


def _gate_name(gate: JsonObject) -> str:
    return text(gate, "file").rsplit("/", 1)[-1] or text(gate, "model")


def _mark(check: JsonObject) -> Node:
    if not check or text(check, "detail").startswith("not made"):
        return node("span", "not run", class_="quiet")
    if check.get("passed") is True:
        return node("span", f"✓{NBSP}agrees", class_="yes")
    return node("strong", f"✗{NBSP}differs", class_="no")


def _files(files: list[JsonObject]) -> list[Node | None]:
    if not files:
        return []
    head = ["file", "model", "encoding", "size"]
    beside = note(
        "Next to each file there is the same model as a Hugging Face folder (for transformers and vLLM) and a Modelfile: ",
        node("code", "ollama create NAME -f Modelfile"),
        ".",
    )
    hashes = folded([(text(entry, "path"), text(entry, "sha256")) for entry in files])
    rows: list[list[Child]] = []
    for entry in files:
        names = (foreign(text(entry, key)) for key in ("path", "model", "encoding"))
        rows.append([*names, size(number(entry, "bytes"))])
    shown = data_table("Files written below export/", head, rows, figures=(3,))
    return [shown, hashes, beside]


def _details(gates: list[JsonObject]) -> Node | None:
    rows = [_detail(gate, check) for gate in gates for check in tables(gate, "checks")]
    if not rows:
        return None
    made = data_table("Parity checks", ["file", "check", "", "result"], rows)
    return more(f"All checks with their figures ({count(len(rows))})", made)


def _detail(gate: JsonObject, check: JsonObject) -> list[Child]:
    found = table(check, "figures")
    listed = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in found.items()
    ]
    result = ". ".join(part for part in (text(check, "detail"), ", ".join(listed)) if part)
    return [foreign(_gate_name(gate)), foreign(text(check, "name")), _mark(check), foreign(result)]


EXPORT = Chapter(
    "export",
    "",
    "Files for other programs, compared with the original",
    "An exported model can be wrong without any error message. "
    "So every file was loaded in real llama.cpp and compared with the original model: "
    "token ids, rendered conversations, stop tokens, and the probability of each token.",
    parts,
    cards=[StageCard("export", "Export", "writes files for other programs")],
)
