"""What is kept is listed with its size and last use, and removed down to a limit; never what is in use."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from groundup.cache import CacheEntry, entries, remove, to_remove
from groundup.cli.main import run
from groundup.config import size_bytes
from groundup.errors import ConfigError
from groundup.locks import hold, only_one

DAY = 86400


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with a model (the oldest), two downloads and a measurement."""
    root = tmp_path / "cache"
    monkeypatch.setenv("GROUNDUP_CACHE", str(root))
    for age, (name, size) in enumerate(
        [
            ("precision/a.json", 10),
            ("packages/new.archive", 3000),
            ("packages/old.archive", 2000),
            ("models/m/x", 5000),
        ]
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0" * size)
        entry = root.joinpath(*Path(name).parts[:2])
        os.utime(entry, (1e9 - age * DAY, 1e9 - age * DAY))
    return root


def names(found: list[CacheEntry]) -> list[str]:
    return [entry.path.name for entry in found]


def test_entries_have_kind_size_and_last_use(cache: Path) -> None:
    found = entries()
    assert [(entry.kind, entry.name, entry.num_bytes) for entry in found] == [
        ("model", "m", 5000), ("download", "old.archive", 2000), ("download", "new.archive", 3000), ("measurement", "a.json", 10)
    ]  # fmt: skip
    assert found[0].last_used == 1e9 - 3 * DAY and not any(entry.in_use for entry in found)


@pytest.mark.parametrize(("limit", "left"), [(10_010, 4), (10_009, 3), (3010, 2), (10, 1), (0, 0)])
def test_the_longest_unused_go_first_until_the_limit_holds(
    cache: Path, limit: int, left: int
) -> None:
    chosen = to_remove(entries(), limit)
    assert names(chosen) == ["m", "old.archive", "new.archive", "a.json"][: 4 - left]
    assert remove(chosen) == chosen and len(entries()) == left
    assert not list(cache.rglob(".tmp-*"))


def test_what_another_process_holds_stays(cache: Path) -> None:
    program = f"from pathlib import Path\nfrom groundup.locks import hold\nprint(hold(Path({str(cache / 'models/m')!r})), flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdin and other.stdout and other.stdout.readline() == "True\n"
        found = entries()
        assert names(found)[-1] == "m" and found[-1].in_use  # used just now
        assert names(to_remove(found, 0)) == ["old.archive", "new.archive", "a.json"]
        assert (
            remove([found[-1]]) == [] and (cache / "models/m/x").exists()
        )  # whatever was thought before
        other.stdin.close()
    assert names(remove(entries())) == ["old.archive", "new.archive", "a.json", "m"]


def test_what_is_gone_is_not_held(cache: Path) -> None:
    assert hold(cache / "packages" / "new.archive") and not hold(
        cache / "packages" / "none.archive"
    )
    assert names(entries())[-1] == "new.archive"


def test_prepared_data_and_features_of_runs_are_listed_where_runs_are_named(
    cache: Path, tmp_path: Path
) -> None:
    for name, parts in (
        ("a", ("data/train.jsonl", "model.safetensors")),
        ("b/c", (".partial-data/x", "features.safetensors")),
    ):
        run_folder = tmp_path / "runs" / name
        for part in (*parts, "shards/train.bin", "run.json"):
            (run_folder / part).parent.mkdir(parents=True, exist_ok=True)
            (run_folder / part).write_bytes(b"0" * 100)
    found = entries([tmp_path / "runs"])
    kinds = {
        entry.kind: entry.path.relative_to(tmp_path / "runs").as_posix() for entry in found[4:]
    }
    assert kinds["prepared data"] == "a/data" and kinds["features"] == "b/c/features.safetensors"
    assert kinds["unfinished prepared data"] == "b/c/.partial-data" and len(found) == 7
    with only_one(tmp_path / "runs" / "b/c"):
        busy = [entry for entry in entries([tmp_path / "runs"]) if entry.in_use]
        assert len(busy) == 2 and remove(busy) == []


def test_the_verb_lists_and_removes(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "--limit", "5kB"]) == 0
    shown = capsys.readouterr().out
    assert (
        "to remove" in shown and "--prune would remove 2 of them" in shown and len(entries()) == 4
    )
    hold(cache / "models" / "m")
    assert run(["cache", "--limit", "2kB", "--prune", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["bytes"] == 5000 and [e["name"] for e in result["entries"] if e["removed"]] == [
        "old.archive",
        "new.archive",
        "a.json",
    ]
    assert (
        run(["cache", "--limit", "0"]) == 0
        and "are in use, more than the limit" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "words", [["--prune"], ["--limit", "much"], ["--limit", "-1"], ["nowhere"]]
)
def test_bad_options_are_one_sentence(
    cache: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run(["cache", *words]) == 2
    assert "error: " in capsys.readouterr().err and len(entries()) == 4


def test_sizes() -> None:
    assert [size_bytes(text) for text in ("0", "12", "3kB", "1.5 MB", "5G", "1tb")] == [
        0,
        12,
        3000,
        1500000,
        5 * 10**9,
        10**12,
    ]
    with pytest.raises(ConfigError):
        size_bytes("5 gigs")
