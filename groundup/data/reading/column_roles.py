"""The roles that columns have in examples (text, label, instruction, messages, chosen, ...): their
usual names, and their values.

`text_at`, `label_at` and `turns_at` return the value of a column in one row, or raise BadRow. The
format detection tries them on the first rows, the reader uses them on all: so what was recognised
is what is read.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from groundup.data.reading.records import TOO_DEEP, BadRow, RecordRow, Unusable
from groundup.json_depth import MAX_JSON_DEPTH, is_deeper
from groundup.tokenizer.chat import Message, Role
from groundup.tokenizer.tools import Tool, ToolCall, calls_of

NAMES: Mapping[str, tuple[str, ...]] = {
    "text": (
        *("text", "content", "body", "message", "sentence", "review", "tweet", "comment", "document", "article", "utterance"),
        *("headline", "sms", "email", "post", "passage", "paragraph", "query", "v2", "raw_content", "story"),
    ),
    "label": (
        *("label", "labels", "class", "category", "target", "sentiment", "emotion", "intent", "topic", "stars", "rating"),
        *("polarity", "tag", "class_index", "class_name", "label_text", "label_name", "is_spam", "v1", "score"),
    ),
    "labels": (
        *("labels", "label", "tags", "tag", "categories", "category", "topics", "topic", "classes", "class", "emotions", "emotion"),
        *("intents", "intent", "genres", "targets", "target", "label_names", "label_text"),
    ),
    "instruction": ("instruction", "instructions"),
    "input": ("input", "context"),
    "output": ("output", "response", "answer", "completion"),
    "system": ("system", "system_prompt"),
    "history": ("history",),
    "messages": ("messages", "conversations", "conversation", "dialog", "dialogue", "turns", "chat"),
    "prompt": ("prompt", "question", "query", "input", "inputs", "problem", "user", "human"),
    "completion": ("completion", "response", "answer", "output", "targets", "solution", "assistant", "reply"),
    "chosen": ("chosen", "accepted"),
    "rejected": ("rejected",),
    "tools": ("tools", "functions"),
}  # fmt: skip
# Roles whose columns are also recognised by the last word of their names: review_text,
# airline_sentiment.
BY_LAST_WORD = {
    "text": ("text", "body", "content", "tweet"),
    "label": ("label", "labels", "class", "category", "sentiment", "emotion", "intent"),
}
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


def normal_name(column: str) -> str:
    """Return a column's name in lower case, its words separated by "_".

    >>> normal_name(" Class Index"), normal_name("reviewText")
    ('class_index', 'review_text')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.strip())
    return re.sub(r"[^0-9a-z]+", "_", spaced.casefold()).strip("_")


def is_named(column: str, role: str) -> bool:
    """Return whether this is a usual name for the role."""
    name = normal_name(column)
    if any(name in names for names in NAMES.values()):
        return name in NAMES[role]
    return "_" in name and name.rpartition("_")[2] in BY_LAST_WORD.get(role, ())


def text_at(row: RecordRow, column: str) -> str:
    """Return the text in a column. Raises BadRow."""
    value = row.values.get(column)
    if isinstance(value, str):
        return value
    if isinstance(value, Unusable):
        raise BadRow(f"'{column}' {value.why}")
    if column in row.values:
        raise BadRow(f"'{column}' is not a text but {type(value).__name__}")
    raise BadRow(f"has no '{column}' (it has: {', '.join(row.values)[:200]})")


def filled_text_at(row: RecordRow, column: str) -> str:
    """Return the text in a column, which is not empty. Raises BadRow."""
    value = row.values.get(column)
    if not isinstance(value, str) or not value.strip():
        raise BadRow(f"has no '{column}' text")
    return value


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
        raise BadRow(f"'{column}' is not a label but {type(value).__name__}")
    if value is None or not str(value).strip():
        raise BadRow(f"its label ('{column}') is empty")
    return str(value).strip()


def labels_at(row: RecordRow, column: str) -> tuple[str, ...]:
    """Return the labels in a column, a list of distinct ones that may be empty. Raises BadRow.

    >>> labels_at(RecordRow(1, {"tags": ["delivery", "complaint"]}), "tags")
    ('delivery', 'complaint')
    """
    value = row.values.get(column)
    if value is None:
        raise BadRow(f"'{column}' is not a list of labels but missing")
    if not isinstance(value, list):
        raise BadRow(f"'{column}' is not a list of labels but {type(value).__name__}")
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
        raise BadRow(f"'{column}' is not a text with labels but {type(value).__name__}")
    parts = [part.strip() for part in (value or "").split(separator)]
    return replace(row, values={**row.values, column: [part for part in parts if part]})


def named_labels_at(row: RecordRow, column: str) -> tuple[str, ...]:
    """Return the labels in a column where they are texts: a list of numbers may be anything.

    Raises BadRow.
    """
    value = row.values.get(column)
    if isinstance(value, list) and not all(isinstance(each, str) for each in value):
        raise BadRow(f"'{column}' is not a list of texts")
    return labels_at(row, column)


def turns_at(row: RecordRow, column: str, speaker: Role | None = None) -> tuple[Message, ...]:
    """Return the messages in a column: a list of them, or, where it is a text, one message of
    `speaker`. Raises BadRow.
    """
    value = row.values.get(column)
    if isinstance(value, str) and speaker and value.strip():
        return (Message(speaker, value),)
    if not value:
        raise BadRow(f"'{column}' is not a list of messages but empty")
    if not isinstance(value, list):
        raise BadRow(f"'{column}' is not a list of messages but {type(value).__name__}")
    return tuple(_message(each, column) for each in value)


def _message(value: Any, column: str) -> Message:
    """Return one message of a list. Raises BadRow."""
    role, content = _role_and_content(value, column)
    if isinstance(content, list) and all(map(_is_text_part, content)):
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str):
        raise BadRow(f"a message of '{column}' has no text")
    if role in CALLERS:
        return Message("assistant", "", _calls(content, column))
    if not isinstance(role, str) or role not in SPEAKERS:
        raise BadRow(f"a message of '{column}' has the unknown role {str(role)[:40]!r}")
    speaker = SPEAKERS[role]
    if speaker == "tool":
        name, call_id = (str(value.get(key) or "") for key in ("name", "tool_call_id"))
    else:
        name = call_id = ""
    if not value.get("tool_calls"):
        return Message(speaker, content, (), name, call_id)
    calls = _calls(value["tool_calls"], column)
    if calls and speaker != "assistant":
        raise BadRow(f"a message of '{column}' has tool calls, but is the {speaker}'s")
    return Message(speaker, content, calls, name, call_id)


def _role_and_content(value: Any, column: str) -> tuple[Any, Any]:
    """Return the two values of a message; beside tool calls there may be no content."""
    fields = value if isinstance(value, dict) else {}
    for role, content in MESSAGE_KEYS:
        if {role, content} <= fields.keys():
            if content == "content" and fields[content] is None:
                return fields[role], ""
            return fields[role], fields[content]
    if fields.keys() >= {"role", "tool_calls"}:
        return fields["role"], ""
    raise BadRow(f"a message of '{column}' has neither role and content nor from and value")


def _is_text_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text"


def _calls(value: Any, column: str) -> tuple[ToolCall, ...]:
    """Return the tool calls of a message: a list of OpenAI's form, or a text of ShareGPT's.

    Raises BadRow.
    """
    calls = calls_of(value)
    if calls is None:
        raise BadRow(
            f"a message of '{column}' has a tool call without a name or without arguments in JSON"
        )
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
    if before.strip() or not parts:
        return ()
    roles: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}
    return tuple(
        Message(roles[who], text.strip()) for who, text in zip(parts[::2], parts[1::2], strict=True)
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
