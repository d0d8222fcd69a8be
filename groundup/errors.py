"""Errors that speak to users: each has a message (what failed, expected, got) and a `fix` (what to do).

The command line prints `message` and `fix` without a traceback and exits with 2; any other exception is a bug,
keeps its traceback and exits with 1. Parts raise the most precise class; callers outside rarely need more than
`GroundupError`.
"""

import difflib
from collections.abc import Iterable


class GroundupError(Exception):
    """Something the user can mend. `message` is one sentence; `fix` says what to do about it ("" where nothing can be said)."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()


class ConfigError(GroundupError):
    """A recipe, flag or configuration value that can't be used."""


class DataError(GroundupError):
    """Texts or labels from which the work can't be done."""


class FormatError(GroundupError):
    """A file that is not what it claims to be: truncated, altered, lying about its sizes, or not understood.

    The one class that every reader of foreign files raises. `file` is the file, `place` where in it, `reason` what is wrong.
    """

    FIX = "Get or make the file again, or name another one."

    def __init__(self, file: object, place: str, reason: str, *, fix: str = "") -> None:
        super().__init__(f"{file}: {place}: {reason}", fix=fix or self.FIX)
        self.file = str(file)
        self.place = place
        self.reason = reason


class ModelError(GroundupError):
    """A model that is unknown, has no tokenizer where one is needed, or does not fit the request."""


class DiskError(GroundupError):
    """No room, or no right, to write. What was there before is untouched."""


class NetworkError(GroundupError):
    """A registry or hub that could not be reached, and what was looked for there."""


class MissingExtra(GroundupError):
    """An optional dependency that is not installed; the fix is the exact install command."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"This needs the package '{package}', which is not installed.",
            fix=f"Install it with: pip install 'groundup[{extra}]'",
        )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence with the nearest known names, or with all of them where none is near.

    >>> did_you_mean("contxt", ["context", "width"])
    "Did you mean 'context'?"
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    if near:
        return "Did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
    return f"Known: {', '.join(names)}."
