"""`groundup watch` as a process: its address, its values, its files, its access control, its end."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundup.cli.main import run

PROGRAM = (sys.executable, "-m", "groundup", "watch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps."""
    made = tmp_path_factory.mktemp("watched") / "run"
    made.mkdir()
    (made / "run.json").write_text(
        json.dumps({"kind": "pretrain", "config": {"fit": {"steps": 10}}})
    )
    (made / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": n, "loss": 9 - n, "elapsed_s": n}) + "\n" for n in (1, 2, 3))
    )
    (made / "samples.jsonl").write_text('{"step": 3, "prompt": "a", "text": "half \\ud800"}\n')
    return made


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Of a server that watches it."""
    with subprocess.Popen(
        [*PROGRAM, str(folder), "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Watching 1 run: http://127.0.0.1:")
        yield line.split()[3]
        process.terminate()
        assert process.wait(120) == 0


def get(address: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_values_of_all_runs_and_of_one(address: str) -> None:
    rows = json.loads(get(f"{address}/runs.json")[2])["runs"]
    assert [(row["name"], row["step"], row["steps"]) for row in rows] == [("run", 3, 10)]
    detail = json.loads(get(f"{address}/runs/1.json")[2])
    assert detail["columns"]["loss"]["mean"] == [8, 7, 6]
    status, _, body = get(f"{address}/runs/2.json")
    assert (status, json.loads(body)) == (404, {"error": "There is no run of that number."})


@pytest.mark.parametrize(
    "path", ["", "watch.js", "watch.css", "chart.js", "icon.svg", "runs.json", "runs/1.json"]
)
def test_every_address_is_guarded_and_wears_the_policy(address: str, path: str) -> None:
    status, headers, _ = get(f"{address}/{path}")
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert get(f"{address}/{path}", Host="evil.example")[0] == 403
    assert get(f"{address}/{path}", Origin="https://evil.example")[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "page.py",
        "../page.py",
        "..%2fpage.py",
        "web/watch.js",
        "%2e%2e/%2e%2e/etc/passwd",
        "runs/x.json",
        f"runs/{'9' * 5000}.json",
        "runs/1.json/",
    ],
)
def test_nothing_but_the_page_can_be_asked_for(address: str, path: str) -> None:
    status, _, body = get(f"{address}/{path}")
    assert status == 404
    assert b"groundup" not in body


def test_without_the_key_a_page_for_the_network_is_closed(folder: Path) -> None:
    command = [*PROGRAM, str(folder), "--port", "0", "--host", "0.0.0.0"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "GROUNDUP_API_KEY": "open sesame, open"},
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[3]
        assert get(address)[0] == 401
        assert get(address, Authorization="Bearer open sesame, open")[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130


def test_json_prints_what_is_known_and_ends(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["watch", str(folder), "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["runs"][0]["columns"]["step"] == [1, 2, 3]
    assert said["runs"][0]["remarks"][0]["what"] == "too early"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "--json"], "nowhere does not exist"),
        (["nowhere"], "nowhere does not exist"),
        (["nowhere"], "wait for it with --wait"),
        (["{file}"], "is a file, expected a folder of runs"),
        (["{folder}", "--host", "0.0.0.0"], "lets other machines connect, and no key was given"),
        (
            ["{folder}", "--host", "no.such.host.invalid", "--open"],
            "is not a name or address of this machine",
        ),
        (["{folder}", "--port", "70000"], "from 0 to 65535"),
    ],
)
def test_what_can_be_mended_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    filled = [word.format(folder=folder, file=folder / "run.json") for word in words]
    assert run(["watch", *filled]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


def test_a_missing_library_is_named_with_its_extra(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run(["watch", str(folder)]) == 2
    assert "pip install 'groundup[serve]'" in capsys.readouterr().err
    assert run(["watch", str(folder), "--json"]) == 0
