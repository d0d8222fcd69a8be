"""A wheel in an empty environment, far from the clone: recipes, packs, notebooks and the page's files are inside, and every stage runs.

One test, since each step needs what the one before has made; some ten minutes, most of them two builds.
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.network]


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
