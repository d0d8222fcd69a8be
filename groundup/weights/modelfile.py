"""The Modelfile that makes an Ollama model of a GGUF: FROM, TEMPLATE, PARAMETER stop, SYSTEM.

Ollama renders conversations with a Go template, not with the model's jinja. A wrong one, or a missing stop, is the usual cause of
rambling after an export, so the Go template is written only where it is sure: the model's own template is tried on probing
conversations, and where all come out as ChatML (with or without a default system text), this is ChatML in Go's words:

    {{ if not .System }}the default system turn{{ end }}{{ range .Messages }}a turn{{ end }}the assistant's opening

Ollama hands `.Messages` all turns, the system's too, and in `.System` the system text. Where the template is something else none is
written; Ollama then takes the one in the GGUF if it knows it, and the file says so.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from groundup.errors import ModelError
from groundup.files import write_text
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.special import TURN_END, TURN_START

MODELFILE = "Modelfile"
# What a Modelfile's texts are written between; it can't be escaped.
QUOTES = '"""'

_PROBES = (
    (Message("user", "One?"),),
    (Message("system", "Be brief."), Message("user", "One?")),
    (Message("user", " One\n\ntwo? "), Message("assistant", "Yes.\n"), Message("user", "Three?")),
    (Message("system", "S."), Message("user", "1"), Message("assistant", "2"), Message("user", "3")),
)


@dataclass(frozen=True)
class ChatML:
    """A template that is ChatML; `default_system` stands first where a conversation brings no system text."""

    default_system: str | None = None

    def text(self, messages: tuple[Message, ...]) -> str:
        """What the Go template makes of a conversation."""
        has_system = any(message.role == "system" for message in messages)
        default = () if has_system or self.default_system is None else (Message("system", self.default_system),)
        turns = [f"{TURN_START}{turn.role}\n{turn.content}{TURN_END}\n" for turn in (*default, *messages)]
        return "".join(turns) + f"{TURN_START}assistant\n"

    def go_template(self) -> str:
        """The same in Go's template language."""
        turn = f"{TURN_START}{{{{ .Role }}}}\n{{{{ .Content }}}}{TURN_END}\n"
        turns = f"{{{{ range .Messages }}}}{turn}{{{{ end }}}}{TURN_START}assistant\n"
        if self.default_system is None:
            return turns
        default = f"{TURN_START}system\n{_go_text(self.default_system)}{TURN_END}\n"
        return f"{{{{ if not .System }}}}{default}{{{{ end }}}}{turns}"


def _go_text(text: str) -> str:
    """Text that Go's template language leaves as it is."""
    return text.replace("{{", '{{ "{{" }}')


def recognise_chatml(tokenizer: Tokenizer) -> ChatML | None:
    """The ChatML that the model's template is, or None where it is another or there is none."""
    if tokenizer.chat_template is None:
        return None
    try:
        rendered = [render(Conversation(probe), tokenizer, add_generation_prompt=True).text for probe in _PROBES]
    except ModelError:
        return None
    default = re.match(rf"{re.escape(TURN_START)}system\n(.*?){re.escape(TURN_END)}\n", rendered[0], re.DOTALL)
    chatml = ChatML(default[1] if default else None)
    return chatml if rendered == [chatml.text(probe) for probe in _PROBES] else None


def write_modelfile(folder: Path, gguf_name: str, tokenizer: Tokenizer, system: str | None = None) -> Path:
    """Write `folder/Modelfile` for `folder/gguf_name`; then `ollama create NAME -f Modelfile`. Raises ModelError, DiskError."""
    lines = [f"FROM ./{gguf_name}", *_template_lines(tokenizer)]
    lines += [f"PARAMETER stop {_quoted(text, short=True)}" for text in turn_tokens(tokenizer)]
    if system is not None:
        lines.append(f"SYSTEM {_quoted(system)}")
    write_text(folder / MODELFILE, "\n".join(lines) + "\n")
    return folder / MODELFILE


def _template_lines(tokenizer: Tokenizer) -> list[str]:
    chatml = recognise_chatml(tokenizer)
    if chatml is not None:
        return [f"TEMPLATE {_quoted(chatml.go_template())}"]
    if tokenizer.chat_template is None:
        return [f"TEMPLATE {_quoted('{{ .Prompt }}')}"]
    return ["# The model's chat template is not ChatML; Ollama takes the one in the GGUF where it knows it."]


def turn_tokens(tokenizer: Tokenizer) -> list[str]:
    """Every token that ends a generation or begins a turn, in the order of their ids."""
    special = tokenizer.special
    return [
        text
        for text, id in sorted(special.tokens.items(), key=lambda item: item[1])
        if id in special.stop_ids or text == TURN_START
    ]


def _quoted(text: str, *, short: bool = False) -> str:
    if QUOTES in text:
        raise ModelError(f"A text for the Modelfile has {QUOTES} in it, which the format can't hold.", fix="Change it.")
    return f'"{text}"' if short else f"{QUOTES}{text}{QUOTES}"
