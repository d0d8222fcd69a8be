"""A desk among retries, other windows, other processes and effects that fail: nothing is done twice, nothing half."""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from cafe_talk import TODAY, WISH, Talker, outside, rows
from forked_program import CODE, forker
from forked_program import run as run_forked

from groundup.actions import conversations, effects
from groundup.actions.conversations import talk_of
from groundup.actions.desk import ActionDesk
from groundup.errors import ConfigError, FormatError

COUNT = "SELECT count(*) FROM bookings"
Answer = Callable[["BookingSystem", dict[str, object]], int]


@pytest.fixture
def desk(cafe: Path) -> ActionDesk:
    return ActionDesk(cafe, today=TODAY)


def owned_id(conversation: str) -> str:
    """Return an id as a world keeps it."""
    return talk_of(conversation, None, "", ()).owned_id


class BookingSystem:
    """A server that takes requests, and answers each as told."""

    def __init__(self, answer: Answer) -> None:
        self.received: list[tuple[str, dict[str, object]]] = []
        self.done: set[str] = set()
        system = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                system.received.append((self.headers["Idempotency-Key"], body))
                status = answer(system, body)
                if status:
                    self.send_response(status)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/bookings"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def booking_system(cafe: Path) -> Iterator[Callable[[Answer], BookingSystem]]:
    """Start a booking system to which the café's bookings are sent."""
    started: list[BookingSystem] = []

    def start(answer: Answer) -> BookingSystem:
        started.append(BookingSystem(answer))
        outside(cafe, f'http = {{url = "{started[0].url}"}}')
        return started[0]

    yield start
    for each in started:
        each.close()


def test_the_same_messages_again_get_the_same_reply_and_do_nothing(desk: ActionDesk) -> None:
    guest = Talker(desk)
    done = guest.hear(WISH, "Ada", "Yes")
    for number in range(1, len(guest.said) + 1):
        again = desk.turn("talk", guest.said[:number], TODAY)
        assert again is not None and rows(desk, COUNT) == [(2,)]
    assert again == done and len(desk.world.audit()) == 1


def test_another_window_that_says_yes_in_other_words_books_the_same(desk: ActionDesk) -> None:
    guest, other = Talker(desk), Talker(desk)
    guest.hear(WISH, "Ada")
    other.said = list(guest.said)
    assert other.say("Do you have parking?") is None
    first, second = guest.hear("Yes"), other.hear("yes please")
    assert first.reference == second.reference and second.kind == "done"
    assert rows(desk, COUNT) == [(2,)] and len(desk.world.audit()) == 1


@pytest.mark.parametrize("word", ["make it five", "No", "Leave it", "undo"])
def test_another_window_is_told_that_it_was_done_before_it_changes_or_leaves_it(
    desk: ActionDesk, word: str
) -> None:
    guest, other = Talker(desk), Talker(desk)
    guest.hear(WISH, "Ada")
    other.said = list(guest.said)
    reference = guest.hear("Yes").reference
    turn = other.hear(word)
    assert turn.text.startswith("That was done already, in another window. Your table for 2 on")
    assert (turn.kind, turn.reference, turn.undoable) == ("done", reference, True)
    assert other.hear("undo", "Yes").kind == "undone" and rows(desk, COUNT) == [(1,)]


def test_another_conversation_with_the_same_words_is_another_booking(desk: ActionDesk) -> None:
    references = {Talker(desk, name).hear(WISH, "Ada", "Yes").reference for name in ("a", "b")}
    signed_in = Talker(desk, "a", customer="Ada").hear(WISH, "Ada", "Yes").reference
    assert len({*references, signed_in}) == 3 and rows(desk, COUNT) == [(4,)]


def test_without_an_id_the_same_words_are_the_same_for_an_hour(desk: ActionDesk) -> None:
    first = Talker(desk, "").hear(WISH, "Ada", "Yes")
    assert Talker(desk, "").hear(WISH, "Ada", "Yes") == first and rows(desk, COUNT) == [(2,)]
    with desk.world.writing() as database:
        database.execute("UPDATE conversations SET at = at - 3601")
        database.execute("UPDATE audit SET at = '2026-11-01T00:00:00+00:00'")
    assert desk.turn("", [WISH, "Ada", "Yes"], TODAY, client="another") is None
    later = Talker(desk, "").hear(WISH, "Ada", "Yes")
    assert later.reference != first.reference and rows(desk, COUNT) == [(3,)]


def test_a_conversation_goes_on_in_another_process_after_its_page_was_closed(
    desk: ActionDesk, cafe: Path
) -> None:
    guest = Talker(desk)
    guest.hear(WISH, "Ada")
    resumed = Talker(ActionDesk(cafe))
    resumed.said = guest.said
    assert resumed.hear("Yes").kind == "done"


# By the other processes, before they are forked.
IMPORTED = ("cafe_talk", "groundup.actions.desk")
SAY_AT_ONCE = """
import sys
from cafe_talk import TODAY
from concurrent.futures import ThreadPoolExecutor
from groundup.actions.desk import ActionDesk
from pathlib import Path

desk = ActionDesk(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(4) as pool:
    found = [pool.submit(desk.turn, "talk", sys.argv[2:], TODAY) for _ in range(4)]
    print({each.result().reference for each in found})
"""


def test_threads_and_processes_that_say_yes_at_once_book_once(desk: ActionDesk, cafe: Path) -> None:
    guest = Talker(desk)
    guest.hear(WISH, "Ada")
    asked = (SAY_AT_ONCE, str(cafe), *guest.said, "yes please")
    other = forker().start(asked, program=CODE, imported=IMPORTED, has_input=True)
    assert other.stdin is not None and other.stdout.readline() == "ready\n"
    with other.stdin:
        other.stdin.write("\n")
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(desk.turn, "talk", [*guest.said, "Yes"], TODAY) for _ in range(4)]
    references = {turn.reference for turn in (each.result() for each in found) if turn}
    assert other.communicate()[0] == f"{references}\n" and len(references) == 1
    assert rows(desk, COUNT) == [(2,)]
    assert [line.result for line in desk.world.audit()] == ["done"]


def test_an_http_effect_sends_the_values_with_its_key_and_is_told_as_done(
    cafe: Path, booking_system: Callable[[Answer], BookingSystem]
) -> None:
    system = booking_system(lambda *_: 201)
    desk = ActionDesk(cafe, allow_http=[system.url], today=TODAY)
    turn = Talker(desk).hear(WISH, "Ada", "Yes")
    assert turn.kind == "done"
    [(key, body)] = system.received
    assert (body["guests"], body["holder"], body["reference"]) == (2, "Ada", turn.reference)
    lines = desk.world.audit()
    assert [(line.key, line.result) for line in lines] == [(key, "pending"), (key, "done")]


@pytest.mark.parametrize(
    ("status", "kind", "result"),
    [(409, "unknown", "unknown"), (422, "failed", "failed"), (302, "failed", "failed"),
     (500, "unknown", "unknown"), (0, "unknown", "unknown")],
)  # fmt: skip
def test_an_http_effect_that_fails_says_so_and_one_without_an_answer_too(
    cafe: Path,
    booking_system: Callable[[Answer], BookingSystem],
    status: int,
    kind: str,
    result: str,
) -> None:
    system = booking_system(lambda *_: status)
    desk = ActionDesk(cafe, allow_http=[system.url], today=TODAY)
    guest = Talker(desk)
    turn = guest.hear(WISH, "Ada", "Yes")
    assert (turn.kind, desk.world.audit()[-1].result) == (kind, result)
    assert desk.turn("talk", guest.said, TODAY) == turn and len(system.received) == 1
    assert turn.reference is None or turn.reference in turn.text


def test_an_address_where_nobody_listens_has_failed(cafe: Path) -> None:
    outside(cafe, 'http = {url = "http://127.0.0.1:9/x"}')
    desk = ActionDesk(cafe, allow_http=["http://127.0.0.1:9"], today=TODAY)
    assert Talker(desk).hear(WISH, "Ada", "Yes").kind == "failed"


def test_what_is_unknown_is_repeated_only_when_asked_and_with_its_own_key(
    cafe: Path, booking_system: Callable[[Answer], BookingSystem]
) -> None:
    def answer(system: BookingSystem, body: dict[str, object]) -> int:
        system.done.add(str(system.received[-1][0]))
        return 200 if len(system.received) > 1 else 500

    system = booking_system(answer)
    desk = ActionDesk(cafe, allow_http=[system.url], today=TODAY)
    guest = Talker(desk)
    assert guest.hear(WISH, "Ada", "Yes").kind == "unknown"
    assert guest.say("Yes") is None and len(system.received) == 1
    assert guest.hear(WISH, "Ada", "Yes").kind == "done"
    keys = [key for key, _ in system.received]
    assert len(keys) == 2 and len(set(keys)) == 1 and len(system.done) == 1


def test_who_says_yes_while_the_call_is_made_waits_for_its_end(
    cafe: Path,
    booking_system: Callable[[Answer], BookingSystem],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    received, others_wait = threading.Event(), threading.Event()

    def answer(system: BookingSystem, body: dict[str, object]) -> int:
        received.set()
        return 200 if others_wait.wait(30) else 500

    system = booking_system(answer)
    desk = ActionDesk(cafe, allow_http=[system.url], today=TODAY, timeout_s=60)
    guest, other = Talker(desk), Talker(desk)
    guest.hear(WISH, "Ada")
    other.said = list(guest.said)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda s: (others_wait.set(), sleep(s)))
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(guest.hear, "Yes")
        assert received.wait(30)
        again = pool.submit(desk.turn, "talk", [*other.said, "Yes"], TODAY)
        second = pool.submit(other.hear, "ok")
    references = {each.result().reference for each in (first, second)}
    assert again.result() == first.result() and len(references) == 1
    assert first.result().kind == second.result().kind == "done" and len(system.received) == 1


def test_one_call_more_than_may_wait_at_once_has_failed_and_others_go_on(
    cafe: Path, monkeypatch: pytest.MonkeyPatch, booking_system: Callable[[Answer], BookingSystem]
) -> None:
    monkeypatch.setattr(effects, "_calls", threading.BoundedSemaphore(1))
    received, go_on = threading.Event(), threading.Event()

    def answer(*_: object) -> int:
        received.set()
        return 200 if go_on.wait(60) else 500

    system = booking_system(answer)
    desk = ActionDesk(cafe, allow_http=[system.url], today=TODAY, timeout_s=60)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(Talker(desk, "first").hear, WISH, "Ada", "Yes")
        assert received.wait(60)
        second = Talker(desk, "second")
        assert second.hear(WISH, "Bo", "Yes").kind == "failed"
        assert "calls were waiting" in desk.world.audit()[-1].reason
        go_on.set()
        assert first.result().kind == "done"
    assert second.hear(WISH, "Bo", "Yes").kind == "done"


PROGRAM = """
import sys
from cafe_talk import TODAY, Talker
from groundup.actions.desk import ActionDesk
from pathlib import Path
guest = Talker(ActionDesk(Path(sys.argv[1]), allow_http=[sys.argv[2]]))
guest.say(*sys.argv[3:])
"""


def test_a_process_killed_in_the_middle_of_a_call_leaves_it_unknown_and_unrepeated(
    cafe: Path, booking_system: Callable[[Answer], BookingSystem]
) -> None:
    received, answered = threading.Event(), threading.Event()

    def answer(system: BookingSystem, body: dict[str, object]) -> int:
        received.set()
        answered.wait(30)
        return 0

    system = booking_system(answer)
    said = [WISH, "Ada", "Yes"]
    asked = (PROGRAM, str(cafe), system.url, *said)
    process = forker().start(asked, program=CODE, imported=IMPORTED)
    assert received.wait(60)
    process.kill()
    process.communicate()
    answered.set()
    desk = ActionDesk(cafe, allow_http=[system.url], timeout_s=-2.0)  # the call is long over
    assert [line.result for line in desk.world.audit()] == ["pending"]
    guest = Talker(desk)
    turn = guest.hear(*said)
    assert turn.kind == "unknown" and "It is not tried again by itself" in turn.text
    assert len(system.received) == 1
    assert [line.result for line in desk.world.audit()] == ["pending", "unknown"]
    assert desk.turn("talk", said, TODAY) == turn


KILLED = """
import os, signal, sys
from cafe_talk import TODAY, Talker
from groundup.actions import ledger
from groundup.actions.desk import ActionDesk
from pathlib import Path

def killed(*args):
    change_rows(*args)
    os.kill(os.getpid(), signal.SIGKILL)

change_rows, ledger.change_rows = ledger.change_rows, killed
Talker(ActionDesk(Path(sys.argv[1]))).say(*sys.argv[2:])
"""


def test_a_process_killed_when_its_rows_are_written_has_written_none(
    desk: ActionDesk, cafe: Path
) -> None:
    said = [WISH, "Ada", "Yes"]
    ended = run_forked(KILLED, cafe, *said, program=CODE, imported=IMPORTED)
    assert ended.returncode == -signal.SIGKILL
    guest = Talker(desk)
    assert rows(desk, COUNT) == [(1,)] and desk.world.audit() == []
    assert desk.turn("talk", said[:2], TODAY) == guest.hear(*said[:2])
    assert guest.hear("Yes").kind == "done" and rows(desk, COUNT) == [(2,)]


HALF_WRITTEN = """
import os, signal, sys
from groundup.actions.desk import ActionDesk
from pathlib import Path

with ActionDesk(Path(sys.argv[1])).world.writing() as database:
    database.execute("PRAGMA cache_size = 1")  # pages go to the disk before the end
    database.executemany("INSERT INTO closed VALUES (?)", [(f"{n:0500}",) for n in range(500)])
    database.execute("UPDATE bookings SET holder = 'Nobody'")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_that_was_half_written_is_as_before_for_who_reads_it_next(
    desk: ActionDesk, cafe: Path
) -> None:
    size = desk.world.file.stat().st_size
    run_forked(HALF_WRITTEN, cafe, program=CODE, imported=IMPORTED)
    assert desk.world.file.stat().st_size > size, "pages were written"
    assert desk.pending("talk", []) is None
    assert rows(desk, "SELECT holder FROM bookings") == [("Ines Warrow",)]
    assert rows(desk, "SELECT count(*) FROM closed") == [(1,)]
    assert desk.world.file.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the operator."""
    module = ModuleType("cafe_shop")
    monkeypatch.setitem(sys.modules, "cafe_shop", module)
    return module


def test_a_python_effect_gets_values_and_key_and_may_fail_or_be_late(
    cafe: Path, shop: ModuleType
) -> None:
    outside(cafe, 'python = "cafe_shop:book"')
    called: list[tuple[dict[str, object], str]] = []
    late = threading.Event()

    def book(values: dict[str, object], key: str) -> None:
        called.append((values, key))
        if values["holder"] == "Bo":
            raise ValueError("no table")
        if values["holder"] == "Cy":
            late.wait(30)

    shop.book = book  # type: ignore[attr-defined]
    desk = ActionDesk(cafe, python_modules=["cafe_shop"], today=TODAY, timeout_s=0.2)
    kinds = [Talker(desk, name).hear(WISH, name, "Yes").kind for name in ("Ada", "Bo", "Cy")]
    late.set()
    assert kinds == ["done", "failed", "unknown"]
    assert [values["guests"] for values, _ in called] == [2, 2, 2]
    assert [line.result for line in desk.world.audit()] == [
        *("pending", "done", "pending", "failed", "pending", "unknown")
    ]


@pytest.mark.parametrize(
    ("effect", "allowed", "says"),
    [
        ('http = {url = "https://a.example/x"}', {}, "sends to https://a.example/x.*--allow-address"),
        ('http = {url = "https://a.example/x"}', {"allow_http": ["https://a.example.evil"]}, "sends to"),
        ('http = {url = "https://a.example/x"}', {"allow_http": ["http://a.example"]}, "sends to"),
        ('http = {url = "https://a.example/x/../y"}', {"allow_http": ["https://a.example/x"]}, "sends to"),
        ('python = "os:remove"', {}, "calls os:remove.*--allow-module os"),
        ('python = "cafe_shop:bok"', {"python_modules": ["cafe_shop"]}, "no function 'bok'.*'book'"),
        ('python = "no_such:x"', {"python_modules": ["no_such"]}, "can't be imported"),
    ],
)  # fmt: skip
def test_what_the_operator_did_not_allow_does_not_start(
    cafe: Path, shop: ModuleType, effect: str, allowed: dict[str, list[str]], says: str
) -> None:
    shop.book = print  # type: ignore[attr-defined]
    outside(cafe, effect)
    with pytest.raises(ConfigError, match=says):
        ActionDesk(cafe, **allowed)


def test_the_operator_takes_back_what_has_a_reference(desk: ActionDesk) -> None:
    guest = Talker(desk)
    reference = guest.hear(WISH, "Ada", "Yes").reference
    assert reference is not None
    turn = desk.undo(reference)
    assert (turn.kind, turn.text) == ("undone", f"Your booking {reference} is cancelled.")
    assert rows(desk, COUNT) == [(1,)]
    with pytest.raises(ConfigError, match="was taken back already"):
        desk.undo(reference)
    with pytest.raises(ConfigError, match="Nothing that was done has the reference X2AAAA"):
        desk.undo("X2AAAA")
    assert guest.hear("undo", "Yes").kind == "undone", "the user is told, and nothing is done twice"
    assert len(desk.world.audit()) == 2


def test_a_world_stays_as_it_is_and_must_fit_its_actions(desk: ActionDesk, cafe: Path) -> None:
    Talker(desk).hear(WISH, "Ada", "Yes")
    world = cafe / "world.sql"
    world.write_text(world.read_text() + "CREATE TABLE menus (day TEXT);\n")
    assert rows(ActionDesk(cafe), COUNT) == [(2,)]
    file = cafe / "actions.toml"
    file.write_text(file.read_text().replace("SELECT 1 FROM closed", "SELECT 1 FROM menus"))
    with pytest.raises(
        FormatError, match=r"do not fit: actions.book_table.rules\[2\].*no such table: menus"
    ):
        ActionDesk(cafe)
    desk.world.file.write_bytes(b"no database" * 100)
    with pytest.raises(FormatError, match="can't be used"):
        ActionDesk(cafe)


def test_a_rule_that_cannot_be_checked_lets_nothing_pass(cafe: Path) -> None:
    file = cafe / "actions.toml"
    endless = (
        "WITH RECURSIVE r(x) AS (SELECT :guests UNION ALL SELECT x + 1 FROM r) SELECT max(x) FROM r"
    )
    file.write_text(file.read_text().replace("SELECT :guests > 8", f"{endless} WHERE :guests > 0"))
    desk = ActionDesk(cafe, today=TODAY)
    with pytest.raises(FormatError, match="takes too long"):
        Talker(desk).hear(WISH)
    assert desk.world.audit() == []


def test_old_states_and_a_conversation_that_is_to_be_forgotten_go(desk: ActionDesk) -> None:
    Talker(desk, "old").hear(WISH)
    Talker(desk, "kept").hear(WISH, "Ada", "Yes")
    with desk.world.writing() as database:
        database.execute(
            "UPDATE conversations SET at = at - 31 * 86400 WHERE conversation = ?",
            (owned_id("old"),),
        )
    Talker(desk, "new").hear(WISH)
    names = rows(desk, "SELECT DISTINCT conversation FROM conversations")
    assert {each for (each,) in names} == {owned_id("kept"), owned_id("new")}
    assert desk.forget("kept") == 3 and len(desk.world.audit()) == 1
    assert desk.forget("kept") == desk.forget("") == 0


def test_what_others_keep_under_the_same_id_is_not_forgotten(desk: ActionDesk) -> None:
    desk.turn("7", [WISH], TODAY, "ada", "site")
    assert desk.forget("7") == desk.forget("7", "ada") == desk.forget("7", "bob", "site") == 0
    assert desk.pending("7", [WISH], "ada", "site") is not None
    assert desk.forget("7", "ada", "site") == 1
    assert desk.pending("7", [WISH], "ada", "site") is None


def test_of_too_many_states_the_oldest_go(
    desk: ActionDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "MAX_STATES", 2)
    for number in range(4):
        desk.turn(str(number), [WISH], TODAY)
    assert [desk.forget(str(number)) for number in range(4)] == [0, 0, 1, 1]
