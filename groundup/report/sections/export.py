"""The exported files, and the parity checks of each in real llama.cpp."""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import Chapter, StageCard, data_table, more, note, sentence
from groundup.report.report_data import ReportData
from groundup.report.sections.provenance import hash_details
from groundup.report.stored_sentences import as_stored
from groundup.report.values import NBSP, JsonObject, count, size, table, tables, text

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
    files, gates = tables(report.export, "files"), tables(report.export, "gates")
    if not files and not gates:
        return "nothing has been exported"
    return [_outcome(gates), _gates(gates), _files(files), _details(gates)]


def _outcome(gates: list[JsonObject]) -> Node:
    if not gates:
        words = "No file was compared with llama.cpp in this build; the files are unchecked."
        return note(words, kind="warning")
    failed = [gate for gate in gates if gate.get("passed") is not True]
    if not failed:
        return note(say("All {count} files passed every check.", count=len(gates)), kind="good")
    names = [(foreign(text(gate, "file")), " ") for gate in failed]
    words = "{failed} of {count} files failed the gate: {names}do not use them."
    return note(
        *sentence(words, failed=str(len(failed)), count=str(len(gates)), names=names),
        kind="warning",
    )


def _gates(gates: list[JsonObject]) -> Node | None:
    checks = [{text(each, "name"): each for each in tables(gate, "checks")} for gate in gates]
    names = list(dict.fromkeys(name for of_gate in checks for name in of_gate))
    if not names:
        return None
    rows = [
        [foreign(_gate_name(gate)), *[_mark(of_gate.get(name, {})) for name in names]]
        for gate, of_gate in zip(gates, checks, strict=True)
    ]
    head: list[Child] = ["file", *[foreign(say(CHECKS.get(name, name))) for name in names]]
    caption = say("Checks in llama.cpp")
    version = next((text(gate, "llama") for gate in gates if text(gate, "llama")), "")
    if version:
        caption += f" ({version})"
    return data_table(caption, head, rows)


def _gate_name(gate: JsonObject) -> str:
    return text(gate, "file").rsplit("/", 1)[-1] or text(gate, "model")


def _mark(check: JsonObject) -> Node:
    if not check or text(check, "detail").startswith("not made"):
        return node("span", say("not run"), class_="quiet")
    if check.get("passed") is True:
        return node("span", f"✓{NBSP}{say('agrees')}", class_="yes")
    return node("strong", f"✗{NBSP}{say('differs')}", class_="no")


def _files(files: list[JsonObject]) -> list[Node | None]:
    if not files:
        return []
    beside = note(
        *sentence(
            "Next to each file there is the same model as a Hugging Face folder "
            "(for transformers and vLLM) and a Modelfile: {command}.",
            command=node("code", "ollama create NAME -f Modelfile"),
        )
    )
    hashes = hash_details(
        "SHA-256 of the exported files",
        [(text(entry, "path"), text(entry, "sha256")) for entry in files],
    )
    keys = ("path", "model", "quantization")
    rows: list[list[Child]] = [
        [*[foreign(text(entry, key)) for key in keys], size(entry, "bytes")] for entry in files
    ]
    head = ["file", "model", "quantization", "size"]
    shown = data_table("Files written below export/", head, rows, figures=(3,))
    return [shown, hashes, beside]


def _details(gates: list[JsonObject]) -> Node | None:
    rows = [_detail(gate, check) for gate in gates for check in tables(gate, "checks")]
    made = data_table("Parity checks", ["file", "check", "outcome", "result"], rows)
    return more(say("All checks with their figures ({count})", count=count(len(rows))), made)


def _detail(gate: JsonObject, check: JsonObject) -> list[Child]:
    listed = ", ".join(_figure(*each) for each in table(check, "figures").items())
    result = ". ".join(filter(None, (text(check, "detail"), listed)))
    return [
        foreign(_gate_name(gate)),
        foreign(text(check, "name")),
        _mark(check),
        as_stored(result),
    ]


def _figure(name: str, value: object) -> str:
    if isinstance(value, float):
        return f"{name} {value:.4g}"
    return f"{name} {value}"


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
