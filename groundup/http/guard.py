"""The middleware of every server, around every route: checks Host, Origin, key, body and deadline,
in that order.

Pure ASGI. The body is counted while it arrives, refused at the first byte too many, and read
completely before the app is called, so that an app never waits for a slow client. Endless headers
and too many connections are handled in `run_server.py`.

The content security policy lets the page load its own files and call its own server, and nothing
else. Source: CSP level 3, and the Fetch standard for CORS.

Requests a minute of a key and of an address: the generic cell rate algorithm (ITU-T I.371, as
virtual scheduling), one number for each count, the time at which its minute would be empty again,
in place of a list of requests. A full minute may come at once, then one request each 60 s / rate.
"""

import asyncio
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundup.http.access import Access, is_same_origin
from groundup.http.keys import ClientKey
from groundup.http.limits import Limits
from groundup.http.responses import ErrorBody, RefusedError, plain_error

MINUTE_S = 60.0
# Of addresses that are remembered, some 10 MB; beyond, the one that was seen least recently is
# forgotten.
MAX_COUNTS = 50_000
# What one household or phone is given of IPv6.
IPV6_PREFIX = 64
POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1
NO_KEY = "An API key is required: Authorization: Bearer KEY."
WRONG_KEY = (
    "The API key is wrong: it is none that the server was started with "
    "(--api-key or GROUNDUP_API_KEY, --keys, --public-key)."
)
NOT_FROM_A_PAGE = "A public key is for web pages: this request is of none (Origin)."
CHALLENGE = {"www-authenticate": 'Basic realm="groundup", charset="UTF-8"'}
# To a wrong key of a program or script: a browser asks nobody for a password.
WRONG_BEARER = {"www-authenticate": 'Bearer realm="groundup"'}
CLOSING = {"connection": "close"}
AGAIN_SOON = {"retry-after": "1"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# Of a page that also compiles WebAssembly.
COMPILING = POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
# What the policy begins with of a page that an app serves with scripts inside.
SANDBOX = "sandbox allow-scripts allow-downloads; default-src 'none'; "
SECURITY = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# Where the app finds in its scope the key of a request: a `ClientKey`, or None for an open path.
KEY = "groundup.key"
# How long a browser may cache the response to a preflight, in seconds.
PREFLIGHT_S = 600


class Rates:
    """Counts of the keys and addresses of now. `clock`: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_until: OrderedDict[tuple[str, str], float] = OrderedDict()

    def wait_s(self, key: ClientKey, address: str) -> int:
        """Count a request, and return 0; or count nothing, and return after how many seconds it may
        be sent again.
        """
        rates = {
            (key.name, ""): key.requests_per_minute,
            (key.name, network_of(address)): key.requests_per_minute_and_address,
        }
        steps = {count: MINUTE_S / rate for count, rate in rates.items() if rate is not None}
        now = self._clock()
        after = {
            count: max(now, self._full_until.get(count, now)) + step
            for count, step in steps.items()
        }
        wait = max((time - now - MINUTE_S for time in after.values()), default=0.0)
        if wait > 1e-6:
            return math.ceil(wait)
        for count, until in after.items():
            self._full_until[count] = until
            self._full_until.move_to_end(count)
        while len(self._full_until) > MAX_COUNTS:
            self._full_until.popitem(last=False)
        return 0


def network_of(address: str) -> str:
    """Return what is counted as one client: an IPv4 address, or an IPv6 network of 64 bits.

    >>> network_of("192.0.2.7"), network_of("2001:db8::1:2"), network_of("a unix socket")
    ('192.0.2.7', '2001:db8::', 'a unix socket')
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), IPV6_PREFIX), strict=False).network_address)
    return str(found)


class Guard:
    """It passes on what is allowed. `error_body` makes the bodies of its errors."""

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        limits: Limits | None = None,
        *,
        error_body: ErrorBody = plain_error,
        rates: Rates | None = None,
    ) -> None:
        self.app = app
        self.access = access
        self.limits = limits or Limits()
        self.error_body = error_body
        self.rates = rates or Rates()
        self._requests = 0
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, read, pass on; refusals are answered here."""
        visit = _Visit(send)
        self._requests += 1
        try:
            headers = self._read_headers(scope)
            if not self.access.admits_host(only(headers, "host")):
                raise RefusedError(403, "This server does not have that host name (Host).")
            open_headers = self.access.open_headers(scope["method"], scope["path"])
            key = None
            if open_headers is not None:
                visit.security = open_headers
            else:
                visit.origin = self._admit(scope["method"], headers)
                if visit.origin and scope["method"] == "OPTIONS":
                    asked = only(headers, "access-control-request-headers")
                    answer = Response(status_code=204, headers=preflight(asked))
                    await answer(scope, receive, visit.send)
                    return
                key = self._key(scope, visit, headers)
            if self._requests > self.limits.requests:
                raise RefusedError(503, "Too many requests at once.", AGAIN_SOON)
            await self._pass_on({**scope, KEY: key}, receive, visit, headers)
        except RefusedError as refused:
            await self._refuse(refused, scope, receive, visit)
        except asyncio.CancelledError:  # only the end of the server cancels a request
            await self._refuse(
                RefusedError(503, "The server is shutting down."), scope, receive, visit
            )
        finally:
            self._requests -= 1
            self._held_bytes -= visit.held_bytes

    async def _refuse(
        self, refused: RefusedError, scope: Scope, receive: Receive, visit: "_Visit"
    ) -> None:
        """A response that has begun is cut off instead, since an error would be read as its end."""
        if not visit.started:
            body = self.error_body(refused.status_code, refused.detail, scope["path"])
            response = Response(body, refused.status_code, refused.headers, "application/json")
            await response(scope, receive, visit.send)

    def _read_headers(self, scope: Scope) -> Headers:
        """Raises RefusedError when they are too many or too long, or give the body two lengths."""
        raw = [(name.lower(), value) for name, value in scope["headers"]]
        count, total = self.limits.headers, self.limits.header_bytes
        if len(raw) > count or sum(len(name) + len(value) for name, value in raw) > total:
            raise RefusedError(
                431, f"At most {count} headers of {total} bytes together are allowed."
            )
        names = {name for name, _ in raw}
        if {b"content-length", b"transfer-encoding"} <= names:  # RFC 9112, 6.1: smuggling
            raise RefusedError(
                400, "Content-Length and Transfer-Encoding can't be combined.", CLOSING
            )
        return Headers(raw=raw)

    def _admit(self, method: str, headers: Headers) -> str:
        """Return the foreign origin that may read the response, or "". Raises RefusedError."""
        authority, origin = only(headers, "host"), only(headers, "origin")
        if only(headers, "upgrade").lower() == "websocket":
            raise RefusedError(400, "WebSockets are not supported.")
        if is_same_origin(origin, authority):
            origin = ""
        elif origin and not self.access.lists_for_any(origin):
            problem = "Pages of other origins may not call this server (Origin)."
            if self.access.local_pages:
                problem += " --cors ORIGIN allows one when the server is started."
            raise RefusedError(403, problem)
        if origin:
            return origin
        followed = (
            only(headers, "sec-fetch-mode") == "navigate"
            and only(headers, "sec-fetch-dest") == "document"
        )
        navigation = followed and method in ("GET", "HEAD")
        if not self.access.admits_site(only(headers, "sec-fetch-site"), navigation=navigation):
            raise RefusedError(
                403, "Pages of other origins may not call this server (Sec-Fetch-Site)."
            )
        return ""

    def _key(self, scope: Scope, visit: "_Visit", headers: Headers) -> ClientKey:
        """Return the key of a request, and count it. Raises RefusedError."""
        authorization = only(headers, "authorization")
        key = self.access.key_of(authorization)
        if key is None:
            by_program = authorization.lower().startswith("bearer ")
            challenge = WRONG_BEARER if by_program else CHALLENGE
            raise RefusedError(401, WRONG_KEY if authorization else NO_KEY, challenge)
        if visit.origin and not self.access.lists_for(visit.origin, key):
            visit.origin = ""
            raise RefusedError(403, "Pages of this origin may not call with this key (Origin).")
        own_page = "origin" in headers or only(headers, "sec-fetch-site") == "same-origin"
        if key.public and not own_page:
            raise RefusedError(403, NOT_FROM_A_PAGE)
        client, *_ = scope.get("client") or ("-",)
        wait_s = self.rates.wait_s(key, str(client))
        if wait_s:
            problem = f"Too many requests: try again in {wait_s} s."
            raise RefusedError(429, problem, {"retry-after": str(wait_s)})
        return key

    async def _pass_on(
        self, scope: Scope, receive: Receive, visit: "_Visit", headers: Headers
    ) -> None:
        """Each within its deadline. Raises RefusedError."""
        declared = only(headers, "content-length")
        if declared and (not declared.isdecimal() or int(declared[:20]) > self.limits.body_bytes):
            raise self._too_large()
        try:
            async with asyncio.timeout(self.limits.body_s):
                body = await self._read_body(receive, visit)
        except TimeoutError:
            raise RefusedError(
                408, f"The body did not arrive within {self.limits.body_s:g} s."
            ) from None
        if body is None:  # the client disconnected
            return
        try:
            async with asyncio.timeout(self.limits.request_s) as deadline:
                await self.app(scope, _replay(body, receive), visit.send)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise RefusedError(
                503, f"The answer took longer than {self.limits.request_s:g} s."
            ) from None

    async def _read_body(self, receive: Receive, visit: "_Visit") -> bytes | None:
        """None: the client disconnected. Raises RefusedError at the first byte too many."""
        parts: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            visit.held_bytes += len(part)
            self._held_bytes += len(part)
            if visit.held_bytes > self.limits.body_bytes:
                raise self._too_large()
            if self._held_bytes > self.limits.bodies_bytes:
                raise RefusedError(503, "Too many large requests at once.", AGAIN_SOON)
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> RefusedError:
        return RefusedError(
            413, f"The body is too large: at most {self.limits.body_bytes:,} bytes are allowed."
        )


class _Visit:
    """The state of one request: bytes of its body in memory, allowed foreign origin, security
    headers, whether the response has begun.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.origin = ""
        self.security: Mapping[str, str] = SECURITY
        self.held_bytes = 0
        self.started = False

    async def send(self, message: Message) -> None:
        """Send, with the security headers."""
        if message["type"] == "http.response.start":
            self.started = True
            raw = secure(message.get("headers", []), self.origin, self.security)
            message = {**message, "headers": raw}
        await self._send(message)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body in one message, then further messages of the connection."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        if pending:
            return pending.pop()
        return await receive()

    return receive_again


def only(headers: Headers, name: str) -> str:
    """ "" if missing. Raises RefusedError when it occurs twice."""
    values = headers.getlist(name)
    if len(values) > 1:
        raise RefusedError(400, f"The header {name} occurs more than once.")
    return values[0].strip() if values else ""


def secure(
    raw: Iterable[tuple[bytes, bytes]],
    allowed_origin: str,
    security: Mapping[str, str] = SECURITY,
) -> list[tuple[bytes, bytes]]:
    """Ours override the app's; with those for pages of an allowed origin, "" is none."""
    headers = MutableHeaders(raw=[(name.lower(), value) for name, value in raw])
    # an app may override it: a file that never changes can be cached
    headers.setdefault("cache-control", "no-store")
    policy = headers.get("content-security-policy", "")
    headers.update(security)
    # a page in a sandbox has no origin, so it can't ask this server anything
    if policy.startswith(SANDBOX) or policy == COMPILING:
        headers["content-security-policy"] = policy
    if allowed_origin:
        headers["access-control-allow-origin"] = allowed_origin
    headers.append("vary", "Origin")
    return headers.raw


def preflight(asked_headers: str) -> dict[str, str]:
    """The requested headers are granted."""
    return {
        "access-control-allow-methods": "GET, HEAD, POST, DELETE",
        "access-control-allow-headers": asked_headers or "content-type",
        "access-control-max-age": str(PREFLIGHT_S),
    }
