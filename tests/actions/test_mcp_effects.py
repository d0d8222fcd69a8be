"""Tools of MCP servers as effects, with real servers in processes of their own: allowed by name, done once, and what can't be told is said."""

import io
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cafe_talk import TODAY, WISH, Talker, outside

from groundup.actions.action_file import read_actions
from groundup.actions.desk import ActionDesk
from groundup.errors import ConfigError

SERVER = Path(__file__).parent / "booking_mcp.py"
ARGUMENTS = (
    '{when = "day", people = "guests", name = "holder", note = "note", reference = "reference"}'
)
BOOK = f'mcp = {{server = "crm", tool = "book", arguments = {ARGUMENTS}}}'
# Arguments under the slots' own names.
BOOK_BY_SLOTS = 'mcp = {server = "crm", tool = "book"}'
# Seconds in which a program that waits for this machine's processors surely starts.
PATIENT_S = 120


class BookingServer:
    """A server as an operator allows it, and what it was called with."""

    def __init__(self, folder: Path, how: str = "") -> None:
        self.file = folder / "received.jsonl"
        self.place = f"'{sys.executable}' '{SERVER}' '{self.file}' {how}".strip()

    @property
    def allowed(self) -> list[str]:
        return [f"crm:book={self.place}"]

    @property
    def received(self) -> list[list[Any]]:
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture(params=["stdio", "http"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, http_server: BookingServer
) -> BookingServer:
    if request.param == "stdio":
        return BookingServer(tmp_path)
    http_server.file.unlink(missing_ok=True)
    return http_server


@pytest.fixture(scope="module")
def http_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BookingServer]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = BookingServer(tmp_path_factory.mktemp("bookings"))
    process = subprocess.Popen(
        [sys.executable, str(SERVER), str(found.file), str(port)], stderr=subprocess.DEVNULL
    )
    ends = time.monotonic() + PATIENT_S
    while time.monotonic() < ends and process.poll() is None:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    found.place = f"http://127.0.0.1:{port}/mcp"
    yield found
    process.kill()
    process.wait()


def test_a_tool_gets_its_arguments_and_the_key_and_is_told_as_done_once(
    cafe: Path, server: BookingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the operator")
    outside(cafe, BOOK)
    desk = ActionDesk(cafe, mcp_tools=server.allowed, today=TODAY, timeout_s=PATIENT_S)
    guest = Talker(desk)
    turn = guest.hear(WISH, "Ada", "Yes")
    assert (turn.kind, turn.undoable) == ("done", True)
    lines = desk.world.audit()
    assert [(line.effect, line.result) for line in lines] == [("mcp", "pending"), ("mcp", "done")]
    assert desk.turn("talk", guest.said, TODAY) == turn, "the same messages again call nothing"
    [(arguments, meta, secret)] = server.received
    assert secret is None
    told = {"when": "2026-12-04", "people": 2, "name": "Ada", "reference": turn.reference}
    assert arguments == {**told, "note": ""}, "an argument without a value is left out"
    assert meta["groundup/idempotency-key"] == lines[0].key


@pytest.mark.parametrize(("said", "kind"), [("", "unknown"), (', error = "failed"', "failed")])
def test_an_error_of_the_tool_is_unknown_where_it_is_not_said_what_it_means(
    cafe: Path, http_server: BookingServer, said: str, kind: str
) -> None:
    outside(cafe, f"{BOOK[:-1]}{said}}}")
    desk = ActionDesk(cafe, mcp_tools=http_server.allowed, today=TODAY, timeout_s=PATIENT_S)
    assert Talker(desk).hear(WISH, "Bo", "Yes").kind == kind
    line = desk.world.audit()[-1]
    assert line.result == kind and "no table" in line.reason


@pytest.mark.parametrize(
    ("how", "kind", "timeout_s"),
    [("twice", "done", PATIENT_S), ("dies", "unknown", PATIENT_S),
     ("refuses", "failed", PATIENT_S), ("never", "unknown", 16.0)],
)  # fmt: skip
def test_a_server_that_answers_twice_never_or_ends(
    cafe: Path, tmp_path: Path, how: str, kind: str, timeout_s: float
) -> None:
    outside(cafe, BOOK_BY_SLOTS)
    server = BookingServer(tmp_path, how)
    desk = ActionDesk(cafe, mcp_tools=server.allowed, today=TODAY, timeout_s=timeout_s)
    guest = Talker(desk)
    turn = guest.hear(WISH, "Ada", "Yes")
    assert (turn.kind, desk.world.audit()[-1].result) == (kind, kind)
    assert desk.turn("talk", guest.said, TODAY) == turn and len(server.received) == 1
    assert server.received[0][0] == {
        "day": "2026-12-04",
        "at": "19:00",
        "guests": 2,
        "holder": "Ada",
    }


def test_a_server_that_is_not_there_stops_no_start_and_its_tool_has_failed(
    cafe: Path, logged: io.StringIO
) -> None:
    outside(cafe, BOOK)
    nowhere = ["crm:book=http://127.0.0.1:9/mcp"]
    desk = ActionDesk(cafe, mcp_tools=nowhere, today=TODAY)
    assert "the MCP server of crm:book can't be reached" in logged.getvalue()
    assert Talker(desk).hear(WISH, "Ada", "Yes").kind == "failed"
    assert "crm:book was not called" in desk.world.audit()[-1].reason


@pytest.mark.parametrize(
    ("effect", "allowed", "says"),
    [
        (BOOK, [], "calls the tool crm:book.*--allow-tool 'crm:book=COMMAND'"),
        (BOOK, ["crm:close={place}"], "calls the tool crm:book"),
        (BOOK, ["other:book={place}"], "calls the tool crm:book"),
        (BOOK, ["crm=x"], "--allow-tool crm=x is no tool of an MCP server"),
        (BOOK, ["crm:book='x"], "is no tool of an MCP server"),
        (BOOK, ["crm:book=no-such-program --serve"], "there is no program no-such-program"),
        (BOOK.replace('"book"', '"bok"'), ["crm:book,bok={place}"], "crm has no tool 'bok'. Did you mean 'book'"),
        (BOOK_BY_SLOTS, ["crm:book={place}"], "crm:book needs the argument 'when'"),
        (BOOK.replace("note =", "notes ="), ["crm:book={place}"], "has no argument 'notes'. Did you mean 'note'"),
    ],
)  # fmt: skip
def test_a_tool_that_was_not_allowed_or_that_there_is_not_does_not_start(
    cafe: Path, http_server: BookingServer, effect: str, allowed: list[str], says: str
) -> None:
    outside(cafe, effect)
    http_server.file.unlink(missing_ok=True)
    given = [each.replace("{place}", http_server.place) for each in allowed]
    with pytest.raises(ConfigError) as raised:
        ActionDesk(cafe, mcp_tools=given)
    assert re.search(says, f"{raised.value.message} {raised.value.fix}")
    assert not http_server.received, "nothing is called at the start"


@pytest.mark.parametrize(
    ("effect", "says"),
    [
        (BOOK.replace('"guests"', '"gests"'), r"arguments.people uses :gests, which nothing gives. Did you mean 'guests'"),
        (BOOK.replace("server = ", "sever = "), "effect.mcp.server: Field required"),
        (BOOK.replace('"crm"', '"crm=x"'), "effect.server must be letters, digits.*'crm=x'"),
        ('mcp = {server = "crm", tool = "book"}\npython = "a:b"', "effect.effect must be one of sql, mail, http, mcp and python"),
    ],
)  # fmt: skip
def test_the_check_of_a_pack_names_what_is_wrong_with_a_tool(
    cafe: Path, effect: str, says: str
) -> None:
    outside(cafe, effect)
    with pytest.raises(ConfigError, match=says):
        read_actions(cafe)


def test_what_a_tool_gets_is_shown_before_it_is_confirmed(cafe: Path) -> None:
    outside(cafe, BOOK)
    file = cafe / "actions.toml"
    file.write_text(file.read_text().replace(" in the name of {holder}[", "["))
    with pytest.raises(
        ConfigError, match="confirm does not show 'holder', which the effect writes"
    ):
        read_actions(cafe)
