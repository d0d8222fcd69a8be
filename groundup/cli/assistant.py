"""The conversation of `groundup chat BUILD` where the build has an index: with its assistant, which
answers from documents with sources (`retrieve/assistant.py`).
"""

import sys
from typing import TYPE_CHECKING

from groundup.cli.ask import show_part
from groundup.cli.plain import json_safe, json_text, terminal_safe
from groundup.cli.prompt import LEAVING, lines, say, tolerant

if TYPE_CHECKING:
    from groundup.api.assistant import Assistant
    from groundup.tokenizer.chat import Message

HELP = """/help           show this help
/reset          forget the conversation
/bye            leave (also /quit, /exit and Ctrl-D)"""


def talk_with_assistant(assistant: "Assistant", *, as_json: bool) -> None:
    """Reply to each line of stdin in the context of those before it."""
    interactive, said = sys.stdin.isatty(), list["Message"]()
    if interactive:
        texts = assistant.texts
        print(terminal_safe(texts.hello))
        for example in texts.questions:
            say(f"  {example}")
        say("/help lists the commands, /bye or Ctrl-D ends the chat.")
    for line in lines(interactive=interactive):
        if line in LEAVING:
            return
        if line.startswith("/"):
            say(_obey(line, said))
            continue
        with tolerant(interactive=interactive):
            _reply(assistant, line, said, as_json=as_json)


def _obey(order: str, said: "list[Message]") -> str:
    if order == "/reset":
        said.clear()
        return "The conversation is forgotten."
    return HELP if order == "/help" else f"There is no command {order}.\n{HELP}"


def _reply(assistant: "Assistant", question: str, said: "list[Message]", *, as_json: bool) -> None:
    """Print the reply, whose text joins the conversation."""
    from groundup.retrieve.assistant import AssistantReply
    from groundup.tokenizer.chat import Message

    said.append(Message("user", question))
    for part in assistant.parts(said):
        if not as_json:
            show_part(part)
    assert isinstance(part, AssistantReply)
    said.append(Message("assistant", part.text))
    if as_json:
        print(json_safe(json_text(part.to_plain())), flush=True)
    else:
        print()
