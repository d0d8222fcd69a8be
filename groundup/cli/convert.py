"""`groundup convert`: a model in another format."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import JsonOption, ModelArgument, name_to_write
from groundup.errors import ConfigError

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


def command(
    model: ModelArgument,
    out: OutOption,
    to: ToOption = "gguf",
    encoding: EncodingOption = None,
    system: SystemOption = None,
    create: CreateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model in another format: for transformers and vLLM (hf), llama.cpp (gguf) or Ollama (ollama).

    Examples:

        groundup convert runs/quickstart --to gguf --out chat.gguf --encoding q8_0

        groundup convert runs/quickstart --to ollama --out exported --create my-chat

        groundup convert model.gguf --to hf --out folder
    """
    from groundup.device import select_compute
    from groundup.files import folder_bytes
    from groundup.weights.export import check_target, export
    from groundup.weights.model_io import open_model
    from groundup.weights.ollama import create_in_ollama, require_ollama

    check_target(to, out, encoding)
    if create is not None and to != "ollama":
        raise ConfigError(f"--create is for Ollama's models (got --to {to}).", fix="Say --to ollama, or leave it away.")
    program = require_ollama(create) if create is not None else None
    progress = console_progress()
    opened = open_model(model, select_compute("cpu"), progress=progress)
    written = export(opened, to, out, encoding=encoding, system=system, progress=progress)
    size_bytes = folder_bytes(written) if written.is_dir() else written.stat().st_size
    lines = [f"{written}: {size_bytes / 1e6:,.1f} MB."]
    if program is not None and create is not None:
        create_in_ollama(program, create, written)
        lines.append(f"Talk to it: ollama run {create}")
    elif to == "ollama":
        lines.append(
            f"For Ollama: cd {shlex.quote(str(written))} && ollama create NAME -f Modelfile (or here: --create NAME)"
        )
    result = {"path": str(written), "to": to, "bytes": size_bytes, "created": create}
    print_result(lines, result, as_json)
