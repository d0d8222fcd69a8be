"""The records of this package: Document (a text), Example (text and label), InstructionExample (instruction and answer)."""

from collections.abc import Mapping
from dataclasses import dataclass

from groundup.tokenizer.chat import Conversation, Message


@dataclass(frozen=True, slots=True)
class Document:
    """One complete text; it belongs to one split."""

    text: str
    source: str
    """The spec of the source it came from."""
    name: str
    """Its location in the source: a file's path, with ":line" for a line of it."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its class."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class InstructionExample:
    """An instruction for an assistant and the answer, as instruction, input and output."""

    instruction: str
    input: str
    """The text that the instruction applies to, or ""."""
    output: str
    id: str
    kind: str = ""
    """The kind of task ("grammar", "summary"), or ""."""
    held_out: bool = False
    """Whether it is excluded from training."""
    check: Mapping[str, str] | None = None
    """A rule to check an answer: {"type": "number" | "label" | "word", "answer": TEXT}."""


def to_conversation(example: InstructionExample, *, answer: bool = True) -> Conversation:
    """Return the example as a user's turn and, with `answer`, the assistant's. The input follows the instruction after a blank line.

    >>> to_conversation(InstructionExample("Correct this.", "I is here.", "I am here.", id="1")).messages[0].content
    'Correct this.\\n\\nI is here.'
    """
    question = f"{example.instruction}\n\n{example.input}" if example.input else example.instruction
    turns = (Message("user", question), Message("assistant", example.output))
    return Conversation(turns if answer else turns[:1])
