"""`groundup pack new`, `groundup pack check`, `groundup pack improve`: the texts from which an
assistant of an organisation is built.
"""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from groundup.cli import options
from groundup.cli.console import print_result
from groundup.cli.usage import VerbApp
from groundup.errors import ConfigError, DataError

app = VerbApp(
    "Domain packs: the texts from which `groundup build PACK` makes an assistant (docs/packs.md)."
)


@app.command("new")
def new(
    name: Annotated[str, Argument(help="The name of the pack, and of its folder.")],
    out: Annotated[
        Path | None,
        Option("--out", callback=options.folder_to_write, help="Its folder; default: NAME."),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Begin a pack: a small, complete one about an invented workshop, whose texts you replace by
    your own.

    Examples:
        groundup pack new my-firm
        groundup pack check my-firm
        groundup build my-firm
    """
    from groundup.packs.pack import new_pack

    if out is None and len(Path(name).parts) > 1:
        folder = Path(name).resolve()
        raise ConfigError(
            f"'{name}' is a path, expected a name.",
            fix=f"Write: groundup pack new {folder.name} --out {name}",
        )
    folder = out or Path(name)
    files = new_pack(name, folder)
    lines = [
        f"{folder}: {len(files)} files",
        "Write facts.toml first, then replace the texts; after each change:",
    ]
    print_result(
        [*lines, f"  groundup pack check {folder}"],
        {"folder": str(folder), "files": files},
        as_json,
    )


@app.command("check")
def check(
    pack: Annotated[
        str, Argument(metavar="PACK", help="A pack's folder, or the name of a packaged pack.")
    ],
    as_json: options.JsonOption = False,
) -> None:
    """Hold every text of a pack against its facts: file, line and reason of whatever is wrong; the
    exit code is 2 if anything is.

    Each number, price, time and name must be in facts.toml or be marked as free in pack.toml. An
    answer must stand in its document, no text may nearly repeat another, and an intent needs ten
    messages. Actions must be whole, their SQL must fit world.sql, and a rule's quotation must stand
    in its document.

    Examples:
        groundup pack check bank
        groundup pack check my-firm --json
    """
    from groundup.packs.check import check_pack
    from groundup.packs.pack import pack_folder

    checked = check_pack(pack_folder(pack))
    counts = ", ".join(f"{count:,} {part}" for part, count in checked.counts.items())
    lines = [*map(str, checked.objections), *checked.notes, f"{checked.pack.folder}: {counts}"]
    print_result(lines, checked.to_plain(), as_json)
    if checked.objections:
        count, first = f"{len(checked.objections)} objections", checked.objections[0]
        if len(checked.objections) == 1:
            count = "1 objection"
        fix = "Mend the text, put the fact into facts.toml, or mark it as free in pack.toml."
        raise DataError(f"{pack}: {count}; the first: {first}.", fix=fix)


@app.command("improve")
def improve(
    pack: Annotated[
        str, Argument(metavar="PACK", help="A pack's folder, or the name of a packaged pack.")
    ],
    feedback: Annotated[
        Path, Option("--feedback", metavar="FILE", help="What `serve --feedback FILE` wrote.")
    ] = Path("feedback.jsonl"),
    index: Annotated[
        str, Option("--index", metavar="NAME", help="Only what this index was asked; default: all.")
    ] = "",
    out: Annotated[
        Path | None,
        Option(
            "--out",
            metavar="FILE",
            callback=options.file_to_write,
            help="Write a line of JSON for each group, to be filled in.",
        ),
    ] = None,
    corrections: Annotated[
        Path | None,
        Option("--corrections", metavar="FILE", help="Write the filled-in lines into the pack."),
    ] = None,
    ask: Annotated[
        bool, Option("--ask", help="Ask for an answer to each group, and write it at once.")
    ] = False,
    html: Annotated[
        Path | None,
        Option(
            "--html", metavar="FILE", callback=options.file_to_write, help="Write a page of them."
        ),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Show what readers asked in vain, in groups, the biggest first, and which document to write or
    extend; answers become held-out questions or sentences of documents, never both.

    A question that was refused, or whose answer a reader disliked, is grouped with those that ask
    the same. A held-out question ("use": "question") measures; its answer stands in a document word
    for word, or is null: rightly refused. A sentence ("use": "document") goes into a document.
    improved.jsonl remembers both, so that what measures never teaches: docs/howto/assistant.md.

    Examples:
        groundup pack improve my-firm --feedback feedback.jsonl
        groundup pack improve my-firm --html asked.html
        groundup pack improve my-firm --ask
        groundup pack improve my-firm --out corrections.jsonl
        groundup pack improve my-firm --corrections corrections.jsonl
    """
    from groundup.cli import pack_improve
    from groundup.packs.pack import pack_folder

    folder = pack_folder(pack)
    given = {"--corrections": corrections, "--ask": ask or None, "--out": out, "--html": html}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1 and named != ["--out", "--html"]:
        fix = "Give one of them."
        raise ConfigError(f"{named[0]} and {named[1]} can't be combined.", fix=fix)
    if ask and as_json:
        raise ConfigError("--ask and --json can't be combined.", fix="Give one of them.")
    if corrections is not None:
        pack_improve.apply(folder, corrections, as_json)
    elif ask:
        pack_improve.ask(folder, feedback, index)
    else:
        pack_improve.show(folder, feedback, index, out, html, as_json)
