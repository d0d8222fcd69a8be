"""A folder of an earlier version is read as the current one writes it; others are refused in a sentence."""

from pathlib import Path
from typing import Any

import pytest

from groundup.errors import FormatError
from groundup.files import json_bytes, write_json
from groundup.migrations import BUILD, FIELD, RUN, FolderFormat


def rename_speed(values: dict[str, Any]) -> dict[str, Any]:
    """From version 0 to 1: `rate` became `tokens_per_s`, in its place."""
    return {{"rate": "tokens_per_s"}.get(name, name): value for name, value in values.items()}


EXAMPLE = FolderFormat("example", "example.json", {0: rename_speed})


def test_a_migration_gives_bitwise_what_the_current_version_writes(tmp_path: Path) -> None:
    write_json(tmp_path / "example.json", {FIELD: 0, "kind": "pretrain", "rate": 1.5, "steps": 3})
    before = (tmp_path / "example.json").read_bytes()
    today = EXAMPLE.stamp({"kind": "pretrain", "tokens_per_s": 1.5, "steps": 3})
    assert json_bytes(EXAMPLE.read(tmp_path)) == json_bytes(today)
    assert (tmp_path / "example.json").read_bytes() == before, "reading rewrites nothing"


def test_a_current_folder_is_read_as_it_is(tmp_path: Path) -> None:
    write_json(tmp_path / "example.json", EXAMPLE.stamp({"tokens_per_s": 2.0}))
    assert EXAMPLE.read(tmp_path) == {FIELD: 1, "tokens_per_s": 2.0}


@pytest.mark.parametrize(
    ("version", "said", "fix"),
    [
        (2, "is 2, and this groundup reads a run of version 1", "pip install --upgrade groundup"),
        (0, "is 0, which this groundup can't read any more", "make it again"),
        (None, "is missing or not a whole number", "before 0.1.0"),
        ("1", "is missing or not a whole number", "make it again"),
    ],
)
def test_another_version_is_refused(tmp_path: Path, version: Any, said: str, fix: str) -> None:
    written = {} if version is None else {FIELD: version}
    write_json(tmp_path / "run.json", {**written, "kind": "pretrain"})
    with pytest.raises(FormatError) as error:
        RUN.read(tmp_path)
    assert said in error.value.message and fix in error.value.fix
    assert str(tmp_path / "run.json") in error.value.message


@pytest.mark.parametrize("folder", [RUN, BUILD])
def test_the_first_release_writes_version_1(folder: FolderFormat) -> None:
    assert folder.version == 1 and folder.stamp({"kind": "x"}) == {FIELD: 1, "kind": "x"}
