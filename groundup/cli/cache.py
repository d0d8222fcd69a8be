"""`groundup cache`: what is kept to be used again, and its removal."""

import time
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from groundup.cache import PREPARED_DATA, CacheEntry, entries, remove, to_remove
from groundup.cli.console import print_result, table
from groundup.cli.options import JsonOption
from groundup.config import size_bytes
from groundup.errors import ConfigError
from groundup.files import cache_folder
from groundup.runs import require_place


def command(
    runs: Annotated[
        list[Path] | None,
        Argument(help="Runs, or folders with runs: their prepared data and features, too."),
    ] = None,
    limit: Annotated[
        str, Option("--limit", metavar="SIZE", help="Keep at most this much: 5GB, 300MB, 0.")
    ] = "",
    prune: Annotated[
        bool, Option("--prune", help="Remove what is above --limit, the longest unused first.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List what is kept to be used again: downloads, models, measurements; of runs their prepared
    data and features.

    With --limit it says what --prune would remove. What a running command uses is never removed;
    what is removed is fetched or made again when it is needed. The cache is $GROUNDUP_CACHE, by
    default ~/.cache/groundup.

    Examples:
        groundup cache
        groundup cache runs/ --limit 5GB
        groundup cache --limit 5GB --prune
        groundup cache --limit 0 --prune --json
    """
    if prune and not limit:
        raise ConfigError(
            "--prune needs a limit.",
            fix="Give --limit 5GB, or --limit 0 for all that is not in use.",
        )
    for run in runs or ():
        require_place(run, "Give the folder of a run, or one with runs in it.")
    found, limit_bytes = entries(runs or ()), size_bytes(limit) if limit else None
    chosen = [] if limit_bytes is None else to_remove(found, limit_bytes)
    removed = []
    if prune:
        from groundup.data.preparation.trained_on import keep_trained_on

        for entry in chosen:
            if entry.kind == PREPARED_DATA:  # `evaluate` leaves out what runs were trained on
                keep_trained_on(entry.path.parent)
        removed = remove(chosen)
    left = sum(entry.num_bytes for entry in found) - sum(entry.num_bytes for entry in removed)
    result = {
        "folder": str(cache_folder()),
        "entries": [
            {
                **vars(entry),
                "path": str(entry.path),
                "last_used": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.last_used)),
                "chosen": entry in chosen,
                "removed": entry in removed,
            }
            for entry in found
        ],
        "bytes": left,
    }
    print_result(_lines(found, chosen, removed, limit_bytes), result, as_json)


def _lines(
    found: list[CacheEntry],
    chosen: list[CacheEntry],
    removed: list[CacheEntry],
    limit_bytes: int | None,
) -> list[str]:
    marks = dict.fromkeys(map(id, chosen), "to remove") | dict.fromkeys(map(id, removed), "removed")
    rows = [
        [
            entry.kind,
            entry.name,
            f"{entry.num_bytes / 1e6:,.1f} MB",
            _ago(entry.last_used),
            marks.get(id(entry), "in use" if entry.in_use else ""),
        ]
        for entry in found
    ]
    total = sum(entry.num_bytes for entry in found)
    lines = [*table(["what", "name", "size", "last used", ""], rows), ""] if rows else []
    lines.append(f"{cache_folder()}: {len(found)} entries, {total / 1e6:,.1f} MB.")
    freed = sum(entry.num_bytes for entry in removed)
    if removed:
        lines.append(f"Removed {len(removed)} entries, {freed / 1e6:,.1f} MB.")
    elif chosen:
        freed = sum(entry.num_bytes for entry in chosen)
        lines.append(f"--prune would remove {len(chosen)} of them, {freed / 1e6:,.1f} MB.")
    left = total - freed
    if limit_bytes is not None and left > limit_bytes:
        lines.append(
            f"{left / 1e6:,.1f} MB are in use, more than the limit of {limit_bytes / 1e6:,.1f} MB."
        )
    return lines


def _ago(then: float) -> str:
    """Return a time as "today" or "12 days ago"."""
    days = int(max(0.0, time.time() - then) // 86400)
    return "today" if days == 0 else "yesterday" if days == 1 else f"{days} days ago"
