"""`groundup fetch --for course`, with a folder of tiny wheels as its registry."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.course import offline
from groundup.course.notebook import notebooks
from groundup.course.offline import fetch_course
from groundup.errors import NetworkError
from groundup.weights.verify import verify_path


def write_wheel(folder: Path, name: str, version: str = "1.0", needs: tuple[str, ...] = ()) -> Path:
    """A wheel with one empty module."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    about = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    about += ["Provides-Extra: notebooks"] + [f"Requires-Dist: {each}" for each in needs]
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr(zipfile.ZipInfo(f"{name}.py"), "")
        wheel.writestr(zipfile.ZipInfo(f"{info}/METADATA"), "\n".join(about) + "\n")
        wheel.writestr(zipfile.ZipInfo(f"{info}/WHEEL"), tags)
        wheel.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "")
    return file


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip's only registry; groundup's own wheel and JupyterLab are tiny ones."""
    folder = tmp_path / "registry"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    write_wheel(folder, "tinylab")
    write_wheel(folder, "tiny_part", "2.1+cpu")
    needs = ('tiny-part; extra == "notebooks"',)
    monkeypatch.setattr(offline, "LAB", "tinylab")
    monkeypatch.setattr(
        offline, "_own_wheel", lambda wheels: write_wheel(wheels, "groundup", needs=needs)
    )
    return folder


class Pip:
    """What pip does with the two commands, without starting it: the slow test has the real one."""

    def __init__(self, registry: Path) -> None:
        self.registry, self.called = registry, list[str]()

    def run(
        self, command: list[str], folder: Path, watch: object
    ) -> subprocess.CompletedProcess[str]:
        self.called.append(command[3])
        found = {file.name.split("-")[0]: file for file in self.registry.iterdir()}
        if command[3] == "install":
            chosen = [("tinylab", "1.0"), ("tiny-part", "2.1+cpu"), ("groundup", "1.0")]
            origin = {"archive_info": {"hashes": {"sha256": "0" * 64}}}
            about = [{"name": name, "version": version} for name, version in chosen]
            report = [{"metadata": each, "download_info": origin} for each in about]
            Path(command[command.index("--report") + 1]).write_text(json.dumps({"install": report}))
            return subprocess.CompletedProcess(command, 0, "", "")
        out = Path(command[command.index("-w") + 1])
        out.mkdir()
        for line in Path(command[-1]).read_text().splitlines():
            name, wanted = line.split("==")[0].replace("-", "_"), line.split(" ")[0]
            assert line.endswith(f" --hash=sha256:{'0' * 64}")
            if name not in found:
                said = f"ERROR: No matching distribution found for {wanted}\n"
                return subprocess.CompletedProcess(command, 1, "", said)
            shutil.copy(found[name], out)
        return subprocess.CompletedProcess(command, 0, "", "")


def test_the_folder_has_all_and_a_stopped_command_goes_on_with_what_is_missing(
    tmp_path: Path,
    registry: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pip, out = Pip(registry), tmp_path / "out"
    monkeypatch.setattr(offline, "run_pip", pip.run)
    monkeypatch.setattr(offline, "BATCH_PACKAGES", 1)
    part = registry / "tiny_part-2.1+cpu-py3-none-any.whl"
    part.rename(tmp_path / part.name)
    with pytest.raises(NetworkError, match="could not fetch what the course needs.*tiny-part"):
        fetch_course(out)
    assert pip.called == ["install", "wheel", "wheel"] and not (out / "manifest.json").exists()
    (tmp_path / part.name).rename(part)
    assert run(["fetch", "--for", "course", "--out", str(out), "--json"]) == 0
    assert pip.called[3:] == ["wheel"]  # nothing is chosen again, nor fetched again
    made = json.loads(capsys.readouterr().out)
    assert made["packages"] == 3 and made["notebooks"] == len(notebooks())
    names = sorted(file.name.split("-")[0] for file in (out / "wheels").iterdir())
    assert names == ["groundup", "tiny_part", "tinylab"]
    assert len(list((out / "course").glob("*.ipynb"))) == len(notebooks())
    assert verify_path(out).unlisted == 0


def test_a_purpose_that_is_not_known_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fetch", "--for", "curse", "--out", str(tmp_path / "out")]) == 2
    assert "Did you mean 'course'?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_install_refuses_another_kind_of_machine(tmp_path: Path) -> None:
    shutil.copy(str(offline.install.__file__), tmp_path / "install.py")
    made_for = {"python": "2.7", "system": "Linux", "machine": "x86_64", "groundup": ""}
    (tmp_path / "offline.json").write_text(json.dumps({"made_for": made_for}))
    done = subprocess.run(
        [sys.executable, "-I", tmp_path / "install.py", tmp_path / "place"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and not (tmp_path / "place").exists()
    assert "error: This folder is for Python 2.7 on Linux (x86_64)" in done.stdout


@pytest.mark.slow
def test_the_folder_installs_itself_and_keeps_what_a_pupil_wrote(
    tmp_path: Path, registry: Path
) -> None:
    out, place = tmp_path / "out", tmp_path / "place"
    fetch_course(out)
    (out / "offline.json").write_text(
        (out / "offline.json").read_text().replace('"tinylab"', '"tinylab", "tiny-part"', 1)
    )
    first = sorted(file.name for file in (out / "course").glob("*.ipynb"))[0]
    place.mkdir()
    (place / first).write_text("mine")
    command = [sys.executable, "-I", str(out / "install.py"), str(place)]
    subprocess.run(command, check=True, env={**os.environ, "PIP_FIND_LINKS": "nowhere"})
    python = next(place.glob(".venv/*/python"))
    subprocess.run([python, "-c", "import tinylab, tiny_part, groundup"], check=True)
    assert (place / first).read_text() == "mine" and (place / "texts" / "dream").is_dir()
