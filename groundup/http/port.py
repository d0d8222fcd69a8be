"""The socket that a server listens on, and, where it is taken, by whom."""

import errno
import os
import re
import socket
from pathlib import Path

from groundup.errors import ConfigError

BACKLOG = 128
_LISTENING = "0A"  # the state column of /proc/net/tcp


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises ConfigError: the name is unknown, the port taken or not ours to take."""
    family, address = _resolve(host, port)
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(address)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise _refusal(error, host, port) from error
    return made


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """IPv4 first: a client that is told "localhost" tries 127.0.0.1 in any case."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--host {host} is no name or address of this machine.", fix="Try 127.0.0.1.") from error
    first = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return first[0], (str(first[4][0]), port)


def _refusal(error: OSError, host: str, port: int) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port)
        by = f" by {holder}" if holder else ""
        return ConfigError(
            f"Port {port} of {host} is taken{by}.", fix="Name another one with --port (0 takes any that is free)."
        )
    if error.errno == errno.EACCES:
        return ConfigError(f"Port {port} may not be taken by you.", fix="Name one of 1024 or more with --port.")
    return ConfigError(f"{host}, port {port}, can't be listened on: {error.strerror}.", fix="Try --host 127.0.0.1.")


def holder_of(port: int) -> str:
    """The process that listens on a port, as "python3 (process 123)"; "" where /proc does not tell (another user's, or no Linux)."""
    inodes = _listening_inodes(port)
    for folder in Path("/proc").glob("[0-9]*/fd") if inodes else ():
        try:
            held = {os.readlink(entry) for entry in folder.iterdir()}
            name = (folder.parent / "comm").read_text().strip()
        except OSError:  # it has ended, or is another user's
            continue
        if held & inodes:
            return f"{name} (process {folder.parent.name})"
    return ""


def _listening_inodes(port: int) -> set[str]:
    """The listening sockets of a port, as /proc/PID/fd names them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in (line.split() for line in lines):
            if re.fullmatch(rf"[0-9A-F]+:{port:04X}", fields[1]) and fields[3] == _LISTENING:
                found.add(f"socket:[{fields[9]}]")
    return found
