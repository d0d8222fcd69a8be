"""Conversations, and the one way to render them: `render()` gives text, ids and loss mask in one pass.

The template is the model's own where it brings one, ChatML else. What it makes of a conversation is the reference; the question is only which
parts of the text are structure (control tokens) and which were written by somebody. Searching the finished text can't tell: a user may
have typed `<|im_end|>`. So the contents go into the template with marks, characters that occur nowhere else:

    fence    before and after what users, systems and tools say: no control token can be formed across the edge of a content
    open     before what the assistant says  (loss counts from here)
    close    after it                        (to here, and the end-of-turn token that follows)
    guard    before every text in a content that looks like a control token: it stays text

Marks stand inside leading and trailing spaces, so a template may trim. Afterwards they are taken out. The same conversation is
rendered without marks too: a template that looks into contents so that the two differ can't be followed safely and is refused.

Ids: what lies between two control tokens is encoded as one text. For ordinary contents that is what tokenising the rendered text
gives, in llama.cpp too. Mask: by character offsets, True where the loss counts. A token that straddles the edge of an answer counts.
"""

import bisect
import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from groundup.errors import DataError, ModelError
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.spec import well_formed
from groundup.tokenizer.special import CHATML_TEMPLATE, TURN_END, TURN_START
from groundup.tokenizer.template import render_template

Role = Literal["system", "user", "assistant", "tool"]
Span = tuple[int, int]

_PRIVATE_USE = range(0xF0000, 0xFFFFE)


@dataclass(frozen=True)
class Message:
    """What one side says. Raises DataError for an unknown role."""

    role: Role
    content: str

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise DataError(f"A message has the role {self.role!r}.", fix=f"Roles are {', '.join(get_args(Role))}.")


@dataclass(frozen=True)
class Conversation:
    """Messages in order."""

    messages: tuple[Message, ...]


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
    messages = [Message(message.role, well_formed(message.content)) for message in conversation.messages]
    marks = _unused_marks("".join([template, *(message.content for message in messages)]))
    marked_messages = [Message(message.role, _mark(message, tokenizer, marks)) for message in messages]
    variants = [_variables(each, tokenizer, add_generation_prompt) for each in (messages, marked_messages)]
    plain, marked = render_template(template, variants)
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


def _mark(message: Message, tokenizer: Tokenizer, marks: Marks) -> str:
    """The content with its marks; spaces at its ends stay outside, and nothing but spaces stays as it is (a template may ask whether it is empty)."""
    inner = message.content.strip()
    if not inner:
        return message.content
    before, after = message.content.split(inner, 1)
    first, last = (marks.open, marks.close) if message.role == "assistant" else (marks.fence, marks.fence)
    guarded = tokenizer.control_starts.sub(marks.guard, inner)
    return f"{before}{first}{guarded}{last}{after}"


def _variables(messages: Sequence[Message], tokenizer: Tokenizer, add_generation_prompt: bool) -> dict[str, object]:
    """What a template is given."""
    special = tokenizer.special
    named = {
        "bos_token": special.bos_id,
        "eos_token": special.eos_id,
        "pad_token": special.pad_id,
        "unk_token": special.unk_id,
    }
    return {
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "add_generation_prompt": add_generation_prompt,
        "tools": None,
        **{name: tokenizer.decode([id]) for name, id in named.items() if id is not None},
    }


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
    offsets: list[Span] = []  # in the text without marks
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


def _answers(marked: str, tokenizer: Tokenizer, marks: Marks) -> Iterator[Span]:
    """Where the assistant speaks, in the text without marks: its content, and the spaces and the end-of-turn token right after it."""
    stops = [text for text, id in tokenizer.special.tokens.items() if id in tokenizer.special.stop_ids]
    turn_end = "|".join(map(re.escape, sorted(stops, key=len, reverse=True)))
    answer = re.compile(rf"{marks.open}[^{marks.open}{marks.close}]*{marks.close}(?:\s*(?:{turn_end}))?")
    mark_places = [match.start() for match in re.finditer(f"[{''.join(marks.all)}]", marked)]
    for match in answer.finditer(marked):
        start, end = (place - bisect.bisect_left(mark_places, place) for place in match.span())
        yield start, end


def _supervised(offsets: Iterable[Span], answers: Iterable[Span]) -> Iterator[bool]:
    """For each token: does it overlap an answer? Both in order."""
    waiting = deque(answers)
    for start, end in offsets:
        while waiting and waiting[0][1] <= start:
            waiting.popleft()
        yield bool(waiting) and waiting[0][0] < end
