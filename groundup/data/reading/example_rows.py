"""One row of a file -> an example, by the description of the file: Example, InstructionExample,
ConversationExample or PreferenceExample.

    make_example(row, description, "a.jsonl") -> the example that the layout gives; BadRow says what
        is wrong with the row

Texts are cleaned as documents are. Conversations end with an answer: messages behind the last one
are left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from groundup.data.clean import clean
from groundup.data.documents import (
    ChatExample,
    ConversationExample,
    Example,
    InstructionExample,
    MultiLabelExample,
    PreferenceExample,
)
from groundup.data.reading.column_roles import (
    filled_text_at,
    history_at,
    label_at,
    labels_at,
    text_at,
    tools_at,
    transcript,
    turns_at,
)
from groundup.data.reading.description import Description
from groundup.data.reading.records import BadRow, RecordRow
from groundup.tokenizer.chat import Message
from groundup.tokenizer.tools import Tool

AnyExample = Example | ChatExample | PreferenceExample

CHECK_TYPES = ("number", "label", "word")


def make_example(row: RecordRow, found: Description, name: str) -> AnyExample:
    """Return the example in a row of the file `name`. Raises BadRow."""
    return MAKERS[found.layout or "text"](row, found.roles, name)


def _labelled(row: RecordRow, roles: Mapping[str, str], name: str) -> Example:
    return Example(clean(text_at(row, roles["text"])).text, label_at(row, roles["label"]))


def _multi_labelled(row: RecordRow, roles: Mapping[str, str], name: str) -> MultiLabelExample:
    return MultiLabelExample.of(
        clean(text_at(row, roles["text"])).text, labels_at(row, roles["labels"])
    )


def _instruction(row: RecordRow, roles: Mapping[str, str], name: str) -> ChatExample:
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


def _prompt_completion(row: RecordRow, roles: Mapping[str, str], name: str) -> ChatExample:
    prompt = turns_at(row, roles["prompt"], "user")
    completion = turns_at(row, roles["completion"], "assistant")
    identity, before = _identity(row, name), _system(row, roles)
    if all(isinstance(row.values[roles[role]], str) for role in ("prompt", "completion")):
        question, answer = (clean(part[0].content).text for part in (prompt, completion))
        return _with_turns_before(InstructionExample(question, "", answer, **identity), before)
    return ConversationExample(_up_to_answer((*before, *prompt, *completion)), **identity)


def _with_turns_before(example: InstructionExample, before: tuple[Message, ...]) -> ChatExample:
    """Return the example itself, or with turns before it a conversation."""
    if not before:
        return example
    question = "\n\n".join(filter(None, (example.instruction, example.input)))
    turns = (*before, Message("user", question), Message("assistant", example.output))
    return ConversationExample(turns, example.id, example.kind, example.held_out, example.check)


def _conversation(row: RecordRow, roles: Mapping[str, str], name: str) -> ConversationExample:
    messages = _up_to_answer((*_system(row, roles), *turns_at(row, roles["messages"])))
    tools: tuple[Tool, ...] = ()
    if "tools" in roles:
        tools = tools_at(row, roles["tools"])
    return ConversationExample(messages, **_identity(row, name), tools=tools)


def _preference(row: RecordRow, roles: Mapping[str, str], name: str) -> PreferenceExample:
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


def _answers(row: RecordRow, column: str) -> tuple[Message, ...]:
    value = row.values.get(column)
    if isinstance(value, str) and transcript(value):
        return transcript(value)
    return turns_at(row, column, "assistant")


def _system(row: RecordRow, roles: Mapping[str, str]) -> tuple[Message, ...]:
    text = _optional_text(row, roles, "system")
    if not text.strip():
        return ()
    return (Message("system", text),)


def _optional_text(row: RecordRow, roles: Mapping[str, str], role: str) -> str:
    column = roles.get(role, "")
    value = row.values.get(column)
    if value is not None and not isinstance(value, str):
        raise BadRow(f"'{column}' is not a text")
    return value or ""


def _up_to_answer(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages up to the last answer, cleaned.

    Raises BadRow where nothing is asked and answered.
    """
    answers = [place for place, each in enumerate(messages) if each.role == "assistant"]
    last = max(answers, default=0)
    kept = tuple(map(_clean, messages[: last + 1]))
    if last == 0 or not (kept[-1].content.strip() or kept[-1].calls):
        raise BadRow("has no answer of an assistant to a message before it")
    return kept


def _clean(message: Message) -> Message:
    return replace(message, content=clean(message.content).text)


def _identity(row: RecordRow, name: str) -> dict[str, Any]:
    """Return id, kind, held_out and check, as our own files have them. Raises BadRow."""
    values = row.values
    if not isinstance(values.get("kind", ""), str):
        raise BadRow("'kind' is not a text")
    held_out = values.get("held_out") or False
    if isinstance(held_out, str):  # of .csv and .tsv
        held_out = {"true": True, "false": False}.get(held_out.strip().lower())
    if not isinstance(held_out, bool):
        raise BadRow("'held_out' is not true or false")
    check = values.get("check")
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
    if check is None:
        return
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


MAKERS: Mapping[str, Callable[[RecordRow, Mapping[str, str], str], AnyExample]] = {
    "labelled": _labelled,
    "multi-labelled": _multi_labelled,
    "instruction": _instruction,
    "prompt-completion": _prompt_completion,
    "conversation": _conversation,
    "preference": _preference,
}
