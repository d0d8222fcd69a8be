"""Strict reading of request headers, and the security headers of every response.

The content security policy lets the page load its own files and call its own server, and nothing else: no inline script or style, nothing
from other origins, no form, no embedding in a frame. Source: CSP level 3, and the Fetch standard for CORS.
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
# Defaults that an app may override: a file that never changes can be cached.
DEFAULTS: dict[bytes, bytes] = {b"cache-control": b"no-store"}
# How long a browser may cache the response to a preflight, in seconds.
PREFLIGHT_S = 600


def read_headers(raw: Iterable[tuple[bytes, bytes]], limits: Limits) -> dict[bytes, list[bytes]]:
    """Return headers by lower-case name, each with all its values. Raises RefusedError when there are too many or they are too long."""
    found: dict[bytes, list[bytes]] = {}
    count = total = 0
    for name, value in raw:
        count, total = count + 1, total + len(name) + len(value)
        found.setdefault(name.lower(), []).append(value)
    if count > limits.headers or total > limits.header_bytes:
        raise RefusedError(
            431, f"At most {limits.headers} headers of {limits.header_bytes} bytes together are allowed."
        )
    return found


def only(headers: Mapping[bytes, list[bytes]], name: bytes) -> str:
    """Return the value of a header that may occur once, "" if missing. Raises RefusedError when it occurs twice."""
    values = headers.get(name, [])
    if len(values) > 1:
        raise RefusedError(400, f"The header {name.decode()} occurs more than once.")
    return values[0].decode("latin-1").strip() if values else ""


def secured(headers: Iterable[tuple[bytes, bytes]], allowed_origin: str) -> Headers:
    """Return an app's response headers with ours: the security headers override the app's, which overrides DEFAULTS."""
    named = [(name.lower(), value) for name, value in headers]
    names = {name for name, _ in named}
    kept = [(name, value) for name, value in named if name not in SECURITY]
    added = [(name, value) for name, value in DEFAULTS.items() if name not in names]
    return [*kept, *SECURITY.items(), *added, *cors(allowed_origin)]


def cors(allowed_origin: str) -> Headers:
    """Return the CORS headers for pages of an allowed origin; "" is none."""
    if not allowed_origin:
        return [(b"vary", b"Origin")]
    return [(b"access-control-allow-origin", allowed_origin.encode("latin-1")), (b"vary", b"Origin")]


def preflight(asked_headers: str) -> Headers:
    """Return the headers for a preflight of an allowed origin; the requested headers are granted."""
    return [
        (b"access-control-allow-methods", b"GET, HEAD, POST, DELETE"),
        (b"access-control-allow-headers", asked_headers.encode("latin-1") or b"content-type"),
        (b"access-control-max-age", str(PREFLIGHT_S).encode()),
    ]
