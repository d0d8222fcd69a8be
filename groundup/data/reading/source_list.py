"""The sources that a command names: addresses, or a .toml file with a table for each, as in a
recipe.

[[data.sources]]
spec = "hf:roneneldan/TinyStories"
name = "stories"
licence = "CDLA-Sharing-1.0"
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from groundup.config import build_config, read_toml
from groundup.data.reading.source_files import Source
from groundup.errors import ConfigError

EXAMPLE = (
    "A table for each: [[data.sources]] spec = 'my-texts', name = 'letters', licence = 'my own'."
)


def read_sources(specs: Sequence[str], *, follow_links: bool = False) -> tuple[Source, ...]:
    """Return the sources of a command's arguments. Raises ConfigError (a file without tables of
    sources, a name given twice).

    >>> [source.spec for source in read_sources(["letters/", "hf:roneneldan/TinyStories"])]
    ['letters/', 'hf:roneneldan/TinyStories']
    """
    found: list[Source] = []
    for spec in specs:
        if spec.endswith(".toml"):
            found += _read_list(Path(spec))
        else:
            found.append(Source(spec))
    require_distinct_names(found)
    return tuple(
        replace(source, follow_links=source.follow_links or follow_links) for source in found
    )


def require_distinct_names(sources: Sequence[Source]) -> None:
    """Raise ConfigError when two sources have the same name, or one is named twice."""
    names = [source.title for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"Two sources have the name {name!r}.",
                fix="Name each source once, or give each its own name.",
            )


def _read_list(file: Path) -> list[Source]:
    """Return the sources of a file."""
    values = read_toml(file)
    data = values.get("data")
    if not isinstance(data, dict):
        data = {}
    tables: Any = data.get("sources")
    is_list = isinstance(tables, list) and bool(tables)
    if not is_list or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{file} names no sources.", fix=EXAMPLE)
    others = [name for name in values if name != "data"]
    others += [f"data.{name}" for name in data if name != "sources"]
    if others:
        raise ConfigError(
            f"{file} has more than sources: {', '.join(others)}.",
            fix="`groundup build` reads recipes; here only the tables of sources are read. "
            "Leave the others out.",
        )
    return [
        build_config(Source, table, where=f"data.sources.{place}.")
        for place, table in enumerate(tables)
    ]
