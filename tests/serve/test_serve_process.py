"""The guard around a real server process: what a hostile or careless client meets on the wire."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., tuple[str, "subprocess.Popen[str]"]]
SHORT = json.dumps(
    {
        "body_bytes": 100_000,
        "headers_s": 0.6,
        "body_s": 0.6,
        "linger_s": 0.4,
        "request_s": 0.8,
        "idle_s": 1,
        "connections": 12,
    }
)
HANG_S = 120  # what has not happened by then will not happen: the server's own limits are below two seconds
REQUEST = b"POST /length HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def port(start_server: Start) -> int:
    """A server with short deadlines."""
    return port_of(start_server(SHORT)[0])


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def connect(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=HANG_S)
    made.settimeout(HANG_S)
    return made


def until_closed(connection: socket.socket) -> bytes:
    """What arrives before the other side closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def exchange(port: int, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send raw bytes that end with `Connection: close`, and read status, headers, body."""
    with connect(port) as connection:
        connection.sendall(raw)
        return parsed(until_closed(connection))


def parsed(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body


def get(port: int, path: str, *headers: str, method: str = "GET", host: str = "localhost") -> Any:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    return exchange(port, ("\r\n".join(lines) + "\r\n\r\n").encode())


@pytest.mark.parametrize("path", ["/length", "/static/guarded_app.py", "/no/such/page", "/bug"])
def test_every_route_is_guarded_files_too(port: int, path: str) -> None:
    assert get(port, path, host="evil.example")[0] == 403
    assert get(port, path, "Origin: https://evil.example")[0] == 403
    assert get(port, path, "Sec-Fetch-Site: cross-site")[0] == 403
    status, headers, _ = get(port, path)
    assert status == {"/no/such/page": 404, "/bug": 500}.get(path, 200)
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "server" not in headers


def test_head_options_and_strange_methods_are_answered_in_order(port: int) -> None:
    status, _, body = get(port, "/length", method="HEAD")
    assert (status, body) == (200, b"")
    assert get(port, "/length", method="OPTIONS")[0] == 405
    assert get(port, "/length", method="BREW")[0] == 405
    assert get(port, "/length", method="HEAD", host="evil.example")[0] == 403


def test_a_bug_is_one_sentence_without_a_path(port: int) -> None:
    status, headers, body = get(port, "/bug")
    assert (status, headers["content-type"]) == (500, "application/json")
    assert b"/" not in body
    assert json.loads(body) == {"error": "Internal server error; the server's log has the details."}


def test_web_sockets_are_refused(port: int) -> None:
    asked = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    with connect(port) as connection:
        connection.sendall(
            (
                "GET /length HTTP/1.1\r\nHost: localhost\r\n" + "\r\n".join(asked) + "\r\n\r\n"
            ).encode()
        )
        assert parsed(until_closed(connection))[0] == 400


def test_a_request_with_two_lengths_is_refused_and_what_follows_on_the_connection_is_not_read(
    port: int,
) -> None:
    second = b"GET /length HTTP/1.1\r\nHost: localhost\r\n\r\n"
    both = REQUEST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second
    with connect(port) as connection:
        connection.sendall(both)
        answer = until_closed(connection)
    assert parsed(answer)[0] == 400 and answer.count(b"HTTP/1.1") == 1


def test_a_declared_body_that_is_too_large_is_refused_before_it_is_sent(port: int) -> None:
    assert (
        exchange(port, REQUEST + b"Content-Length: 100001\r\nConnection: close\r\n\r\n")[0] == 413
    )


def test_a_streamed_body_that_is_too_large_is_refused_while_it_comes(port: int) -> None:
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    with connect(port) as connection:
        connection.sendall(REQUEST + b"Transfer-Encoding: chunked\r\n\r\n")
        connection.sendall(chunk * 11)
        assert parsed(connection.recv(65536))[0] == 413
        assert is_closed(connection, chunk)


def is_closed(connection: socket.socket, trickle: bytes) -> bool:
    """Whether the other side closes while a little is sent again and again."""
    ends_s = time.monotonic() + HANG_S
    connection.settimeout(0.05)
    while time.monotonic() < ends_s:
        try:
            connection.sendall(trickle)
            if connection.recv(65536) == b"":
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


def test_a_body_shorter_than_it_says_is_not_waited_for(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(REQUEST + b"Content-Length: 50\r\n\r\nshort")
        status, _, body = parsed(until_closed(connection))
    assert status == 408
    assert b"0.6 s" in body


def test_a_body_longer_than_it_says_is_cut_there_and_the_rest_is_no_request(port: int) -> None:
    answer = b""
    with connect(port) as connection:
        connection.sendall(REQUEST + b"Content-Length: 5\r\n\r\nshort and then some\r\n\r\n")
        answer = until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'{"length":5}' in answer
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 400" in answer


def test_headers_that_never_end_close_the_connection(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(b"GET /length HTTP/1.1\r\nHost: localhost\r\n")
        assert is_closed(connection, b"X-Slow: 1\r\n")


def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    with connect(port) as connection:
        assert until_closed(connection) == b""


def test_a_body_that_trickles_is_answered_and_closed(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(REQUEST + b"Content-Length: 90000\r\n\r\n")
        assert is_closed(connection, b"x")


def test_a_connection_can_be_used_again_and_is_closed_when_idle(port: int) -> None:
    with connect(port) as connection:
        for _ in range(3):
            connection.sendall(REQUEST + b"Content-Length: 2\r\n\r\nab")
            answer = b""
            while not answer.endswith(b'{"length":2}'):
                part = connection.recv(65536)
                assert part, "closed in the middle of an answer"
                answer += part
        assert until_closed(connection) == b""


def test_headers_without_measure_are_refused(port: int) -> None:
    assert get(port, "/length", "X: " + "a" * 40_000)[0] in (400, 431)
    assert get(port, "/length", *[f"X-{n}: 1" for n in range(100)])[0] == 431


def test_an_answer_that_takes_too_long_is_given_up(port: int) -> None:
    assert get(port, "/forever")[0] == 503


NO_REQUESTS = (
    b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"G" * 70_000,
)


@pytest.mark.parametrize("raw", NO_REQUESTS)
def test_what_is_no_request_ends_the_connection_and_not_the_server(port: int, raw: bytes) -> None:
    with connect(port) as connection:
        connection.sendall(raw)
        answer = until_closed(connection)
    assert answer == b"" or b" 400 " in answer.split(b"\r\n")[0]
    assert get(port, "/length")[0] == 200


def test_connections_beyond_the_limit_are_closed_and_room_comes_back(port: int) -> None:
    held = [connect(port) for _ in range(12)]
    with connect(port) as one_more:
        one_more.sendall(REQUEST + b"\r\n")
        assert until_closed(one_more) == b""
    for connection in held:
        connection.close()
    ends_s = time.monotonic() + HANG_S
    while not is_answered(port):
        assert time.monotonic() < ends_s


def is_answered(port: int) -> bool:
    with connect(port) as connection:
        connection.sendall(b"GET /length HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return until_closed(connection).startswith(b"HTTP/1.1 200")


def test_deep_json_is_a_sentence(port: int) -> None:
    body = b'{"a":' + b"[" * 40_000 + b"]" * 40_000 + b"}"
    raw = (
        b"POST /keys HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        % len(body)
    )
    status, _, answer = exchange(port, raw + body)
    assert (status, b"nested too deep" in answer) == (400, True)


def test_without_its_key_a_server_shows_nothing(start_server: Start) -> None:
    port = port_of(start_server(key="open sesame")[0])
    for path in ("/length", "/static/guarded_app.py", "/no/such/page"):
        assert get(port, path)[0] == 401
        assert get(port, path, "Authorization: Bearer wrong")[0] == 401
    assert get(port, "/static/guarded_app.py", "Authorization: Bearer open sesame")[0] == 200


SIGNAL_IN_A_FINALIZER = """
import os, signal, weakref
from starlette.applications import Starlette
from groundup.http.access import access_for
from groundup.http.guard import Guard
from groundup.http.limits import Limits
from groundup.http.run_server import run_server

class Thing: pass

def ended(_):
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000): pass

def announce(address):
    thing = Thing()
    reference = weakref.ref(thing, ended)
    del thing

guard = Guard(Starlette(), access_for("127.0.0.1"), Limits(shutdown_s=0.1))
run_server(guard, "127.0.0.1", 0, announce=announce)
"""


def test_a_port_that_is_taken_is_named_with_its_holder(start_server: Start) -> None:
    address, holder = start_server()
    _, second = start_server(port=port_of(address))
    assert (
        second.wait(HANG_S) == 1
    )  # this process has no command line around it that would make it 2
    assert second.stderr is not None
    said = second.stderr.read().splitlines()[-1]
    assert f"Port {port_of(address)} of 127.0.0.1 is taken by" in said
    assert str(holder.pid) in said
    assert "`port`" in said


def test_sigterm_ends_it_in_time_though_a_thread_is_at_work(start_server: Start) -> None:
    address, process = start_server(json.dumps({"shutdown_s": 1}))
    with connect(port_of(address)) as connection:
        connection.sendall(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.3)
        process.terminate()
        assert process.wait(HANG_S) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, -signal.SIGINT)])
def test_a_signal_ends_it_cleanly_though_a_request_hangs(
    start_server: Start, number: int, code: int
) -> None:
    address, process = start_server(json.dumps({"shutdown_s": 1}))
    with connect(port_of(address)) as connection:
        connection.sendall(b"GET /forever HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2)
        os.kill(process.pid, number)
        assert (
            process.wait(HANG_S) == code
        )  # Python itself ends by the signal after KeyboardInterrupt; the command line makes it 130


def test_a_signal_within_a_finalizer_before_it_runs_ends_it() -> None:
    """Python only reports what is raised there, so the handler's exception alone would be lost."""
    process = subprocess.run(
        [sys.executable, "-c", SIGNAL_IN_A_FINALIZER],
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    assert process.returncode == 0, process.stderr
    assert "Exception ignored" in process.stderr


def test_localhost_and_ipv6_are_addresses_to_listen_on(start_server: Start) -> None:
    address, _ = start_server(host="localhost")
    assert get(port_of(address), "/length")[0] == 200
    assert address.startswith("http://localhost:")
