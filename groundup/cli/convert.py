"""`groundup convert`: a model in another format."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import JsonOption, ModelArgument, name_to_write
from groundup.errors import ConfigError, MissingExtra, ModelError

if TYPE_CHECKING:
    from groundup.progress import Progress
    from groundup.weights.model_io import OpenModel


def command(
    model: ModelArgument,
    out: Annotated[
        Path,
        Option(
            "--out",
            callback=name_to_write,
            help="The folder to write; for gguf the file, NAME.gguf.",
        ),
    ],
    to: Annotated[
        str | None,
        Option(
            "--to",
            help="hf (a Hugging Face folder), gguf (default), gguf-adapter (for llama.cpp), ollama (GGUF, Modelfile), packed.",
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        Option("--encoding", help="f32, f16, bf16, q8_0 or q4_0; default: f32 for hf, else f16."),
    ] = None,
    precision: Annotated[
        str | None,
        Option(
            "--precision",
            help="int8 or int4: a folder of packed weights (--to packed), a fraction of the size.",
        ),
    ] = None,
    system: Annotated[
        str | None, Option("--system", help="A system prompt for the Modelfile.")
    ] = None,
    create: Annotated[
        str | None,
        Option(
            "--create",
            metavar="NAME",
            help="With --to ollama: also run `ollama create NAME` on the folder.",
        ),
    ] = None,
    check: Annotated[
        bool, Option("--check/--no-check", help="Check GGUF files in a real llama.cpp.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Write a model in another format: for transformers and vLLM (hf), llama.cpp (gguf) or Ollama
    (ollama).

    A GGUF file is written only if a real llama.cpp (extra `demo`) gives the same tokens, stop
    tokens, template, answers and probabilities. The check takes some 20 seconds for a model of
    135M, longer for larger ones; --no-check skips it. An adapter is merged, but with gguf-adapter
    written by itself, and checked beside its base. With --precision groundup alone opens the
    folder; serve, chat and generate map its weights from disk when they are given the same
    --precision.

    Examples:
        groundup convert runs/quickstart --to gguf --out chat.gguf --encoding q8_0
        groundup convert runs/quickstart --to ollama --out exported --create my-chat
        groundup convert runs/mine --to gguf-adapter --out mine-lora.gguf
        groundup convert model.gguf --to hf --out folder
        groundup convert smollm2-135m-instruct --precision int8 --out small
    """
    from groundup.device import select_compute
    from groundup.files import folder_bytes
    from groundup.weights.formats import FORMATS, check_target, export
    from groundup.weights.model_io import open_model
    from groundup.weights.modelfile import create_in_ollama, require_ollama

    to, encoding = target_of(to, encoding, precision)
    encoding = check_target(to, out, encoding)
    if create is not None and to != "ollama":
        raise ConfigError(
            f"--create is for Ollama's models (got --to {to}).",
            fix="Use --to ollama, or leave it out.",
        )
    program = require_ollama(create) if create is not None else None
    progress = console_progress()
    opened = open_model(model, select_compute("cpu"), progress=progress)
    checks: list[tuple[str, dict[str, Any] | None]] = []
    checked = check and FORMATS[to].runs_in_llamacpp
    gate = (
        (lambda file: checks.append(parity(opened, file, to, encoding, progress)))
        if checked
        else None
    )
    written = export(
        opened, to, out, encoding=encoding, system=system, check=gate, progress=progress
    )
    size_bytes = folder_bytes(written) if written.is_dir() else written.stat().st_size
    lines = [f"{written}: {size_bytes / 1e6:,.1f} MB."]
    said, report = checks[0] if checks else ("Not checked in llama.cpp (--no-check).", None)
    if FORMATS[to].runs_in_llamacpp:
        lines.append(said)
    if program is not None and create is not None:
        create_in_ollama(program, create, written)
        lines.append(f"Talk to it: ollama run {create}")
    elif to == "ollama":
        folder = shlex.quote(str(written))
        lines.append(
            f"For Ollama: cd {folder} && ollama create NAME -f Modelfile (or here: --create NAME)"
        )
    result = {"path": str(written), "to": to, "bytes": size_bytes, "created": create}
    result["checked"] = (report or said) if FORMATS[to].runs_in_llamacpp else None
    print_result(lines, result, as_json)


def target_of(
    to: str | None, encoding: str | None, precision: str | None
) -> tuple[str, str | None]:
    """Return format and encoding. Raises ConfigError for --precision with another format."""
    if precision is None:
        return to or "gguf", encoding
    if to not in (None, "packed") or encoding is not None:
        raise ConfigError(
            "--precision goes with neither --encoding nor another --to than packed.",
            fix="Leave one out.",
        )
    if precision not in ("int8", "int4"):
        raise ConfigError(
            f"--precision {precision!r} is not one of int8, int4.",
            fix="For others: --to hf --encoding.",
        )
    return "packed", precision


def parity(
    opened: "OpenModel", gguf: Path, to: str, encoding: str, progress: "Progress"
) -> tuple[str, dict[str, Any] | None]:
    """Compare a GGUF file in llama.cpp with the model; return the result as a sentence and as
    values. Raises ModelError where they differ.
    """
    from groundup.evaluate.parity import gate, gate_adapter

    check = gate if to != "gguf-adapter" else gate_adapter
    try:
        report = check(opened, gguf, encoding=encoding, progress=progress)
    except MissingExtra as missing:
        return f"Not checked in llama.cpp. {missing.message} {missing.fix}", None
    try:
        report.require()
    except ModelError as failed:
        raise ModelError(
            failed.message, fix="Nothing was written. To write it anyway: --no-check."
        ) from failed
    count = len(report.checks)
    return (
        f"Checked in a real llama.cpp ({report.llama}): the same model, {count} of {count} checks.",
        report.plain(),
    )
