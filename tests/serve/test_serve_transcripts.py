"""A kept conversation is a file of its own: masked, bounded, deleted by its number or its age."""

import asyncio
import io
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from groundup.errors import DiskError
from groundup.packs.feedback import FeedbackEvent, read_feedback
from groundup.retrieve.answer import Answer
from groundup.retrieve.assistant_reply import AssistantReply
from groundup.serve import transcripts
from groundup.serve.transcripts import BLOCK_BYTES, DAY_S, TranscriptStore

REPLY = AssistantReply("", True, 1.0, (), (), (), (), (), kind="answer", opening=("Yes.",))
NUMBER = "5b2f\ud800../../etc/passwd"


def keep(store: TranscriptStore, question: str, number: str = NUMBER, **fields: object) -> None:
    reply: Answer = replace(REPLY, question=question, **fields)  # type: ignore[arg-type]
    asyncio.run(store.keep("site", number, "clinic", reply, ("AAA-999",)))


def kept(store: TranscriptStore, number: str = NUMBER) -> list[FeedbackEvent]:
    return list(read_feedback(store.file_of("site", number)).events)


@pytest.fixture
def store(tmp_path: Path) -> TranscriptStore:
    return TranscriptStore(tmp_path / "kept")


def test_a_conversation_is_masked_and_deleted_by_its_number(store: TranscriptStore) -> None:
    keep(store, "I am ABC-123, jane@example.org")
    keep(store, "My account is 12345678", kind="person", closing=("- account 12345678",))
    keep(store, "Another", number="other")
    first, second = kept(store)
    assert (first.question, first.answer, first.kind) == ("I am <code>, <email>", "Yes.", "answer")
    assert second.answer == "Yes.\n- account <number>"
    assert sorted(store.folder.iterdir()) == sorted(
        [store.file_of("site", NUMBER), store.file_of("site", "other")]
    )
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert not store.forget("elsewhere", NUMBER)  # of another key
    assert store.forget("site", NUMBER) and not store.forget("site", NUMBER)
    assert [each.question for each in kept(store, "other")] == ["Another"]


def test_nothing_is_kept_of_danger_nor_without_a_number(store: TranscriptStore) -> None:
    keep(store, "I want to kill myself", kind="self_harm")
    keep(store, "My father does not breathe\nand now?")
    assert {(each.question, each.answer) for each in kept(store)} == {("(not kept)", "(not kept)")}
    keep(store, "Hello", number="")
    assert len(list(store.folder.iterdir())) == 1


def test_old_conversations_and_no_other_file_are_removed(tmp_path: Path) -> None:
    store = TranscriptStore(tmp_path, days=2)
    keep(store, "Old")
    keep(store, "New", number="new")
    (tmp_path / "feedback.jsonl").write_text("mine")
    for file in (store.file_of("site", NUMBER), tmp_path / "feedback.jsonl"):
        before = file.stat().st_mtime - 3 * DAY_S
        os.utime(file, (before, before))
    assert store.remove_old() == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        ["feedback.jsonl", store.file_of("site", "new").name]
    )


def test_beyond_the_bound_of_all_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.serve.transcripts.MAX_TOTAL_BYTES", 10 * BLOCK_BYTES)
    store, files = TranscriptStore(tmp_path), list[Path]()
    for place in range(12):
        keep(store, "Is it open?", number=f"{NUMBER}{place}")
        files.append(store.file_of("site", f"{NUMBER}{place}"))
        os.utime(files[-1], (time.time() - 1000 + place,) * 2)
    left = [place for place, file in enumerate(files) if file.exists()]
    assert left[-1] == 11 and 0 not in left and len(left) <= 10


def test_long_conversations_and_full_disks_stop_no_reply(
    store: TranscriptStore, monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    monkeypatch.setattr(transcripts, "MAX_BYTES", 1000)
    for number in range(9):
        keep(store, f"Question {number} {'x' * 300}")
    assert 1 < len(kept(store)) < 9 and len(list(store.folder.iterdir())) == 1
    monkeypatch.undo()
    store.file_of("site", "folder").mkdir()
    keep(store, "Hello", number="folder")
    assert "could not be kept" in logged.getvalue()


def test_the_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError):
        TranscriptStore(tmp_path / "file")
