"""Conversations, and the one way to render them: `render()` gives text, ids and loss mask in one pass.

The template is the model's own where it brings one, ChatML else. What it makes of a conversation is the reference; the question is only which
parts of the text are structure (control tokens) and which were written by somebody. Searching the finished text can't tell: a user may
have typed `<|im_end|>`. So the contents go into the template with marks, characters that occur nowhere else:

    fence    before and after what users, systems and tools say: no control token can be formed across the edge of a content
    open     before what the assistant says  (loss counts from here)
    close    after it                        (to here, and the end-of-turn token that follows)
    guard    before every text that looks like a control token, in a content, in a call or in what is said of the tools: it stays text

Marks stand inside leading and trailing spaces, so a template may trim. Afterwards they are taken out. The same conversation is
rendered without marks too: a template that looks into contents so that the two differ can't be followed safely and is refused.

Ids: what lies between two control tokens is encoded as one text. For ordinary contents that is what tokenising the rendered text
gives, in llama.cpp too. Mask: by character offsets, True where the loss counts. A token that straddles the edge of an answer counts.
Left out: calls of tools are no answers to the mask, since it is the template that writes them.
"""

import bisect
import functools
import itertools
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from groundup.errors import DataError, ModelError
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.spec import well_formed
from groundup.tokenizer.special import CHATML_TEMPLATE, TURN_END, TURN_START
from groundup.tokenizer.template import render_template
from groundup.tokenizer.tools import Tool, ToolCall

Role = Literal["system", "user", "assistant", "tool"]
TextSpan = tuple[int, int]

_PRIVATE_USE = range(0xF0000, 0xFFFFE)


@dataclass(frozen=True)
class Message:
    """What one side says. Raises DataError for an unknown role."""

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    """What the assistant wants called, beside its content."""
    tool: str = ""
    """Whose answer this is, in a tool's message."""
    call_id: str = ""
    """Which call it answers."""

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise DataError(f"A message has the role {self.role!r}.", fix=f"Roles are {', '.join(get_args(Role))}.")


@dataclass(frozen=True)
class Conversation:
    """Messages in order, and the tools that the assistant may call."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = field(default=(), hash=False)


@dataclass(frozen=True)
class Rendered:
    """A conversation as a model reads it."""

    text: str
    """The template's text."""
    ids: list[int]
    """Its tokens; with the bos token once, where the tokenizer adds one."""
    mask: list[bool]
    """For each token: does the loss count? True for what the assistant says and its end-of-turn token."""


@dataclass(frozen=True)
class Marks:
    """Four characters that occur neither in the contents nor in the template."""

    fence: str
    open: str
    close: str
    guard: str

    @property
    def all(self) -> tuple[str, str, str, str]:
        return self.fence, self.open, self.close, self.guard

    def removed(self, text: str) -> str:
        """`text` without marks."""
        return text.translate({ord(mark): None for mark in self.all})


def render(conversation: Conversation, tokenizer: Tokenizer, *, add_generation_prompt: bool = False) -> Rendered:
    """Text, ids and loss mask of a conversation. `add_generation_prompt` opens the assistant's next turn.

    Raises ModelError when the template refuses the conversation, fails, or passes its bounds.

    >>> render(Conversation((Message("user", "Hi"),)), tokenizer).text
    '<|im_start|>user\\nHi<|im_end|>\\n'
    """
    template = _template(tokenizer)
    shared = {**_special_texts(tokenizer), "add_generation_prompt": add_generation_prompt}
    said = _variables(conversation, lambda message: well_formed(message.content), well_formed)
    marks = _unused_marks(template + json.dumps(said, ensure_ascii=False))
    guard = functools.partial(tokenizer.control_starts.sub, marks.guard)
    marked_said = _variables(
        conversation, lambda message: _mark(message, guard, marks), lambda text: guard(well_formed(text))
    )
    plain, marked = render_template(template, [{**shared, **said}, {**shared, **marked_said}])
    text = marks.removed(marked)
    _require_equal(plain, text)
    ids, mask = _encode(marked, tokenizer, marks)
    whole = tokenizer.with_bos(ids)
    return Rendered(text, whole, [False] * (len(whole) - len(ids)) + mask)


def _template(tokenizer: Tokenizer) -> str:
    """The model's template, else ChatML where the model has its tokens."""
    if tokenizer.chat_template is not None:
        return tokenizer.chat_template
    if not {TURN_START, TURN_END} <= tokenizer.special.tokens.keys():
        raise ModelError(
            f"This model has no chat template, and no tokens {TURN_START} and {TURN_END} for ChatML.",
            fix="It can continue texts (groundup generate), but not chat.",
        )
    return CHATML_TEMPLATE


def _unused_marks(text: str) -> Marks:
    """Raises DataError where there are no four left, which only a text made for that can bring about."""
    used = set(text)
    free = list(itertools.islice((chr(code) for code in _PRIVATE_USE if chr(code) not in used), 4))
    if len(free) < 4:
        raise DataError("A message has nearly every private-use character of Unicode, so it can't be marked.")
    return Marks(*free)


def _mark(message: Message, guard: Callable[[str], str], marks: Marks) -> str:
    """The content with its marks; spaces at its ends stay outside, and nothing but spaces stays as it is (a template may ask whether it is empty)."""
    content = well_formed(message.content)
    inner = content.strip()
    if not inner:
        return content
    before, after = content.split(inner, 1)
    first, last = (marks.open, marks.close) if message.role == "assistant" else (marks.fence, marks.fence)
    return f"{before}{first}{guard(inner)}{last}{after}"


def _variables(
    conversation: Conversation, content: Callable[[Message], str], text: Callable[[str], str]
) -> dict[str, object]:
    """Messages and tools as a template is given them: contents through `content`, every other text that a client wrote through `text`."""
    tools = [_texts_changed(tool, text) for tool in conversation.tools]
    return {
        "messages": [
            {"role": message.role, "content": content(message), **_texts_changed(_tool_fields(message), text)}
            for message in conversation.messages
        ],
        "tools": tools or None,
    }


def _tool_fields(message: Message) -> dict[str, Any]:
    """What is said of tools beside the content; templates ask whether a key is there, so none is there without a value."""
    calls = [
        {
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
            **({"id": call.id} if call.id else {}),
        }
        for call in message.calls
    ]
    fields = {"tool_calls": calls, "name": message.tool, "tool_call_id": message.call_id}
    return {name: value for name, value in fields.items() if value}


def _texts_changed(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with each text in it changed, keys too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(key): _texts_changed(each, change) for key, each in value.items()}
    return [_texts_changed(each, change) for each in value] if isinstance(value, list | tuple) else value


def _special_texts(tokenizer: Tokenizer) -> dict[str, str]:
    """The tokens that a template may name."""
    special = tokenizer.special
    named = {
        "bos_token": special.bos_id,
        "eos_token": special.eos_id,
        "pad_token": special.pad_id,
        "unk_token": special.unk_id,
    }
    return {name: tokenizer.decode([id]) for name, id in named.items() if id is not None}


def _require_equal(plain: str, unmarked: str) -> None:
    if plain == unmarked:
        return
    place = next(
        (at for at, (left, right) in enumerate(zip(plain, unmarked, strict=False)) if left != right),
        min(len(plain), len(unmarked)),
    )
    raise ModelError(
        f"The model's chat template treats a message by what it says, so its text can't be told from structure: {plain[place : place + 40]!r}.",
        fix="Change that message, or use another chat template.",
    )


def _encode(marked: str, tokenizer: Tokenizer, marks: Marks) -> tuple[list[int], list[bool]]:
    """Ids and mask of a marked text."""
    ids: list[int] = []
    offsets: list[TextSpan] = []  # in the text without marks
    start = 0
    for part, control_id in tokenizer.split_control(marked, unless_after=marks.guard):
        text = marks.removed(part)
        part_ids, places = (
            ([control_id], [(0, len(text))])
            if control_id is not None
            else tokenizer.encode_offsets(text, starts=tokenizer.starts_after(ids))
        )
        ids.extend(part_ids)
        offsets.extend((start + first, start + last) for first, last in places)
        start += len(text)
    return ids, list(_supervised(offsets, _answers(marked, tokenizer, marks)))


def _answers(marked: str, tokenizer: Tokenizer, marks: Marks) -> Iterator[TextSpan]:
    """Where the assistant speaks, in the text without marks: its content, and the spaces and the end-of-turn token right after it."""
    stops = [text for text, id in tokenizer.special.tokens.items() if id in tokenizer.special.stop_ids]
    turn_end = "|".join(map(re.escape, sorted(stops, key=len, reverse=True)))
    answer = re.compile(rf"{marks.open}[^{marks.open}{marks.close}]*{marks.close}(?:\s*(?:{turn_end}))?")
    mark_places = [match.start() for match in re.finditer(f"[{''.join(marks.all)}]", marked)]
    for match in answer.finditer(marked):
        start, end = (place - bisect.bisect_left(mark_places, place) for place in match.span())
        yield start, end


def _supervised(offsets: Iterable[TextSpan], answers: Iterable[TextSpan]) -> Iterator[bool]:
    """For each token: does it overlap an answer? Both in order."""
    waiting = deque(answers)
    for start, end in offsets:
        while waiting and waiting[0][1] <= start:
            waiting.popleft()
        yield bool(waiting) and waiting[0][0] < end
