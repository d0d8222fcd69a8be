"""`groundup verify`: the hashes and sizes of all files below a path."""

from pathlib import Path
from typing import Annotated

from typer import Argument

from groundup.cli.console import print_result
from groundup.cli.options import JsonOption


def command(
    path: Annotated[
        Path, Argument(help="A build, run, checkpoint, shard set, model or export folder, or one weight file.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Check every file below PATH against the lengths and SHA-256 in the manifests there; name the first that differs.

    Of weight files without a manifest the tables of tensors are checked: all inside the file, none overlapping.

    Examples:
        groundup verify runs/quickstart
        groundup verify runs/quickstart/chat
        groundup verify model.gguf
    """
    from groundup.weights.verify import verify_path

    found = verify_path(path)
    lines = []
    if found.manifests:
        checked = f"{_count(found.files, 'file')}, {found.size_bytes / 1e6:,.1f} MB"
        lines.append(f"{path}: {checked}, as recorded in {_count(found.manifests, 'manifest')}.")
    if found.tables:
        lines.append(f"{path}: {_count(found.tables, 'weight file')} without a manifest; the tables inside hold.")
    if found.unlisted:
        lines.append(f"{_count(found.unlisted, 'other file')} in no manifest: not checked.")
    print_result(lines, {"path": str(path), **vars(found)}, as_json)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
