"""The wheel: what is in it, its size, the same bytes each time; and in an empty environment, far from the clone, every stage runs.

The slow tests are one each, since a step needs what the one before has made: some five minutes the main verbs without any extra, then
some ten minutes with them, most of these two builds.
"""

import hashlib
import json
import os
import runpy
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
MAX_BYTES = 8_000_000


def built(out: Path, kind: str = "wheel") -> Path:
    """The wheel or source archive ("sdist") of this tree."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out / kind)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (file,) = (out / kind).iterdir()
    return file


def test_the_wheel_is_small_and_has_all_files_of_the_package(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "groundup"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    wheel = built(tmp_path)
    assert wheel.stat().st_size < MAX_BYTES
    with zipfile.ZipFile(wheel) as archive:
        members = archive.infolist()
        inside = {each.filename for each in members if ".dist-info/" not in each.filename}
        assert inside == set(listed.stdout.splitlines())
        bill = json.loads(
            archive.read(next(each for each in members if "/sboms/" in each.filename))
        )
        noted = {
            file["name"]: file["hashes"][0]["content"]
            for each in bill["components"]
            for file in each.get("components", [])
        }
        hashes = {each: hashlib.sha256(archive.read(each)).hexdigest() for each in noted}
    assert noted == hashes
    foreign = {each for each in inside if each.endswith((".safetensors", ".woff2"))}
    assert foreign < noted.keys(), "packaging/bundled.cdx.json names what was made by or of others"
    # Neither when nor by whom it was built is in it.
    assert {each.date_time for each in members} == {(2020, 2, 2, 0, 0, 0)}
    assert {each.external_attr >> 16 & 0o777 for each in members} <= {0o644, 0o755}


def request(address: str, body: dict[str, Any] | None = None) -> bytes:
    data = json.dumps(body).encode() if body else None
    headers = {
        "Content-Type": "application/json",
        "Accept": "*/*" if body else "text/html",
    }  # the page is for browsers
    with urllib.request.urlopen(
        urllib.request.Request(address, data, headers), timeout=120
    ) as answer:
        return bytes(answer.read())


@pytest.mark.slow
def test_another_folder_with_other_times_and_rights_gives_the_same_bytes(tmp_path: Path) -> None:
    """`make release-files`, the tag aside."""
    release = runpy.run_path(str(ROOT / "packaging" / "release.py"))
    again = release["built_again"](tmp_path)
    for kind in ("wheel", "sdist"):
        first = built(tmp_path, kind)
        assert first.read_bytes() == (again / first.name).read_bytes()


@pytest.mark.slow
@pytest.mark.network
def test_a_stranger_gets_along_with_the_wheel_alone(tmp_path: Path) -> None:
    wheel = built(tmp_path)
    done = subprocess.run(
        [sys.executable, ROOT / "packaging" / "try_wheel.py", wheel],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.network
def test_an_installed_wheel_teaches_builds_and_serves_without_the_clone(tmp_path: Path) -> None:
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PYTHONPATH", "OMP_NUM_THREADS")
    }

    def done(*command: object) -> str:
        finished = subprocess.run(
            list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    done(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path / "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("groundup-*.whl")
    done(sys.executable, "-m", "venv", tmp_path / "env")
    done(tmp_path / "env/bin/python", "-m", "pip", "install", "-q", f"{wheel}[demo]")
    groundup = tmp_path / "env/bin/groundup"
    found = done(tmp_path / "env/bin/python", "-c", "import groundup; print(groundup.__file__)")
    assert Path(found.strip()).is_relative_to(tmp_path / "env")

    done(groundup, "learn", 1, "--copy-only")
    assert list(tmp_path.glob("groundup-course/01-*.ipynb")) and list(
        tmp_path.glob("groundup-course/texts/dream/*")
    )
    done(groundup, "build", "quickstart", "--budget", "3m")
    done(groundup, "build", "bank", "--budget", "5m")
    for build in ("quickstart", "bank"):
        assert "</html>" in (tmp_path / "runs" / build / "report.html").read_text()
        done(groundup, "verify", tmp_path / "runs" / build)

    command = [str(groundup), "serve", "runs/bank", "--port", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            said = next(line for line in server.stdout if "http://" in line)
            address = said[said.index("http://") :].split()[0].rstrip("/.,")
            assert b"</html>" in request(address + "/")
            assert "bank:latest" in [
                model["id"] for model in json.loads(request(address + "/v1/models"))["data"]
            ]
            messages = [{"role": "user", "content": "What is the fee for a replacement card?"}]
            answer = json.loads(
                request(address + "/v1/chat/completions", {"model": "bank", "messages": messages})
            )
            assert answer["choices"][0]["message"]["content"]
        finally:
            server.terminate()
            assert server.wait(timeout=30) == 0
