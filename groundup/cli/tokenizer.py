"""`groundup tokenizer train | show`: train a tokenizer on texts, or show how one splits a text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import (
    EncodingOption,
    FollowLinksOption,
    JsonOption,
    OutOption,
    StrictOption,
    TextColumnOption,
    verb_group,
)
from groundup.config import size_bytes
from groundup.errors import ConfigError, require
from groundup.files import MANIFEST, atomic_folder
from groundup.palette import LIGHT, PIECES

if TYPE_CHECKING:
    from groundup.data.source_report import SourceReport
    from groundup.tokenizer.fast import Tokenizer

app = verb_group("Train a tokenizer on texts, or show how one splits a text.")


@app.command()
def train(
    data: Annotated[list[str], Argument(help="Texts: one address or more (docs/data.md), or a .toml that lists them.")],
    out: OutOption,
    vocab_size: Annotated[int, Option("--vocab-size", help="Number of ids, control tokens included.")] = 4096,
    sample_bytes: Annotated[
        str, Option("--sample-bytes", metavar="SIZE", help="Of more text, train on this much, chosen at random.")
    ] = "256MB",
    text_column: TextColumnOption = "",
    encoding: EncodingOption = "auto",
    strict: StrictOption = False,
    follow_links: FollowLinksOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a byte-level BPE tokenizer with the Llama 3 split and a ChatML template; transformers opens the folder.

    The sample of a large text is smaller where memory would not hold its distinct words. What is chosen is printed.

    Examples:
        groundup tokenizer train my-texts/ --out my-tokenizer
        groundup tokenizer train "notes/*.md" --out my-tokenizer --vocab-size 8192
        groundup tokenizer train my-texts/ hf:roneneldan/TinyStories --out my-tokenizer
        groundup tokenizer train messages.csv --text-column body --out my-tokenizer
    """
    from groundup.data.source_list import read_sources
    from groundup.data.source_report import SourceReport
    from groundup.data.sources import SourceOptions, describe_source, read_source
    from groundup.tokenizer.fast import train_tokenizer

    _require_replaceable(out)
    budget = size_bytes(sample_bytes)
    require(budget > 0, "--sample-bytes", budget, "above 0")
    progress, report = console_progress(), SourceReport()
    options = SourceOptions(text_column, strict=strict, encoding=encoding)
    sources = read_sources(data, follow_links=follow_links)
    for source in sources:
        describe_source(source, options, progress=progress)
    documents = (each for source in sources for each in read_source(source, options, report, progress=progress))
    texts = (document.text for document in documents)
    tokenizer = train_tokenizer(texts, vocab_size, sample_bytes=budget, progress=progress)
    with atomic_folder(out) as folder:
        tokenizer.save(folder)
    print_result(_train_lines(tokenizer, report, out), _train_results(tokenizer, report, out), as_json)


def _require_replaceable(out: Path) -> None:
    """Refuse to replace anything but a tokenizer folder. Raises ConfigError."""
    from groundup.tokenizer.fast import CONFIG_FILE, TOKENIZER_FILE

    ours = {CONFIG_FILE, TOKENIZER_FILE, MANIFEST}
    found = [] if not out.exists() else [out.name] if not out.is_dir() else [path.name for path in out.iterdir()]
    foreign = sorted(set(found) - ours)
    if foreign:
        raise ConfigError(f"{out} holds {foreign[0]!r}, not part of a tokenizer.", fix="Give a new folder with --out.")


def _train_results(tokenizer: "Tokenizer", report: "SourceReport", out: Path) -> dict[str, Any]:
    return {
        "folder": str(out),
        "vocab_size": tokenizer.vocab_size,
        "merges": len(tokenizer.table.merges),
        "control_tokens": dict(tokenizer.special.tokens),
        "fingerprint": tokenizer.fingerprint,
        "documents": report.documents,
        "characters": report.characters,
        "bad_lines": report.bad_lines.count,
        "encodings": {name: tally.count for name, tally in report.encodings.items()},
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
        lines.insert(1, f"{report.invalid_bytes:,} bytes were invalid and became U+FFFD.")
    for name, files in report.encodings.items():
        lines.insert(1, f"{files.count:,} files were read as {name} ({files.shown()}).")
    return lines


@app.command()
def show(
    model: Annotated[str, Argument(help="A tokenizer's folder, or a model: name, folder, .gguf or build.")],
    text: Annotated[str, Argument(help="The text to encode.")],
    as_json: JsonOption = False,
) -> None:
    """Show the tokens of a text with their ids. No part of the text becomes a control token.

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
    """Open the tokenizer of a folder or of a model. Raises FormatError, ModelError, NetworkError."""
    from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer

    if (Path(name) / TOKENIZER_FILE).is_file():
        return Tokenizer.load(Path(name))
    # imported only here: weights imports torch
    from groundup.weights.formats import reader_of
    from groundup.weights.model_format import require_tokenizer
    from groundup.weights.model_io import find_model

    path = find_model(name, progress=console_progress())
    return require_tokenizer(reader_of(path).tokenizer(path), path)


def visible(piece: bytes) -> str:
    r"""Return a token in visible characters: " a" -> "·a", a line end "⏎", bytes of a split character "\xf0\x9f"."""
    text = piece.decode("utf-8", "backslashreplace").replace(" ", "·").replace("\n", "⏎")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _print_coloured(pieces: list[tuple[int, bytes]]) -> None:
    """Print tokens on coloured backgrounds, each followed by its id; without colours, bars separate them."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    line = Text("  " if console.is_terminal else " | ").join(
        Text.assemble((visible(piece), f"{LIGHT['ink']} on {PIECES[rank % len(PIECES)]}"), (f" {id}", "dim"))
        for rank, (id, piece) in enumerate(pieces)
    )
    console.print(line, soft_wrap=not console.is_terminal)
    num_bytes = sum(len(piece) for _, piece in pieces)
    share = f", {num_bytes / len(pieces):.2f} bytes per token" if pieces else ""
    console.print(f"{len(pieces)} tokens, {num_bytes} bytes{share}")
