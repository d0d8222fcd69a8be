"""`--offline`: nothing but this machine is asked, whoever wants to."""

import socket
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.errors import NetworkError
from groundup.offline import LIBRARIES, VARIABLE, go_offline

# Of documentation (RFC 5737), and not the one that is asked for the way (offline.py).
ELSEWHERE = ("198.51.100.7", 9)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, *LIBRARIES):
        monkeypatch.setenv(name, "")  # what is set is taken back
    go_offline()


@pytest.mark.usefixtures("offline")
def test_nothing_but_this_machine_can_be_asked() -> None:
    with pytest.raises(NetworkError, match=r"forbids a connection to 198\.51\.100\.7"):
        socket.create_connection(ELSEWHERE, timeout=1)
    with pytest.raises(NetworkError, match=r"example\.org"):
        urllib.request.urlopen("https://example.org", timeout=1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        with pytest.raises(NetworkError):
            datagrams.sendto(b"x", ELSEWHERE)
        datagrams.sendto(b"x", ("127.0.0.1", 9))
    with socket.create_server(("127.0.0.1", 0)) as server:
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, server.getsockname()[1]), timeout=5).close()


def test_without_the_switch_a_hook_that_is_there_forbids_nothing(
    offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, suppress(OSError):
        datagrams.connect(ELSEWHERE)  # which sends nothing


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_model_that_is_not_here_is_not_fetched(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (VARIABLE, *LIBRARIES):
        monkeypatch.setenv(name, "1" if (name, by) == (VARIABLE, "variable") else "")
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    words = ["--offline"] if by == "option" else []
    assert run([*words, "pull", "smollm2-135m-instruct"]) == 2
    said = capsys.readouterr().err
    assert "smollm2-135m-instruct would be fetched, and --offline forbids it." in said
    assert "Leave out --offline" in said and not list(tmp_path.rglob("*.archive"))


def test_the_switch_stands_before_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", "x", "--offline"]) == 2
    assert "groundup --offline pull ..." in capsys.readouterr().err
