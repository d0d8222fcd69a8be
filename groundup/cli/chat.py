"""`groundup chat`: talk with a model in the terminal, or pipe questions in, one per line.

The conversation is kept in memory and passed whole to the engine at every turn. Ctrl-C stops the
current answer (its text so far stays in the conversation), /bye or Ctrl-D exits. When stdin is not
a terminal there is no prompt, and only answers go to stdout. Of a build with an index it is with
its assistant, which answers from documents with sources (`retrieve/assistant.py`).
"""

import contextlib
import sys
import uuid
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from groundup.api.assistant import open_assistant
from groundup.api.models import open_model, sampling_of
from groundup.cli import console
from groundup.cli.ask import show_part
from groundup.cli.fields import grouped
from groundup.cli.generate import OpeningOptions, SamplingOptions
from groundup.cli.options import ActionOptions, JsonOption, ModelArgument
from groundup.cli.plain import json_safe, json_text, terminal_safe
from groundup.cli.start import START
from groundup.engine.sampling import CHAT_SAMPLING
from groundup.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from groundup.api.assistant import Assistant
    from groundup.engine.engine import Engine
    from groundup.engine.events import ChatEvent
    from groundup.engine.sampling import Sampling
    from groundup.http.json_object import JsonObject
    from groundup.tokenizer.chat import Message

HELP = """/help           show this help
/reset          forget the conversation, keep the system prompt
/system TEXT    how the model should behave; without TEXT: show it
/bye            leave (also /quit, /exit and Ctrl-D); Ctrl-C stops an answer"""
BASE_MODEL = (
    "note: {name} is a base model, which continues texts and never learned to answer. "
    "Let it write: groundup generate {name} TEXT; "
    "or make a chat model of it: groundup finetune chat {name} starter --out RUN"
)
ASSISTANT_HELP = """/help           show this help
/reset          forget the conversation
/bye            leave (also /quit, /exit and Ctrl-D)"""
PROMPT = "you> "
LEAVING = ("/bye", "/quit", "/exit")


@grouped({name: f"the model's own, else {value:g}" for name, value in CHAT_SAMPLING.items()})
def command(
    model: ModelArgument,
    system: Annotated[
        str, Option("--system", help="System prompt: how the model should behave.")
    ] = "",
    sampling: SamplingOptions = SamplingOptions(),
    opening: OpeningOptions = OpeningOptions(),
    actions: ActionOptions = ActionOptions(),
    as_json: JsonOption = False,
) -> None:
    """Talk with a model, or the assistant of a build with an index, which answers from documents
    with sources and does the pack's actions (its plain chat model: the build's folder `chat`). In
    the terminal, /help lists the commands; /bye or Ctrl-D exits. Questions can also be piped in,
    one per line.

    Sampling options that are not given come from the model's generation_config.json, else from the
    defaults below.

    Examples:
        groundup chat runs/quickstart
        groundup chat runs/bank
        groundup chat runs/bank/chat
        groundup chat smollm2-135m-instruct --system "You answer in one sentence." --temperature 0
        printf 'What is the capital of France?\\nAnd of Italy?\\n' | groundup chat runs/quickstart
            --json
    """
    from groundup.retrieve.index_folders import index_folders
    from groundup.weights.find import require_stage

    given = sampling.given()
    sampling_of(given)  # refused before the model is opened
    if index_folders(Path(model)):
        plain = (sampling, system, replace(opening, device="auto"))
        if plain != (SamplingOptions(), "", OpeningOptions()):
            what = f"{model} is an assistant: it answers from documents, not as these options say."
            raise ConfigError(what, fix=f"They are for its chat model: groundup chat {model}/chat")
        progress = console.console_progress()
        given_actions = actions.given()
        START.part(f"opening {model}")
        with open_assistant(
            model, device=opening.device, progress=progress, **given_actions
        ) as assistant:
            START.end(say)
            talk_with_assistant(assistant, as_json=as_json)
        return
    require_stage(Path(model), "chat")  # a build's own model only continues texts
    START.part(f"opening {model}")
    opened = open_model(model, **vars(opening), progress=console.console_progress())
    opened.engine.require_text()  # another kind is refused before the first question
    START.end(say)
    if not opened.engine.chats:
        say(BASE_MODEL.format(name=model))
    talk(Chat(opened.engine, opened.chat_sampling(given), system), as_json=as_json)


class Chat:
    """A conversation with a model."""

    def __init__(self, engine: "Engine", sampling: "Sampling", system: str = "") -> None:
        self.engine, self.sampling, self.system = engine, sampling, system
        self.turns: list[tuple[str, str]] = []

    def ask(self, question: str) -> Generator["ChatEvent", None, None]:
        """Its text, also of a stopped answer, joins the conversation. Raises ModelError."""
        from groundup.tokenizer.chat import Conversation, Message

        messages = []
        if self.system:
            messages.append(Message("system", self.system))
        for earlier, answer in self.turns:
            messages += [Message("user", earlier), Message("assistant", answer)]
        messages.append(Message("user", question))
        events = self.engine.chat(Conversation(tuple(messages)), self.sampling)
        answer = ""
        try:
            for event in events:
                answer += event.text
                yield event
        finally:
            self.turns.append((question, answer))

    def obey(self, order: str) -> str:
        """An order begins with "/"; returns the reply."""
        name, _, rest = order.partition(" ")
        if name == "/reset":
            self.turns.clear()
            return "The conversation is forgotten."
        if name == "/system":
            self.system = rest.strip() or self.system
            if not self.system:
                return "No system prompt; the model's own is used."
            return f"System prompt: {self.system}"
        if name == "/help":
            return HELP
        return f"There is no command {name}.\n{HELP}"


def talk(chat: Chat, *, as_json: bool) -> None:
    interactive = sys.stdin.isatty()
    if interactive:
        from groundup.tokenizer.template import start_template

        start_template(chat.engine.tokenizer.chat_template)  # while the question is typed
        path = chat.engine.path
        say(f"{path}: write a question; /help lists the commands, /bye or Ctrl-D ends the chat.")
    has_said_dropped = False
    for line in lines(interactive=interactive):
        if line in LEAVING:
            return
        if line.startswith("/"):
            say(chat.obey(line))
            continue
        with tolerant(interactive=interactive):
            answer = answer_json if as_json else answer_text
            last = answer(chat, line)
            if last.dropped_messages and not has_said_dropped:
                has_said_dropped = True
                context_tokens = chat.engine.config.context_tokens
                say(
                    f"The conversation exceeds the context of {context_tokens:,} tokens: "
                    "the model no longer sees its beginning."
                )
            if interactive and last.finish_reason == "length":
                tokens = f"{last.completion_tokens:,} tokens"
                say(f"Cut after {tokens} (--max-tokens, or a full context).")


def answer_text(chat: Chat, question: str) -> "ChatEvent":
    """Print the answer as it is generated and return the last event."""
    with contextlib.closing(chat.ask(question)) as events:
        for event in events:
            print(terminal_safe(event.text), end="", flush=True)
    print()
    return event


def answer_json(chat: Chat, question: str) -> "ChatEvent":
    *_, last = events = list(chat.ask(question))
    counts = ("finish_reason", "prompt_tokens", "completion_tokens", "dropped_messages")
    record = {"question": question, "answer": "".join(event.text for event in events)}
    record |= {name: getattr(last, name) for name in counts}
    print(json_safe(json_text(record)), flush=True)
    return last


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
        return (
            ASSISTANT_HELP
            if order == "/help"
            else f"There is no command {order}.\n{ASSISTANT_HELP}"
        )

    def reply(self, question: str) -> "JsonObject | None":
        """Print the reply, whose text joins the conversation; return what it says of an action."""
        from groundup.retrieve.assistant_reply import AssistantReply
        from groundup.tokenizer.chat import Message

        self.said.append(Message("user", question))
        for part in self.assistant.parts(self.said, self.id):
            if not self.as_json:
                show_part(part, is_reply=True)
        assert isinstance(part, AssistantReply)
        self.said.append(Message("assistant", part.text))
        plain = part.to_plain()
        if self.as_json:
            print(json_safe(json_text(plain)), flush=True)
        else:
            language = self.assistant.texts.language
            related = part.related_line(language, lambda each: each.title or each.document)
            if related:
                print(terminal_safe(f"  {related}"))
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


def lines(*, interactive: bool) -> Iterator[str]:
    """On a terminal Ctrl-C discards the line being typed."""
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    if interactive:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 (imported, it gives `input` a history and editing)
    prompt = PROMPT if interactive else ""
    while True:
        try:
            line = input(prompt).strip()
        except EOFError:
            if interactive:
                print()
            return
        except KeyboardInterrupt:
            if not interactive:
                raise
            print()
            continue
        if line:
            yield line


@contextlib.contextmanager
def tolerant(*, interactive: bool) -> Iterator[None]:
    """Ctrl-C or a ModelError ends the answer instead of the program."""
    try:
        yield
    except (KeyboardInterrupt, ModelError) as error:
        if not interactive:
            raise
        if isinstance(error, ModelError):
            say(str(error))
        else:
            print()


def say(text: str) -> None:
    """Print a remark of the verb on stderr."""
    console.say(text, "dim")
