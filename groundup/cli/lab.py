"""`groundup lab`: pictures of a model's internals on a text of yours."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import (
    DeviceOption,
    JsonOption,
    ModelArgument,
    file_to_write,
    folder_to_write,
)
from groundup.errors import ConfigError, did_you_mean
from groundup.lab.views import VIEWS

if TYPE_CHECKING:
    from groundup.progress import Progress
    from groundup.weights.model_io import OpenModel

DEFAULT_TEXT = "The cat sat on the mat. The dog sat on the log. When the cat saw the dog, the cat ran away, and the dog ran after the cat."
FILMED = tuple(name.removesuffix("_forming") for name, view in VIEWS.items() if view.reel)


def command(
    model: ModelArgument,
    text: Annotated[str | None, Option("--text", help="The text that the model reads.")] = None,
    file: Annotated[
        Path | None, Option("--file", help="Read the text from this file instead.")
    ] = None,
    out: Annotated[
        Path | None,
        Option("--out", callback=file_to_write, help="The page to write; default: lab.html here."),
    ] = None,
    pictures: Annotated[
        Path | None,
        Option("--pictures", callback=folder_to_write, help="A folder for the pictures as files."),
    ] = None,
    form: Annotated[str, Option("--form", help="Format of the picture files: png or svg.")] = "png",
    only: Annotated[
        list[str] | None,
        Option(
            "--only",
            metavar="VIEW",
            help=f"This view only (again for more). The lab has {len(VIEWS)}: {', '.join(VIEWS)}.",
        ),
    ] = None,
    film: Annotated[
        Path | None,
        Option(
            "--film", callback=file_to_write, help="A GIF of the training run instead of the page."
        ),
    ] = None,
    of: Annotated[
        str, Option("--of", help=f"What the film shows: {' or '.join(FILMED)}.")
    ] = "attention",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Look inside a model while it reads a text: tokens, embeddings, positions, attention, heads
    with a known pattern, one head step by step, the prediction after every block, surprise, the
    loss by context, ablation of heads, attribution of the decision.

    One page that opens from disk and makes no requests. --pictures writes each view as a file too;
    --json prints the numbers. Of a build its own model (pretrain) is opened; for another name its
    folder, as in runs/quickstart/chat. --film shows the training run, with a still picture beside
    it, from its snapshots (`groundup build` keeps some; --set fit.checkpoints.snapshots=16).

    Examples:
        groundup lab runs/quickstart --text "To be, or not to be, that is the question."
        groundup lab smollm2-135m-instruct --file letter.txt --out letter.html --pictures pictures
            --form svg
        groundup lab runs/quickstart --only attention --only heads --json
        groundup lab runs/quickstart --film forming.gif --of embeddings
    """
    from groundup.device import select_compute
    from groundup.lab.gallery import write_pictures
    from groundup.lab.internals import look_inside
    from groundup.lab.page import plotly_script, write_lab_page
    from groundup.lab.style import pyplot
    from groundup.weights.model_io import open_model

    if film is not None:
        _check_film(film, of, page_too=bool(out or pictures or only))
    if form not in ("png", "svg"):
        raise ConfigError(f"--form {form!r} is not a picture format.", fix="Use png or svg.")
    if not as_json:  # a missing library is reported before the work, not after it
        pyplot()
        if film is None:
            plotly_script()
    if text is None and file is None and out is None and not (film or as_json):
        fix = 'Give one: --text "The cat sat on the mat." or --file FILE; or name the page, --out PAGE, which then shows a text of ours.'
        raise ConfigError("groundup lab needs a text that the model reads.", fix=fix)
    text = _text(text, file)
    progress = console_progress()
    opened = open_model(model, select_compute(device), prefer="pretrain", progress=progress)
    if film is not None:
        _film(opened, text, film, of, form, progress=progress, as_json=as_json)
        return
    name = "" if Path(model).exists() else model  # a pulled model is in a folder of another name
    inside = look_inside(opened, text, name=name, only=only or (), progress=progress)
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


def _check_film(path: Path, of: str, *, page_too: bool) -> None:
    """Check the options of a film before any work. Raises ConfigError."""
    if page_too:
        raise ConfigError(
            "--film is made instead of the page and its pictures.", fix="Use two commands."
        )
    if path.suffix != ".gif":
        raise ConfigError(
            f"--film {path} is not the name of a GIF.", fix=f"Name it {path.stem}.gif."
        )
    if of not in FILMED:
        raise ConfigError(f"A film can't show --of {of!r}.", fix=did_you_mean(of, FILMED))


def _film(
    opened: "OpenModel",
    text: str,
    path: Path,
    of: str,
    form: str,
    *,
    progress: "Progress",
    as_json: bool,
) -> None:
    """Write the film of a run, and a still picture beside it."""
    from groundup.lab.gallery import write_film
    from groundup.lab.internals import look_through

    name = f"{of}_forming"
    shown = look_through(name, opened, text, progress=progress)
    if as_json:
        print_result([], shown, as_json)
        return
    made = write_film(name, shown, path, form=form, progress=progress)  # type: ignore[arg-type]
    notes = (
        f"{len(shown['frames'])} steps of the run, {of} forming.",
        "some of them side by side, for print.",
    )
    lines = [
        f"{file} ({file.stat().st_size / 1e6:,.1f} MB): {note}"
        for file, note in zip(made, notes, strict=True)
    ]
    print_result(lines, shown, as_json)


def _text(text: str | None, file: Path | None) -> str:
    from groundup.data.reading.options import SourceOptions
    from groundup.data.reading.source_files import Source
    from groundup.data.reading.source_report import SourceReport
    from groundup.data.reading.sources import read_source

    if file is None:
        return DEFAULT_TEXT if text is None else text
    documents = read_source(Source(str(file)), SourceOptions(), SourceReport())
    return "\n\n".join(document.text for document in documents)
