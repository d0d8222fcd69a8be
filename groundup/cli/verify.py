"""`groundup verify`: the hashes and sizes of all files below a path; the citations of a saved
answer.
"""

from pathlib import Path
from typing import Annotated

from typer import Argument

from groundup.cli.console import print_result
from groundup.cli.options import JsonOption
from groundup.errors import DataError
from groundup.runs import require_place


def command(
    path: Annotated[
        Path,
        Argument(
            help="A build, run, checkpoint, shard set, model or export folder, one weight file, or a saved answer."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Check every file below PATH against the lengths and SHA-256 in the manifests there; name the
    first that differs.

    Of weight files without a manifest the tables of tensors are checked: all inside the file, none
    overlapping.

    Of an answer that `groundup ask --out` saved, each source is "as cited", "changed since",
    "gone", "not as cited" or "elsewhere" (no file on this disk, so not checked); the exit code is 2
    unless all are as cited.

    Examples:
        groundup verify runs/quickstart
        groundup verify runs/quickstart/chat
        groundup verify model.gguf
        groundup verify answer.json
    """
    from groundup.retrieve.saved import is_saved_answer
    from groundup.weights.verify import verify_path

    require_place(path, "Give an existing folder or file.")
    if is_saved_answer(path):
        _verify_answer(path, as_json)
        return
    found = verify_path(path)
    lines = []
    if found.manifests:
        checked = f"{_count(found.files, 'file')}, {found.size_bytes / 1e6:,.1f} MB"
        lines.append(f"{path}: {checked}, as recorded in {_count(found.manifests, 'manifest')}.")
    if found.tables:
        lines.append(
            f"{path}: {_count(found.tables, 'weight file')} without a manifest; the tables inside hold."
        )
    if found.unlisted:
        lines.append(f"{_count(found.unlisted, 'other file')} in no manifest: not checked.")
    print_result(lines, {"path": str(path), **vars(found)}, as_json)


def _verify_answer(path: Path, as_json: bool) -> None:
    """Raises DataError unless all sources are as cited today."""
    from groundup.retrieve.saved import AS_CITED, verify_answer

    checked = verify_answer(path)
    lines = [
        f"[{each.number}] {each.state}: {each.address}{each.detail and f' ({each.detail})'}"
        for each in checked
    ]
    print_result(
        lines or [f"{path} cites nothing."],
        {"path": str(path), "sources": [vars(each) for each in checked]},
        as_json,
    )
    differing = [each for each in checked if each.state != AS_CITED]
    if differing:
        message = f"{path}: {len(differing)} of {len(checked)} sources are not as cited; the first: {differing[0].address}, {differing[0].state}."
        raise DataError(message, fix="Update the index and ask again: groundup index --out INDEX.")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
