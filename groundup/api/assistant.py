"""`open_assistant` and the open assistant: what a build replies to a conversation, as its server
and `groundup chat` do.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from groundup.config import checked_arguments
from groundup.errors import ConfigError, ModelError
from groundup.progress import Progress, Silent

if TYPE_CHECKING:
    from groundup.actions.desk import ActionDesk
    from groundup.packs.assistant_texts import AssistantTexts
    from groundup.retrieve.answer import Part
    from groundup.retrieve.assistant_reply import AssistantReply
    from groundup.retrieve.index import Index
    from groundup.retrieve.vectors import Vectors
    from groundup.tokenizer.chat import Message

AnyPath = str | Path


@checked_arguments
def open_assistant(
    build: AnyPath,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    allow_http: Sequence[str] = (),
    python_modules: Sequence[str] = (),
    mcp_tools: Sequence[str] = (),
) -> "Assistant":
    """Open the assistant of a build with an index: it answers from the documents with sources and
    in fixed words of its own, and does the pack's actions (docs/packs.md). No language model is
    opened. Nobody is signed in; who asks is the trial customer of actions that have one.

    `allow_http`, `python_modules`, `mcp_tools`: the addresses, modules and tools of MCP servers
    (as "SERVER:TOOL=COMMAND" or "SERVER:TOOL=URL") that actions may use. Raises
    ModelError where there is no index, FormatError for a damaged one, ConfigError for an action
    that needs what was not allowed.

    >>> import groundup
    >>> groundup.open_assistant("runs/my-firm")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    groundup.errors.ModelError: runs/my-firm has no index, which an assistant answers from.
    """
    from dataclasses import replace

    from groundup.retrieve.assistant import texts_of_build
    from groundup.retrieve.assistant_actions import desk_of_build
    from groundup.retrieve.index import Index
    from groundup.retrieve.index_folders import index_folders
    from groundup.retrieve.rankings import AUTO, vectors_for

    folder, progress = Path(build), progress or Silent()
    folders = index_folders(folder)
    if not folders:
        fix = "Build a pack: groundup build bank."
        raise ModelError(f"{folder} has no index, which an assistant answers from.", fix=fix)
    texts = texts_of_build(folder)
    texts = replace(texts, organisation=texts.organisation or folder.resolve().name)
    desk = desk_of_build(
        folder,
        allow_http=allow_http,
        python_modules=python_modules,
        mcp_tools=mcp_tools,
        trial=True,
        language=texts.language,
    )
    index = Index(folders[0])
    return Assistant(index, texts, vectors_for(AUTO, folders[0], device, progress), desk)


class Assistant:
    """An open assistant; a context manager, or `close` it."""

    def __init__(
        self,
        index: "Index",
        texts: "AssistantTexts",
        vectors: "Vectors | None",
        desk: "ActionDesk | None" = None,
    ) -> None:
        self.index, self.texts, self.vectors, self.desk = index, texts, vectors, desk

    @property
    def action_titles(self) -> tuple[str, ...]:
        """What it can do, as people read it."""
        return () if self.desk is None else tuple(each.title for each in self.desk.actions.actions)

    def reply(
        self, conversation: "str | Sequence[Message]", conversation_id: str = ""
    ) -> "AssistantReply":
        """Return the reply to a question, or to the last message of a conversation.

        `conversation_id`: the same for all messages of one conversation and no other's, so that
        what it asks to be done is done once.
        """
        from groundup.retrieve.assistant_reply import AssistantReply

        *_, last = self.parts(conversation, conversation_id)
        assert isinstance(last, AssistantReply)
        return last

    def parts(
        self, conversation: "str | Sequence[Message]", conversation_id: str = ""
    ) -> "Iterator[Part]":
        """Yield the parts of a reply as they are made, and last the `AssistantReply`."""
        from groundup.retrieve.assistant import reply
        from groundup.retrieve.caller import Caller
        from groundup.retrieve.rankings import AUTO, ranking_of
        from groundup.tokenizer.chat import Message

        if isinstance(conversation, str):
            conversation = [Message("user", conversation)]
        if not conversation:
            raise ConfigError("The conversation has no message.")
        ranking = ranking_of(AUTO, self.vectors)
        yield from reply(
            self.index,
            conversation,
            self.texts,
            rank_by=ranking,
            vectors=self.vectors,
            desk=self.desk,
            caller=Caller(conversation_id),
        )

    def close(self) -> None:
        """Close the index."""
        self.index.close()

    def __enter__(self) -> "Assistant":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
