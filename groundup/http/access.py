"""Who may call a server of ours: by which name (Host), from which page (Origin), with which key. Values in, a yes or a refusal out.

Host: a page of elsewhere can let its own name point to 127.0.0.1 and then reads us as its own origin (DNS rebinding); its name still stands in
the Host header, so only names that are ours are answered. Origin: any page may send us a form or a simple POST; browsers say from where.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from groundup.errors import ConfigError

_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::(\d{1,5}))?")
_ORIGIN = re.compile(r"(https?)://([^/?#@\s]{1,300})")
# What `--cors` takes: also every page of a scheme ("app://"), or one of its pages ("vscode-webview://0f3a").
_LISTED = re.compile(r"(?!https?://$)[a-z][a-z0-9+.-]{0,30}://[^/?#@\s]{0,300}")
# Pages that Ollama lets call by default (envconfig/config.go, AllowedOrigins): of this machine, and of programs that are installed here. A page of
# the web is in none of them: browsers give "file://" as "null", which is refused.
_LOCAL_PAGE = re.compile(
    r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?|(app|file|tauri|vscode-webview|vscode-file)://[^/?#@\s]{0,300}"
)
_DEFAULT_PORT = {"http": "80", "https": "443"}
# What a browser says of requests that no page of elsewhere made: our own page, or a person who typed the address.
_OWN_SITE = ("", "same-origin", "none")


@dataclass(frozen=True)
class Access:
    """Who is let in. Make it with `access_for`, which refuses what would leave the door open by mistake."""

    loopback: bool
    """Bound to this machine alone."""
    api_key: str = ""
    """What each request must bring; "" is none."""
    hosts: frozenset[str] = frozenset()
    """Names, beside the obvious ones, by which the server may be called."""
    origins: frozenset[str] = frozenset()
    """Pages of elsewhere that may call: "https://example.org", whole and exact, or a scheme: "app://"."""
    local_pages: bool = False
    """Whether pages of this machine and of its programs may, too, as Ollama's may: a server on another port, an editor's view."""

    def admits_host(self, authority: str) -> bool:
        """May the server be called by this Host header? Another port is let through: it may be forwarded."""
        name = host_name(authority)
        if name is None:
            return False
        if is_loopback(name) or name in self.hosts:
            return True
        return not self.loopback and is_address(
            name
        )  # rebinding needs a name; an address can't be made to point elsewhere

    def admits_origin(self, origin: str, authority: str) -> bool:
        """May a page of this origin call? Our own may, and those listed."""
        return self.lists(origin) or is_same_origin(origin, authority)

    def lists(self, origin: str) -> bool:
        """May a page of this origin call although it is not ours?"""
        scheme = origin[: origin.find("://") + 3]
        return bool(origin) and (
            origin in self.origins
            or scheme in self.origins
            or (self.local_pages and _LOCAL_PAGE.fullmatch(origin) is not None)
        )

    def admits_site(self, site: str, *, navigation: bool) -> bool:
        """May a request come that the browser calls "cross-site" or "same-site" (Sec-Fetch-Site)? Only as a link that a person followed."""
        return site in _OWN_SITE or navigation

    def admits_key(self, authorization: str) -> bool:
        """Does this Authorization header bring the key, as Bearer, or as the password of Basic (which a browser asks for by itself)?"""
        return not self.api_key or _equal(_key_in(authorization), self.api_key.encode())


def access_for(
    host: str,
    *,
    api_key: str = "",
    is_open: bool = False,
    hosts: Iterable[str] = (),
    origins: Iterable[str] = (),
    local_pages: bool = False,
) -> Access:
    """The access of a server bound to `host`. Raises ConfigError beyond loopback without a key, unless `is_open` says that this is meant."""
    loopback = is_loopback(host)
    if not loopback and not api_key and not is_open:
        raise ConfigError(
            f"--host {host} lets other machines in, and no key was given.",
            fix="Add --api-key KEY (or GROUNDUP_API_KEY in the environment), or --open to let anyone in.",
        )
    for origin in origins:
        if not _LISTED.fullmatch(origin):
            raise ConfigError(
                f"{origin!r} is no origin.", fix="Write it as a browser does: https://example.org, or a scheme: app://"
            )
    machine = socket.gethostname().lower()
    own = () if loopback else (host.lower(), machine, f"{machine}.local")
    names = frozenset(name.lower() for name in (*hosts, *own))
    return Access(loopback, api_key, names, frozenset(origins), local_pages)


def host_name(authority: str) -> str | None:
    """The name or address in a Host header, in lower case and without its port; None when it is none.

    >>> host_name("LocalHost:8765"), host_name("[::1]:8765"), host_name("a b")
    ('localhost', '::1', None)
    """
    match = _AUTHORITY.fullmatch(authority)
    return (match[1] or match[2]).lower().removesuffix(".") if match else None


def is_loopback(name: str) -> bool:
    """Does this name or address mean this machine alone, whatever a name server says? (RFC 6761: "localhost" and names below it.)"""
    if name.lower() == "localhost" or name.lower().endswith(".localhost"):
        return True
    return is_address(name) and ipaddress.ip_address(name).is_loopback


def is_address(name: str) -> bool:
    """Is it an IP address?"""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_same_origin(origin: str, authority: str) -> bool:
    """Is `origin` the page that this Host header names? A port that the scheme implies may be left out.

    >>> is_same_origin("http://localhost:80", "localhost"), is_same_origin("http://localhost:3000", "localhost:8765")
    (True, False)
    """
    match = _ORIGIN.fullmatch(origin)
    if not match:
        return False
    port = _DEFAULT_PORT[match[1]]
    return _with_port(match[2], port) == _with_port(authority, port)


def _with_port(authority: str, port: str) -> tuple[str | None, str]:
    match = _AUTHORITY.fullmatch(authority)
    return host_name(authority), (match[3] if match and match[3] else port)


def _key_in(authorization: str) -> bytes:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("latin-1")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def _equal(given: bytes, expected: bytes) -> bool:
    """In a time that tells neither where they differ nor how long they are."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())
