"""Whoever reads and processes documents, the data folder is the same to the byte; errors arrive as themselves; nothing is left running."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fsspec
import pytest

from groundup.data.preparation import pipeline
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.processing.steps import ProcessConfig, Processed
from groundup.data.reading.decoding import NotTextError
from groundup.data.reading.format_detection import SkippedFile
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source, SourceEntry, entries
from groundup.data.reading.source_report import SourceReport, Tally
from groundup.data.reading.sources import read_source
from groundup.data.resumable_folder import partial_path
from groundup.data.runners import document_batches, processes
from groundup.data.runners import runner as runners
from groundup.data.runners.document_batches import (
    DocumentBatch,
    ReadDocument,
    entries_task,
    pack,
    pack_batches,
    texts_task,
    unpack,
    unpack_batches,
    work,
)
from groundup.data.runners.processes import Workers
from groundup.data.runners.runner import choose_runner
from groundup.errors import (
    ConfigError,
    DataError,
    FormatError,
    GroundupError,
    MissingExtra,
    WorkerError,
)
from groundup.files import verify_folder
from groundup.progress import Silent

with_ray = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::ResourceWarning")
TEXT = "the hen sang of a sea and went down to the old bridge that was built by monks in the year"
STEPS = ProcessConfig(
    ("repair", "repeated-lines", "personal-data", "near-duplicates"), rules=("web",)
)


WORDS = tuple(TEXT.split())


def tale(number: int, paragraphs: int = 12) -> str:
    drawn = random.Random(number)
    lines = (" ".join(drawn.choices(WORDS, k=40)).capitalize() + "." for _ in range(paragraphs))
    return "\r\n\r\n".join(lines) + f" Write to ann{number}@example.org.  \n"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """Sources with every kind of file, repeats, bad lines, skipped files, near-duplicates, archives, and what steps change."""
    root = tmp_path_factory.mktemp("mixed")
    texts = root / "texts"
    (texts / "deep").mkdir(parents=True)
    for number in range(20):
        (texts / f"{number:02}.txt").write_text(tale(number % 16))
        (texts / "deep" / f"{number:02}.md").write_text(
            tale(100 + number).replace("year", "YEAR", number % 3)
        )
    (texts / "03.png").write_bytes(b"\x89PNG\0\0")
    (texts / "04a.txt").write_bytes(bytes(range(256)) * 9)
    (texts / "05.html").write_text("<html><body><p>" + tale(5, 3) + "</p></body></html>")
    (texts / "06.txt").write_bytes("Ein Märchen über Vögel für Mädchen. ".encode("cp1252") * 9)
    (texts / "07a.txt").write_bytes(tale(70).encode() + b"\xff\xfe")
    (texts / "08.txt").write_text(f"It is a dÃ©jÃ\xa0 vu, &amp; more.\n{tale(80)}")
    (texts / "09.txt").write_text(" \n")
    (texts / "10.eml").write_text(f"Subject: hens\nTo: a@b.org\n\n{tale(90)}")
    (texts / "link.txt").symlink_to("/etc/hostname")
    for name, first in (("rows", 1000), ("more", 2000)):
        rows = [{"text": tale(first + n % 36, 1)} for n in range(100)]
        (texts / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows) + ("{\n" * (name == "rows"))
        )
    (texts / "README.md").write_text("# About these texts")
    (texts / "table.csv").write_text(
        "id,text\n" + "".join(f'{n},"{tale(3000 + n, 2)}"\n' for n in range(20))
    )
    with gzip.open(texts / "packed.txt.gz", "wt") as file:
        file.write(tale(4000))
    with zipfile.ZipFile(texts / "archive.zip", "w") as archive:
        for number in range(8):
            archive.writestr(f"{number}.txt", tale(5000 + number))
            archive.writestr(f"{number}.gif", b"GIF")
        archive.writestr(
            "rows.jsonl", "".join(json.dumps({"text": tale(6000 + n, 1)}) + "\n" for n in range(12))
        )
        archive.writestr("inner.zip", b"PK")
    with tarfile.open(texts / "deep" / "archive.tar.gz", "w:gz") as tar:
        for number in range(4):
            tar.add(texts / f"{number:02}.txt", f"a/{number}.txt")
    (texts / "zz.png").write_bytes(b"\x89PNG\0\0")
    (root / "long.txt").write_text("".join(tale(n, 40) for n in range(20)))
    return [
        Source(str(texts), name="texts", licence="our own"),
        Source(str(root / "long.txt")),
        Source(str(texts / "*.txt")),
    ]


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def config(process: ProcessConfig) -> DataConfig:
    return DataConfig(keep_dropped=True, process=process)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(ProcessConfig(), marks=pytest.mark.slow, id="cleaning"),
        pytest.param(STEPS, id="steps"),
    ],
)
def whole(
    mixed: list[Source], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Any:
    """The folder that one process makes, and the steps."""
    if request.param.names:
        pytest.importorskip("ftfy"), pytest.importorskip("rensa")
    out = tmp_path_factory.mktemp("whole") / "data"
    prepare(mixed, out, config(request.param), seed=3, runner="one", progress=Silent())
    return content(out), request.param


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many parts and pieces."""
    monkeypatch.setattr(runners, "PART_BYTES", 20_000)
    monkeypatch.setattr(runners, "RAY_PART_BYTES", 60_000)
    monkeypatch.setattr(runners, "LARGE_BYTES", 100_000)
    monkeypatch.setattr(document_batches, "BATCH_CHARACTERS", 30_000)


@pytest.mark.parametrize("cores", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_processes_make_the_folder_that_one_makes(
    whole: Any,
    mixed: list[Source],
    tmp_path: Path,
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
) -> None:
    expected, process = whole
    monkeypatch.setattr(runners, "allowed_cores", lambda: cores)
    prepare(
        mixed, tmp_path / "data", config(process), seed=3, runner="processes", progress=Silent()
    )
    found = content(tmp_path / "data")
    assert json.loads(found["data.json"]) == json.loads(expected["data.json"])
    assert found == expected
    verify_folder(tmp_path / "data")


@pytest.fixture(scope="module")
def cluster() -> Any:
    """A cluster of two processors on this machine, for all tests that use Ray."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'groundup[ray]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@with_ray
def test_ray_makes_the_folder_that_one_makes(
    cluster: Any, whole: Any, mixed: list[Source], tmp_path: Path, small_parts: None
) -> None:
    expected, process = whole
    prepare(mixed, tmp_path / "data", config(process), seed=3, runner="ray", progress=Silent())
    assert content(tmp_path / "data") == expected


@with_ray
def test_ray_goes_on_within_an_archive_and_says_what_is_wrong(
    cluster: Any,
    mixed: list[Source],
    tmp_path: Path,
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = 0

    def stop(self: Any, done: int) -> None:
        nonlocal files
        files += 1
        self.files = done
        self.save()
        if files == 6:  # four members of deep/archive.tar.gz are among the last of them
            raise KeyboardInterrupt

    source = [Source(str(tmp_path / "some"))]
    (tmp_path / "some").mkdir()
    for name in ("archive.zip", "00.txt", "03.png", "zz.png", "rows.jsonl"):
        (tmp_path / "some" / name).write_bytes((Path(mixed[0].spec) / name).read_bytes())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pipeline._Preparation, "after_file", stop)
        prepare(source, tmp_path / "ray", runner="ray", progress=Silent())
    assert (
        json.loads((partial_path(tmp_path / "ray") / "state.json").read_text())["state"]["files"]
        == 6
    )
    for runner in ("ray", "one"):
        prepare(source, tmp_path / runner, runner=runner, progress=Silent())
    assert content(tmp_path / "ray") == content(tmp_path / "one")
    (tmp_path / "some" / "bad.jsonl").write_text('{"text": "One."}\n' + "{\n" * 9)
    with pytest.raises(DataError, match="bad.jsonl: 9 of 10 lines"):
        prepare(source, tmp_path / "ray", runner="ray", progress=Silent())


PROGRAM = """
import os, signal, sys
from pathlib import Path
from groundup.data import split
from groundup.data.preparation import pipeline
from groundup.data.runners import document_batches, runner as runners
from groundup.data.reading.source_files import Source, entries
from groundup.data.processing.steps import ProcessConfig
from groundup.progress import Silent

root, left, runner = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
pipeline.SAVE_BYTES = 1
runners.PART_BYTES, runners.LARGE_BYTES, document_batches.BATCH_CHARACTERS = 20_000, 100_000, 30_000
runners.allowed_cores = lambda: 2

def counted(function):
    def call(*values, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), getattr(signal, sys.argv[4]))
        return function(*values, **named)
    return call

os.fsync, split.SplitWriter.write = counted(os.fsync), counted(split.SplitWriter.write)
config = pipeline.DataConfig(keep_dropped=True, process=ProcessConfig(("repair", "personal-data")))
sources = [Source(text) for text in sys.argv[5:]]
pipeline.prepare(sources, root / "data", config, runner=runner, progress=Silent())
print(left)
"""


def run_program(
    root: Path, kill_at: int, runner: str, how: str, sources: list[Source]
) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        str(root),
        str(kill_at),
        runner,
        how,
        *(each.spec for each in sources),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def children_of(process: int) -> set[int]:
    listed = Path(f"/proc/{process}/task/{process}/children")
    try:
        return set(map(int, listed.read_text().split()))
    except OSError:
        return set()


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def end_of(process: subprocess.Popen[str]) -> tuple[int, str, set[int]]:
    """The code, the errors, and the processes that it had started."""
    started: set[int] = set()
    while process.poll() is None:
        started |= children_of(process.pid)
        time.sleep(0.01)
    return process.returncode, process.communicate()[1], started


def wait_until_ended(processes: set[int]) -> None:
    deadline = time.monotonic() + 120
    while any(map(is_running, processes)):
        assert time.monotonic() < deadline, "processes were left running"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_killed_at_random_with_processes_nothing_is_left_running_and_the_result_is_the_same(
    mixed: list[Source], tmp_path: Path
) -> None:
    pytest.importorskip("ftfy")
    whole, root, drawn = tmp_path / "whole", tmp_path / "root", random.Random(5)
    never = 10**6
    process = run_program(whole, never, "one", "SIGKILL", mixed)
    shown, errors = process.communicate()
    assert process.returncode == 0, errors
    calls = never - int(shown)
    kills, ways, seen = 0, ["processes", "processes", "one"], set[int]()
    while True:  # at most a third of the calls of a whole run: killed twice or more
        code, errors, started = end_of(
            run_program(root, drawn.randint(2, calls // 3), ways[kills % 3], "SIGKILL", mixed)
        )
        seen |= started
        wait_until_ended(started)
        if code == 0:
            break
        assert code == -signal.SIGKILL, errors
        kills += 1
        assert kills < 40
    assert kills >= 2 and len(seen) >= 2
    assert content(root / "data") == content(whole / "data")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_ctrl_c_ends_all_processes_and_keeps_what_was_saved(
    mixed: list[Source], tmp_path: Path
) -> None:
    pytest.importorskip("ftfy")
    code, errors, started = end_of(run_program(tmp_path, 150, "processes", "SIGINT", mixed))
    assert (
        code == -signal.SIGINT and errors.count("Traceback") == 1 and "KeyboardInterrupt" in errors
    )
    assert len(started) == 2
    wait_until_ended(started)
    assert (partial_path(tmp_path / "data") / "state.json").is_file()


@pytest.mark.parametrize(
    "name",
    [
        "bad.jsonl",
        pytest.param("bad.csv", marks=pytest.mark.slow),
        "bad.txt",
        pytest.param("bad.parquet", marks=pytest.mark.slow),
        "bad.zip",
    ],
)
def test_an_error_in_a_process_is_that_of_one(tmp_path: Path, name: str, small_parts: None) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(20):
        (tmp_path / "texts" / f"{number:02}.txt").write_text(tale(number))
    bad = {
        "bad.jsonl": b'{"text": "One."}\n' + b"{\n" * 9,
        "bad.csv": b"id,text\n" + b"1\n" * 9,
        "bad.txt": b"\xff\xfe" + "a\ud800b".encode("utf-16-le", "surrogatepass") * 90,
        "bad.parquet": b"PAR1 nothing",
        "bad.zip": b"PK\x03\x04 nothing",
    }
    (tmp_path / "texts" / name).write_bytes(bad[name])
    found = []
    for runner in ("one", "processes"):
        with pytest.raises(GroundupError) as raised:
            prepare(
                [Source(str(tmp_path / "texts"))],
                tmp_path / "data",
                runner=runner,
                progress=Silent(),
            )
        found.append((type(raised.value), raised.value.message, raised.value.fix))
    assert found[0] == found[1]


def test_a_source_with_one_binary_file_is_refused_as_by_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(bytes(range(256)) * 9)
    for runner in ("one", "processes"):
        with pytest.raises(NotTextError, match="looks binary"):
            prepare([Source(str(tmp_path))], tmp_path / "data", runner=runner, progress=Silent())


@pytest.mark.parametrize(
    "error",
    [
        DataError("It is bad.", fix="Do better."),
        FormatError("a.zip", "member", "is damaged"),
        MissingExtra("ftfy", "clean"),
        SkippedFile(DataError("It is a README."), "nothing to read"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_pass_between_processes_as_themselves(error: GroundupError) -> None:
    (piece,) = unpack_batches(
        pack_batches([DocumentBatch([ReadDocument("a", "b", Processed("b"))], error=error)])
    )
    assert piece.error is not None
    assert (type(piece.error), str(piece.error), vars(piece.error)) == (
        type(error),
        str(error),
        vars(error),
    )


def test_a_process_that_is_killed_is_said_and_what_was_saved_stays(
    mixed: list[Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_parts: None
) -> None:
    original, written = pipeline._Preparation.write, 0

    def write(self: Any, document: Any) -> None:
        nonlocal written
        original(self, document)
        written += 1
        if written == 40:
            self.save()
            for process in children_of(os.getpid()):
                if (
                    b"groundup.data.runners.document_batches"
                    in Path(f"/proc/{process}/cmdline").read_bytes()
                ):
                    os.kill(process, signal.SIGKILL)

    monkeypatch.setattr(pipeline._Preparation, "write", write)
    with pytest.raises(WorkerError, match="killed by signal 9"):
        prepare(mixed, tmp_path / "data", runner="processes", progress=Silent())
    assert (partial_path(tmp_path / "data") / "state.json").is_file()


def test_messages_hold_any_text() -> None:
    texts = ["", "a\nb", "\ud800", "\udc00é\0", "日本語"]
    assert unpack(pack({"a": 1}, texts)) == ({"a": 1}, texts)


def test_reports_add_up_to_that_of_one_reading() -> None:
    whole, parts, drawn = SourceReport(), SourceReport(), random.Random(1)
    for number in range(40):
        part = SourceReport()
        for report in (whole, part):
            choose = random.Random(number)
            report.files += 1
            report.read_bytes += number
            for _ in range(choose.randrange(4)):
                report.bad_file(f"file {number}", choose.choice("ab"))
                report.skip(choose.choice(["binary", "other", "third"]), f"skipped {number}")
                report.charsets.setdefault(choose.choice(["cp1252", "utf-16"]), Tally()).note(
                    f"file {number}"
                )
        parts.add(SourceReport.from_plain(json.loads(json.dumps(asdict(part)))))
    assert drawn and parts == whole and list(parts.skipped) == list(whole.skipped)
    assert list(parts.charsets) == list(whole.charsets)


def test_entries_in_an_object_store_are_read_by_their_address(mixed: list[Source]) -> None:
    system, texts = fsspec.filesystem("memory"), Path(mixed[0].spec)
    for name in ("00.txt", "archive.zip", "rows.jsonl", "03.png"):
        system.pipe(f"/shelf/{name}", (texts / name).read_bytes())
    source = Source("memory://shelf")
    expected_report, report = SourceReport(), SourceReport()
    expected = [
        (each.name, each.text) for each in read_source(source, SourceOptions(), expected_report)
    ]
    task = entries_task(list(entries(source, report, None)), SourceOptions(), ProcessConfig())
    found = [piece for message in work(task) for piece in unpack_batches(message)]
    assert [(each.name, each.raw) for piece in found for each in piece.documents] == expected
    for piece in found:
        if piece.report:
            report.add(piece.report)
    assert report == expected_report
    system.rm("/shelf", recursive=True)


def test_a_file_that_is_not_on_the_machine_that_reads_it_is_said(tmp_path: Path) -> None:
    gone = [SourceEntry("a.txt", str(tmp_path / "a.txt"), 9)]
    ((piece,),) = map(unpack_batches, work(entries_task(gone, SourceOptions(), ProcessConfig())))
    assert (
        type(piece.error) is DataError
        and "a.txt can't be opened: No such file" in piece.error.message
    )
    assert "on Ray, on every machine under the same path" in piece.error.fix


def test_auto_takes_processes_where_they_pay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "allowed_cores", lambda: 2)
    monkeypatch.setattr(runners, "WORTH_BYTES", 1000)
    (tmp_path / "a.txt").write_text("a" * 2000)
    source, cleaning, steps = (
        Source(str(tmp_path)),
        ProcessConfig(),
        ProcessConfig(("personal-data",)),
    )
    assert [choose_runner("auto", source, each) for each in (cleaning, steps)] == [
        "one",
        "processes",
    ]
    (tmp_path / "b.html").write_text("a" * 900)
    assert choose_runner("auto", source, cleaning) == "one"
    (tmp_path / "c.html").write_text("a" * 900)  # finding the text in it is work, too
    assert choose_runner("auto", source, cleaning) == "processes"
    monkeypatch.setattr(runners, "allowed_cores", lambda: 1)
    assert choose_runner("auto", source, steps) == "one"


def test_a_runner_that_is_none_and_a_missing_extra_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"no runner 'proceses'. Did you mean 'processes'"):
        prepare([], tmp_path / "data", runner="proceses", progress=Silent())
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(MissingExtra, match=r"pip install 'groundup\[ray\]'"):
        prepare([], tmp_path / "data", runner="ray", progress=Silent())


def test_what_waits_to_be_used_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0

    def tasks() -> Any:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield texts_task([f"text {number}  "], ProcessConfig()), number

    with Workers(2) as workers:
        for number, messages in workers.in_order(tasks()):
            assert taken <= number + 2 + processes.MORE_TASKS
            (message,) = messages
            assert unpack(message)[1] == [f"text {number}"]
    assert not any(thread.is_alive() for thread in workers.threads)
