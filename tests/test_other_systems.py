"""Where Linux can show it: what groundup does on Windows and macOS. The processes here play Windows (`simulated_windows.py`)."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from forked_program import CODE, TRAINING, run

from groundup.operating_system import available_memory_bytes

REPOSITORY = Path(__file__).parents[1]
ILLEGAL = set('<>:"|?*\\')
WINDOWS = "import simulated_windows; simulated_windows.install()\n"


def on_windows(program: str, *arguments: object) -> str:
    """What a program prints that begins there."""
    done = run(WINDOWS + program, *arguments, program=CODE, imported=TRAINING[:1])
    assert done.returncode == 0, done.stderr
    return done.stdout


MODULES = """
import importlib, pkgutil, sys
import groundup
failed = []
for module in pkgutil.walk_packages(groundup.__path__, "groundup."):
    if module.name.endswith("llamacpp_server") or ".solutions" in module.name:
        continue  # never imported
    try:
        importlib.import_module(module.name)
    except Exception as error:
        if getattr(error, "name", "") != "lm_eval":  # in no extra of the developers'
            failed.append((module.name, repr(error)))
print(failed)
"""


@pytest.mark.slow
def test_every_module_can_be_imported() -> None:
    assert on_windows(MODULES) == "[]\n"


LOCKS = """
import json, os, sys, tempfile
from pathlib import Path
from groundup.errors import ConfigError
from groundup.locks import hold, only_one, unused, remove_temporaries
from groundup.packs.feedback import FeedbackEvent, FeedbackFile
from groundup.operating_system import machine_memory_bytes, peak_memory_bytes
folder = Path(sys.argv[1])
tempfile.tempdir = str(folder.parent)
with only_one(folder):
    try:
        with only_one(folder):
            pass
    except ConfigError as error:
        taken = error.message
    folder.rename(folder.with_name("moved"))  # it is not open
moved = folder.with_name("moved")
hold(moved)
with unused(moved) as free:
    pass
with only_one(folder), unused(moved) as still:  # another folder of that name
    pass
kept = FeedbackFile(folder / "feedback.jsonl", max_bytes=1000, kept=2)
for number in range(20):
    kept.append(FeedbackEvent("t", str(number), "bank", "answer", "q", "a"))
files = sorted(os.listdir(folder))
(moved / ".tmp-data-1").touch(), (moved / f".tmp-data-{2**22 + 1}").touch()
remove_temporaries(moved)
print(json.dumps([taken, free, still, files, sorted(os.listdir(moved)), machine_memory_bytes(), peak_memory_bytes() > 1e6]))
"""


def test_a_folder_is_locked_by_a_stand_in(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    taken, free, still, files, left, memory, has_peak = json.loads(on_windows(LOCKS, folder))
    assert taken == f"Another process is writing {folder}."
    assert files == ["feedback.1.jsonl", "feedback.2.jsonl", "feedback.jsonl"]
    assert (free, still, left, memory, has_peak) == (False, False, [".tmp-data-1"], 8 * 2**30, True)


LIMITS = """
import sys
from groundup.limited_process import LimitedProcess, ProcessEnded, ProcessLimits
sys.path.insert(0, sys.argv[1])
process = LimitedProcess("limited_child", ProcessLimits(2**28, answer_bytes=2**20), start="s")
for request, cpu_seconds in (("a", 30), ("loop", 0.5), ("memory", 30), ("exit", 30), ("b", 30)):
    process.send(request, cpu_seconds=cpu_seconds)
    try:
        print(process.receive())
    except ProcessEnded as error:
        print(error)
process.close()
"""


def test_limits_are_measured_where_the_system_keeps_none(tmp_path: Path) -> None:
    from ground.test_limited_process import CHILD

    (tmp_path / "limited_child.py").write_text(CHILD)
    assert on_windows(LIMITS, tmp_path).splitlines() == [
        "['s', 'a']",
        "took over 0.5 s of processor time",
        "takes more than 256 MiB of memory",
        "ended its process with code 3",
        "['s', 'b']",
    ]


LIFE = """
import signal, sys
sys.stdout = sys.stderr = open("said", "w", encoding="cp1252")
from groundup.cli.plain import tolerate_any_text
from groundup.cli.main import run
tolerate_any_text()
def groundup(line):
    words = line.split()
    expected = 0
    if words[0] == "interrupted":
        words, expected = words[1:], 130
        from groundup.train.parallel import single_process
        save = single_process.save_checkpoint
        def save_checkpoint(*given):
            save(*given)
            signal.raise_signal(signal.SIGINT)
        single_process.save_checkpoint = save_checkpoint
    code = run(words)
    if expected:
        single_process.save_checkpoint = save
    assert code == expected, (line, code)
for line in open(sys.argv[1], encoding="utf-8"):
    print("$", line.strip(), flush=True)
    groundup(line)
"""
MODEL = {"width": 32, "num_layers": 1, "num_heads": 2, "vocab_size": 300, "context_tokens": 32}
FIT = {"batch_size": 2, "precision": "float32", "checkpoints.every": 2}
SMALL = " ".join(
    f"--set {room}.{name}={value}"
    for room, values in (("model", MODEL), ("fit", FIT))
    for name, value in values.items()
)
LINES = f"""\
--help
interrupted pretrain texts --out runs/a --steps 4 {SMALL}
pretrain texts --out runs/a --steps 4 {SMALL}
verify runs/a
generate runs/a mill --max-tokens 4
convert runs/a --to gguf --out a.gguf
generate a.gguf mill --max-tokens 4
convert runs/a --to gguf --out a.gguf
index texts --out runs/index
index texts --out runs/index
search runs/index mill
ask runs/index mill
cache
doctor
"""


@pytest.mark.slow
def test_a_life_of_a_model_and_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(8):
        text = f"# Mill {number} → Café\n\nThe mill stands at the river. It grinds corn “daily” ≤ {number} t.\n"
        (tmp_path / "texts" / f"mill{number}.md").write_text(text * 20, encoding="utf-8")
    (tmp_path / "lines").write_text(LINES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    on_windows(LIFE, tmp_path / "lines")
    said = (tmp_path / "said").read_text(encoding="cp1252")
    assert "Resuming after step " in said
    assert "The mill stands at the river" in said.split("$ search")[1]
    names = [name for _, folders, files in os.walk(tmp_path) for name in (*folders, *files)]
    assert len(names) > 30
    assert not [name for name in names if ILLEGAL & set(name) or name.endswith((".", " "))]
    for file in (tmp_path / "runs").rglob("*.json*"):
        assert b"\r" not in file.read_bytes(), file


PARTS = """
import sys
from pathlib import Path
from groundup.errors import ModelError
from groundup.lab.live.parts import make_parts
from groundup.tokenizer.fast import train_tokenizer
from tests.live_shapes import open_shape
model = open_shape(train_tokenizer(["To be, or not to be"], 270))
Path.home = lambda: Path(sys.argv[1])
try:
    print(make_parts(model, "tiny", "a digest").num_parts)
except ModelError as error:
    print(error.message)
"""


def test_what_a_page_runs_is_kept_in_the_users_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    assert on_windows(PARTS, tmp_path) == "1\n"
    refused = "The cache for tiny is outside of the user's folder: set GROUNDUP_CACHE"
    assert on_windows(PARTS, tmp_path / "user").startswith(refused)


NUMBERS = """
import shutil, sys
from pathlib import Path
from groundup.locks import hold, only_one
for number in range(100):
    held, new = Path(sys.argv[1], f"held{number}"), Path(sys.argv[1], f"new{number}")
    held.mkdir()
    hold(held)
    shutil.rmtree(held)
    new.mkdir()
    with only_one(new):
        pass
"""


def test_a_removed_folder_locks_no_new_one_on_the_played_windows(tmp_path: Path) -> None:
    """Linux gives the number of a removed folder again, by which the stand-in of its lock is named."""
    folders = [REPOSITORY / "tests" / "on_windows", REPOSITORY]
    played = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    program = [sys.executable, "-c", NUMBERS, tmp_path]
    done = subprocess.run(program, env=played, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_the_played_windows_skips_is_there() -> None:
    """`make test-windows` skips by name: a test that was renamed would fail there, one that is gone stay in the list."""
    skipped = runpy.run_path(str(Path(__file__).parent / "on_windows" / "linux_only.py"))["names"]
    for name, reason in skipped():
        file, *_, test = name.split("::")
        assert reason and f"def {test}(" in (REPOSITORY / file).read_text(encoding="utf-8"), name


def test_free_memory_is_what_the_system_reports() -> None:
    program = "from groundup.operating_system import available_memory_bytes as free; print(free())"
    assert on_windows(program) == f"{4 * 2**30}\n"
    assert (available_memory_bytes() or 0) > 2**20
