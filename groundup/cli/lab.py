"""`groundup lab`: pictures of the inside of a model, on a text of yours."""

from pathlib import Path
from typing import Annotated

import typer

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import DeviceOption, JsonOption, ModelArgument, file_to_write, folder_to_write

DEFAULT_TEXT = "The cat sat on the mat. The dog sat on the log. When the cat saw the dog, the cat ran away, and the dog ran after the cat."

TextOption = Annotated[str, typer.Option("--text", help="What the model reads.")]
FileOption = Annotated[
    Path | None, typer.Option("--file", help="Read the text from this file instead.", exists=True, dir_okay=False)
]
PageOption = Annotated[
    Path | None, typer.Option("--out", callback=file_to_write, help="The page to write; default: lab.html here.")
]
PicturesOption = Annotated[
    Path | None, typer.Option("--pictures", callback=folder_to_write, help="A folder for the pictures as files.")
]
FormOption = Annotated[str, typer.Option("--form", help="Of the picture files: png or svg.")]
OnlyOption = Annotated[
    list[str] | None, typer.Option("--only", metavar="VIEW", help="Make this view only (again for more).")
]


def command(
    model: ModelArgument,
    text: TextOption = DEFAULT_TEXT,
    file: FileOption = None,
    out: PageOption = None,
    pictures: PicturesOption = None,
    form: FormOption = "png",
    only: OnlyOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Look inside a model while it reads a text: tokens, embeddings, positions, attention, heads with a habit, one head step by step,
    the guess after every block, surprise, what context is worth, what each head is worth, what made the decision.

    One page that opens from disk and loads nothing from elsewhere. --pictures writes each view as a file too; --json prints the numbers.

    Examples:

        groundup lab runs/quickstart --text "To be, or not to be, that is the question."

        groundup lab smollm2-135m-instruct --file letter.txt --out letter.html --pictures pictures --form svg

        groundup lab runs/quickstart --only attention --only heads --json
    """
    from groundup.device import select_compute
    from groundup.errors import ConfigError
    from groundup.lab.gallery import write_pictures
    from groundup.lab.inside import look_inside
    from groundup.lab.page import write_lab_page
    from groundup.weights.door import open_model

    if form not in ("png", "svg"):
        raise ConfigError(f"--form {form!r} is no form of picture.", fix="Take png or svg.")
    progress = console_progress()
    opened = open_model(model, select_compute(device), prefer="pretrain", progress=progress)
    inside = look_inside(opened, _text(text, file), name=Path(model).name, only=only or (), progress=progress)
    if as_json:
        print_result([], inside, as_json)
        return
    page = out or Path("lab.html")
    write_lab_page(inside, page)
    lines = [f"{page} ({page.stat().st_size / 1e6:,.1f} MB): open it in a browser."]
    if pictures is not None:
        made = write_pictures(inside, pictures, form=form)  # type: ignore[arg-type]
        lines.append(f"{pictures}: {len(made)} pictures.")
    lines += [f"Left out, {name}: {reason}" for name, reason in inside["left_out"].items()]
    print_result(lines, inside, as_json)


def _text(text: str, file: Path | None) -> str:
    from groundup.data.source_report import SourceReport
    from groundup.data.sources import Source, SourceOptions, read_source

    if file is None:
        return text
    documents = read_source(Source(str(file)), SourceOptions(), SourceReport())
    return next(documents).text
