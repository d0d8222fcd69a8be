"""Files and folders: whole or not at all, and whatever stands in a manifest or a path, one error class."""

import errno
import fcntl
import grp
import hashlib
import json
import mmap
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from groundup import files, locks
from groundup.errors import ConfigError, DiskError, FormatError
from groundup.files import (
    MANIFEST,
    PARTS,
    atomic_folder,
    cache_folder,
    inside,
    is_cached,
    make_folder,
    read_json,
    replace_folder,
    require_free_bytes,
    safe_name,
    verify_folder,
    write_bytes,
    write_hashed_json,
    write_json,
    write_manifest,
)
from groundup.locks import only_one, remove_temporaries, temporary_folder, written_by_others
from groundup.operating_system import is_own_group

TOO_LONG = "a" * 300


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "out/x", "circle/x", "a\0b", "\ud800", TOO_LONG]
)
def test_no_name_in_a_manifest_leaves_the_folder_or_raises_anything_else(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "out").symlink_to("/tmp")
    (tmp_path / "circle").symlink_to("circle")
    write_hashed_json(tmp_path / MANIFEST, {"files": {name: {"bytes": 1, "sha256": ""}}})
    with pytest.raises(FormatError):
        verify_folder(tmp_path)


def test_a_text_has_newlines_only(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("é\r\na\rb\n".encode())
    assert files.read_text(tmp_path / "text", max_bytes=100) == "é\na\nb\n"


def test_every_byte_of_a_large_file_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the hashes of its parts."""
    part = mmap.ALLOCATIONGRANULARITY
    monkeypatch.setattr(files, "PART_BYTES", part)
    data, file = bytes(range(256)) * (part // 50), tmp_path / "weights"
    file.write_bytes(data)
    (tmp_path / "small").write_bytes(b"small")
    write_manifest(tmp_path)
    content = json.loads((tmp_path / MANIFEST).read_text())
    hashes = [hashlib.sha256(data[at : at + part]).hexdigest() for at in range(0, len(data), part)]
    assert (
        content["files"]["weights"][PARTS] == hashes
        and len(hashes) == 6
        and PARTS not in content["files"]["small"]
    )
    verify_folder(tmp_path)
    for place in (0, part - 1, part, 4 * part - 1, 4 * part, len(data) - 1):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(FormatError, match="differs from the manifest"):
            verify_folder(tmp_path)


@pytest.mark.parametrize("parts", [[], ["0"], "0", None, {}])
def test_a_manifest_with_other_parts_is_refused(tmp_path: Path, parts: object) -> None:
    (tmp_path / "file").write_bytes(b"text")
    entry = {"bytes": 4, "sha256": hashlib.sha256(b"text").hexdigest()}
    write_hashed_json(tmp_path / MANIFEST, {"files": {"file": entry}})
    verify_folder(tmp_path)
    write_hashed_json(tmp_path / MANIFEST, {"files": {"file": entry | {PARTS: parts}}})
    with pytest.raises(FormatError, match="differs from the manifest"):
        verify_folder(tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a.", "a\n", "é", "a" * 129])
def test_a_safe_name_is_one_part_of_a_path(name: str) -> None:
    with pytest.raises(FormatError):
        safe_name(name)
    assert safe_name("model-00001.safetensors") == "model-00001.safetensors"


def test_a_name_inside_is_the_path(tmp_path: Path) -> None:
    assert inside(tmp_path, "a/b.txt") == tmp_path / "a/b.txt"


@pytest.mark.parametrize("name", ["missing", "file/x", "circle", "folder", TOO_LONG])
def test_what_cant_be_read_is_a_format_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("{}")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(FormatError):
        read_json(tmp_path / name)


def test_a_path_that_cant_be_is_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError):
        require_free_bytes(tmp_path / TOO_LONG, 1)
    with pytest.raises(DiskError):
        write_json(tmp_path / TOO_LONG, {})


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_path_where_no_one_can_make_a_folder_is_a_disk_error() -> None:
    for write in (make_folder, lambda path: write_json(path / "a.json", {})):
        with pytest.raises(
            DiskError, match=r"^/proc/nothing can't be written: No folder can be made there. Choose"
        ):
            write(Path("/proc/nothing"))
    with pytest.raises(DiskError, match="/proc/nothing"), atomic_folder(Path("/proc/nothing/run")):
        pass

    with (
        pytest.raises(DiskError, match="^/proc/nothing can't be written: No folder can be made"),
        atomic_folder(Path("/proc/nothing")),
    ):
        pass


def test_a_cache_that_cant_be_written_is_answered_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DiskError) as refused:
        cache_folder("models")
    assert "GROUNDUP_CACHE" in refused.value.fix and "--out" not in refused.value.fix


def test_without_a_home_folder_only_what_needs_the_cache_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "GROUNDUP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert not is_cached(tmp_path)
    with pytest.raises(
        DiskError, match=r"no home folder. Set the environment variable GROUNDUP_CACHE"
    ):
        cache_folder()
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    assert cache_folder("models") == tmp_path / "models" and is_cached(tmp_path / "models" / "gpt2")


def test_a_file_name_that_is_not_utf8_is_written_and_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xf0\x9f\x98\x80")
    write_json(tmp_path / "run.json", {"argv": [name, "é"]})
    assert read_json(tmp_path / "run.json") == {"argv": [name, "é"]}


def test_a_folder_that_failed_is_as_it_was(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "a") as folder:
        (folder / "x").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "a") as folder:
        (folder / "x").write_text("new")
        raise RuntimeError
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "missing", tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "x").read_text() == "old"


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in (f".tmp-a-{dead.pid}", f".tmp-b-{os.getppid()}", ".tmp-c", f".tmp-d-{os.getpid()}"):
        (tmp_path / name).mkdir()
    (tmp_path / f".tmp-old-run-{dead.pid}").mkdir()
    (tmp_path / f".tmp-file.json-{dead.pid}").write_text("")
    remove_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".tmp-b-{os.getppid()}", "run"]


def test_a_temporary_folder_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".tmp-left").mkdir()
    with temporary_folder(tmp_path) as folder:
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert not list(tmp_path.iterdir())


HOLD = """
import sys
from pathlib import Path
from groundup.locks import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_never_write_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match="Another process is writing"), only_one(folder):
            pass
        holder.kill()  # however it ends, the folder is free again
    with only_one(folder):
        assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP], ids=errno.errorcode.get
)
def test_a_disk_without_locks_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:  # what the system says there; such a disk is not at hand
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(DiskError, match="has no locks") as refused, only_one(tmp_path):
        pass
    assert str(tmp_path) in refused.value.message and "`out`" in refused.value.fix


def test_a_temporary_file_is_new_and_never_what_stands_under_its_name(tmp_path: Path) -> None:
    """Its name can be known before: in a shared folder a link there would have another file written over."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f"{files.TMP_PREFIX}data-{os.getpid()}").symlink_to(victim)
    write_bytes(tmp_path / "data", b"new", mode=0o600)
    assert victim.read_text() == "mine" and (tmp_path / "data").read_bytes() == b"new"
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o600 and not (
        tmp_path / "data"
    ).is_symlink()


def test_what_others_can_write_or_own_or_link_to_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    file = folder / "file"
    file.write_text("x")
    for path in (tmp_path, tmp_path / "a", folder, file):
        path.chmod(0o755)
    assert written_by_others(file) == written_by_others(folder / "not" / "made") == ""
    for path in (file, folder, tmp_path / "a"):
        path.chmod(0o757)
        assert written_by_others(file) == f"{path} can be written by other users"
        path.chmod(0o755)
    (tmp_path / "a").chmod(0o1777)  # as /tmp
    assert written_by_others(file) == "" and written_by_others(tmp_path / "a")
    (tmp_path / "link").symlink_to(folder)
    assert written_by_others(tmp_path / "link" / "file") == ""
    folder.chmod(0o777)
    assert (
        written_by_others(tmp_path / "link" / "file") == f"{folder} can be written by other users"
    )
    folder.chmod(0o755)
    # where a link leads over a further one, whose folder others can write
    between = tmp_path / "between"
    between.mkdir()
    (between / "link").symlink_to(Path("..") / "a" / "b")
    (tmp_path / "first").symlink_to(between / "link")
    between.chmod(0o755)
    assert written_by_others(tmp_path / "first" / "file") == ""
    between.chmod(0o757)
    found = written_by_others(tmp_path / "first" / "file")
    assert found == f"{between} can be written by other users"
    (tmp_path / "a" / "round").symlink_to("round")
    assert written_by_others(tmp_path / "a" / "round" / "file") == ""
    folder.chmod(0o775)
    monkeypatch.setattr(locks, "is_own_group", lambda gid: True)
    assert written_by_others(file) == ""
    if os.geteuid() == 0:
        os.chown(folder, 4242, -1)
        assert written_by_others(file) == f"{folder} belongs to another user"
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
        assert "belongs to another user" in written_by_others(file)


def test_a_group_is_ones_own_only_without_other_members(monkeypatch: pytest.MonkeyPatch) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    for name, members, expected in (
        (user, [], True),
        (user, [user], True),
        (user, ["eve"], False),
        ("staff", [], False),
    ):
        monkeypatch.setattr(
            grp,
            "getgrgid",
            lambda gid, n=name, m=members: grp.struct_group((n, "x", gid, m)),
        )
        assert is_own_group(7) is expected
