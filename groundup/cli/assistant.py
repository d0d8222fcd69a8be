"""The conversation of `groundup chat BUILD` where the build has an index: with its assistant, which
answers from documents with sources (`retrieve/assistant.py`).
"""

import sys
import uuid
from typing import TYPE_CHECKING

from groundup.cli.ask import show_part
from groundup.cli.plain import json_safe, json_text, terminal_safe
from groundup.cli.prompt import LEAVING, lines, say, tolerant

if TYPE_CHECKING:
    from groundup.api.assistant import Assistant
    from groundup.http.responses import JsonObject
    from groundup.tokenizer.chat import Message

HELP = """/help           show this help
/reset          forget the conversation
/bye            leave (also /quit, /exit and Ctrl-D)"""


def talk_with_assistant(assistant: "Assistant", *, as_json: bool) -> None:
    """Reply to each line of stdin in the context of those before it."""
    interactive, talk = sys.stdin.isatty(), AssistantTalk(assistant, as_json)
    if interactive:
        print(terminal_safe(assistant.texts.hello))
        for example in (*assistant.texts.questions, *assistant.action_titles):
            say(f"  {example}")
        say("/help lists the commands, /bye or Ctrl-D ends the chat.")
    for line in lines(interactive=interactive):
        if line in LEAVING:
            return
        if line.startswith("/"):
            say(talk.obey(line))
            continue
        with tolerant(interactive=interactive):
            action = talk.reply(line)
            if interactive and action is not None:
                for hint in action_hints(action):
                    say(hint)


class AssistantTalk:
    """A conversation with an assistant: what was said, under an id of its own, so that nothing that
    it asks for is taken for a repetition of another conversation.
    """

    def __init__(self, assistant: "Assistant", as_json: bool) -> None:
        self.assistant, self.as_json = assistant, as_json
        self.said: list[Message] = []
        self.id = uuid.uuid4().hex

    def obey(self, order: str) -> str:
        """Return the reply to an order, which begins with "/"."""
        if order == "/reset":
            self.said, self.id = [], uuid.uuid4().hex
            return "The conversation is forgotten."
        return HELP if order == "/help" else f"There is no command {order}.\n{HELP}"

    def reply(self, question: str) -> "JsonObject | None":
        """Print the reply, whose text joins the conversation; return what it says of an action."""
        from groundup.retrieve.assistant import AssistantReply
        from groundup.tokenizer.chat import Message

        self.said.append(Message("user", question))
        for part in self.assistant.parts(self.said, self.id):
            if not self.as_json:
                show_part(part)
        assert isinstance(part, AssistantReply)
        self.said.append(Message("assistant", part.text))
        plain = part.to_plain()
        if self.as_json:
            print(json_safe(json_text(plain)), flush=True)
        else:
            print()
        action: JsonObject | None = plain["action"]
        return action


def action_hints(action: "JsonObject") -> list[str]:
    """Return what a page shows as buttons and fields: what was understood, and what can be said.

    >>> asked = {"options": ["lunch", "dinner"]}
    >>> action_hints({"values": {}, "asked": asked, "undoable": False})
    ['  lunch | dinner | leave it']
    """
    hints, asked = [], action["asked"]
    known = [
        f"{each['label']}: {each['shown']}"
        for name, each in action["values"].items()
        if asked and name != asked["slot"]
    ]
    if known:
        hints.append(f"  {', '.join(known)}")
    ways: list[str] = []
    if asked:
        ways = [*asked["options"], "leave it"]
    elif action["yes_no"]:
        ways = ["yes", "no"]
    if action["undoable"]:
        ways.append("undo")
    return [*hints, f"  {' | '.join(ways)}"] if ways else hints
