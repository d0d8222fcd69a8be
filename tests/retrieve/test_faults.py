"""Faults: kills at any moment, several processes, full disks, damaged files. An index holds whole documents, or one sentence says what is wrong."""

import contextlib
import io
import os
import random
import resource
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from groundup.cli.main import run
from groundup.data.reading.source_files import Source
from groundup.errors import DiskError, GroundupError
from groundup.files import MANIFEST
from groundup.language import terms
from groundup.progress import Silent
from groundup.retrieve import vectors, writer
from groundup.retrieve.answer import Answer, ask
from groundup.retrieve.index import INDEX_FILE, Index
from groundup.retrieve.passages import PassageSpan
from groundup.retrieve.search import find, search
from groundup.retrieve.update import update_index
from groundup.retrieve.vectors import Vectors, make_vectors, text_of
from groundup.retrieve.vectors_info import read_vectors_info

from .conftest import Update
from .test_vectors import letters

QUESTION = "How long does the warranty last?"
REFUSED = 3
NOBODY = 65534


def in_a_process(work: Callable[[], object]) -> int:
    """Begin `work` in a copy of this process, which has all modules already; its exit code is 0, 1 for another error, REFUSED for one of ours."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with contextlib.suppress(GroundupError):
            work()
            code = 0
        code = code and REFUSED
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """The exit code of a process, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_until_done(
    work: Callable[[], object], holds: Callable[[], None], kills: int, draw: random.Random
) -> int:
    """Kill `work` at random moments, begin it again and check that `holds`; at last let it end. Returns how many kills met it at work."""
    longest, met = 0.02, 0
    for _ in range(kills):
        child = in_a_process(work)
        time.sleep(draw.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        code = ended(child)
        assert code in (0, -signal.SIGKILL)
        met += code != 0
        longest = longest * 1.3 if code else longest / 1.3  # so that it is met in all of its parts
        holds()
    assert ended(in_a_process(work)) == 0
    return met


@pytest.fixture
def many(docs: Path) -> Path:
    """Sixty documents of several passages."""
    for number in range(60):
        (docs / f"{number}.txt").write_text(
            "\n\n".join(f"Paragraph {part} of {number} is on walruses. " * 20 for part in range(3))
        )
    return docs


def require_whole(folder: Path) -> int:
    """Every document of an index is whole, and what SQLite and FTS5 know of themselves agrees; returns how many documents it has."""
    if not (folder / INDEX_FILE).exists():
        return 0
    try:
        index = Index(folder)
    except GroundupError:  # killed before the tables were there
        with contextlib.closing(sqlite3.connect(folder / INDEX_FILE)) as database:
            assert not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return 0
    with index:
        documents = index.rows(
            "SELECT document.id, file.place FROM document JOIN file ON file.id = document.file_id"
        )
        for id, place in documents:
            assert index.document_text(id) == Path(place).read_text()
        assert index.rows("PRAGMA integrity_check") == [("ok",)]
        passages = index.rows("SELECT count(*) FROM passage")[0][0]
        assert index.passage_count == passages == len(index.rows("SELECT rowid FROM words"))
        assert len(search(index, "walruses", 1000)) <= passages
    with contextlib.closing(sqlite3.connect(folder / INDEX_FILE)) as database:
        database.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    return len(documents)


KILLS = [8, pytest.param(300, marks=pytest.mark.slow)]


@pytest.mark.parametrize("kills", KILLS)
def test_kills_while_documents_are_read_lose_no_document(
    many: Path, tmp_path: Path, kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "COMMIT_EVERY_S", 0.002)
    folder, draw = tmp_path / "index", random.Random(kills)

    def work() -> None:
        update_index(folder, [Source(str(many))], progress=Silent())

    def holds() -> None:
        if require_whole(folder) == 62:  # done: the next one has to read again
            (many / f"{draw.randrange(60)}.txt").write_text(
                f"New walruses {draw.random()}.\n\n" * 30
            )
            shutil.rmtree(folder, ignore_errors=draw.random() < 0.5)

    assert killed_until_done(work, holds, kills, draw) > kills / 4
    assert require_whole(folder) == 62


@pytest.mark.slow
@pytest.mark.parametrize("kills", KILLS)
def test_kills_while_terms_are_made_again_leave_the_old_ones(
    many: Path, tmp_path: Path, kills: int
) -> None:
    folder, draw = tmp_path / "index", random.Random(kills)
    update_index(folder, [Source(str(many))], progress=Silent())

    def work() -> None:  # in a copy of this process
        terms.TERMS_VERSION = 1000 + os.getpid()
        update_index(folder, [Source(str(many))], progress=Silent())

    assert killed_until_done(work, lambda: require_whole(folder) and None, kills, draw) > kills / 4
    assert require_whole(folder) == 62


@pytest.mark.slow
@pytest.mark.parametrize("kills", KILLS)
def test_kills_while_vectors_are_made_leave_only_right_rows(
    many: Path, tmp_path: Path, kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "TOGETHER", 3)
    folder, draw = tmp_path / "index", random.Random(kills)
    update_index(folder, [Source(str(many))], progress=Silent())

    def work() -> None:
        make_vectors(folder, letters, "letters", progress=Silent())

    def holds() -> None:
        if require_right_rows(folder):
            for number in range(35):  # more than half of them are gone: new files are written
                (many / f"{number}.txt").write_text(
                    f"Walruses {draw.random()}.\n\n" + "Another paragraph. " * 90
                )
            update_index(folder, [Source(str(many))], progress=Silent())

    assert killed_until_done(work, holds, kills, draw) > kills / 4
    assert require_right_rows(folder)


def require_right_rows(folder: Path) -> bool:
    """Every row that there is, is its passage's, and once; returns whether all are there."""
    known = read_vectors_info(folder)
    with Index(folder) as index:
        passages = {passage.id: passage for passage in index.all_passages(limit=10_000)}
        if known is None:
            return False
        found = Vectors(known, letters)
        assert sorted(set(found.store.ids.tolist())) == found.store.ids.tolist()
        for id, row in zip(found.store.ids.tolist(), found.store.matrix, strict=True):
            if id in passages:
                assert np.allclose(row, letters([text_of(passages[id])])[0])
        find(index, "walruses", 5, found.mixture())
        return set(passages) <= set(found.store.ids.tolist())


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_of_writers_at_once_one_writes_and_the_others_are_refused(
    many: Path, tmp_path: Path, rounds: int
) -> None:
    folder = tmp_path / "index"

    def work() -> None:
        update_index(folder, [Source(str(many))], progress=Silent())

    for _ in range(rounds):
        codes = sorted(ended(child) for child in [in_a_process(work) for _ in range(4)])
        assert codes[0] == 0 and set(codes) <= {0, REFUSED}
        assert require_whole(folder) == 62
        shutil.rmtree(folder)


def test_vectors_and_an_update_at_once_agree_in_the_end(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "TOGETHER", 2)
    folder = tmp_path / "index"
    update_index(folder, [Source(str(many))], progress=Silent())

    def slowly(texts: Sequence[str]) -> np.ndarray:
        time.sleep(0.002)
        return letters(texts)

    child = in_a_process(lambda: make_vectors(folder, slowly, "letters", progress=Silent()))
    for number in range(10):
        (many / f"{number}.txt").write_text(f"Walruses {number}.")
        update_index(folder, [Source(str(many))], progress=Silent())
    assert ended(child) == 0
    make_vectors(folder, letters, "letters", progress=Silent())
    assert require_right_rows(folder)


def test_readers_and_a_writer_never_find_the_file_locked(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers open and close the index again and again: then SQLite takes its locks."""
    monkeypatch.setattr(writer, "COMMIT_EVERY_S", 0.0)
    folder = tmp_path / "index"
    update_index(folder, [Source(str(many))], progress=Silent())
    written = tmp_path / "written"

    def reading() -> None:
        while not written.exists():
            with Index(folder) as index:
                assert search(index, "warranty", 3)

    children = [in_a_process(reading) for _ in range(2)]
    for number in range(5):
        (many / f"{number}.txt").write_text(f"Walruses {number}.\n\n" * 30)
        update_index(folder, [Source(str(many))], progress=Silent())
    written.touch()
    assert [ended(child) for child in children] == [0] * 2
    assert require_whole(folder) == 62


def with_full_disk(work: Callable[[], object], limit_bytes: int) -> int:
    """The exit code of `work` where no file may grow beyond a limit."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        try:
            work()
        except DiskError as error:
            assert "No space left" in error.message
            raise

    return ended(in_a_process(limited))


def test_vectors_on_a_full_disk_end_with_one_sentence_and_go_on_from_there(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "TOGETHER", 4)
    folder = tmp_path / "index"
    update_index(folder, [Source(str(many))], progress=Silent())

    def work() -> None:
        make_vectors(folder, letters, "letters", progress=Silent())

    for limit in (10, 1000, 5000):
        assert with_full_disk(work, limit) == REFUSED
        assert not require_right_rows(folder)
    work()
    assert require_right_rows(folder)


def test_an_answer_that_has_no_room_leaves_the_one_before(index: Index, tmp_path: Path) -> None:
    saved = tmp_path / "answer.json"
    assert run(["ask", str(index.folder), QUESTION, "--out", str(saved)]) == 0
    before = saved.read_bytes()

    def again() -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = run(
                ["ask", str(index.folder), "How often is the filter cleaned?", "--out", str(saved)]
            )
        assert code == 2 and "Traceback" not in said.getvalue()
        raise DiskError(said.getvalue(), fix="")

    assert with_full_disk(again, 100) == REFUSED
    assert saved.read_bytes() == before and [each.name for each in tmp_path.glob("*answer*")] == [
        "answer.json"
    ]


def test_an_index_is_searched_on_a_full_disk(docs: Path, tmp_path: Path, update: Update) -> None:
    """Not even the index of SQLite's log has room."""
    update()

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        with Index(tmp_path / "index") as index:
            assert last(ask(index, QUESTION)).found

    assert not list((tmp_path / "index").glob("*-shm"))
    assert ended(in_a_process(work)) == 0


@contextlib.contextmanager
def read_only(index: Path) -> Iterator[Path]:
    """A copy of an index in a folder that a process of another user can't write."""
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to others
        copy = Path(place) / "index"
        shutil.copytree(index, copy)
        for each in (*copy.rglob("*"), copy, copy.parent):
            each.chmod(0o555 if each.is_dir() else 0o444)
        yield copy
        copy.parent.chmod(0o755)
        copy.chmod(0o755)


def as_another_user(work: Callable[[], object]) -> int:
    def changed() -> None:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        work()

    return ended(in_a_process(changed))


def test_an_index_in_a_read_only_folder_is_searched_also_with_a_log_that_was_left(
    docs: Path, tmp_path: Path
) -> None:
    folder, place = tmp_path / "index", [tmp_path]

    def searching() -> None:
        with Index(place[0]) as index:
            assert index.rows("SELECT count(*) FROM passage")[0][0] >= 3
            assert index.matching(["warranti"], 5)

    update_index(folder, [Source(str(docs))], progress=Silent())
    with read_only(folder) as place[0]:
        assert as_another_user(searching) == 0

    shutil.rmtree(folder)
    child = in_a_process(lambda: committed_and_killed(folder))
    assert (
        ended(child) == -signal.SIGKILL and folder.joinpath(f"{INDEX_FILE}-wal").stat().st_size > 0
    )
    with read_only(folder) as place[0]:
        assert as_another_user(searching) == 0
        (place[0] / f"{INDEX_FILE}-shm").unlink()
        assert as_another_user(searching) == (REFUSED if os.getuid() == 0 else 0)


def committed_and_killed(folder: Path) -> None:
    """Write an index whose passages are in SQLite's log only."""
    folder.mkdir()
    with writer.writing(folder / INDEX_FILE) as opened:
        with opened.transaction():
            id = opened.add_file(opened.source_id("here", False), "place", "", "")
            for text in ("The warranty lasts.", "One more.", "And another."):
                passages = [PassageSpan(0, len(text), "")]
                made = writer.NewDocument("a", "a", "a", "en", text, passages)
                opened.add_document(id, made)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("damages", [20, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_damaged_index_ends_with_one_sentence_or_still_answers(
    many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damages: int
) -> None:
    folder, broken, draw = tmp_path / "index", tmp_path / "broken", random.Random(damages)
    update_index(folder, [Source(str(many))], progress=Silent())
    whole = (folder / INDEX_FILE).read_bytes()
    said = 0
    for _ in range(damages):
        shutil.rmtree(broken, ignore_errors=True)
        broken.mkdir()
        content = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            place, length = draw.randrange(100, len(content)), draw.choice((1, 8, 400, 5000))
            content[place : place + length] = draw.randbytes(length)
        (broken / INDEX_FILE).write_bytes(content[: len(content) if draw.random() < 0.8 else place])
        for words in (["search", str(broken), "walruses filter"], ["ask", str(broken), QUESTION]):
            said += run(words)
        said += run(["index", str(many), "--out", str(broken)])
        output = capsys.readouterr().err
        assert "Traceback" not in output
    assert said > damages / 4  # run() gives 2 for an error of ours and raises the others


def test_sources_without_ids_are_a_damaged_index(
    many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As random damage of the table's definition can leave them."""
    folder, words = tmp_path / "index", ["index", str(many), "--out", str(tmp_path / "index")]
    update_index(folder, [Source(str(many))], progress=Silent())
    with contextlib.closing(sqlite3.connect(folder / INDEX_FILE)) as database, database:
        database.execute("DELETE FROM source")
        database.execute("PRAGMA writable_schema = ON")
        changed = database.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'id INTEGER PRIMARY KEY', 'id INTEGER PRIMARY_KEY') WHERE name = 'source'"
        )
        assert changed.rowcount == 1
    (folder / MANIFEST).unlink()
    assert run(words) == 2 and "list of sources is damaged" in capsys.readouterr().err


def test_a_file_that_changes_while_an_answer_is_written_is_named(docs: Path, index: Index) -> None:
    parts = ask(index, QUESTION)
    first = next(parts)
    assert not isinstance(first, Answer) and "24 months" in first.text  # as it was when it was read
    (docs / "boiler.md").write_text("The warranty lasts 12 months.")
    *_, answer = parts
    assert isinstance(answer, Answer) and answer.outdated == (str(docs / "boiler.md"),)


@pytest.mark.timing
def test_ten_thousand_small_files_are_updated_in_five_seconds_and_a_deleted_one_is_never_cited(
    docs: Path, tmp_path: Path
) -> None:
    for number in range(10_000):
        folder = docs / str(number % 100)
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.txt").write_text(f"The gadget {number} weighs {number * 7} grams.\n")
    index = tmp_path / "index"
    update_index(index, [Source(str(docs))], progress=Silent())
    time.sleep(0.1)
    update_index(index, [Source(str(docs))], progress=Silent())
    started = time.perf_counter()
    report = update_index(index, [Source(str(docs))], progress=Silent())
    elapsed_s = time.perf_counter() - started
    print(f"{elapsed_s:.2f} s for 10,000 unchanged files")
    assert report.files_unchanged == 10_002 and elapsed_s <= 5
    for number in range(0, 10_000, 500):
        question = f"What does the gadget {number} weigh?"
        with Index(index) as opened:
            assert f"weighs {number * 7} grams" in last(ask(opened, question)).text
            (docs / str(number % 100) / f"{number}.txt").unlink()
            assert f"weighs {number * 7} grams" not in last(ask(opened, question)).text
    started = time.perf_counter()
    assert update_index(index, [Source(str(docs))], progress=Silent()).files_removed == 20
    assert time.perf_counter() - started <= 5
    with Index(index) as opened:
        assert not [
            each for each in search(opened, "gadget 500", 50) if each.document.endswith("/500.txt")
        ]


def last(parts: Iterator[object]) -> Answer:
    *_, answer = parts
    assert isinstance(answer, Answer)
    return answer
