"""`groundup tokenizer train | import | compare | show`: make a tokenizer, compare some, or show how
one splits a text.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from groundup.cli.console import console_progress, in_browser, print_result, table
from groundup.cli.options import (
    CharsetOption,
    FollowLinksOption,
    JsonOption,
    OutOption,
    StrictOption,
    TextColumnOption,
    file_to_write,
)
from groundup.cli.usage import VerbApp
from groundup.config import size_bytes
from groundup.errors import ConfigError, require
from groundup.files import MANIFEST, atomic_folder, read_text, write_text
from groundup.palette import LIGHT, PIECES

if TYPE_CHECKING:
    from groundup.data.reading.source_report import SourceReport
    from groundup.tokenizer.fast import Tokenizer

app = VerbApp(
    "Train a tokenizer on texts, import one, compare some, or show how one splits a text."
)
MAX_SHOWN_BYTES = 10_000_000


@app.command()
def train(
    out: OutOption,
    data: Annotated[
        list[str] | None,
        Argument(help="Texts: one address or more (docs/data.md), or a .toml that lists them."),
    ] = None,
    vocab_size: Annotated[
        int,
        Option("--vocab-size", help="Number of ids, control tokens included: 256 to 1,000,000."),
    ] = 4096,
    kind: Annotated[
        str, Option("--kind", help="bpe; or for teaching, character or byte (which needs no DATA).")
    ] = "bpe",
    sample_bytes: Annotated[
        str,
        Option(
            "--sample-bytes",
            metavar="SIZE",
            help="Of more text, train on this much, chosen at random.",
        ),
    ] = "256MB",
    text: TextColumnOption = "",
    charset: CharsetOption = "auto",
    strict: StrictOption = False,
    follow_links: FollowLinksOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a byte-level BPE tokenizer with the Llama 3 split and a ChatML template; transformers
    opens the folder.

    The sample of a large text is smaller where memory would not hold its distinct words. What is
    chosen is printed.

    Examples:
        groundup tokenizer train my-texts/ --out my-tokenizer
        groundup tokenizer train "notes/*.md" --out my-tokenizer --vocab-size 8192
        groundup tokenizer train my-texts/ hf:roneneldan/TinyStories --out my-tokenizer
        groundup tokenizer train messages.csv --text-column body --out my-tokenizer
        groundup tokenizer train my-texts/ --kind character --out characters
    """
    from groundup.api.documents import train_tokenizer
    from groundup.data.reading.data import Data
    from groundup.data.reading.source_report import SourceReport
    from groundup.tokenizer.kinds import require_kind

    _require_replaceable(out)
    budget = size_bytes(sample_bytes)
    require(budget > 0, "--sample-bytes", budget, "above 0")
    report = SourceReport()
    tokenizer = train_tokenizer(
        [Data(each, text=text, charset=charset, follow_links=follow_links) for each in data or ()],
        vocab_size,
        kind=require_kind(kind),
        sample_bytes=budget,
        strict=strict,
        report=report,
        progress=console_progress(),
    )
    with atomic_folder(out) as folder:
        tokenizer.save(folder)
    value = {
        "folder": str(out),
        **_facts(tokenizer),
        "documents": report.documents,
        "characters": report.characters,
        "bad_lines": report.bad_lines.count,
        "charsets": {name: tally.count for name, tally in report.charsets.items()},
        "invalid_bytes": report.invalid_bytes,
    }
    print_result(_train_lines(tokenizer, report, out), value, as_json)


def _require_replaceable(out: Path) -> None:
    """Raises ConfigError for anything but a tokenizer folder."""
    from groundup.tokenizer.fast import CONFIG_FILE, TOKENIZER_FILE

    there = out.iterdir() if out.is_dir() else filter(Path.exists, [out])
    foreign = sorted({path.name for path in there} - {CONFIG_FILE, TOKENIZER_FILE, MANIFEST})
    if foreign:
        raise ConfigError(
            f"{out} holds {foreign[0]!r}, not part of a tokenizer.",
            fix="Give a new folder with --out.",
        )


def _facts(tokenizer: "Tokenizer") -> dict[str, object]:
    return {
        "kind": tokenizer.kind,
        "vocab_size": tokenizer.vocab_size,
        "merges": len(tokenizer.table.merges),
        "control_tokens": dict(tokenizer.special.tokens),
        "fingerprint": tokenizer.fingerprint,
    }


def _train_lines(tokenizer: "Tokenizer", report: "SourceReport", out: Path) -> list[str]:
    read = "no text"
    if report.documents:
        read = f"{report.documents:,} documents, {report.characters:,} characters"
    lines = [
        f"{out}: {tokenizer.vocab_size:,} ids from {read}.",
        f'Look at it: groundup tokenizer show {out} "any text"',
    ]
    if report.bad_lines.count:
        bad = report.bad_lines
        lines.insert(
            1,
            f"{bad.count:,} of {report.lines:,} lines could not be used (first: {bad.examples[0]}).",
        )
    if report.invalid_bytes:
        lines.insert(1, f"{report.invalid_bytes:,} bytes were invalid and became U+FFFD.")
    for name, files in report.charsets.items():
        lines.insert(1, f"{files.count:,} files were read as {name} ({files.shown()}).")
    return lines


@app.command("import")
def import_(
    source: Annotated[
        str,
        Argument(
            help="A tokenizer.json or its folder, a .tiktoken or .gguf file, tiktoken:NAME, hf:OWNER/NAME, or a model."
        ),
    ],
    out: OutOption,
    pattern: Annotated[
        str,
        Option(
            "--pattern",
            help="How a .tiktoken file's encoding splits text: cl100k_base, its expression ...",
        ),
    ] = "",
    eos: Annotated[
        str, Option("--eos", help="The token that ends a text, where a tokenizer.json doesn't say.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a tokenizer of elsewhere ours, with the same ids.

    The ids of some hundred hard texts are compared with those of the library that it is made for:
    `tokenizers`, `tiktoken`, llama.cpp. A tokenizer that can't be represented exactly is refused.

    Examples:
        groundup tokenizer import downloads/tokenizer.json --out theirs
        groundup tokenizer import cl100k_base.tiktoken --out gpt4
        groundup tokenizer import model.gguf --out theirs
        groundup tokenizer import hf:Qwen/Qwen3-0.6B --out qwen
    """
    from groundup.evaluate.tokenizers import import_tokenizer

    _require_replaceable(out)
    found = import_tokenizer(source, pattern=pattern, eos=eos, progress=console_progress())
    tokenizer = found.tokenizer
    origin = {"source": found.source, "checked_with": found.checked_with}
    with atomic_folder(out, extra={"imported": origin}) as folder:
        tokenizer.save(folder)
    same = "not checked"
    if found.checked_with:
        same = f"the same ids as {found.checked_with} on {found.checked_texts} texts"
    line = f"{out}: {tokenizer.vocab_size:,} ids, {len(tokenizer.special.tokens)} of them control tokens; {same}."
    values = {
        "folder": str(out),
        **origin,
        "checked_texts": found.checked_texts,
        **_facts(tokenizer),
    }
    print_result([line], values, as_json)


@app.command()
def compare(
    tokenizers: Annotated[
        list[str],
        Argument(
            metavar="TOKENIZER...", help="Folders, files, tiktoken:NAME, hf:OWNER/NAME, or models."
        ),
    ],
    texts: Annotated[
        list[str] | None,
        Option("--text", metavar="SOURCE", help="Texts to encode, any source (again for more)."),
    ] = None,
    model: Annotated[
        str, Option("--model", help="Shape whose embeddings are counted: a preset or WIDTHxLAYERS.")
    ] = "768x12",
    sample: Annotated[
        str, Option("--sample", metavar="SIZE", help="Read so much of each source.")
    ] = "10MB",
    out: Annotated[
        Path | None,
        Option(
            "--out", callback=file_to_write, help="Write a page with examples, too: one HTML file."
        ),
    ] = None,
    text: TextColumnOption = "",
    charset: CharsetOption = "auto",
    follow_links: FollowLinksOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare tokenizers on the same texts: bytes per token by source and language, speed, share of
    the parameters.

    Speed is that of encoding on one thread. Languages need the extra `languages`.

    Examples:
        groundup tokenizer compare mine theirs --text my-texts/ --text letters.jsonl
        groundup tokenizer compare mine tiktoken:cl100k_base hf:openai-community/gpt2 --text
            my-texts/ --model 512x8 --out page.html
    """
    from groundup.data.reading.options import SourceOptions
    from groundup.data.reading.sources import read_sources
    from groundup.evaluate.tokenizers import (
        compare_tokenizers,
        open_tokenizer,
        shape_named,
    )

    if twice := next((name for name in tokenizers if tokenizers.count(name) > 1), ""):
        raise ConfigError(f"The tokenizer {twice} is named twice.", fix="Name each once.")
    if not texts:
        raise ConfigError(
            "No texts are named to compare the tokenizers on.", fix="Name some with --text SOURCE."
        )
    limit, shape = size_bytes(sample), shape_named(model)
    require(limit > 0, "--sample", sample, "above 0")
    options, progress = SourceOptions(text=text, charset=charset), console_progress()
    named = {Path(name).name or name: name for name in tokenizers}
    if len(named) < len(tokenizers):  # two end alike
        named = {name: name for name in tokenizers}
    opened = {name: open_tokenizer(address, progress=progress) for name, address in named.items()}
    sources = read_sources(texts, follow_links=follow_links)
    found = compare_tokenizers(
        opened, sources, shape, options=options, sample_bytes=limit, progress=progress
    )
    print_result(
        _compared_lines(found, model), {"shape": model, "addresses": named, **found}, as_json
    )
    if out:
        from groundup.report.pages.tokenizer_page import render_comparison_page

        write_text(out, render_comparison_page(found))
        progress.say(in_browser(out))


def _compared_lines(found: dict[str, Any], model: str) -> list[str]:
    """Return the comparison as tables."""
    rows, names = found["tokenizers"], [row["name"] for row in found["tokenizers"]]
    share = f"embeddings of {model}"
    lines = table(
        ["tokenizer", "kind", "ids", "tokens", "bytes/token", share, "MB/s"],
        [
            [
                row["name"],
                row["kind"],
                f"{row['vocab_size']:,}",
                f"{row['tokens']:,}",
                f"{row['bytes_per_token']:.2f}",
                f"{row['embedding_share']:.1%}",
                f"{row['mb_per_s']:.1f}",
            ]
            for row in rows
        ],
    )
    for key in ("source", "language"):
        cells = []
        for group, each in found[f"{key}s"].items():
            rates = {name: f"{rate:.2f}" for name, rate in each["bytes_per_token"].items()}
            cells.append([group, f"{each['bytes']:,}", *(rates.get(name, "") for name in names)])
        if cells:
            lines += ["", *table([f"bytes/token by {key}", "bytes", *names], cells)]
    return lines


@app.command()
def show(
    model: Annotated[
        str, Argument(help="A tokenizer's folder or file, tiktoken:NAME, or a model.")
    ],
    text: Annotated[
        str, Argument(metavar="TEXT|FILE", help="The text to encode, or a file with it.")
    ],
    out: Annotated[
        Path | None,
        Option(
            "--out", callback=file_to_write, help="Write the tokens as a page, too: one HTML file."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the tokens of a text with their ids. No part of the text becomes a control token.

    A space is shown as a dot, a line end as an arrow, and a part of a character as its bytes. The
    name of an existing file stands for its text.

    Examples:
        groundup tokenizer show my-tokenizer "It's 12345 o'clock"
        groundup tokenizer show my-tokenizer letter.txt --out tokens.html
        groundup tokenizer show smollm2-135m-instruct "Hello" --json
    """
    from groundup.evaluate.tokenizers import open_tokenizer

    progress = console_progress()
    tokenizer = open_tokenizer(model, progress=progress)
    shown = read_text(Path(text), max_bytes=MAX_SHOWN_BYTES) if os.path.isfile(text) else text
    pieces = [(id, tokenizer.token_bytes(id)) for id in tokenizer.encode(shown)]
    tokens = [{"id": id, "text": visible(piece), "bytes": list(piece)} for id, piece in pieces]
    values = {
        "name": Path(model).name or model,
        "vocab_size": tokenizer.vocab_size,
        "tokens": tokens,
    }
    if as_json:
        print_result([], values, as_json)
    elif not out:
        _print_coloured(pieces)
    if out:
        from groundup.report.pages.tokenizer_page import render_tokens_page

        write_text(out, render_tokens_page(values))
        progress.say(in_browser(out))


def visible(piece: bytes) -> str:
    r"""Return a token in visible characters: " a" -> "·a", a line end "⏎", bytes of a split
    character "\xf0\x9f".
    """
    text = piece.decode("utf-8", "backslashreplace").replace(" ", "·").replace("\n", "⏎")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _print_coloured(pieces: list[tuple[int, bytes]]) -> None:
    """On coloured backgrounds, each followed by its id; without colours, bars separate them."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, emoji=False)
    line = Text("  " if console.is_terminal else " | ").join(
        Text.assemble(
            (visible(piece), f"{LIGHT['ink']} on {PIECES[rank % len(PIECES)]}"), (f" {id}", "dim")
        )
        for rank, (id, piece) in enumerate(pieces)
    )
    console.print(line, soft_wrap=not console.is_terminal)
    num_bytes = sum(len(piece) for _, piece in pieces)
    total = f"{len(pieces)} tokens, {num_bytes} bytes"
    if pieces:
        total += f", {num_bytes / len(pieces):.2f} bytes per token"
    console.print(total)
