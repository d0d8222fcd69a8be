"""`groundup tokenizer train | show`: learn a tokenizer from texts, and look at what one does to a text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import FollowLinksOption, JsonOption, OutOption
from groundup.errors import ConfigError
from groundup.files import MANIFEST, atomic_folder
from groundup.palette import LIGHT, PIECES

if TYPE_CHECKING:
    from groundup.data.source_report import SourceReport
    from groundup.tokenizer.fast import Tokenizer

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


@app.callback()
def group() -> None:
    """Learn a tokenizer from texts, and look at what one does to a text."""


@app.command()
def train(
    source: Annotated[str, typer.Argument(help="A folder, file or glob of .txt .md .jsonl .csv .parquet.")],
    out: OutOption,
    vocab_size: Annotated[int, typer.Option("--vocab-size", help="Ids, control tokens among them.")] = 4096,
    text_column: Annotated[str, typer.Option("--text-column", help="Field or column with the text.")] = "text",
    strict: Annotated[bool, typer.Option("--strict", help="The first bad line ends the work.")] = False,
    follow_links: FollowLinksOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a byte-level BPE tokenizer with the Llama 3 split and a ChatML template; transformers opens the folder.

    Examples:

        groundup tokenizer train my-texts/ --out my-tokenizer

        groundup tokenizer train "notes/*.md" --out my-tokenizer --vocab-size 8192

        groundup tokenizer train messages.csv --text-column body --out my-tokenizer
    """
    from groundup.data.source_report import SourceReport
    from groundup.data.sources import Source, SourceOptions, read_source
    from groundup.tokenizer.fast import train_tokenizer

    _require_replaceable(out)
    progress, report = console_progress(), SourceReport()
    options = SourceOptions(text_column=text_column, strict=strict)
    documents = read_source(Source(source, follow_links=follow_links), options, report, progress=progress)
    tokenizer = train_tokenizer((document.text for document in documents), vocab_size, progress=progress)
    with atomic_folder(out) as folder:
        tokenizer.save(folder)
    print_result(_train_lines(tokenizer, report, out), _train_value(tokenizer, report, out), as_json)


def _require_replaceable(out: Path) -> None:
    """Training again replaces a tokenizer, but never a folder with anything else in it. Raises ConfigError."""
    from groundup.tokenizer.fast import CONFIG_FILE, TOKENIZER_FILE

    ours = {CONFIG_FILE, TOKENIZER_FILE, MANIFEST}
    other = [] if not out.exists() else [out.name] if not out.is_dir() else [path.name for path in out.iterdir()]
    foreign = sorted(set(other) - ours)
    if foreign:
        raise ConfigError(
            f"{out} holds {foreign[0]!r}, which is no part of a tokenizer.", fix="Name a new folder with --out."
        )


def _train_value(tokenizer: "Tokenizer", report: "SourceReport", out: Path) -> dict[str, Any]:
    return {
        "folder": str(out),
        "vocab_size": tokenizer.vocab_size,
        "merges": len(tokenizer.table.merges),
        "control_tokens": dict(tokenizer.special.tokens),
        "fingerprint": tokenizer.fingerprint,
        "documents": report.documents,
        "characters": report.characters,
        "bad_lines": report.bad_lines.count,
        "invalid_bytes": report.invalid_bytes,
    }


def _train_lines(tokenizer: "Tokenizer", report: "SourceReport", out: Path) -> list[str]:
    lines = [
        f"{out}: {tokenizer.vocab_size:,} ids from {report.documents:,} documents, {report.characters:,} characters.",
        f'Look at it: groundup tokenizer show {out} "any text"',
    ]
    if report.bad_lines.count:
        bad = report.bad_lines
        lines.insert(1, f"{bad.count:,} of {report.lines:,} lines could not be used (first: {bad.examples[0]}).")
    if report.invalid_bytes:
        lines.insert(1, f"{report.invalid_bytes:,} bytes were not UTF-8 and became U+FFFD.")
    return lines


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="A tokenizer's folder, or a model: name, folder, .gguf or build.")],
    text: Annotated[str, typer.Argument(help="The text to cut into tokens.")],
    as_json: JsonOption = False,
) -> None:
    """Show the tokens of a text, each with its id. Nothing in the text becomes a control token.

    A space is shown as a dot, a line end as an arrow, and a part of a character as its bytes.

    Examples:

        groundup tokenizer show my-tokenizer "It's 12345 o'clock"

        groundup tokenizer show smollm2-135m-instruct "Hello" --json
    """
    tokenizer = open_tokenizer(model)
    pieces = [(id, tokenizer.token_bytes(id)) for id in tokenizer.encode(text)]
    if as_json:
        tokens = [{"id": id, "text": visible(piece), "bytes": list(piece)} for id, piece in pieces]
        print_result([], {"vocab_size": tokenizer.vocab_size, "tokens": tokens}, as_json)
    else:
        _print_coloured(pieces)


def open_tokenizer(name: str) -> "Tokenizer":
    """The tokenizer of a folder, or of whatever is a model. Raises FormatError, ModelError, NetworkError."""
    from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer

    if (Path(name) / TOKENIZER_FILE).is_file():
        return Tokenizer.load(Path(name))
    # Only now: finding a model by name imports torch.
    from groundup.weights.formats import reader_of
    from groundup.weights.model_format import require_tokenizer
    from groundup.weights.model_io import find_model

    path = find_model(name, progress=console_progress())
    return require_tokenizer(reader_of(path).tokenizer(path), path)


def visible(piece: bytes) -> str:
    r"""A token for the eye: " a" -> "·a", a line end "⏎", bytes that are no whole character "\xf0\x9f"."""
    text = piece.decode("utf-8", "backslashreplace").replace(" ", "·").replace("\n", "⏎")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _print_coloured(pieces: list[tuple[int, bytes]]) -> None:
    """Tokens on coloured grounds, their ids behind them; plain bars between them where there are no colours."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    line = Text()
    for rank, (id, piece) in enumerate(pieces):
        line.append("" if rank == 0 else "  " if console.is_terminal else " | ")
        line.append(visible(piece), style=f"{LIGHT['ink']} on {PIECES[rank % len(PIECES)]}")
        line.append(f" {id}", style="dim")
    console.print(line, soft_wrap=not console.is_terminal)
    num_bytes = sum(len(piece) for _, piece in pieces)
    share = f", {num_bytes / len(pieces):.2f} bytes a token" if pieces else ""
    console.print(f"{len(pieces)} tokens, {num_bytes} bytes{share}")
