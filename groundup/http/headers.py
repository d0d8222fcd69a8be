"""Headers that come in, read once and strictly; headers that go out with every answer of every server of ours.

The content security policy lets a page of ours load its own files and talk to its own server, and nothing else: no script or style in the
page itself, nothing from elsewhere, no form, no frame around it. Source: CSP level 3, and the Fetch standard for CORS.
"""

from collections.abc import Iterable, Mapping

from groundup.http.limits import Limits
from groundup.http.responses import Headers, RefusedError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY: dict[bytes, bytes] = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
# An app may say otherwise: a file that never changes can be kept.
UNLESS_SAID: dict[bytes, bytes] = {b"cache-control": b"no-store"}
# How long a browser may remember the answer to a preflight, in seconds.
PREFLIGHT_S = 600


def read_headers(raw: Iterable[tuple[bytes, bytes]], limits: Limits) -> dict[bytes, list[bytes]]:
    """Headers by lower-case name, each with all its values. Raises Refused when there are too many or they are too long."""
    found: dict[bytes, list[bytes]] = {}
    count = total = 0
    for name, value in raw:
        count, total = count + 1, total + len(name) + len(value)
        found.setdefault(name.lower(), []).append(value)
    if count > limits.headers or total > limits.header_bytes:
        raise RefusedError(431, f"At most {limits.headers} headers of {limits.header_bytes} bytes together are taken.")
    return found


def only(headers: Mapping[bytes, list[bytes]], name: bytes) -> str:
    """The value of a header that may be there once, "" where it is not there. Raises Refused when it is there twice."""
    values = headers.get(name, [])
    if len(values) > 1:
        raise RefusedError(400, f"The header {name.decode()} is there more than once.")
    return values[0].decode("latin-1").strip() if values else ""


def secured(headers: Iterable[tuple[bytes, bytes]], allowed_origin: str) -> Headers:
    """An answer's headers with ours: the security headers win over the app's own, `cache-control` gives way to it."""
    named = [(name.lower(), value) for name, value in headers]
    said = {name for name, _ in named}
    kept = [(name, value) for name, value in named if name not in SECURITY]
    added = [(name, value) for name, value in UNLESS_SAID.items() if name not in said]
    return [*kept, *SECURITY.items(), *added, *cors(allowed_origin)]


def cors(allowed_origin: str) -> Headers:
    """What lets pages of an allowed origin read the answer; "" is none."""
    if not allowed_origin:
        return [(b"vary", b"Origin")]
    return [(b"access-control-allow-origin", allowed_origin.encode("latin-1")), (b"vary", b"Origin")]


def preflight(asked_headers: str) -> Headers:
    """The answer to a browser that asks before a request of an allowed origin; what it asks for is granted."""
    return [
        (b"access-control-allow-methods", b"GET, HEAD, POST, DELETE"),
        (b"access-control-allow-headers", asked_headers.encode("latin-1") or b"content-type"),
        (b"access-control-max-age", str(PREFLIGHT_S).encode()),
    ]
