"""`groundup convert`: a model in another format."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import JsonOption, ModelArgument, name_to_write
from groundup.errors import ConfigError, MissingExtra, ModelError

if TYPE_CHECKING:
    from groundup.progress import Progress
    from groundup.weights.model_io import OpenModel

ToOption = Annotated[
    str,
    typer.Option("--to", help="hf (a Hugging Face folder), gguf (a file for llama.cpp), ollama (GGUF and Modelfile)."),
]
OutOption = Annotated[
    Path, typer.Option("--out", callback=name_to_write, help="The folder to write; for gguf the file, NAME.gguf.")
]
EncodingOption = Annotated[
    str | None, typer.Option("--encoding", help="f32, f16, bf16, q8_0 or q4_0; default: f32 for hf, else f16.")
]
SystemOption = Annotated[str | None, typer.Option("--system", help="A system text for the Modelfile.")]
CreateOption = Annotated[
    str | None,
    typer.Option("--create", metavar="NAME", help="With --to ollama: also run `ollama create NAME` on the folder."),
]
CheckOption = Annotated[
    bool,
    typer.Option(
        "--check/--no-check",
        help="Hold a GGUF file against the model in a real llama.cpp (extra `demo`) before it takes its place.",
    ),
]


def command(
    model: ModelArgument,
    out: OutOption,
    to: ToOption = "gguf",
    encoding: EncodingOption = None,
    system: SystemOption = None,
    create: CreateOption = None,
    check: CheckOption = True,
    as_json: JsonOption = False,
) -> None:
    """Write a model in another format: for transformers and vLLM (hf), llama.cpp (gguf) or Ollama (ollama).

    A GGUF file is written only if a real llama.cpp finds the same model in it: tokens, stops, template, answers, probabilities. That takes some
    20 seconds for a model of 135M, longer for larger ones; --no-check leaves it out.

    Examples:

        groundup convert runs/quickstart --to gguf --out chat.gguf --encoding q8_0

        groundup convert runs/quickstart --to ollama --out exported --create my-chat

        groundup convert model.gguf --to hf --out folder
    """
    from groundup.device import select_compute
    from groundup.files import folder_bytes
    from groundup.weights.formats import FORMATS, check_target, export
    from groundup.weights.model_io import open_model
    from groundup.weights.modelfile import create_in_ollama, require_ollama

    encoding = check_target(to, out, encoding)
    if create is not None and to != "ollama":
        raise ConfigError(f"--create is for Ollama's models (got --to {to}).", fix="Say --to ollama, or leave it away.")
    program = require_ollama(create) if create is not None else None
    progress = console_progress()
    opened = open_model(model, select_compute("cpu"), progress=progress)
    gate = Gate(opened, encoding, progress) if FORMATS[to].runs_in_llamacpp else None
    written = export(
        opened, to, out, encoding=encoding, system=system, check=gate if check else None, progress=progress
    )
    size_bytes = folder_bytes(written) if written.is_dir() else written.stat().st_size
    lines = [f"{written}: {size_bytes / 1e6:,.1f} MB."]
    if gate is not None:
        lines.append(gate.said)
    if program is not None and create is not None:
        create_in_ollama(program, create, written)
        lines.append(f"Talk to it: ollama run {create}")
    elif to == "ollama":
        lines.append(
            f"For Ollama: cd {shlex.quote(str(written))} && ollama create NAME -f Modelfile (or here: --create NAME)"
        )
    result = {"path": str(written), "to": to, "bytes": size_bytes, "created": create}
    print_result(lines, result | {"checked": gate and (gate.report or gate.said)}, as_json)


class Gate:
    """The parity gate for the file of one conversion; afterwards its report, and what to say of it in one line."""

    def __init__(self, opened: "OpenModel", encoding: str, progress: "Progress") -> None:
        self.opened = opened
        self.encoding = encoding
        self.progress = progress
        self.report: dict[str, Any] | None = None
        self.said = "Not checked in llama.cpp (--no-check)."

    def __call__(self, gguf: Path) -> None:
        """Raises ModelError for a file that is another model in llama.cpp."""
        from groundup.evaluate.parity import gate

        try:
            report = gate(self.opened, gguf, encoding=self.encoding, progress=self.progress)
        except MissingExtra as missing:
            self.said = f"Not checked in llama.cpp. {missing.message} {missing.fix}"
            return
        try:
            report.require()
        except ModelError as failed:
            fix = "Nothing was written. If you need the file all the same: --no-check."
            raise ModelError(failed.message, fix=fix) from failed
        self.report = report.plain()
        self.said = f"Checked in a real llama.cpp ({report.llama}): the same model, {len(report.checks)} of {len(report.checks)} checks."
