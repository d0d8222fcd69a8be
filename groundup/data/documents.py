"""What travels through this room: a Document (raw text), an Example (text and label), an InstructionExample (task and answer)."""

from collections.abc import Mapping
from dataclasses import dataclass

from groundup.tokenizer.chat import Conversation, Message


@dataclass(frozen=True, slots=True)
class Document:
    """One text, whole: what a model may see in one piece and what lies in one split."""

    text: str
    source: str
    """The spec of the source it came from."""
    name: str
    """Where in the source: a file's path, with ":line" for a line of it."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text and the class it belongs to."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class InstructionExample:
    """A task for an assistant and its answer, in the form instruction/input/output."""

    instruction: str
    input: str
    """What the instruction is about; "" where the instruction says it all."""
    output: str
    id: str
    kind: str = ""
    """The sort of task ("grammar", "summary"); "" not stated."""
    held_out: bool = False
    """Never trained on."""
    check: Mapping[str, str] | None = None
    """How code can check an answer: {"type": "number" | "label" | "word", "answer": TEXT}."""


def to_conversation(example: InstructionExample, *, answer: bool = True) -> Conversation:
    """The example as a user's turn and, with `answer`, the assistant's. The input follows the instruction after a blank line.

    >>> to_conversation(InstructionExample("Correct this.", "I is here.", "I am here.", id="1")).messages[0].content
    'Correct this.\\n\\nI is here.'
    """
    question = f"{example.instruction}\n\n{example.input}" if example.input else example.instruction
    turns = (Message("user", question), Message("assistant", example.output))
    return Conversation(turns if answer else turns[:1])
