"""`groundup convert`: a model in another format."""

from pathlib import Path
from typing import Annotated

import typer

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import JsonOption, ModelArgument, possible_name

ToOption = Annotated[
    str,
    typer.Option("--to", help="hf (a Hugging Face folder), gguf (a file for llama.cpp), ollama (GGUF and Modelfile)."),
]
OutOption = Annotated[
    Path, typer.Option("--out", callback=possible_name, help="The folder to write; for gguf the file, NAME.gguf.")
]
EncodingOption = Annotated[
    str | None, typer.Option("--encoding", help="f32, f16, bf16, q8_0 or q4_0; default: f32 for hf, else f16.")
]
SystemOption = Annotated[str | None, typer.Option("--system", help="A system text for the Modelfile.")]


def command(
    model: ModelArgument,
    out: OutOption,
    to: ToOption = "gguf",
    encoding: EncodingOption = None,
    system: SystemOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model in another format: for transformers and vLLM (hf), llama.cpp (gguf) or Ollama (ollama).

    Examples:

        groundup convert runs/quickstart --to gguf --out chat.gguf --encoding q8_0

        groundup convert runs/quickstart --to ollama --out exported

        groundup convert model.gguf --to hf --out folder
    """
    from groundup.device import select_compute
    from groundup.files import folder_bytes
    from groundup.weights.door import open_model
    from groundup.weights.export import check_target, export

    check_target(to, out, encoding)
    progress = console_progress()
    opened = open_model(model, select_compute("cpu"), progress=progress)
    written = export(opened, to, out, encoding=encoding, system=system, progress=progress)
    size_bytes = folder_bytes(written) if written.is_dir() else written.stat().st_size
    result = {"path": str(written), "to": to, "bytes": size_bytes}
    print_result([f"{written}: {size_bytes / 1e6:,.1f} MB."], result, as_json)
