"""A folder for Ollama (GGUF, Modelfile, card), and `ollama create`, which makes a model of it that `ollama run NAME` talks with.

The second is done by Ollama's own program; it reads the Modelfile and hands the GGUF to its server, which must be running.
"""

import re
import shutil
import subprocess
from pathlib import Path

from groundup.errors import ConfigError, ModelError
from groundup.files import atomic_folder
from groundup.weights.gguf import GGUF, export_gguf
from groundup.weights.model_format import ExportOptions, ModelFormat, OpenModel, model_name, write_card
from groundup.weights.modelfile import MODELFILE, write_modelfile

PROGRAM = "ollama"
# [host/][namespace/]model[:tag]; a name that begins with "-" would be read as an option.
_NAME = re.compile(
    r"(?:[A-Za-z0-9_][A-Za-z0-9._:-]*/){0,2}[A-Za-z0-9_][A-Za-z0-9._-]*(?::[A-Za-z0-9_][A-Za-z0-9._-]*)?"
)


def require_ollama(name: str) -> str:
    """Where Ollama's program is. Refuses, before any work, a name that it would not take. Raises ConfigError."""
    if len(name) > 200 or not _NAME.fullmatch(name):
        raise ConfigError(
            f"--create {name[:60]!r} is no name for an Ollama model.",
            fix="Take letters, digits and . _ -, such as my-chat or me/my-chat:v1.",
        )
    program = shutil.which(PROGRAM)
    if program is None:
        raise ConfigError(
            f"--create {name} needs Ollama's own program, and there is no `{PROGRAM}` on this machine's PATH.",
            fix="Install it from ollama.com, or leave --create away: the folder can be taken to a machine that has it.",
        )
    return program


def create_in_ollama(program: str, name: str, folder: Path) -> None:
    """`ollama create NAME` of an exported folder; what it prints goes to nobody unless it fails. Raises ModelError."""
    command = [program, "create", name, "-f", MODELFILE]
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise ModelError(
            f"`ollama create {name}` ended with {done.returncode} and said: {said[:300]}",
            fix=f"The files are whole. Is `ollama serve` running? Then: cd {folder} && ollama create {name} -f {MODELFILE}",
        )


def _export(opened: OpenModel, out: Path, options: ExportOptions) -> None:
    name = f"{safe_file_name(model_name(opened))}-{options.encoding}{GGUF.suffix}"
    with atomic_folder(out, extra={"exported": "ollama"}) as folder:
        export_gguf(opened, folder / name, options)
        write_modelfile(folder, name, opened.require_tokenizer(), options.system)
        write_card(opened, folder)


def safe_file_name(name: str) -> str:
    """A name for people -> one that files and Modelfiles take everywhere."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:100] or "model"


OLLAMA = ModelFormat("ollama", "", GGUF.encodings, GGUF.default_encoding, _export, runs_in_llamacpp=True)
