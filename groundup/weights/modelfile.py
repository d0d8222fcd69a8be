"""The Modelfile that makes an Ollama model of a GGUF: FROM, TEMPLATE, PARAMETER stop, SYSTEM.

Ollama renders conversations with a Go template, not with the model's jinja. A wrong one, or a missing stop, is the usual cause of
rambling after an export, so the Go template is written only where it is sure: the model's own template is tried on probing
conversations, and where all come out as ChatML (with or without a default system text), this is ChatML in Go's words. It has two forms:

    {{ if .Messages }}    every turn, then the assistant's opening: what Ollama's servers of today fill in
    {{ else }}            one exchange of .System, .Prompt and .Response: its early versions, exchange by exchange

A default system text goes into SYSTEM: Ollama puts that before a conversation whose first message is not the system's, as the template
does. Left out, since no template can help it: Ollama joins messages of one role that follow each other, and reads a control token
that somebody typed as a control token. Where the template is something else none is written; Ollama then takes the one in the GGUF if it
knows it, and the file says so.
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

OPENING = f"{TURN_START}assistant\n"
# ChatML in Go's template language. Ollama ends the second form after .Response where the answer is still to come.
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
    (Message("system", "S."), Message("user", "1"), Message("assistant", "2"), Message("user", "3")),
    (Message("system", ""), Message("user", "1"), Message("assistant", "2")),
)


@dataclass(frozen=True)
class ChatML:
    """A template that is ChatML; `default_system` stands first where a conversation brings no system text."""

    default_system: str | None = None

    def text(self, messages: tuple[Message, ...]) -> str:
        """What Ollama makes of a conversation with `GO_TEMPLATE` and this default."""
        default = () if self.default_system is None or messages[0].role == "system" else (self.default_system,)
        turns = [*(Message("system", text) for text in default), *messages]
        return "".join(f"{TURN_START}{turn.role}\n{turn.content}{TURN_END}\n" for turn in turns) + OPENING


def recognise_chatml(tokenizer: Tokenizer) -> ChatML | None:
    """The ChatML that the model's template is, or None where it is another or there is none."""
    if tokenizer.chat_template is None:
        return None
    try:
        rendered = [render(Conversation(probe), tokenizer, add_generation_prompt=True).text for probe in _PROBES]
    except ModelError:
        return None
    default = re.match(rf"{re.escape(TURN_START)}system\n(.*?){re.escape(TURN_END)}\n", rendered[0], re.DOTALL)
    if default and not default[1]:
        return None  # SYSTEM can't hold an empty turn
    chatml = ChatML(default[1] if default else None)
    return chatml if rendered == [chatml.text(probe) for probe in _PROBES] else None


def write_modelfile(folder: Path, gguf_name: str, tokenizer: Tokenizer, system: str | None = None) -> Path:
    """Write `folder/Modelfile` for `folder/gguf_name`; then `ollama create NAME -f Modelfile`. Raises ModelError, DiskError."""
    chatml = recognise_chatml(tokenizer)
    lines = [f"FROM ./{gguf_name}", _template_line(tokenizer, chatml)]
    lines += [f"PARAMETER stop {_quoted(text, short=True)}" for text in turn_tokens(tokenizer)]
    if system is None and chatml is not None:
        system = chatml.default_system
    if system is not None:
        lines.append(f"SYSTEM {_quoted(system)}")
    write_text(folder / MODELFILE, "\n".join(lines) + "\n")
    return folder / MODELFILE


def _template_line(tokenizer: Tokenizer, chatml: ChatML | None) -> str:
    if chatml is not None:
        return f"TEMPLATE {_quoted(GO_TEMPLATE)}"
    if tokenizer.chat_template is None:
        return f"TEMPLATE {_quoted('{{ .Prompt }}')}"
    return "# The model's chat template is not ChatML; Ollama takes the one in the GGUF where it knows it."


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
