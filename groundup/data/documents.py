"""The records of this package: Document (a text), and examples: Example (text and label),
MultiLabelExample, InstructionExample (instruction and answer), ConversationExample,
PreferenceExample (a better and a worse answer), RatedExample (a good or a bad answer), TextPair (two
texts that belong together) and PromptExample (what another model shall answer)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from groundup.tokenizer.chat import Conversation, Message
from groundup.tokenizer.tools import Tool


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
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class MultiLabelExample(Example):
    """A text that has none, one or several labels."""

    labels: tuple[str, ...]
    """Sorted; `label` names them all, for what reads one."""

    @classmethod
    def of(cls, text: str, labels: Iterable[str]) -> "MultiLabelExample":
        named = tuple(sorted(labels))
        return cls(text, ", ".join(named), named)


@dataclass(frozen=True, slots=True)
class TextPair:
    """A text and those that mean or answer the same, for the tuning of an encoder."""

    text: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    """Texts that do not fit; empty: none were given."""
    id: str
    held_out: bool = False


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


@dataclass(frozen=True, slots=True)
class ConversationExample:
    """A conversation that ends with an answer of the assistant.

    All of the assistant's messages are learned from.
    """

    messages: tuple[Message, ...]
    id: str
    kind: str = ""
    held_out: bool = False
    check: Mapping[str, str] | None = None
    tools: tuple[Tool, ...] = field(default=(), hash=False, repr=False)
    """The tools that the assistant may call; not in the repr, whose hash identifies runs."""

    @property
    def instruction(self) -> str:
        """The message before the last answer."""
        return self.messages[-2].content

    @property
    def input(self) -> str:
        """Nothing: a message is not divided."""
        return ""

    @property
    def output(self) -> str:
        return self.messages[-1].content


@dataclass(frozen=True, slots=True)
class PreferenceExample:
    prompt: tuple[Message, ...]
    """The conversation up to the answer."""
    chosen: str
    rejected: str
    id: str


@dataclass(frozen=True, slots=True)
class RatedExample:
    prompt: tuple[Message, ...]
    """The conversation up to the answer."""
    answer: str
    is_good: bool
    id: str

    @property
    def label(self) -> str:
        """Of two equal answers to a prompt both are left out where their labels differ."""
        return "good" if self.is_good else "bad"


@dataclass(frozen=True, slots=True)
class PromptExample:
    """What another model shall answer, and what is known of the answer."""

    prompt: tuple[Message, ...]
    """The last message is the user's."""
    id: str
    kind: str = ""
    held_out: bool = False
    check: Mapping[str, str] | None = None
    context: str = ""
    """A text that has all numbers and names of a right answer; "": none is given."""
    value: str = ""
    """Words of a right answer."""


ComparedExample = PreferenceExample | RatedExample
ChatExample = InstructionExample | ConversationExample


def to_conversation(example: ChatExample, *, answer: bool = True) -> Conversation:
    """Return the example as a conversation, with `answer` with its last answer. An input follows
    its instruction after a blank line.

    >>> to_conversation(InstructionExample("Correct this.", "I is here.", "I am here.", id="1")).messages[0].content
    'Correct this.\\n\\nI is here.'
    """
    tools: tuple[Tool, ...] = ()
    if isinstance(example, ConversationExample):
        turns, tools = example.messages, example.tools
    else:
        question = example.instruction
        if example.input:
            question = f"{question}\n\n{example.input}"
        turns = (Message("user", question), Message("assistant", example.output))
    if not answer:
        turns = turns[:-1]
    return Conversation(turns, tools)
