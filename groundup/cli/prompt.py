"""Lines that are typed or piped in, for the verbs that hold a conversation."""

import contextlib
import sys
from collections.abc import Iterator

from groundup.cli import console
from groundup.errors import ModelError

PROMPT = "you> "
LEAVING = ("/bye", "/quit", "/exit")


def lines(*, interactive: bool) -> Iterator[str]:
    """On a terminal Ctrl-C discards the line being typed."""
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    if interactive:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 (imported, it gives `input` a history and editing)
    prompt = PROMPT if interactive else ""
    while True:
        try:
            line = input(prompt).strip()
        except EOFError:
            if interactive:
                print()
            return
        except KeyboardInterrupt:
            if not interactive:
                raise
            print()
            continue
        if line:
            yield line


@contextlib.contextmanager
def tolerant(*, interactive: bool) -> Iterator[None]:
    """Ctrl-C or a ModelError ends the answer instead of the program."""
    try:
        yield
    except (KeyboardInterrupt, ModelError) as error:
        if not interactive:
            raise
        if isinstance(error, ModelError):
            say(str(error))
        else:
            print()


def say(text: str) -> None:
    """Print a remark of the verb on stderr."""
    console.say(text, "dim")
