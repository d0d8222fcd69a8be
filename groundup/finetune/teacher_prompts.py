"""The prompts that a teacher answers, from rows of JSON Lines: `messages`, `prompt`, `instruction`
with `input`, or `question` with the `context` that it is answered from (as `data make-questions`
writes it). Answers in the rows are not read.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from groundup.errors import DataError
from groundup.retrieve.passages import Passage
from groundup.tokenizer.chat import Message, Role

ROLES = ("system", "user", "assistant")
# Of a row, what goes into the example.
KEPT = ("kind", "held_out", "check")


@dataclass(frozen=True)
class TeacherPrompt:
    messages: tuple[Message, ...]
    """The last one is the user's."""
    id: str
    kept: Mapping[str, Any]
    context: str = ""
    """The text from which it must be answered."""
    value: str = ""
    """What the answer must say."""

    @property
    def plain_messages(self) -> list[dict[str, str]]:
        return [{"role": each.role, "content": each.content} for each in self.messages]

    @property
    def check(self) -> Mapping[str, Any] | None:
        return self.kept.get("check")

    @property
    def passage(self) -> Passage | None:
        if not self.context:
            return None
        return Passage(0, self.context, "", "", "", "", "", 0, len(self.context), "en", 0)


def read_prompts(file: Path, columns: Mapping[str, str]) -> list[TeacherPrompt]:
    """`columns`: role -> column, where a row calls it otherwise. Raises DataError, with the line."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file} can't be read as prompts: {error}.",
            fix="Give a file of JSON lines, or documents.",
        ) from error
    found = list(_prompts(file, lines, columns))
    if not found:
        raise DataError(f"{file} has no prompts.", fix='Write a line {"prompt": "..."} for each.')
    return found


def _prompts(file: Path, lines: list[str], columns: Mapping[str, str]) -> Iterator[TeacherPrompt]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row = {**row, **{role: row[name] for role, name in columns.items() if name in row}}
            yield _prompt(row, f"{file.name}:{number}")
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise DataError(
                f"{file}, line {number} is no prompt ({error}).",
                fix="Each line is a JSON object with prompt, messages, instruction or question.",
            ) from error


def _prompt(row: dict[str, Any], place: str) -> TeacherPrompt:
    """Raises ValueError, TypeError, LookupError."""
    context = str(row.get("context") or "")
    kept = {name: row[name] for name in KEPT if name in row}
    messages = _messages(row, context)
    if not messages[-1].content.strip():
        raise ValueError("it is empty")
    value = str(row.get("value") or "") if context else ""
    return TeacherPrompt(messages, str(row.get("id", place)), kept, context, value)


def _messages(row: dict[str, Any], context: str) -> tuple[Message, ...]:
    listed = row.get("messages", row.get("prompt"))
    if isinstance(listed, list):
        turns = [Message(cast("Role", each["role"]), str(each["content"])) for each in listed]
        while turns and turns[-1].role == "assistant":
            turns.pop()
        if not turns or any(turn.role not in ROLES for turn in turns) or turns[-1].role != "user":
            raise ValueError("its messages do not end with one of the user")
        return tuple(turns)
    name = next((each for each in ("prompt", "instruction", "question") if row.get(each)), "")
    if not name:
        raise LookupError(f"it has none of the columns; it has {', '.join(row)[:100]}")
    more = str(row.get("input") or "") if name == "instruction" else context
    asked = str(row[name])
    return (Message("user", f"{asked}\n\n{more}" if more else asked),)
