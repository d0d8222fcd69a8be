"""Errors for users: each has a message (what failed, what was expected, what was found) and a `fix`
(what to do).

The command line prints `message` and `fix` without a traceback and exits with 2; any other
exception is a bug, keeps its traceback and exits with 1.
"""

import dataclasses
import difflib
import platform
import re
import shlex
import sys
import tomllib
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin


class GroundupError(Exception):
    """An error that the user can fix. `message` is one sentence, in one line also where it quotes
    a file; `fix` says how ("" where unknown).
    """

    def __init__(self, message: str, *, fix: str = "") -> None:
        self.message = " ".join(message.splitlines())
        super().__init__(self.message)
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()

    def to_plain(self) -> dict[str, str]:
        return {**vars(self), "kind": type(self).__name__}

    @classmethod
    def from_plain(cls, plain: dict[str, str]) -> "GroundupError":
        """Return the error of `to_plain`; its class is one that this process has imported."""
        name = plain.pop("kind")
        kind = next((each for each in _kinds(cls) if each.__name__ == name), cls)
        error = kind.__new__(kind, plain["message"])
        vars(error).update(plain)
        return error


def _kinds(kind: type[GroundupError]) -> Iterator[type[GroundupError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)


def clear_variables(error: BaseException | None) -> None:
    """Of the calls that have ended with it, and with those that it followed: they keep files mapped,
    and Windows removes no such file.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


class ConfigError(GroundupError):
    """An invalid recipe, flag or configuration value."""


class DataError(GroundupError):
    """Unusable texts or labels."""


class FormatError(GroundupError):
    """An invalid file: missing, truncated, altered, with wrong sizes, or not supported.

    Every reader of foreign files raises only this class. `place` is where in `file`, `reason` what
    is wrong.
    """

    def __init__(self, file: object, place: str, reason: str, *, fix: str = "") -> None:
        fix = fix or "Get or make the file again, or name another one."
        super().__init__(f"{file}: {place}: {reason}", fix=fix)
        self.file = str(file)
        self.place = place
        self.reason = reason


class ExpansionError(FormatError):
    """An archive or compressed file that holds, or expands to, more than is allowed."""


class ModelError(GroundupError):
    """A model that is unknown, has no tokenizer where one is needed, or does not fit the
    request.
    """


class DiskError(GroundupError):
    """A write that failed for lack of space or permission. What was there before is unchanged."""


class NetworkError(GroundupError):
    """A registry or hub that can't be reached or lacks the file."""


class WorkerError(GroundupError):
    """A process that worked for this one and ended. What was done so far is kept."""


class MissingExtra(GroundupError):
    """An optional dependency that is not installed; the fix is the exact install command."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"This needs the package '{package}', which is not installed.",
            fix=f"Install it with: {install_command(extra)}",
        )


def install_command(extra: str) -> str:
    """Return the command that adds an extra to the environment that runs, for what has made that:
    pipx, `uv tool install`, uvx, `uv venv`, or anything that has pip.
    """
    environment = Path(sys.prefix)
    quote = '"' if sys.platform == "win32" else "'"
    wanted = f"{quote}groundup[{extra}]{quote}"
    if (environment / "pipx_metadata.json").is_file():
        return f"pipx runpip {environment.name} install {wanted}"
    if receipt := _text_of(environment / "uv-receipt.toml"):
        extras = ",".join(sorted({extra, *_tool_extras(receipt)}))  # what is not named is removed
        return f"uv tool install {quote}groundup[{extras}]{quote}"
    if "\nuv = " in _text_of(environment / "pyvenv.cfg"):
        if "archive-v" in environment.parent.name:  # in uv's cache: uvx
            return f"uvx --from {wanted} groundup ..."
        return f"uv pip install {wanted}"
    return f"pip install {wanted}"


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


def _tool_extras(receipt: str) -> list[str]:
    """Return the extras of groundup in a receipt of `uv tool`."""
    needed = tomllib.loads(receipt)["tool"]["requirements"]
    own = [each for each in needed if each["name"] == "groundup"]
    return [extra for each in own for extra in each.get("extras", ())]


def require_extra(extra: str, *packages: str) -> None:
    """Raise MissingExtra when one of these packages of an extra is not installed."""
    for package in packages:
        try:
            __import__(package)
        except ImportError as error:
            raise MissingExtra(package, extra) from error


def newer_library_wanted(error: ImportError | OSError) -> tuple[str, str] | None:
    """Return message and fix where a package was built for a newer C library than this system has;
    None: the import failed for another reason, or it was none.
    """
    found = re.search(r"version .GLIBC_([\d.]+)' not found \(required by (\S+)\)", str(error))
    if found is None:
        return None
    version, file = found.groups()
    package = re.split(r"/(?:site|dist)-packages/", file)[-1].split("/")[0]
    return (
        f"{package} needs the GNU C library {version} or newer; "
        f"this system has {platform.libc_ver()[1] or 'another one'}.",
        f"Use a newer system, or PyPI's {package}: pip install --force-reinstall {package}.",
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence with the closest known names, or with all of them where none is close.

    >>> did_you_mean("contxt", ["context", "width"])
    "Did you mean 'context'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    if close:
        return "Did you mean " + " or ".join(f"'{name}'" for name in close) + "?"
    return f"Known: {', '.join(names)}."


def in_command(path: object) -> str:
    """Return a path as a shell takes it in a command that is proposed.

    >>> in_command("price lists"), in_command("runs/bank")
    ("'price lists'", 'runs/bank')
    """
    return shlex.quote(str(path))


def require(holds: bool, name: str, value: object, expected: str) -> None:
    """Refuse a field's value unless `holds`: every config checks itself with this. Raises
    ConfigError.

    >>> require(0 < 2.0 <= 1, "top_p", 2.0, "above 0 and at most 1")
    Traceback (most recent call last):
    groundup.errors.ConfigError: top_p must be above 0 and at most 1 (got 2.0).
    """
    if not holds:
        raise ConfigError(f"{name} must be {expected} (got {value}).")


def require_counts(config: object, *names: str) -> None:
    """Refuse a config with one of these fields below 1 (None passes). Raises ConfigError."""
    for name in names:
        value = getattr(config, name)
        require(value is None or value >= 1, name, value, "at least 1")


def require_choices(config: Any) -> None:
    """Refuse a dataclass with a value that is none of its field's literals. Raises ConfigError."""
    for field in dataclasses.fields(config):
        if get_origin(field.type) is Literal:
            *others, last = get_args(field.type)
            value = getattr(config, field.name)
            require(value in (*others, last), field.name, value, f"{', '.join(others)} or {last}")
