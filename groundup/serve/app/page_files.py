"""The files of the page, with the messages of every language (`language/messages.py`) written into
those that show some: messages.js the labels of the assistant's page, embed.js the button of another
site, embed.html what a browser without scripts shows.
"""

import json
from collections.abc import Mapping
from functools import cache
from html import escape

from groundup.http.page import MEDIA_TYPES, page_files
from groundup.language.messages import catalog, languages, message

SCRIPT, FRAME, MESSAGES = "embed.js", "embed.html", "messages.js"
# What stands in the files in the place of messages.
_IN_SCRIPT, _IN_FRAME = b"/* messages */ {}", b"<!-- messages -->"


@cache
def served_files() -> Mapping[str, tuple[str, bytes]]:
    """The files by name: (media type, bytes)."""
    files = dict(page_files("groundup.serve"))
    written = f"export const MESSAGES = {_json_of('page').decode()};\n"
    files[MESSAGES] = (MEDIA_TYPES[".js"], written.encode())
    for name, mark, text in (
        (SCRIPT, _IN_SCRIPT, _json_of("embed")),
        (FRAME, _IN_FRAME, _without_scripts()),
    ):
        kind, content = files[name]
        assert content.count(mark) == 1, name
        files[name] = kind, content.replace(mark, text)
    return files


def _json_of(section: str) -> bytes:
    found = {code: catalog(code)[section] for code in languages()}
    return json.dumps(found, separators=(",", ":")).encode()


def _without_scripts() -> bytes:
    said = ((code, message(code, "embed", "needs_script")) for code in languages())
    lines = (f'<p class="problem" lang="{code}">{escape(text)}</p>' for code, text in said)
    return "".join(lines).encode()
