"""The guard over ASGI: what it refuses, in which order, and that nothing leaves it bare."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from groundup.errors import ConfigError
from groundup.http.access import access_for
from groundup.http.guard import SANDBOX, Guard
from groundup.http.limits import Limits
from groundup.http.responses import RefusedError, plain_error, read_object

LOOPBACK = access_for("127.0.0.1")
ABROAD = "https://a.example"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body that it was sent."""
    message = await receive()
    assert not message["more_body"]
    headers = {"Server": "x", "Content-Security-Policy": "default-src *"}
    await Response(message["body"], headers=headers)(scope, receive, send)


async def sandboxed(scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"Content-Security-Policy": f"{SANDBOX}script-src 'unsafe-inline'"}
    await Response(b"", headers=headers)(scope, receive, send)


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(3600)


class Answer:
    """What came out of the guard."""

    def __init__(self, messages: list[Message]) -> None:
        self.status = messages[0]["status"] if messages else 0
        self.headers = (
            {name.decode(): value.decode() for name, value in messages[0]["headers"]}
            if messages
            else {}
        )
        self.body = b"".join(message.get("body", b"") for message in messages)


def ask(
    guard: Guard,
    *,
    method: str = "POST",
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    parts: list[bytes] | None = None,
    receive: Callable[[], Awaitable[Message]] | None = None,
) -> Answer:
    """One request through the guard."""
    given = headers.items() if isinstance(headers, dict) else headers or []
    named = {"host": "localhost:8765"} if "host" not in dict(given) else {}
    raw = [(name.encode(), value.encode()) for name, value in [*named.items(), *given]]
    scope = {"type": "http", "method": method, "path": "/a/b", "headers": raw}
    pending = list(parts or [b""])
    sent: list[Message] = []

    async def arriving() -> Message:
        return {"type": "http.request", "body": pending.pop(0), "more_body": bool(pending)}

    async def leaving(message: Message) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive or arriving, leaving))
    return Answer(sent)


def test_an_ordinary_request_reaches_the_app_whole() -> None:
    assert ask(Guard(echo, LOOPBACK), parts=[b"ab", b"", b"c"]).body == b"abc"


def test_every_answer_wears_the_security_headers_and_the_app_can_not_take_them_off() -> None:
    for answer in (
        ask(Guard(echo, LOOPBACK)),
        ask(Guard(echo, LOOPBACK), headers={"host": "evil.example"}),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_a_page_with_scripts_inside_is_a_sandbox_without_an_origin() -> None:
    answer = ask(Guard(sandboxed, LOOPBACK))
    policy = answer.headers["content-security-policy"]
    assert policy == f"{SANDBOX}script-src 'unsafe-inline'"
    assert "allow-same-origin" not in policy and "connect-src" not in policy
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": ""}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:3000"}, 403),
        ({"origin": "http://localhost:8765"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        (
            {
                "sec-fetch-site": "cross-site",
                "sec-fetch-mode": "navigate",
                "sec-fetch-dest": "document",
            },
            403,
        ),
        ({"upgrade": "WebSocket"}, 400),
        ([("host", "localhost"), ("host", "localhost")], 400),
        ([("origin", "http://localhost:8765"), ("origin", "null")], 400),
        ([(f"x-{n}", "") for n in range(80)], 431),
        ({"x": "a" * 20_000}, 431),
        ({"content-length": "5000000"}, 413),
        ({"content-length": "-1"}, 413),
        ({"content-length": "9" * 5000}, 413),
    ],
)
def test_what_a_post_with_these_headers_gets(headers: Any, status: int) -> None:
    answer = ask(Guard(echo, LOOPBACK), headers=headers)
    assert answer.status == status
    if status != 200:
        assert answer.headers["content-type"] == "application/json"
        assert list(json.loads(answer.body)) == ["error"]


def test_a_link_that_was_followed_is_a_page_for_the_asking() -> None:
    link = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
    }
    assert ask(Guard(echo, LOOPBACK), method="GET", headers=link).status == 200
    assert (
        ask(
            Guard(echo, LOOPBACK), method="GET", headers={**link, "sec-fetch-dest": "iframe"}
        ).status
        == 403
    )


def test_host_is_judged_before_origin_before_key_before_body() -> None:
    guard = Guard(echo, access_for("127.0.0.1", api_key="k"), Limits(body_bytes=3))
    wrong = {"host": "evil.example", "origin": ABROAD, "content-length": "4"}
    said = []
    for mended in (
        {"host": "localhost"},
        {"origin": "http://localhost"},
        {"authorization": "Bearer k"},
        {"content-length": "2"},
    ):
        said.append(ask(guard, headers=wrong).status)
        wrong |= mended
    assert [*said, ask(guard, headers=wrong, parts=[b"ab"]).status] == [403, 403, 401, 413, 200]
    assert (
        "(Host)"
        in json.loads(ask(guard, headers={"host": "evil.example", "origin": ABROAD}).body)["error"]
    )


def test_a_wrong_key_is_called_wrong_and_no_key_required() -> None:
    guard = Guard(echo, access_for("127.0.0.1", api_key="k"))
    assert b"key is required" in ask(guard, method="GET").body
    for given in ("Bearer x", "Basic eDp4", "k"):
        refused = ask(guard, method="GET", headers={"authorization": given})
        assert (
            refused.status == 401
            and b"The API key is wrong" in refused.body
            and b"required" not in refused.body
        )


def test_a_body_of_two_lengths_is_refused_and_the_connection_closed() -> None:
    both = {"content-length": "3", "Transfer-Encoding": "chunked"}
    answer = ask(Guard(echo, LOOPBACK), headers=both, parts=[b"abc"])
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert "can't be combined" in json.loads(answer.body)["error"]


def test_key_is_asked_for_in_a_way_that_a_browser_understands() -> None:
    answer = ask(Guard(echo, access_for("127.0.0.1", api_key="k")), method="GET")
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


def test_pages_of_an_allowed_origin_may_ask_first_and_read_the_answer() -> None:
    guard = Guard(echo, access_for("127.0.0.1", api_key="k", origins=[ABROAD]))
    asked = {
        "origin": ABROAD,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    first = ask(guard, method="OPTIONS", headers=asked)
    assert (first.status, first.body) == (204, b"")
    assert first.headers["access-control-allow-headers"] == "authorization"
    headers = {"origin": ABROAD, "sec-fetch-site": "cross-site", "authorization": "Bearer k"}
    then = ask(guard, headers=headers, parts=[b"x"])
    assert (then.status, then.headers["access-control-allow-origin"]) == (200, ABROAD)
    refused = ask(guard, headers={"origin": ABROAD})
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, ABROAD)


LOCAL_PAGES = (
    *(
        "http://localhost",
        "http://localhost:3000",
        "https://localhost:3000",
        "http://127.0.0.1:5173",
        "http://[::1]:80",
    ),
    *(
        "app://obsidian.md",
        "file://",
        "tauri://localhost",
        "vscode-webview://0a1b2c",
        "vscode-file://vscode-app",
    ),
)


@pytest.mark.parametrize("origin", LOCAL_PAGES)
def test_pages_of_this_machine_and_its_programs_may_call_where_that_is_meant(origin: str) -> None:
    lets_in = Guard(echo, access_for("127.0.0.1", local_pages=True))
    headers = {
        "origin": origin,
        "sec-fetch-site": "cross-site",
        "access-control-request-method": "POST",
    }
    assert ask(lets_in, method="OPTIONS", headers=headers).status == 204
    answer = ask(lets_in, headers=headers)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, origin)
    assert (
        ask(Guard(echo, LOOPBACK), headers={"host": "localhost:8765", "origin": origin}).status
        == 403
    )


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "null",
            "https://evil.example",
            "http://localhost.evil.example",
            "http://notlocalhost",
            "http://evil.localhost",
        ),
        *(
            "http://localhost:3000.evil.example",
            "http://localhost@evil.example",
            "http://127.0.0.1.evil.example:80",
        ),
        *(
            "chrome-extension://abc",
            "http://0x7f.1",
            "app:evil",
            "http://192.168.1.5",
            "http://localhost:3000/x",
        ),
    ],
)
def test_other_pages_are_refused_with_the_option_that_lets_them_in(origin: str) -> None:
    answer = ask(Guard(echo, access_for("127.0.0.1", local_pages=True)), headers={"origin": origin})
    assert answer.status == 403
    assert "--cors" in json.loads(answer.body)["error"]
    assert "access-control-allow-origin" not in answer.headers


def test_pages_of_a_listed_scheme_may_call() -> None:
    guard = Guard(
        echo, access_for("127.0.0.1", origins=["chrome-extension://", "moz-extension://one"])
    )
    said = [
        ask(guard, headers={"origin": f"{each}"}).status
        for each in ("chrome-extension://a", "moz-extension://one")
    ]
    assert [*said, ask(guard, headers={"origin": "moz-extension://two"}).status] == [200, 200, 403]
    for wrong in ("https://", "http://", "app", "://x", "https://a/b"):
        with pytest.raises(ConfigError, match="is not an origin"):
            access_for("127.0.0.1", origins=[wrong])


def test_pages_of_other_origins_may_not_even_ask() -> None:
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = ask(
        Guard(echo, access_for("127.0.0.1", origins=[ABROAD])), method="OPTIONS", headers=asked
    )
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


def test_a_body_is_refused_at_the_first_byte_too_many_and_read_no_further() -> None:
    guard, read = Guard(echo, LOOPBACK, Limits(body_bytes=1000)), 0

    async def endless() -> Message:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 300, "more_body": True}

    assert ask(guard, receive=endless).status == 413
    assert read == 4
    assert ask(guard, parts=[b"x" * 1000]).status == 200
    assert guard._held_bytes == guard._requests == 0


def test_many_large_bodies_at_once_are_bounded_together() -> None:
    guard = Guard(echo, LOOPBACK, Limits(body_bytes=1000, bodies_bytes=1500))

    async def both() -> list[int]:
        held = asyncio.Event()
        statuses: list[int] = []

        async def one(last: bool) -> None:
            sent: list[Message] = []
            parts = [b"x" * 900]

            async def receive() -> Message:
                if not parts:
                    await held.wait()
                return {
                    "type": "http.request",
                    "body": parts.pop() if parts else b"",
                    "more_body": not last and not held.is_set(),
                }

            async def send(message: Message) -> None:
                sent.append(message)

            scope = {
                "type": "http",
                "method": "POST",
                "path": "/",
                "headers": [(b"host", b"localhost")],
            }
            await guard(scope, receive, send)
            statuses.append(sent[0]["status"])
            held.set()

        await asyncio.gather(one(last=False), one(last=True))
        return statuses

    assert asyncio.run(both()) == [503, 200]


def test_a_body_that_does_not_arrive_and_an_answer_that_does_not_come_have_a_deadline() -> None:
    async def silent() -> Message:
        await asyncio.sleep(3600)
        return {}

    limits = Limits(body_s=0.05, request_s=0.05)
    assert ask(Guard(echo, LOOPBACK, limits), receive=silent).status == 408
    assert ask(Guard(never, LOOPBACK, limits)).status == 503


def test_an_answer_that_has_begun_is_cut_and_not_said_twice() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(3600)

    assert ask(Guard(slow, LOOPBACK, Limits(request_s=0.05))).status == 200


def test_a_timeout_of_the_apps_own_is_a_bug_and_not_our_deadline() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        ask(Guard(broken, LOOPBACK))


def test_requests_at_once_are_bounded() -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(str(crowded._requests))(scope, receive, send)

    crowded = Guard(inner, LOOPBACK, Limits(requests=1))
    assert ask(crowded).body == b"1"
    crowded._requests = 1
    answer = ask(crowded)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_a_client_that_hangs_up_while_sending_costs_nothing() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    guard = Guard(never, LOOPBACK)
    assert ask(guard, receive=gone).status == 0
    assert guard._requests == 0


def test_web_sockets_are_closed_unheard() -> None:
    sent: list[Message] = []

    async def leaving(message: Message) -> None:
        sent.append(message)

    async def nothing() -> Message:
        raise AssertionError("was asked")

    asyncio.run(Guard(echo, LOOPBACK)({"type": "websocket", "headers": []}, nothing, leaving))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_refusals_take_the_shape_of_the_dialect_at_their_path() -> None:
    def shaped(status: int, message: str, path: str) -> bytes:
        return json.dumps([status, path, bool(message)]).encode()

    assert json.loads(
        ask(Guard(echo, LOOPBACK, error_body=shaped), headers={"host": "x"}).body
    ) == [403, "/a/b", True]
    assert json.loads(plain_error(400, "a\nb", "/")) == {"error": "a\nb"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b'"a"',
        b"null",
        b"\xff\xfe",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": 1' + b"0" * 6000 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_refused_in_a_sentence(body: bytes) -> None:
    with pytest.raises(RefusedError, match="The body is not") as caught:
        read_object(body, Limits())
    assert caught.value.status_code == 400


@pytest.mark.parametrize("depth", [65, 1_000, 500_000])
def test_json_that_is_nested_too_deep_is_refused(depth: int) -> None:
    body = (
        b'{"a":' * (depth // 2)
        + b"[" * (depth - depth // 2)
        + b"]" * (depth - depth // 2)
        + b"}" * (depth // 2)
    )
    with pytest.raises(RefusedError, match="at most 64 levels"):
        read_object(body, Limits())


def test_json_of_the_deepest_level_that_is_taken_is_read_with_or_without_a_bom() -> None:
    body = b'{"a":' + b"[" * 63 + b"]" * 63 + b"}"
    assert read_object(body, Limits()) == read_object(b"\xef\xbb\xbf" + body, Limits())


def test_a_host_beyond_this_machine_is_no_accident() -> None:
    with pytest.raises(ConfigError):
        access_for("192.168.1.5")
