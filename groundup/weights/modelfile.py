"""A GGUF file as an Ollama model: its Modelfile (FROM, TEMPLATE, PARAMETER stop, SYSTEM), and
`ollama create`.

Ollama renders conversations with a Go template. A wrong one, or a missing stop, is the usual cause
of endless answers after an export, so it is written only where the model's own template renders a
few conversations as ChatML (with or without a default system prompt, which goes into SYSTEM): ChatML
in Go, for `.Messages` and, of early versions, for one exchange of .System, .Prompt and .Response.
For any other Ollama uses the template in the GGUF if it knows it. Not covered, since no template
can: Ollama joins consecutive messages of one role, and reads a control token that a user typed as
one.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from groundup.errors import ConfigError, ModelError
from groundup.files import atomic_folder, write_text
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.special import TURN_END, TURN_START
from groundup.weights.gguf import GGUF, export_gguf
from groundup.weights.model_format import (
    ExportOptions,
    ModelFormat,
    OpenModel,
    model_name,
    write_card,
)

MODELFILE = "Modelfile"
PROGRAM = "ollama"
# [host/][namespace/]model[:tag]; a name that begins with "-" would be read as an option.
_NAME = re.compile(
    r"(?:[A-Za-z0-9_][A-Za-z0-9._:-]*/){0,2}[A-Za-z0-9_][A-Za-z0-9._-]*(?::[A-Za-z0-9_][A-Za-z0-9._-]*)?"
)
# Delimits texts in a Modelfile; it can't be escaped.
QUOTES = '"""'

OPENING = f"{TURN_START}assistant\n"
# ChatML in Go's template language. To prompt for an answer, Ollama cuts the second branch off at
# .Response.
GO_TEMPLATE = (
    "{{ if .Messages }}"
    f"{{{{ range .Messages }}}}{TURN_START}{{{{ .Role }}}}\n{{{{ .Content }}}}{TURN_END}\n{{{{ end }}}}{OPENING}"
    "{{ else }}"
    f"{{{{ if .System }}}}{TURN_START}system\n{{{{ .System }}}}{TURN_END}\n{{{{ end }}}}"
    f"{{{{ if .Prompt }}}}{TURN_START}user\n{{{{ .Prompt }}}}{TURN_END}\n{{{{ end }}}}"
    f"{OPENING}{{{{ .Response }}}}{TURN_END}\n"
    "{{ end }}"
)

_PROBES = (
    (Message("user", "One?"),),
    (Message("system", "Be brief."), Message("user", "One?")),
    (Message("user", " One\n\ntwo? "), Message("assistant", "Yes.\n"), Message("user", "Three?")),
    (
        Message("system", "S."),
        Message("user", "1"),
        Message("assistant", "2"),
        Message("user", "3"),
    ),
    (Message("system", ""), Message("user", "1"), Message("assistant", "2")),
)


@dataclass(frozen=True)
class ChatML:
    """`default_system` is put before a conversation without a system message."""

    default_system: str | None = None

    def text(self, messages: tuple[Message, ...]) -> str:
        """How Ollama renders a conversation with `GO_TEMPLATE` and this default."""
        if self.default_system is not None and messages[0].role != "system":
            messages = (Message("system", self.default_system), *messages)
        turns = (f"{TURN_START}{turn.role}\n{turn.content}{TURN_END}\n" for turn in messages)
        return "".join(turns) + OPENING


def recognise_chatml(tokenizer: Tokenizer) -> ChatML | None:
    """The model's template as ChatML; None: another or none."""
    if tokenizer.chat_template is None:
        return None
    try:
        rendered = [
            render(Conversation(probe), tokenizer, add_generation_prompt=True).text
            for probe in _PROBES
        ]
    except ModelError:
        return None
    default = re.match(
        rf"{re.escape(TURN_START)}system\n(.*?){re.escape(TURN_END)}\n", rendered[0], re.DOTALL
    )
    if default and not default[1]:
        return None  # SYSTEM can't hold an empty turn
    chatml = ChatML(default[1] if default else None)
    return chatml if rendered == [chatml.text(probe) for probe in _PROBES] else None


def write_modelfile(
    folder: Path, gguf_name: str, tokenizer: Tokenizer, system: str | None = None
) -> Path:
    """Then `ollama create NAME -f Modelfile`. Raises ModelError, DiskError."""
    chatml = recognise_chatml(tokenizer)
    template = "# The model's chat template is not ChatML; Ollama takes the one in the GGUF where it knows it."
    if chatml is not None:
        template = f"TEMPLATE {_quoted(GO_TEMPLATE)}"
    elif tokenizer.chat_template is None:
        template = f"TEMPLATE {_quoted('{{ .Prompt }}')}"
    lines = [f"FROM ./{gguf_name}", template]
    lines += [f"PARAMETER stop {_quoted(text, short=True)}" for text in turn_tokens(tokenizer)]
    if system is None and chatml is not None:
        system = chatml.default_system
    if system is not None:
        lines.append(f"SYSTEM {_quoted(system)}")
    write_text(folder / MODELFILE, "\n".join(lines) + "\n")
    return folder / MODELFILE


def turn_tokens(tokenizer: Tokenizer) -> list[str]:
    """Every token that ends generation or begins a turn, by id."""
    special = tokenizer.special
    return [
        text
        for text, id in sorted(special.tokens.items(), key=lambda item: item[1])
        if id in special.stop_ids or text == TURN_START
    ]


def _quoted(text: str, *, short: bool = False) -> str:
    if QUOTES in text:
        raise ModelError(
            f"A text for the Modelfile contains {QUOTES}, which the format can't hold.",
            fix="Change it.",
        )
    return f'"{text}"' if short else f"{QUOTES}{text}{QUOTES}"


def require_ollama(name: str) -> str:
    """The path of Ollama's program. Raises ConfigError, also for a name that it would not take."""
    if len(name) > 200 or not _NAME.fullmatch(name):
        raise ConfigError(
            f"`create` {name[:60]!r} is not a valid name for an Ollama model.",
            fix="Use letters, digits and . _ -, such as my-chat or me/my-chat:v1.",
        )
    program = shutil.which(PROGRAM)
    if program is None:
        raise ConfigError(
            f"`create` {name} needs Ollama's own program, and there is no `{PROGRAM}` on this machine's PATH.",
            fix="Install it from ollama.com, or omit `create` and copy the folder to a machine that has it.",
        )
    return program


def create_in_ollama(program: str, name: str, folder: Path) -> None:
    """Run `ollama create NAME` in an exported folder. Raises ModelError."""
    command = [program, "create", name, "-f", MODELFILE]
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        last_line = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise ModelError(
            f"`ollama create {name}` ended with {done.returncode} and printed: {last_line[:300]}",
            fix=f"The files are complete. Is `ollama serve` running? Then: cd {folder} && ollama create {name} -f {MODELFILE}",
        )


def _export(opened: OpenModel, out: Path, options: ExportOptions) -> None:
    # only characters that files and Modelfiles accept everywhere
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", model_name(opened)).strip("-.")[:100] or "model"
    name = f"{stem}-{options.quantization}{GGUF.suffix}"
    with atomic_folder(out, extra={"exported": "ollama"}) as folder:
        export_gguf(opened, folder / name, options)
        write_modelfile(folder, name, opened.require_tokenizer(), options.system)
        write_card(opened, folder)


OLLAMA = ModelFormat(
    "ollama", "", GGUF.quantizations, GGUF.default_quantization, _export, runs_in_llamacpp=True
)
