"""Conversations, and `render()`, which gives their text, ids and loss mask in one pass.

The template is the model's own where it has one, else ChatML. Which parts of the rendered text are
structure (control tokens) and which are contents can't be found by searching: a user may have typed
`<|im_end|>`. So contents are passed to the template with marks, characters that occur nowhere else:

    fence    before and after contents of users, systems and tools: no control token can form across
             the edge of a content
    open     before an assistant's content  (the loss counts from here)
    close    after it                       (to here, and the end-of-turn token that follows)
    guard    before every text that looks like a control token, in a content, a tool call or a tool:
             it stays text

Marks are inside leading and trailing spaces, so a template may strip them. Then the marks are
removed. The conversation is also rendered without marks: if the two differ, the template depends on
the contents, can't be followed safely and is refused.

Ids: the text between two control tokens is encoded as a whole. For ordinary contents that equals
tokenising the rendered text, in llama.cpp too. Mask: by character offsets, True where the loss
counts, also for a token that straddles the edge of an answer. Tool calls are written by the
template. With `learn_calls` a turn that has some is in the mask from where the generation prompt
after the messages before it ends (these are rendered once more, with the same marks) to its
end-of-turn token.
"""

import bisect
import contextlib
import functools
import itertools
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, get_args

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
    """Raises DataError for an unknown role."""

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    """Tool calls of the assistant, besides its content."""
    tool: str = ""
    """The name of the tool, in a tool's message."""
    call_id: str = ""
    """The id of the call that a tool's message answers."""

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise DataError(
                f"A message has the role {self.role!r}.",
                fix=f"Roles are {', '.join(get_args(Role))}.",
            )


@dataclass(frozen=True)
class Conversation:
    """Messages in order, and the tools that the assistant may call."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = field(default=(), hash=False)


@dataclass(frozen=True)
class Turn:
    """The tokens `start` to `end` (exclusive) that an assistant's turn has in the loss mask."""

    start: int
    end: int
    ended: bool
    """Whether the last of them is an end-of-turn token: a model that never learns it does not
    stop.
    """


@dataclass(frozen=True)
class Rendered:
    text: str
    ids: list[int]
    """Ids of the text; with the bos token once, where the tokenizer adds one."""
    mask: list[bool]
    """The loss mask: True for tokens of the assistant's contents and their end-of-turn tokens."""
    contents: list[bool] = field(default_factory=list)
    """True for tokens of any message's content; the others are the template's."""
    turns: tuple[Turn, ...] = ()
    """The assistant's turns in the mask.

    A turn of the conversation that the template drops, or empties, is none of them.
    """

    def cut(self, max_tokens: int) -> "Rendered":
        """Return the first `max_tokens` tokens; a turn that is cut has no end."""
        kept = (
            turn if turn.end <= max_tokens else Turn(turn.start, max_tokens, ended=False)
            for turn in self.turns
            if turn.start < max_tokens
        )
        return Rendered(
            self.text,
            self.ids[:max_tokens],
            self.mask[:max_tokens],
            self.contents[:max_tokens],
            tuple(kept),
        )


class Marks(NamedTuple):
    """Four characters that occur neither in the contents nor in the template."""

    fence: str
    open: str
    close: str
    guard: str

    def removed(self, text: str) -> str:
        return text.translate({ord(mark): None for mark in self})


def render(
    conversation: Conversation,
    tokenizer: Tokenizer,
    *,
    add_generation_prompt: bool = False,
    learn_calls: bool = False,
) -> Rendered:
    """Return text, ids and loss mask of a conversation. `add_generation_prompt` opens the
    assistant's next turn.

    `learn_calls`: tool calls are in the mask, where the template renders earlier messages the same
    whatever follows them. Raises ModelError when the template refuses the conversation, fails, or
    exceeds its limits.

    >>> render(Conversation((Message("user", "Hi"),)), tokenizer).text
    '<|im_start|>user\\nHi<|im_end|>\\n'
    """
    template = _template(tokenizer)
    special = {
        name: tokenizer.decode([id])
        for name, id in tokenizer.special.roles.items()
        if id is not None
    }
    shared: dict[str, object] = {**special, "add_generation_prompt": add_generation_prompt}
    unmarked = _variables(conversation, lambda message: well_formed(message.content), well_formed)
    marks = _unused_marks(template + json.dumps(unmarked, ensure_ascii=False))
    guard = functools.partial(tokenizer.control_starts.sub, marks.guard)

    def with_marks(part: Conversation) -> dict[str, object]:
        return _variables(
            part,
            lambda message: _mark(message, guard, marks),
            lambda text: guard(well_formed(text)),
        )

    plain, marked = render_template(
        template, [shared | unmarked, shared | with_marks(conversation)]
    )
    text = marks.removed(marked)
    _require_equal(plain, text)
    called: list[int] = []
    if learn_calls:
        before = [
            replace(conversation, messages=messages) for messages in _before_calls(conversation)
        ]
        opened = [{**shared, **with_marks(part), "add_generation_prompt": True} for part in before]
        called = _call_starts(template, opened, marked)
    ids, offsets = _encode(marked, tokenizer, marks)
    whole = tokenizer.with_bos(ids)
    offsets = [(0, 0)] * (len(whole) - len(ids)) + offsets
    answers = list(_answers(marked, called, tokenizer, marks))
    mask = list(_overlapping(offsets, answers))
    return Rendered(
        text,
        whole,
        mask,
        list(_overlapping(offsets, _contents(marked, marks))),
        _turns(offsets, answers),
    )


def can_call_tools(tokenizer: Tokenizer) -> bool:
    """Return whether the model's template writes tool calls; one that does not drops them without a
    word.
    """
    return "tool_calls" in _template(tokenizer)


def _before_calls(conversation: Conversation) -> list[tuple[Message, ...]]:
    """Return the messages before each turn of the assistant that has tool calls."""
    messages = conversation.messages
    return [
        messages[:place]
        for place, message in enumerate(messages)
        if message.role == "assistant" and message.calls
    ]


def _call_starts(template: str, opened: Sequence[dict[str, object]], marked: str) -> list[int]:
    """Return where turns with calls begin in the marked text, of those whose generation prompt the
    text has there.
    """
    starts = []
    for variables in opened:
        # a template may refuse to end there; the turn is then not in the mask
        with contextlib.suppress(ModelError):
            (prompt,) = render_template(template, [variables])
            if marked.startswith(prompt):
                starts.append(len(prompt))
    return starts


def _template(tokenizer: Tokenizer) -> str:
    if tokenizer.chat_template is not None:
        return tokenizer.chat_template
    if not {TURN_START, TURN_END} <= tokenizer.special.tokens.keys():
        raise ModelError(
            "This model has no chat template, "
            f"and no tokens {TURN_START} and {TURN_END} for ChatML.",
            fix="It can continue texts (groundup generate), but not chat.",
        )
    return CHATML_TEMPLATE


def _unused_marks(text: str) -> Marks:
    """Return four unused private-use characters.

    Raises DataError if there are none, which only a malicious text can cause.
    """
    used = set(text)
    free = list(itertools.islice((chr(code) for code in _PRIVATE_USE if chr(code) not in used), 4))
    if len(free) < 4:
        raise DataError(
            "A message has nearly all private-use characters of Unicode, so it can't be rendered."
        )
    return Marks(*free)


def _mark(message: Message, guard: Callable[[str], str], marks: Marks) -> str:
    """Return the content with marks inside its outer spaces; blank content is unchanged, since a
    template may test whether it is empty.
    """
    content = well_formed(message.content)
    inner = content.strip()
    if not inner:
        return content
    before, after = content.split(inner, 1)
    first = last = marks.fence
    if message.role == "assistant":
        first, last = marks.open, marks.close
    return f"{before}{first}{guard(inner)}{last}{after}"


def _variables(
    conversation: Conversation, content: Callable[[Message], str], text: Callable[[str], str]
) -> dict[str, object]:
    """Return a template's messages and tools: contents by `content`, every other string of the
    client changed by `text`.
    """
    tools = [_change_texts(tool, text) for tool in conversation.tools]
    return {
        "messages": [
            {
                "role": message.role,
                "content": content(message),
                **_change_texts(_tool_fields(message), text),
            }
            for message in conversation.messages
        ],
        "tools": tools or None,
    }


def _tool_fields(message: Message) -> dict[str, object]:
    """Return a message's fields about tools; templates test whether a key exists, so those without
    a value are left out.
    """
    calls = []
    for call in message.calls:
        function = {"name": call.name, "arguments": call.arguments}
        calls.append({"type": "function", "function": function})
        if call.id:
            calls[-1]["id"] = call.id
    fields = {"tool_calls": calls, "name": message.tool, "tool_call_id": message.call_id}
    return {name: value for name, value in fields.items() if value}


def _change_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with each string in it changed, keys too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(key): _change_texts(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_change_texts(each, change) for each in value]
    return value


def _require_equal(plain: str, unmarked: str) -> None:
    if plain == unmarked:
        return
    pairs = zip(plain, unmarked, strict=False)
    at = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    raise ModelError(
        "The model's chat template depends on the contents of a message, "
        f"so text can't be told from structure: {plain[at : at + 40]!r}.",
        fix="Change that message, or use another chat template.",
    )


def _encode(marked: str, tokenizer: Tokenizer, marks: Marks) -> tuple[list[int], list[TextSpan]]:
    """Return the ids of a marked text, and their places in the text without marks."""
    ids: list[int] = []
    offsets: list[TextSpan] = []
    start = 0
    for part, control_id in tokenizer.split_control(marked, unless_after=marks.guard):
        text = marks.removed(part)
        if control_id is None:
            part_ids, spans = tokenizer.encode_offsets(text, starts=tokenizer.starts_after(ids))
        else:
            part_ids, spans = [control_id], [(0, len(text))]
        ids.extend(part_ids)
        offsets.extend((start + first, start + last) for first, last in spans)
        start += len(text)
    return ids, offsets


def _answers(
    marked: str, called: Sequence[int], tokenizer: Tokenizer, marks: Marks
) -> Iterator[tuple[int, int, bool]]:
    """Yield what counts in the text without marks, in order: start and end of the assistant's
    contents with the spaces and the end-of-turn token right after, of turns with calls from
    `called` to that token; and whether the token is there."""
    stops = [
        text for text, id in tokenizer.special.tokens.items() if id in tokenizer.special.stop_ids
    ]
    turn_end = "|".join(map(re.escape, sorted(stops, key=len, reverse=True)))
    answer = re.compile(
        rf"{marks.open}[^{marks.open}{marks.close}]*{marks.close}(?:\s*({turn_end}))?"
    )
    call = re.compile(rf".*?(?<!{marks.guard})({turn_end})", re.DOTALL)
    position = _Unmarked(marked, marks)
    calls = list(filter(None, (call.match(marked, start) for start in called)))
    inside = [found.span() for found in calls]
    contents = [
        found
        for found in answer.finditer(marked)
        if not any(a <= found.start() < b for a, b in inside)
    ]
    for found in sorted([*calls, *contents], key=lambda found: found.start()):
        yield position(found.start()), position(found.end()), bool(found.group(1))


def _contents(marked: str, marks: Marks) -> Iterator[TextSpan]:
    """Yield the spans of all messages' contents in the text without marks."""
    position = _Unmarked(marked, marks)
    for found in re.finditer(
        rf"{marks.open}[^{marks.close}]*{marks.close}|{marks.fence}[^{marks.fence}]*{marks.fence}",
        marked,
    ):
        yield position(found.start()), position(found.end())


class _Unmarked:
    """Places of a marked text in the text without marks."""

    def __init__(self, marked: str, marks: Marks) -> None:
        self._marks = [match.start() for match in re.finditer(f"[{''.join(marks)}]", marked)]

    def __call__(self, place: int) -> int:
        return place - bisect.bisect_left(self._marks, place)


def _overlapping(offsets: Iterable[TextSpan], spans: Iterable[tuple[Any, ...]]) -> Iterator[bool]:
    remaining = deque(spans)
    for start, end in offsets:
        while remaining and remaining[0][1] <= start:
            remaining.popleft()
        yield bool(remaining) and remaining[0][0] < end


def _turns(
    offsets: Sequence[TextSpan], answers: Iterable[tuple[int, int, bool]]
) -> tuple[Turn, ...]:
    """Return the tokens of each answer."""
    starts, ends = [start for start, _ in offsets], [end for _, end in offsets]
    return tuple(
        Turn(bisect.bisect_right(ends, start), bisect.bisect_left(starts, end), ended)
        for start, end, ended in answers
    )
