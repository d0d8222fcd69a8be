"""One row of a file -> the values of its columns -> an example: Example, InstructionExample,
ConversationExample or PreferenceExample.

    text_at(row, "review"), label_at, turns_at, ... -> the value of a column, or BadRow
    make_example(row, layout, roles, "a.jsonl")     -> the example that the layout gives, or BadRow

`layouts` tries the same readers of values on the first rows: so what was recognised is what is
read. Texts are cleaned as documents are. Conversations end with an answer: messages behind the
last one are left out.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypedDict

from groundup.config import MAX_JSON_DEPTH, is_deeper
from groundup.data.clean import clean
from groundup.data.documents import (
    ChatExample,
    ComparedExample,
    ConversationExample,
    Example,
    InstructionExample,
    MultiLabelExample,
    PreferenceExample,
    PromptExample,
    TextPair,
    to_conversation,
)
from groundup.data.reading.records import TOO_DEEP, BadRow, RecordRow, Unusable
from groundup.tokenizer.chat import Message, Role
from groundup.tokenizer.tools import Tool, ToolCall, calls_of

AnyExample = Example | ChatExample | ComparedExample
RowExample = AnyExample | TextPair | PromptExample
"""What a row can be."""

Roles = Mapping[str, str]
"""Role -> column."""

CHECK_TYPES = ("number", "label", "word")
SPEAKERS: Mapping[str, Role] = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "chatgpt", "model"), "assistant"),
    **dict.fromkeys(("system",), "system"),
    **dict.fromkeys(("tool", "function", "observation", "function_response"), "tool"),
}
# Speakers whose text is a tool call of the assistant (ShareGPT).
CALLERS = ("function_call", "tool_call")
# The keys of a message: those of OpenAI and of ShareGPT.
MESSAGE_KEYS = (("role", "content"), ("from", "value"))
_TRANSCRIPT = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")


def make_example(row: RecordRow, layout: str, roles: Roles, name: str) -> RowExample:
    """Raises BadRow."""
    return MAKERS[layout](row, roles, name)


def _labelled(row: RecordRow, roles: Roles, name: str) -> Example:
    return Example(clean(text_at(row, roles["text"])).text, label_at(row, roles["label"]))


def _multi_labelled(row: RecordRow, roles: Roles, name: str) -> MultiLabelExample:
    text = clean(text_at(row, roles["text"])).text
    return MultiLabelExample.of(text, labels_at(row, roles["labels"]))


def _instruction(row: RecordRow, roles: Roles, name: str) -> ChatExample:
    instruction = filled_text_at(row, roles["instruction"])
    output = filled_text_at(row, roles["output"])
    given = _optional_text(row, roles, "input")
    example = InstructionExample(
        clean(instruction).text, clean(given).text, clean(output).text, **_identity(row, name)
    )
    before = _system(row, roles)
    if "history" in roles:
        before += history_at(row, roles["history"])
    return _with_turns_before(example, before)


def _prompt_completion(row: RecordRow, roles: Roles, name: str) -> ChatExample:
    prompt = turns_at(row, roles["prompt"], "user")
    completion = turns_at(row, roles["completion"], "assistant")
    identity, before = _identity(row, name), _system(row, roles)
    if all(isinstance(row.values[roles[role]], str) for role in ("prompt", "completion")):
        question, answer = (clean(part[0].content).text for part in (prompt, completion))
        return _with_turns_before(InstructionExample(question, "", answer, **identity), before)
    return ConversationExample(_up_to_answer((*before, *prompt, *completion)), **identity)


def _with_turns_before(example: InstructionExample, before: tuple[Message, ...]) -> ChatExample:
    if not before:
        return example
    turns = (*before, *to_conversation(example).messages)
    return ConversationExample(turns, example.id, example.kind, example.held_out, example.check)


def _conversation(row: RecordRow, roles: Roles, name: str) -> ConversationExample:
    messages = _up_to_answer((*_system(row, roles), *turns_at(row, roles["messages"])))
    tools: tuple[Tool, ...] = ()
    if "tools" in roles:
        tools = tools_at(row, roles["tools"])
    return ConversationExample(messages, **_identity(row, name), tools=tools)


def _preference(row: RecordRow, roles: Roles, name: str) -> PreferenceExample:
    """Two answers to one prompt; where the prompt has no column, it is what both conversations
    begin with.
    """
    chosen, rejected = (_answers(row, roles[role]) for role in ("chosen", "rejected"))
    prompt = _system(row, roles)
    if "prompt" in roles:
        prompt += turns_at(row, roles["prompt"], "user")
    if len(chosen) > 1 or len(rejected) > 1:
        if chosen[:-1] != rejected[:-1]:
            raise BadRow("its two answers do not follow the same messages")
        prompt = chosen[:-1]
    last = chosen[-1], rejected[-1]
    if not prompt or {each.role for each in last} != {"assistant"}:
        raise BadRow("it has no prompt with two answers of an assistant")
    better, worse = (clean(each.content).text for each in last)
    if better.strip() == worse.strip():
        raise BadRow("its two answers are the same")
    return PreferenceExample(tuple(map(_clean, prompt)), better, worse, _id(row, name))


def _pair(row: RecordRow, roles: Roles, name: str) -> TextPair:
    negatives: tuple[str, ...] = ()
    if row.values.get(roles.get("negative", "")):
        negatives = texts_at(row, roles["negative"])
    identity = _identity(row, name)
    return TextPair(
        clean(filled_text_at(row, roles["anchor"])).text,
        texts_at(row, roles["positive"]),
        negatives,
        identity["id"],
        identity["held_out"],
    )


def _prompt(row: RecordRow, roles: Roles, name: str) -> PromptExample:
    """The messages up to the user's last, which the input follows; later answers are not read."""
    turns = (*_system(row, roles), *map(_clean, turns_at(row, roles["request"], "user")))
    asked = [place for place, each in enumerate(turns) if each.role == "user"]
    if not asked or not turns[asked[-1]].content.strip():
        raise BadRow("has no message of a user")
    *before, last = turns[: asked[-1] + 1]
    given = clean(_optional_text(row, roles, "input")).text
    last = replace(last, content="\n\n".join(filter(None, (last.content, given))))
    context, value = given if roles.get("input") == "context" else "", row.values.get("value")
    known = {"context": context, "value": value if context and isinstance(value, str) else ""}
    return PromptExample((*before, last), **_identity(row, name), **known)


MAKERS: Mapping[str, Callable[[RecordRow, Roles, str], RowExample]] = {
    "labelled": _labelled,
    "multi-labelled": _multi_labelled,
    "instruction": _instruction,
    "prompt-completion": _prompt_completion,
    "conversation": _conversation,
    "preference": _preference,
    "pair": _pair,
    "prompt": _prompt,
}


def _answers(row: RecordRow, column: str) -> tuple[Message, ...]:
    value = row.values.get(column)
    if isinstance(value, str) and transcript(value):
        return transcript(value)
    return turns_at(row, column, "assistant")


def _system(row: RecordRow, roles: Roles) -> tuple[Message, ...]:
    text = _optional_text(row, roles, "system")
    if not text.strip():
        return ()
    return (Message("system", text),)


def _optional_text(row: RecordRow, roles: Roles, role: str) -> str:
    column = roles.get(role, "")
    value = row.values.get(column)
    if value is not None and not isinstance(value, str):
        raise BadRow(f"'{column}' is not a text")
    return value or ""


def _up_to_answer(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages up to the last answer, cleaned. Raises BadRow for no question with an
    answer.
    """
    answers = [place for place, each in enumerate(messages) if each.role == "assistant"]
    last = max(answers, default=0)
    kept = tuple(map(_clean, messages[: last + 1]))
    if last == 0 or not (kept[-1].content.strip() or kept[-1].calls):
        raise BadRow("has no answer of an assistant to a message before it")
    return kept


def _clean(message: Message) -> Message:
    return replace(message, content=clean(message.content).text)


class _Identity(TypedDict):
    id: str
    kind: str
    held_out: bool
    check: Mapping[str, str] | None


def _identity(row: RecordRow, name: str) -> _Identity:
    """Return what our own files have beside the columns of a layout. Raises BadRow."""
    values = row.values
    if not isinstance(values.get("kind", ""), str):
        raise BadRow("'kind' is not a text")
    held_out = values.get("held_out") or False
    if isinstance(held_out, str):  # of .csv and .tsv
        held_out = {"true": True, "false": False}.get(held_out.strip().lower())
    if not isinstance(held_out, bool):
        raise BadRow("'held_out' is not true or false")
    check = values.get("check")
    if check is not None:
        _require_check(check)
    return {
        "id": _id(row, name),
        "kind": values.get("kind", ""),
        "held_out": held_out,
        "check": check,
    }


def _id(row: RecordRow, name: str) -> str:
    """Return the id of an example; a number counts within its file."""
    value = row.values.get("id")
    if value is None:
        return f"{name}:{row.line}"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRow("'id' is not a text")
    if str(value).isdecimal():
        return f"{name}:{value}"
    return str(value)


def _require_check(check: Any) -> None:
    """Raise BadRow for what is no rule to check an answer."""
    if (
        not isinstance(check, dict)
        or check.get("type") not in CHECK_TYPES
        or not isinstance(check.get("answer"), str)
    ):
        raise BadRow(
            f'\'check\' is not {{"type": one of {", ".join(CHECK_TYPES)}, "answer": text}}'
        )
    labels = check.get("labels", [check["answer"]])
    if not isinstance(labels, list) or not all(
        isinstance(label, str) and label for label in labels
    ):
        raise BadRow("'labels' of its check is not a list of texts")
    if check["answer"] not in labels:
        raise BadRow(f"the answer of its check, {check['answer'][:40]!r}, is not one of its labels")


def _not(wanted: str, column: str, value: Any, found: str = "") -> BadRow:
    return BadRow(f"'{column}' is not {wanted} but {found or type(value).__name__}")


def text_at(row: RecordRow, column: str) -> str:
    """Raises BadRow."""
    value = row.values.get(column)
    if isinstance(value, str):
        return value
    if isinstance(value, Unusable):
        raise BadRow(f"'{column}' {value.why}")
    if column in row.values:
        raise _not("a text", column, value)
    raise BadRow(f"has no '{column}' (it has: {', '.join(row.values)[:200]})")


def filled_text_at(row: RecordRow, column: str) -> str:
    """Return the text in a column, which is not empty. Raises BadRow."""
    value = row.values.get(column)
    if not isinstance(value, str) or not value.strip():
        raise BadRow(f"has no '{column}' text")
    return value


def texts_at(row: RecordRow, column: str) -> tuple[str, ...]:
    """Return the texts in a column, cleaned: one, or a list of them, none empty. Raises BadRow.

    >>> texts_at(RecordRow(1, {"answers": ["Yes.", "Of course."]}), "answers")
    ('Yes.', 'Of course.')
    """
    value = row.values.get(column)
    if not isinstance(value, list):
        return (clean(filled_text_at(row, column)).text,)
    if not value or not all(isinstance(each, str) and each.strip() for each in value):
        raise _not("a text or a list of texts", column, value)
    return tuple(clean(each).text for each in value)


def label_at(row: RecordRow, column: str) -> str:
    """Return the label in a column: a text without the white space around it, or a whole number, or
    true or false. Raises BadRow.

    >>> label_at(RecordRow(1, {"stars": 5.0}), "stars"), label_at(RecordRow(1, {"spam": True}), "spam")
    ('5', 'true')
    """
    return _to_label(row.values.get(column), column)


def _to_label(value: Any, column: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is not None and not isinstance(value, int | str):
        raise _not("a label", column, value)
    if value is None or not str(value).strip():
        raise BadRow(f"its label ('{column}') is empty")
    return str(value).strip()


def labels_at(row: RecordRow, column: str, *, are_named: bool = False) -> tuple[str, ...]:
    """Return the labels in a column, a list of distinct ones that may be empty; `are_named`: texts
    only, since a list of numbers may be anything. Raises BadRow.

    >>> labels_at(RecordRow(1, {"tags": ["delivery", "complaint"]}), "tags")
    ('delivery', 'complaint')
    """
    value = row.values.get(column)
    if value is None:
        raise _not("a list of labels", column, value, "missing")
    if not isinstance(value, list):
        raise _not("a list of labels", column, value)
    if are_named and not all(isinstance(each, str) for each in value):
        raise BadRow(f"'{column}' is not a list of texts")
    labels = tuple(_to_label(each, column) for each in value)
    if len(set(labels)) < len(labels):
        raise BadRow(f"'{column}' names a label twice")
    return labels


def split_labels(row: RecordRow, column: str, separator: str) -> RecordRow:
    """Return a row with the text in a column as a list of labels; an empty one has none. Raises
    BadRow.

    >>> split_labels(RecordRow(1, {"tags": "late; rude"}), "tags", ";").values
    {'tags': ['late', 'rude']}
    """
    value = row.values.get(column)
    if not isinstance(value, str | None):
        raise _not("a text with labels", column, value)
    parts = [part.strip() for part in (value or "").split(separator)]
    return replace(row, values={**row.values, column: [part for part in parts if part]})


def turns_at(row: RecordRow, column: str, speaker: Role | None = None) -> tuple[Message, ...]:
    """Return the messages in a column: a list of them, or, where it is a text, one message of
    `speaker`. Raises BadRow.
    """
    value = row.values.get(column)
    if isinstance(value, str) and speaker and value.strip():
        return (Message(speaker, value),)
    if not value:
        raise _not("a list of messages", column, value, "empty")
    if not isinstance(value, list):
        raise _not("a list of messages", column, value)
    return tuple(_message(each, f"a message of '{column}'") for each in value)


def _message(value: Any, where: str) -> Message:
    """Raises BadRow."""
    role, content = _role_and_content(value, where)
    if isinstance(content, list) and all(map(_is_text_part, content)):
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str):
        raise BadRow(f"{where} has no text")
    if role in CALLERS:
        return Message("assistant", "", _calls(content, where))
    if not isinstance(role, str) or role not in SPEAKERS:
        raise BadRow(f"{where} has the unknown role {str(role)[:40]!r}")
    speaker, name, call_id = SPEAKERS[role], "", ""
    if speaker == "tool":
        name, call_id = (str(value.get(key) or "") for key in ("name", "tool_call_id"))
    calls: tuple[ToolCall, ...] = ()
    if value.get("tool_calls"):
        calls = _calls(value["tool_calls"], where)
    if calls and speaker != "assistant":
        raise BadRow(f"{where} has tool calls, but is the {speaker}'s")
    return Message(speaker, content, calls, name, call_id)


def _role_and_content(value: Any, where: str) -> tuple[Any, Any]:
    """Return the two values of a message; beside tool calls there may be no content."""
    fields = value if isinstance(value, dict) else {}
    for role, content in MESSAGE_KEYS:
        if {role, content} <= fields.keys():
            if content == "content" and fields[content] is None:
                return fields[role], ""
            return fields[role], fields[content]
    if fields.keys() >= {"role", "tool_calls"}:
        return fields["role"], ""
    raise BadRow(f"{where} has neither role and content nor from and value")


def _is_text_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text"


def _calls(value: Any, where: str) -> tuple[ToolCall, ...]:
    """Raises BadRow."""
    calls = calls_of(value)
    if calls is None:
        raise BadRow(f"{where} has a tool call without a name or without arguments in JSON")
    return calls


def tools_at(row: RecordRow, column: str) -> tuple[Tool, ...]:
    """Return the tools in a column, a list of them or its JSON; none where it is missing.

    Raises BadRow.
    """
    value = row.values.get(column) or []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise BadRow(f"'{column}' is not JSON") from None
        if is_deeper(value, MAX_JSON_DEPTH):
            raise BadRow(f"'{column}' {TOO_DEEP}")
    if not isinstance(value, list):
        value = [value]
    return tuple(_tool(each, column) for each in value)


def _tool(value: Any, column: str) -> Tool:
    tool = value
    if not isinstance(tool, dict) or "function" not in tool:
        tool = {"type": "function", "function": value}
    function = tool["function"]
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadRow(f"'{column}' is not a list of tools, each with a name")
    return tool


def transcript(text: str) -> tuple[Message, ...]:
    """Return the messages of a text with "Human:" and "Assistant:" before them; none where it does
    not begin so.

    >>> [each.role for each in transcript("\\n\\nHuman: Hi\\n\\nAssistant: Ho")]
    ['user', 'assistant']
    """
    before, *parts = _TRANSCRIPT.split(text)
    if before.strip():
        return ()
    return tuple(
        Message(SPEAKERS[who.lower()], text.strip())
        for who, text in zip(parts[::2], parts[1::2], strict=True)
    )


def history_at(row: RecordRow, column: str) -> tuple[Message, ...]:
    """Return earlier turns, a list of [question, answer]; none where it is missing.

    Raises BadRow.
    """
    pairs = row.values.get(column) or []
    if not isinstance(pairs, list) or not all(map(_is_pair, pairs)):
        raise BadRow(f"'{column}' is not a list of [question, answer]")
    return tuple(
        message
        for question, answer in pairs
        for message in (Message("user", question), Message("assistant", answer))
    )


def _is_pair(value: Any) -> bool:
    is_list = isinstance(value, list) and len(value) == 2
    return is_list and all(isinstance(each, str) for each in value)
