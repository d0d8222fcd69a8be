"""`groundup connect`: the lines of configuration with which another program uses a server of ours,
from that program's own documentation.
"""

import http.client
import json
import shlex
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from typer import Argument, Option

from groundup.cli.console import print_result
from groundup.cli.options import JsonOption
from groundup.errors import ConfigError

URL = "http://127.0.0.1:11434"  # where `groundup serve` listens by default
WAIT_S = 5.0
MAX_BYTES = 2**20
PLACEHOLDER = "MODEL"


@dataclass(frozen=True)
class Program:
    """A program that can use the server."""

    lines: Callable[[str, str], list[str]]
    """The lines, of the server's address and a model."""
    file: str
    """The file that they belong in; "": they are typed in a shell."""
    source: str
    """The documentation that they are from."""


def _llm(url: str, model: str) -> list[str]:
    name = shlex.quote(f"ollama/{model}")
    return [
        "llm install llm-ollama",
        f"export OLLAMA_HOST={shlex.quote(url)}",
        f"llm -m {name} 'Hello'",
    ]


def _continue(url: str, model: str) -> list[str]:
    """JSON strings are YAML, too; a name such as 1.5 stays a text."""
    return [
        "name: groundup",
        "version: 0.0.1",
        "schema: v1",
        "models:",
        f"  - name: {json.dumps(model)}",
        "    provider: ollama",
        f"    model: {json.dumps(model)}",
        f"    apiBase: {json.dumps(url)}",
    ]


def _open_webui(url: str, model: str) -> list[str]:
    return ["pip install open-webui", f"OLLAMA_BASE_URL={shlex.quote(url)} open-webui serve"]


def _aider(url: str, model: str) -> list[str]:
    return [
        f"export OLLAMA_API_BASE={shlex.quote(url)}",
        f"aider --model {shlex.quote(f'ollama_chat/{model}')}",
    ]


PROGRAMS = {
    "llm": Program(_llm, "", "https://github.com/taketwo/llm-ollama"),
    "continue": Program(
        _continue,
        "~/.continue/config.yaml",
        "https://docs.continue.dev/customize/model-providers/top-level/ollama",
    ),
    "open-webui": Program(_open_webui, "", "https://github.com/open-webui/open-webui"),
    "aider": Program(_aider, "", "https://aider.chat/docs/llms/ollama.html"),
}


def command(
    name: Annotated[str, Argument(metavar="PROGRAM", help=f"One of: {', '.join(PROGRAMS)}.")],
    url: Annotated[
        str, Option("--url", help="Address of the running server, as `groundup serve` printed it.")
    ] = URL,
    as_json: JsonOption = False,
) -> None:
    """Print the lines with which another program uses a running `groundup serve`.

    They name the server's first chat model. If no server answers, they have a placeholder instead.
    Nothing is written.

    Examples:
        groundup connect llm
        groundup connect continue
        groundup connect aider --url http://127.0.0.1:8080
    """
    if name not in PROGRAMS:
        raise ConfigError(
            f"connect knows no program '{name}'.", fix=f"It knows {', '.join(PROGRAMS)}."
        )
    program, url = PROGRAMS[name], address_of(url)
    model, note = first_chat_model(url)
    lines = program.lines(url, model or PLACEHOLDER)
    result: dict[str, Any] = {
        "program": name,
        "url": url,
        "model": model,
        "note": note,
        "file": program.file,
    }
    result |= {"lines": lines, "source": program.source}
    print_result(_text_lines(program, lines, note), result, as_json)


def _text_lines(program: Program, lines: list[str], note: str) -> Iterator[str]:
    if note:
        yield f"# {note}"
    yield f"# {program.file or 'In a terminal'}; from {program.source}"
    yield from lines


def address_of(url: str) -> str:
    """Return the server's address without a path. Raises ConfigError.

    >>> address_of("127.0.0.1:8080"), address_of("http://localhost:11434/v1/")
    ('http://127.0.0.1:8080', 'http://localhost:11434')
    """
    given = url
    if "://" not in url:
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not url.isprintable() or " " in url:
        raise ConfigError(
            f"--url {given[:100]!r} is not the address of a server.",
            fix=f"Write one such as {URL}.",
        )
    return f"{parts.scheme}://{parts.netloc}"


def first_chat_model(url: str) -> tuple[str, str]:
    """Without ":latest", and a note; without one "" and why."""
    try:
        with urllib.request.urlopen(f"{url}/v1/models", timeout=WAIT_S) as response:
            entries = json.loads(response.read(MAX_BYTES))["data"]
            names = [
                (str(each["id"]).removesuffix(":latest"), each.get("kind", "chat"))
                for each in entries
            ]
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            note = f"The server at {url} wants its key; give it to the program, too."
            return "", f"{note} Put a model's name for {PLACEHOLDER}."
        return "", _no_list(url, f"answered {error.code}")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return "", _no_list(
            url, f"can't be reached ({getattr(reason, 'strerror', None) or reason})"
        )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return "", _no_list(url, "answered something else than a list of models")
    chats = [name for name, kind in names if kind in ("assistant", "chat") and name.isprintable()]
    if not chats:
        note = f"The server at {url} has no chat model."
        return "", f"{note} Put the name of another one for {PLACEHOLDER}."
    if not chats[1:]:
        return chats[0], ""
    return chats[0], f"The server has {chats[0]}. Others: {', '.join(chats[1:8])}."


def _no_list(url: str, why: str) -> str:
    return f"{url} {why}; is `groundup serve` running? Put a model's name for {PLACEHOLDER}."
