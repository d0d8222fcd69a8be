"""`groundup verify`: the hashes and sizes of all files below a path, and their signatures; the
citations of a saved answer.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import JsonOption
from groundup.errors import ConfigError, DataError
from groundup.runs import require_place

if TYPE_CHECKING:
    from groundup.weights.signing import ChainLink


def command(
    path: Annotated[
        Path,
        Argument(
            help="A build, run, checkpoint, shard set, model or export folder, one weight file, or a saved answer."
        ),
    ],
    key: Annotated[
        Path | None,
        Option(
            "--key", metavar="PUB", help="Also check the signatures with this public key (PEM)."
        ),
    ] = None,
    after: Annotated[
        Path | None,
        Option("--after", metavar="RUN", help="The signed folder that PATH goes on from."),
    ] = None,
    rebuild: Annotated[
        bool,
        Option("--rebuild", help="Also make the build again, beside it, and compare every file."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check every file below PATH against the lengths and SHA-256 in the manifests there; name the
    first that differs.

    With --key every link of what `groundup sign` signed is checked, too: its bytes, that none is
    added or missing, and that it names the signature of the link before.

    With --rebuild a build is made again from its recipe and texts in a temporary folder, with the
    numbers that were measured for it, until a file differs: the first stage and file that do are
    named. The same bytes are promised for one built with --fixed-choices, on the same instruction
    set with the same packages and number of threads; what differs of these is said.

    Of weight files without a manifest the tables of tensors are checked: all inside the file, none
    overlapping.

    Of an answer that `groundup ask --out` saved, each source is "as cited", "changed since",
    "gone", "not as cited" or "elsewhere" (no file on this disk, so not checked); the exit code is 2
    unless all are as cited.

    Examples:
        groundup verify runs/quickstart
        groundup verify runs/quickstart/chat
        groundup verify runs/quickstart --key pub.pem
        groundup verify runs/quickstart --rebuild
        groundup verify model.gguf
        groundup verify answer.json
    """
    from groundup.retrieve.saved import is_saved_answer
    from groundup.weights.signing import verify_chain, verifying_config
    from groundup.weights.verify import verify_path

    require_place(path, "Give an existing folder or file.")
    if after and not key:
        raise ConfigError("--after is for signatures.", fix="Give the public key, too: --key PUB.")
    if is_saved_answer(path) and not key:
        _verify_answer(path, as_json)
        return
    if after:
        require_place(after, "Give --after a signed folder.")
    if key:
        verifying_config(key)
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
    values: dict[str, Any] = {"path": str(path), **vars(found)}
    if key:
        links = verify_chain(path, key, after=after, progress=console_progress())
        lines.append(f"Signed with this key, each naming the one before: {chain_text(links)}.")
        if links[0].before and not after:
            lines.append(
                f"It goes on from {links[0].before}, which is not here (the SHA-256 of its signature: "
                f"{links[0].before_sha256})."
            )
        values["links"] = [vars(link) for link in links]
    made = None
    if rebuild:
        from groundup.recipes.builds.rebuild import rebuild_lines, rebuild_recorded

        made = rebuild_recorded(path, console_progress())
        lines += rebuild_lines(path, made)
        values["rebuilt"] = asdict(made)
    print_result(lines, values, as_json)
    if made is not None and not made.same:
        raise DataError(
            f"{path}: {made.file} of the stage {made.stage} is not the same when it is made again.",
            fix="See what differs: the report's chapter Reproduction, and the notes above.",
        )


def chain_text(links: "Sequence[ChainLink]") -> str:
    """Return the names of links in their order."""
    return " -> ".join(link.name for link in links)


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
