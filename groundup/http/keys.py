"""Keys of a server's clients: the operator's, which may do everything, and further ones, each for
the models, indexes and assistants that it lists. A file of keys is TOML or JSON, a table for each
key by its name:

    [clinic-desk]
    sha256 = "9f86d0..."                    # of the key; or key = "..."
    models = ["clinic:chat"]                # "*": all
    assistants = ["clinic"]                 # each with its index
    indexes = ["handbook"]
    requests_per_minute = 60

    [bank-site]
    key = "pk-..."
    public = true                           # anyone may read it, in the source of a web page
    assistants = ["bank"]
    origins = ["https://bank.example"]      # whose pages may use it; else those of --cors

A public key may ask its assistants and open the passages of their answers, and nothing else.
"""

import hashlib
import hmac
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.config import build_config, read_toml
from groundup.errors import ConfigError, FormatError
from groundup.files import read_json, safe_name
from groundup.operating_system import IS_WINDOWS, belongs_to_another

ALL = "*"
MAX_KEYS = 256
# A key of a file: 16 characters of 64 are 96 bits.
MIN_CHARACTERS = 16
SCRYPT = {"n": 2**14, "r": 8, "p": 1}  # 16 MiB
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Of a public key, where its table says nothing: a quotation takes the server about 50 ms, and the
# visitors of one office have one address.
PUBLIC_PER_MINUTE, PUBLIC_PER_MINUTE_AND_ADDRESS = 300, 60
_PRIVATE = "The keys in it would be everyone's. Let yourself alone read it: chmod 600"


@dataclass(frozen=True)
class ClientKey:
    """A key, and what it may use. It checks itself (ConfigError)."""

    name: str
    sha256: str = field(default="", repr=False)
    """Of the key, as 64 hexadecimal digits."""
    public: bool = False
    models: frozenset[str] = frozenset()
    indexes: frozenset[str] = frozenset()
    assistants: frozenset[str] = frozenset()
    origins: frozenset[str] | None = None
    """Whose pages may use it; None: those that the server lists."""
    requests_per_minute: int | None = None
    """Of all clients with this key; None: no limit, of a public key `PUBLIC_PER_MINUTE`."""
    requests_per_minute_and_address: int | None = None
    """Of one client address."""

    def __post_init__(self) -> None:
        problem, fix = self._problem()
        if problem:
            raise ConfigError(f"The key {self.name!r} {problem}.", fix=fix)
        if self.public:
            rates = (self.requests_per_minute, self.requests_per_minute_and_address)
            every, each = rates[0] or PUBLIC_PER_MINUTE, rates[1] or PUBLIC_PER_MINUTE_AND_ADDRESS
            object.__setattr__(self, "requests_per_minute", every)
            object.__setattr__(self, "requests_per_minute_and_address", min(each, every))

    def _problem(self) -> tuple[str, str]:
        rates = (self.requests_per_minute, self.requests_per_minute_and_address)
        if not _SHA256.fullmatch(self.sha256):
            return "has no `key`, and no `sha256` of 64 hexadecimal digits", (
                "Write one of them: printf %s KEY | sha256sum"
            )
        if any(rate is not None and rate < 1 for rate in rates):
            return "allows less than one request a minute", "Write 1 or more, or leave it out."
        if self.public and (self.models or self.indexes):
            return "is public and lists models or indexes", "A public key has `assistants` only."
        if self.public and ALL in self.assistants:
            return "is public and for all assistants", "Name those that anyone may ask."
        if not (self.models or self.indexes or self.assistants):
            return "may use nothing", "List `models`, `indexes` or `assistants`."
        return "", ""

    def is_of(self, digest: bytes) -> bool:
        """Whether a SHA-256 is this key's, in constant time."""
        return hmac.compare_digest(digest, bytes.fromhex(self.sha256))


def operator_key(api_key: str) -> ClientKey:
    """Return the key that may do everything."""
    every = frozenset([ALL])
    return ClientKey("", _sha256(api_key), models=every, indexes=every, assistants=every)


def read_keys(file: Path) -> tuple[ClientKey, ...]:
    """Read a file of keys. Raises ConfigError, FormatError: readable by others, not TOML or JSON,
    too many, an unknown field, a key that is blank or short.
    """
    _require_private(file)
    entries = read_json(file) if file.suffix == ".json" else read_toml(file)
    tables = isinstance(entries, dict) and all(isinstance(each, dict) for each in entries.values())
    if not tables or not 0 < len(entries) <= MAX_KEYS:
        raise FormatError(
            file,
            "keys",
            f"are not 1 to {MAX_KEYS} tables, one a key",
            fix='Write each as [NAME] with `key` or `sha256`, and `assistants = ["..."]`.',
        )
    keys = tuple(_key_of(file, name, entry) for name, entry in entries.items())
    require_different(keys)
    return keys


def _require_private(file: Path) -> None:
    """Raise ConfigError for a file that other users may read or write, or that is another's."""
    try:
        found = os.stat(file)
    except OSError as error:
        raise ConfigError(f"--keys {file} can't be read: {error.strerror}.") from error
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"--keys {file} is not a file.", fix="Name a TOML or JSON file.")
    if IS_WINDOWS:  # its lists of rights are not read
        return
    if belongs_to_another(found):
        raise ConfigError(f"--keys {file} belongs to another user.", fix=f"{_PRIVATE} {file}")
    if stat.S_IMODE(found.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"--keys {file} can be read by other users.", fix=f"{_PRIVATE} {file}")


def _key_of(file: Path, name: str, entry: dict[str, Any]) -> ClientKey:
    entry = dict(entry)
    key = entry.pop("key", None)
    try:
        safe_name(name)
        if key is not None:
            if "sha256" in entry:
                raise ConfigError(f"The key {name!r} has both `key` and `sha256`.")
            entry["sha256"] = _sha256(_long_enough(name, key))
        return build_config(ClientKey, {**entry, "name": name}, where=f"{name}.")
    except ConfigError as error:
        raise FormatError(file, name, error.message, fix=error.fix) from error


def _long_enough(name: str, key: Any) -> str:
    if not isinstance(key, str) or len(key) < MIN_CHARACTERS:
        raise ConfigError(
            f"The key {name!r} has fewer than {MIN_CHARACTERS} characters: it could be guessed.",
            fix="Make one: openssl rand -hex 24",
        )
    require_sendable(key)
    return key


def require_sendable(key: str) -> None:
    """Raise ConfigError for a key that no client can send."""
    problem = ""
    if not key.strip():
        problem = "is blank"
    elif key != key.strip() or not key.isprintable():
        problem = "begins or ends with a blank, or has a control character"
    if problem:
        raise ConfigError(
            f"The API key {problem}: no client can send it.",
            fix="Give a key of letters, digits and signs.",
        )


def require_different(keys: Sequence[ClientKey]) -> None:
    """Raise ConfigError where two are the same key, or have one name."""
    known: dict[str, ClientKey] = {}
    for each in keys:
        for mark in (f"name {each.name}", each.sha256):
            if mark in known:
                raise ConfigError(
                    f"The keys {known[mark].name!r} and {each.name!r} are the same.",
                    fix="Give each a name and a key of its own.",
                )
            known[mark] = each


def public_keys(given: Sequence[str], api_key: str) -> dict[str, str]:
    """Return assistant -> key of each --public-key: ASSISTANT=KEY, or ASSISTANT, whose key is
    derived from the operator's, so that it stays the same. Whoever reads it may guess at that one
    offline, so a short one is refused, and each guess costs some 50 ms (scrypt, RFC 7914).

    Raises ConfigError.

    >>> public_keys(["bank=pk-0123456789abcdef"], "")
    {'bank': 'pk-0123456789abcdef'}
    """
    found: dict[str, str] = {}
    for name, equals, key in (each.partition("=") for each in given):
        if name in found:
            raise ConfigError(
                f"--public-key names {name!r} twice.", fix="Several keys stand in --keys FILE."
            )
        if not equals:
            key = _derived(api_key, name)
        found[name] = _long_enough(f"--public-key {name}", key)
    return found


def _derived(api_key: str, name: str) -> str:
    """Raises ConfigError for an operator's key that could be guessed."""
    if len(api_key) < MIN_CHARACTERS:
        raise ConfigError(
            f"--public-key {name} is derived from the operator's key, and that has fewer than "
            f"{MIN_CHARACTERS} characters, so whoever reads the one could guess the other.",
            fix=f"Give a longer --api-key, or a key of its own: --public-key {name}=KEY",
        )
    salt = f"groundup public key {name}".encode()
    return f"pk-{hashlib.scrypt(api_key.encode(), salt=salt, dklen=16, **SCRYPT).hex()}"


def public_key_of(assistant: str, key: str) -> ClientKey:
    """Return the key of an assistant's --public-key."""
    return ClientKey(
        f"public-{assistant}", _sha256(key), public=True, assistants=frozenset([assistant])
    )


def key_for(keys: Sequence[ClientKey], given: bytes) -> ClientKey | None:
    """Return which of the keys was sent; all are compared, in constant time."""
    digest, found = hashlib.sha256(given).digest(), None
    for key in keys:
        if key.is_of(digest):
            found = key
    return found


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
