"""feedback.jsonl: lines are whole whoever writes at once, files are limited, damage costs a line."""

import multiprocessing
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from groundup.errors import DataError, DiskError, FormatError
from groundup.packs.feedback import (
    CitedDocument,
    FeedbackEvent,
    FeedbackFile,
    older_file,
    read_feedback,
)

EVENT = FeedbackEvent(
    "2026-11-29T22:40:00Z",
    "r1",
    "clinic",
    "answer",
    "How much?\nAnd a crown?",
    "Crown: £690 [1]",
    (CitedDocument("prices.md", "Prices"),),
    "down",
    "of another \udc80 crown",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "feedback.jsonl"


def append_many(file: FeedbackFile, name: str, count: int) -> None:
    for number in range(count):
        file.append(replace(EVENT, reply=f"{name}-{number}"))


def append_in_process(path: Path, name: str) -> None:
    append_many(FeedbackFile(path, max_bytes=20_000), name, 40)


def test_what_is_written_is_read_and_the_last_line_of_a_reply_counts(path: Path) -> None:
    file = FeedbackFile(path)
    for event in (replace(EVENT, rating=None), replace(EVENT, reply="r2"), EVENT):
        file.append(event)
    found = read_feedback(path)
    assert (found.events, found.damaged) == ((EVENT, replace(EVENT, reply="r2")), 0)
    assert path.stat().st_mode & 0o777 == 0o600
    assert EVENT.is_disliked and not EVENT.is_unanswered
    refused = replace(EVENT, kind="refusal", rating=None)
    assert refused.is_unanswered and not replace(refused, rating="up").is_unanswered


def test_threads_and_processes_write_whole_lines_and_lose_none(path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    processes = [spawn.Process(target=append_in_process, args=(path, f"p{n}")) for n in range(2)]
    shared = FeedbackFile(path, max_bytes=20_000)
    threads = [threading.Thread(target=append_many, args=(shared, f"t{n}", 40)) for n in range(2)]
    for each in (*processes, *threads):
        each.start()
    for each in (*processes, *threads):
        each.join()
    found = read_feedback(path)
    assert len(found.events) == 160 and found.damaged == 0 and len(found.files) > 1
    assert all(file.stat().st_size <= 20_000 for file in found.files)


def test_the_oldest_file_goes(path: Path) -> None:
    file = FeedbackFile(path, max_bytes=1000, kept=2)
    append_many(file, "r", 20)
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "feedback.1.jsonl",
        "feedback.2.jsonl",
        "feedback.jsonl",
    ]
    replies = [each.reply for each in read_feedback(path).events]
    assert replies[-1] == "r-19" and replies == sorted(replies, key=lambda r: int(r[2:]))


def test_damaged_lines_are_passed_over_with_a_count(path: Path) -> None:
    FeedbackFile(path).append(EVENT)
    good = path.read_bytes()
    damaged = [
        b"nope\n",
        b"[1]\n",
        b'{"reply": "r3"}\n',
        b"[" * 5000 + b"\n",
        good.replace(b'"down"', b'"sideways"'),
        good.replace(b'"title": "Prices"', b'"title": 5'),
        good.replace(b'"sources": [', b'"sources": [7, '),
        b"\xff\xfe\n",
        good[:-1].replace(b"How much", b"x" * 200_000) + b"\n",
    ]
    path.write_bytes(b"".join(damaged) + b"\n \n" + good.replace(b'"r1"', b'"r9", "more": 1'))
    found = read_feedback(path)
    assert (len(found.events), found.damaged) == (1, len(damaged))
    path.write_bytes(b"".join(damaged))
    with pytest.raises(DataError, match="none of its 9 lines"):
        read_feedback(path)
    with pytest.raises(FormatError, match="is missing"):
        read_feedback(path.with_name("other.jsonl"))
    path.write_bytes(b"")
    assert read_feedback(path).events == ()


def test_a_line_that_was_cut_off_does_not_spoil_the_next(path: Path) -> None:
    file = FeedbackFile(path)
    file.append(EVENT)
    path.write_bytes(path.read_bytes()[:-20])
    file.append(replace(EVENT, reply="r2"))
    found = read_feedback(path)
    assert ([each.reply for each in found.events], found.damaged) == (["r2"], 1)


def test_a_full_disk_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = FeedbackFile(path)
    file.append(EVENT)
    before, write = path.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda to, line: write(to, line[:10]))
    with pytest.raises(DiskError, match="No space left"):
        file.append(EVENT)
    assert path.read_bytes() == before


def test_it_is_no_folder_and_no_link_that_another_puts_there(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(DiskError):
        FeedbackFile(path).prepare()
    path.rmdir()
    file, target = FeedbackFile(path), path.with_name("target")
    path.symlink_to(target)
    with pytest.raises(OSError, match="symbolic"):
        file.append(EVENT)
    assert not target.exists()
    FeedbackFile(path).append(EVENT)  # the operator's own link, which was there before
    assert read_feedback(target).events == (EVENT,)
    assert older_file(target, 2).name == "target.2"
