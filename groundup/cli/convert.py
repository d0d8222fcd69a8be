"""`groundup convert`: a model in another format."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import JsonOption, ModelArgument, name_to_write
from groundup.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from groundup.api.models import ConvertResults

NO_CHECK = "--no-check"


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
    quantization: Annotated[
        str | None,
        Option(
            "--quantization", help="f32, f16, bf16, q8_0 or q4_0; default: f32 for hf, else f16."
        ),
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
        bool,
        Option(
            "--check/--no-check",
            help="Check GGUF files in llama.cpp, and count what a run repeats of its training text.",
        ),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Write a model in another format: for transformers and vLLM (hf), llama.cpp (gguf) or Ollama
    (ollama).

    A GGUF file is written only if a real llama.cpp (extra `demo`) gives the same tokens, stop
    tokens, template, answers and probabilities. The check takes some 20 seconds for a model of
    135M, longer for larger ones. Of a run that still has its training text, what it repeats of it
    word for word is counted, too. --no-check skips both. An adapter is merged, but with
    gguf-adapter written by itself, and checked beside its base. With --precision groundup alone opens the
    folder; serve, chat and generate map its weights from disk when they are given the same
    --precision.

    Examples:
        groundup convert runs/quickstart --to gguf --out chat.gguf --quantization q8_0
        groundup convert runs/quickstart --to ollama --out exported --create my-chat
        groundup convert runs/mine --to gguf-adapter --out mine-lora.gguf
        groundup convert model.gguf --to hf --out folder
        groundup convert smollm2-135m-instruct --precision int8 --out small
    """
    from groundup.api.models import WITHOUT_CHECK, convert

    to, quantization = target_of(to, quantization, precision)
    try:
        done = convert(
            model,
            out,
            to,
            quantization=quantization,
            system=system,
            create=create,
            check=check,
            progress=console_progress(),
        )
    except ModelError as error:
        raise ModelError(error.message, fix=error.fix.replace(WITHOUT_CHECK, NO_CHECK)) from error
    result = {
        "path": str(done.path),
        "to": done.to,
        "bytes": done.size_bytes,
        "created": done.created,
        # the comparison, or why there is none
        "checked": asdict(done.parity) if done.parity else "".join(check_lines(done)) or None,
        "memorised": done.memorised and done.memorised.to_plain(),
    }
    print_result(result_lines(done), result, as_json)


def result_lines(done: "ConvertResults") -> list[str]:
    lines = [f"{done.path}: {done.size_bytes / 1e6:,.1f} MB.", *check_lines(done)]
    lines += memorised_lines(done)
    if done.created is not None:
        lines.append(f"Talk to it: ollama run {done.created}")
    elif done.to == "ollama":
        folder = shlex.quote(str(done.path))
        lines.append(
            f"For Ollama: cd {folder} && ollama create NAME -f Modelfile (or here: --create NAME)"
        )
    return lines


def memorised_lines(done: "ConvertResults") -> list[str]:
    if done.memorised is None:
        return []
    counts = [
        f"{row.repeated:,} of {row.tried:,} {row.kind}"
        for row in done.memorised.rows
        if row.split == "train"
    ]
    return [
        f"Repeats of its training text, word for word: {', '.join(counts)}. "
        "To see them: groundup evaluate RUN --memorised"
    ]


def check_lines(done: "ConvertResults") -> list[str]:
    if done.unchecked:
        from groundup.api.models import WITHOUT_CHECK

        chosen = done.unchecked == WITHOUT_CHECK
        return [f"Not checked in llama.cpp{f' ({NO_CHECK}).' if chosen else f'. {done.unchecked}'}"]
    if done.parity is None:
        return []
    count = len(done.parity.checks)
    llama = done.parity.llama
    return [f"Checked in a real llama.cpp ({llama}): the same model, {count} of {count} checks."]


def target_of(
    to: str | None, quantization: str | None, precision: str | None
) -> tuple[str, str | None]:
    """Raises ConfigError for --precision with another format."""
    if precision is None:
        return to or "gguf", quantization
    if to not in (None, "packed") or quantization is not None:
        raise ConfigError(
            "--precision goes with neither --quantization nor another --to than packed.",
            fix="Leave one out.",
        )
    if precision not in ("int8", "int4"):
        raise ConfigError(
            f"--precision {precision!r} is not one of int8, int4.",
            fix="For others: --to hf --quantization.",
        )
    return "packed", precision
