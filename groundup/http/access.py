"""Access rules of a server: host names (Host), origins of pages (Origin), keys.

Host: a foreign page can let its own name point to 127.0.0.1 and then read the server as its own
origin (DNS rebinding); the Host header still has that name, so only the server's own names are
accepted. Origin: any page can send a form or a simple POST; browsers send its origin.
"""

import base64
import binascii
import functools
import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from groundup.errors import ConfigError
from groundup.http.keys import (
    MIN_CHARACTERS,
    ClientKey,
    key_for,
    operator_key,
    require_different,
    require_sendable,
)

_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::(\d{1,5}))?")
_ORIGIN = re.compile(r"(https?)://([^/?#@\s]{1,300})")
# What `origins` may have: also every page of a scheme ("app://"), or one of its pages
# ("vscode-webview://0f3a").
_LISTED = re.compile(r"(?!https?://$)[a-z][a-z0-9+.-]{0,30}://[^/?#@\s]{0,300}")
# Pages that Ollama lets call by default (envconfig/config.go, AllowedOrigins): of this machine, and
# of programs that are installed here. A page of the web is in none of them: browsers give "file://"
# as "null", which is refused.
_LOCAL_PAGE = re.compile(
    r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?"
    r"|(app|file|tauri|vscode-webview|vscode-file)://[^/?#@\s]{0,300}"
)
_DEFAULT_PORT = {"http": "80", "https": "443"}
# Sec-Fetch-Site of requests that no foreign page made: the server's own page, or a typed address.
_OWN_SITE = ("", "same-origin", "none")


@dataclass(frozen=True)
class Access:
    """Access rules. Make them with `access_for`, which refuses insecure combinations."""

    loopback: bool
    """Bound to this machine alone."""
    api_key: str = field(default="", repr=False)
    """The operator's key; "": whoever connects is the operator."""
    keys: tuple[ClientKey, ...] = ()
    """Further keys, each for what it lists; only beside an operator's key."""
    hosts: frozenset[str] = frozenset()
    """Further host names of the server."""
    origins: frozenset[str] = frozenset()
    """Foreign origins that may call, exact ("https://example.org"), or a scheme ("app://")."""
    local_pages: bool = False
    """Whether pages of this machine and of installed programs may call too, as in Ollama: a server
    on another port, an editor's view.
    """
    open_paths: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Paths that pages of any site may load and that need no key, with their security headers; one
    that ends in "/" stands for all directly in it.
    """

    def admits_host(self, authority: str) -> bool:
        """Any port is accepted: it may be forwarded."""
        name = host_name(authority)
        if name is None:
            return False
        # DNS rebinding needs a name; an address can't be made to point elsewhere.
        return is_loopback(name) or name in self.hosts or (not self.loopback and is_address(name))

    def lists(self, origin: str) -> bool:
        """Whether a page of this foreign origin may call, with the operator's key where there is
        one.
        """
        scheme = origin[: origin.find("://") + 3]
        local = self.local_pages and _LOCAL_PAGE.fullmatch(origin) is not None
        return bool(origin) and (origin in self.origins or scheme in self.origins or local)

    def lists_for(self, origin: str, key: ClientKey) -> bool:
        """Whether a page of this foreign origin may call with a key: with a public one never just
        because it is a page of this machine.
        """
        if key.origins is not None:
            return origin in key.origins
        return origin in self.origins if key.public else self.lists(origin)

    def lists_for_any(self, origin: str) -> bool:
        """Whether a page of this foreign origin may call with some key: a browser asks before it
        sends one.
        """
        return self.lists(origin) or any(self.lists_for(origin, key) for key in self.keys)

    def admits_site(self, site: str, *, navigation: bool) -> bool:
        """ "cross-site" and "same-site" only as a link that a person followed."""
        return site in _OWN_SITE or navigation

    @functools.cached_property
    def operator(self) -> ClientKey:
        """The key that may do everything."""
        return operator_key(self.api_key)

    def key_of(self, authorization: str) -> ClientKey | None:
        """Return the key of a request, as Bearer or as the password of Basic (for which browsers
        prompt); None: it has none of the server's.
        """
        if not self.api_key:
            return self.operator
        return key_for((self.operator, *self.keys), _key_in(authorization))

    def open_headers(self, method: str, path: str) -> Mapping[str, str] | None:
        """Return the security headers of a path that needs no key; None: it does."""
        if method not in ("GET", "HEAD"):
            return None
        folder = path[: path.rfind("/") + 1]
        return self.open_paths.get(path) or (folder != "/" and self.open_paths.get(folder)) or None


def access_for(
    host: str,
    *,
    api_key: str | None = None,
    is_open: bool = False,
    hosts: Iterable[str] = (),
    origins: Iterable[str] | None = None,
    local_pages: bool = False,
    keys: Sequence[ClientKey] = (),
) -> Access:
    """`api_key` None: without a key. Raises ConfigError beyond loopback without a key or with one
    that could be guessed, unless `is_open`, and for a key or an origin that no client could send.
    """
    loopback = is_loopback(host)
    if api_key is not None:
        require_sendable(api_key)
    if keys and api_key is None:
        raise ConfigError(
            "Keys of clients were given and none of the operator: every request without a key "
            "could do everything.",
            fix="Give an `api_key` (or GROUNDUP_API_KEY in the environment).",
        )
    require_different((operator_key(api_key or ""), *keys))
    if not loopback and not api_key and not is_open:
        raise ConfigError(
            f"`host` {host} lets other machines connect, and no key was given.",
            fix="Give an `api_key` (or GROUNDUP_API_KEY in the environment), "
            "or `is_open` to accept every client.",
        )
    if not loopback and api_key and not is_open and len(api_key) < MIN_CHARACTERS:
        raise ConfigError(
            f"`api_key` has {len(api_key)} characters, and `host` {host} lets other machines guess "
            f"it: at least {MIN_CHARACTERS}.",
            fix="Draw one: openssl rand -hex 24",
        )
    origins = frozenset(origins or ())
    for origin in origins.union(*(key.origins or () for key in keys)):
        _require_origin(origin)
    for key in keys:
        if key.public and not (origins if key.origins is None else key.origins):
            raise ConfigError(
                f"The public key {key.name!r} is for pages of no site.",
                fix="List the sites, as `origins` https://bank.example",
            )
    names = {_required_name(name) for name in hosts}
    if not loopback:
        machine = socket.gethostname().lower()
        names |= {host.lower(), machine, f"{machine}.local"}
    return Access(loopback, api_key or "", tuple(keys), frozenset(names), origins, local_pages)


def _required_name(name: str) -> str:
    """Return a host name in lower case. Raises ConfigError for one with a scheme, port or path."""
    if host_name(name) != name.lower():
        raise ConfigError(
            f"{name[:100]!r} is not a host name.", fix="Write the name alone: assistant.example"
        )
    return name.lower()


def _require_origin(origin: str) -> None:
    """Raise ConfigError for what no browser sends as an origin."""
    fix = "Write it as browsers do: https://example.org, or a scheme: app://"
    if "*" in origin:
        raise ConfigError(
            f"{origin!r} has a *: origins are compared whole.",
            fix="List each, as `origins` https://a.example",
        )
    web = _ORIGIN.fullmatch(origin)
    if not _LISTED.fullmatch(origin) or (web and host_name(web[2]) is None):
        raise ConfigError(f"{origin!r} is not an origin.", fix=fix)


def host_name(authority: str) -> str | None:
    """Return the name or address in a Host header, in lower case and without the port; None when it
    is invalid.

    >>> host_name("LocalHost:8765"), host_name("[::1]:8765"), host_name("a b")
    ('localhost', '::1', None)
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return None
    return (match[1] or match[2]).lower().removesuffix(".")


def is_loopback(name: str) -> bool:
    """Whatever DNS says (RFC 6761: "localhost" and its subdomains)."""
    if name.lower() == "localhost" or name.lower().endswith(".localhost"):
        return True
    return is_address(name) and ipaddress.ip_address(name).is_loopback


def is_address(name: str) -> bool:
    """Whether `name` is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_same_origin(origin: str, authority: str) -> bool:
    """Whether `origin` has the host and port of this Host header. The scheme's default port may be
    left out.

    >>> is_same_origin("http://localhost:80", "localhost")
    True
    >>> is_same_origin("http://localhost:3000", "localhost:8765")
    False
    """
    match = _ORIGIN.fullmatch(origin)
    if not match:
        return False
    port = _DEFAULT_PORT[match[1]]
    return _with_port(match[2], port) == _with_port(authority, port)


def _with_port(authority: str, port: str) -> tuple[str | None, str]:
    match = _AUTHORITY.fullmatch(authority)
    if match and match[3]:
        port = match[3]
    return host_name(authority), port


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
