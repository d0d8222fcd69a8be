"""What is replied to a conversation, before and after a model writes: `AssistantReading`, whose
parts `reply_parts` yields, and `AssistantReply`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, fields
from typing import Literal, Protocol

from groundup.actions.state import ActionTurn
from groundup.http.json_object import JsonObject
from groundup.language.messages import message
from groundup.retrieve.answer import Answer, AnswerWriter, Part, QuestionReading, answer_parts
from groundup.retrieve.answer_text import part_text
from groundup.retrieve.assistant_actions import action_entry
from groundup.retrieve.notes import Note
from groundup.retrieve.passages import Passage
from groundup.retrieve.related import related_sources

ReplyKind = Literal["answer", "refusal", "small_talk", "person", "emergency", "self_harm", "action"]


class Search(Protocol):
    """Reads a question (`answer.read`)."""

    def __call__(self, question: str, passages: int | None = None) -> QuestionReading:
        """Return what the documents hold; `passages`: how many are read, None: as configured."""


@dataclass(frozen=True)
class AssistantReading:
    """What is replied to a conversation, before a model writes."""

    kind: ReplyKind
    documents: QuestionReading
    """What the documents hold; without sources where they were not asked."""
    opening: tuple[str, ...] = ()
    """Fixed texts above the quotations."""
    closing: tuple[str, ...] = ()
    """Fixed texts below them."""
    summary: tuple[str, ...] = ()
    """What was asked, for the person to whom the conversation is handed over."""
    action: ActionTurn | None = None
    """What the desk says, or what waits while something else is replied to."""
    unanswered: str = ""
    """What was asked beside an action, where the documents hold no answer to it."""

    def reply(self, answer: Answer) -> "AssistantReply":
        """Return the reply with the answer of its documents."""
        held = {each.name: getattr(answer, each.name) for each in fields(Answer)}
        held["found"] = answer.found and self.kind not in ("refusal", "person")
        return AssistantReply(
            **held,
            kind=self.kind,
            opening=self.opening,
            closing=self.closing,
            summary=self.summary,
            action=self.action,
            unanswered=self.unanswered,
        )


@dataclass(frozen=True)
class AssistantReply(Answer):
    """A reply with its sources; `found`: whether documents answer it."""

    kind: ReplyKind = "answer"
    opening: tuple[str, ...] = ()
    closing: tuple[str, ...] = ()
    summary: tuple[str, ...] = ()
    action: ActionTurn | None = None
    unanswered: str = ""

    @property
    def text(self) -> str:
        """The reply as it is read."""
        return "\n".join([*self.opening, *map(part_text, self.parts), *self.closing])

    @property
    def related(self) -> list[int]:
        """The numbers of sources that may hold what the reply lacks (`related.py`)."""
        return related_sources(self) if self.kind in ("answer", "refusal") else []

    def related_line(self, language: str, name: Callable[[Passage], str]) -> str:
        """Return the line that names the related sources, or "". `name`: how one is named."""
        if not self.related:
            return ""
        key = "see_also" if self.found else "comes_nearest"
        named = "; ".join(name(self.sources[number - 1]) for number in self.related)
        return f"{message(language, 'page', key)} {named}"

    def to_plain(self) -> JsonObject:
        """Return JSON values."""
        return {**super().to_plain(), **self.kind_to_plain()}

    def kind_to_plain(self) -> JsonObject:
        """Return as JSON values what only an assistant's reply has."""
        action = self.action and action_entry(self.action)
        return {
            "kind": self.kind,
            "summary": list(self.summary),
            "action": action,
            "related": self.related,
        }


def nothing_read(question: str) -> QuestionReading:
    """Return the reading of a message for which the documents were not asked."""
    return QuestionReading(question, 0.0, (), (), (), ())


async def reply_parts(
    reading: AssistantReading,
    writer: AnswerWriter | None,
    min_support: float,
    recheck: Callable[[Answer], Awaitable[Answer]],
) -> AsyncIterator[Part]:
    """Yield the parts of a reply as they are made, fixed texts as notes, and last the
    `AssistantReply`. Raises what `answer_parts` does.
    """
    for text in reading.opening:
        yield Note(text)
    writes = writer if reading.kind == "answer" else None
    async for part in answer_parts(reading.documents, writes, min_support, recheck):
        if isinstance(part, Answer):
            answer = part
        else:
            yield part
    for text in reading.closing:
        yield Note(text)
    yield reading.reply(answer)
