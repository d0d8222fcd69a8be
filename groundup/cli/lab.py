"""`groundup lab`: pictures of a model's internals on a text of yours."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from groundup.cli.console import console_progress, print_result
from groundup.cli.fields import grouped
from groundup.cli.options import (
    DeviceOption,
    JsonOption,
    ModelArgument,
    file_to_write,
    folder_to_write,
)
from groundup.errors import ConfigError, did_you_mean
from groundup.lab.views import VIEWS, Contrast, look_inside

if TYPE_CHECKING:
    from groundup.html_nodes import Node
    from groundup.lab.circuit_values import FeatureList
    from groundup.lab.values import ModelViews
    from groundup.progress import Progress
    from groundup.weights.model_io import OpenModel

DEFAULT_TEXT = (
    "The cat sat on the mat. The dog sat on the log. "
    "When the cat saw the dog, the cat ran away, and the dog ran after the cat."
)
FILMED = tuple(name.removesuffix("_forming") for name, view in VIEWS.items() if view.reel)


@dataclass(frozen=True)
class TextToRead:
    """The text that the model reads."""

    text: Annotated[str | None, Option("--text", help="The text that the model reads.")] = None
    file: Annotated[Path | None, Option("--file", help="Read the text from this file instead.")] = (
        None
    )

    def read(self) -> str:
        """One of ours where none is named. Raises DataError, ConfigError."""
        from groundup.data.reading.options import SourceOptions
        from groundup.data.reading.source_files import Source
        from groundup.data.reading.source_report import SourceReport
        from groundup.data.reading.sources import read_source

        if self.file is not None:
            documents = read_source(Source(str(self.file)), SourceOptions(), SourceReport())
            return "\n\n".join(document.text for document in documents)
        if self.text is not None:
            return self.text
        return DEFAULT_TEXT


@dataclass(frozen=True)
class TextToCompare:
    """A second text, for causal tracing."""

    corrupted: Annotated[
        str | None,
        Option(
            "--corrupted",
            metavar="TEXT",
            help="--text with a word changed: which activation of --text restores its answer?",
        ),
    ] = None
    answer: Annotated[
        str | None,
        Option("--answer", metavar="TOKEN", help='The next token after --text, as " Paris".'),
    ] = None
    wrong: Annotated[
        str | None,
        Option(
            "--wrong-answer",
            metavar="TOKEN",
            help="The one after --corrupted. Default of both: what tells the texts apart most.",
        ),
    ] = None

    def check(self, reading: TextToRead, *, page: bool) -> None:
        """Raise ConfigError for options that do not fit together."""
        if self.corrupted is None and (self.answer or self.wrong):
            message = "--answer and --wrong-answer compare two texts."
            raise ConfigError(message, fix="Give the second one, too: --corrupted TEXT.")
        if self.corrupted is not None and reading == TextToRead():
            message = "--corrupted is compared with --text, which is missing."
            raise ConfigError(message, fix="Give both.")
        if self.corrupted is not None and not page:
            message = "--corrupted is for the page of views, not for --live, --film or --features."
            raise ConfigError(message, fix="Use two commands.")

    def contrast(self) -> Contrast:
        return Contrast(self.corrupted, self.answer, self.wrong)


@dataclass(frozen=True)
class PicturesToWrite:
    """The files to write, and what they show."""

    out: Annotated[
        Path | None,
        Option("--out", callback=file_to_write, help="The page to write; default: lab.html here."),
    ] = None
    pictures: Annotated[
        Path | None,
        Option("--pictures", callback=folder_to_write, help="A folder for the pictures as files."),
    ] = None
    form: Annotated[str, Option("--form", help="Format of the picture files: png or svg.")] = "png"
    only: Annotated[
        list[str] | None,
        Option(
            "--only",
            metavar="VIEW",
            help=f"This view only (again for more). The lab has {len(VIEWS)}: {', '.join(VIEWS)}.",
        ),
    ] = None
    film: Annotated[
        Path | None,
        Option(
            "--film", callback=file_to_write, help="A GIF of the training run instead of the page."
        ),
    ] = None
    live: Annotated[
        bool,
        Option("--live", help="One page with the model inside, which runs it, instead."),
    ] = False
    of: Annotated[str, Option("--of", help=f"What the film shows: {' or '.join(FILMED)}.")] = (
        "attention"
    )

    def check(self) -> None:
        """Raise ConfigError for options that do not fit together."""
        if self.live and (self.film or self.pictures or self.only):
            message = "--live makes one page, without --pictures, --only and --film."
            raise ConfigError(message, fix="Use two commands.")
        if self.film is not None:
            self._check_film(self.film)
        if self.form not in ("png", "svg"):
            message = f"--form {self.form!r} is not a picture format."
            raise ConfigError(message, fix="Use png or svg.")

    def _check_film(self, path: Path) -> None:
        if self.out or self.pictures or self.only:
            message = "--film is made instead of the page and its pictures."
            raise ConfigError(message, fix="Use two commands.")
        if path.suffix != ".gif":
            message = f"--film {path} is not the name of a GIF."
            raise ConfigError(message, fix=f"Name it {path.stem}.gif.")
        if self.of not in FILMED:
            message = f"A film can't show --of {self.of!r}."
            raise ConfigError(message, fix=did_you_mean(self.of, FILMED))


@dataclass(frozen=True)
class FeaturesToTrain:
    """Features of a block's feed-forward network."""

    features: Annotated[
        bool,
        Option("--features", help="Train a sparse transcoder, and write a page of its features."),
    ] = False
    block: Annotated[
        int | None,
        Option("--block", help="Of this block, from 1; default: the one that is needed most."),
    ] = None
    minutes: Annotated[float, Option("--minutes", help="Time for --features.")] = 5.0

    def check(self, writing: PicturesToWrite) -> None:
        """Raise ConfigError for options that do not fit together."""
        if not self.features and self != FeaturesToTrain():
            message = "--block and --minutes are for --features."
            raise ConfigError(message, fix="Add --features.")
        if self.features and (writing.live or writing.film or writing.pictures or writing.only):
            message = "--features makes one page, without --live, --film, --pictures and --only."
            raise ConfigError(message, fix="Use two commands.")


@grouped()
def command(
    model: ModelArgument,
    reading: TextToRead = TextToRead(),
    comparing: TextToCompare = TextToCompare(),
    writing: PicturesToWrite = PicturesToWrite(),
    training: FeaturesToTrain = FeaturesToTrain(),
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Look inside a model while it reads a text: tokens, embeddings, positions, attention, heads
    with a known pattern, one head step by step, the prediction after every block, surprise, the
    loss by context, ablation of heads, attribution of the decision; with --corrupted, which
    activations carry the answer.

    One page that opens from disk and makes no requests. --pictures writes each view as a file too;
    --json prints the numbers. Of a build its own model (pretrain) is opened; for another name its
    folder, as in runs/quickstart/chat. --film shows the training run, with a still picture beside
    it, from its snapshots (`groundup build` keeps some; --set fit.checkpoints.snapshots=16).
    --live writes one file with the model inside: it continues a text in any browser, offline, and
    shows every step from text to next token with the model's own numbers, what a change of the
    model does, and how a model is trained on a text that is pasted in. --features trains a sparse
    transcoder of one block on the run's texts, in a folder beside the page, and shows its features.
    The same command goes on after a stop.

    Examples:
        groundup lab runs/quickstart --text "To be, or not to be, that is the question."
        groundup lab smollm2-135m-instruct --file letter.txt --out letter.html --pictures pictures
            --form svg
        groundup lab runs/quickstart --only attention --only heads --json
        groundup lab smollm2-135m-instruct --text "The capital of France is"
            --corrupted "The capital of Italy is"
        groundup lab runs/quickstart --film forming.gif --of embeddings
        groundup lab runs/quickstart --live --out model.html
        groundup lab runs/quickstart --features --block 4 --minutes 5 --out features.html
    """
    from groundup.device import select_compute
    from groundup.lab.page import plotly_script
    from groundup.lab.style import pyplot
    from groundup.weights.model_io import open_model

    writing.check()
    training.check(writing)
    plain = not writing.live and writing.film is None and not training.features
    comparing.check(reading, page=plain)
    if training.features:
        page = writing.out or Path("features.html")
        _write_features(model, training, reading, page, device, as_json)
        return
    if writing.live:
        _write_live(model, reading, writing.out or Path("model.html"), as_json)
        return
    if not as_json:  # a missing library is reported before the work, not after it
        pyplot()
        if writing.film is None:
            plotly_script()
    if reading == TextToRead() and writing.out is None and not writing.film and not as_json:
        fix = (
            'Give one: --text "The cat sat on the mat." or --file FILE; '
            "or name the page, --out PAGE, which then shows a text of ours."
        )
        raise ConfigError("groundup lab needs a text that the model reads.", fix=fix)
    text, progress = reading.read(), console_progress()
    opened = open_model(model, select_compute(device), prefer="pretrain", progress=progress)
    if writing.film is not None:
        _write_film(opened, text, writing, writing.film, progress, as_json)
        return
    name = model
    if Path(model).exists():  # a pulled model is in a folder of another name
        name = ""
    inside = look_inside(
        opened,
        text,
        name=name,
        only=writing.only or (),
        contrast=comparing.contrast(),
        progress=progress,
    )
    _write_page(inside, writing, as_json)


def _write_live(model: str, reading: TextToRead, page: Path, as_json: bool) -> None:
    """Write the page with the model inside, which says what the model repeats of its texts."""
    from groundup.device import select_compute
    from groundup.evaluate.memorisation import memorised_of
    from groundup.lab.live.contents import page_contents
    from groundup.lab.live.live_page import START, write_live_page
    from groundup.weights.model_io import open_model

    text, progress = START, console_progress()
    if reading != TextToRead():
        text = reading.read()
    opened = open_model(model, select_compute("cpu"), prefer="pretrain", progress=progress)
    contents = page_contents(opened)  # refused before the texts are read
    found = memorised_of(opened, progress)
    memorised = None if found is None else found.to_plain()
    write_live_page(opened, page, contents=contents, text=text, memorised=memorised)
    size = page.stat().st_size
    lines = [
        f"{page} ({size / 1e6:,.1f} MB, {contents.parameters:,} parameters): open it in a browser.",
        "Before you share it: what the model repeats of its texts stands at its end"
        + (", not measured, as they are not there." if found is None else "."),
    ]
    values = {"page": str(page), "bytes": size, "parameters": contents.parameters}
    print_result(lines, {**values, "memorised": memorised}, as_json)


def _write_features(
    model: str,
    training: FeaturesToTrain,
    reading: TextToRead,
    page: Path,
    device: str,
    as_json: bool,
) -> None:
    """Train a transcoder in a folder beside the page, and write the page."""
    from groundup.device import select_compute
    from groundup.finetune.transcoder import TranscoderConfig, train_transcoder
    from groundup.lab.circuits.explain import TEXTS, why_no_graphs
    from groundup.lab.circuits.features import look_at_run
    from groundup.lab.circuits.page import no_graphs, write_features_page
    from groundup.lab.style import pyplot
    from groundup.weights.model_format import model_name
    from groundup.weights.model_io import open_model

    pyplot()  # a missing library is reported before the work
    texts = list(TEXTS)
    if reading != TextToRead():
        texts.insert(0, reading.read())
    config = TranscoderConfig(block=training.block, minutes=training.minutes)
    compute, progress = select_compute(device), console_progress()
    opened = open_model(model, compute, prefer="pretrain", progress=progress)
    reason = why_no_graphs(opened, texts)
    folder = page.with_name(f"{page.stem}-block-{training.block or 'most-needed'}")
    card = train_transcoder(opened, folder, config, compute=compute, progress=progress)
    found = look_at_run(opened, folder, progress=progress)
    sections, line = no_graphs(reason), f"Graphs are left out: {reason}"
    graphs: dict[str, Any] = {}
    if not reason:
        sections, line, graphs = _make_graphs(opened, folder, found, texts, progress)
    write_features_page(page, model_name(opened), card, found, sections)
    lines = [*card.lines, line, f"{folder}: the transcoder.", f"{page}: open it in a browser."]
    values = {"page": str(page), "folder": str(folder), **asdict(card), **graphs}
    print_result(lines, {**values, "recovered": round(card.recovered, 5)}, as_json)


def _make_graphs(
    opened: "OpenModel",
    folder: Path,
    found: "FeatureList",
    texts: Sequence[str],
    progress: "Progress",
) -> "tuple[list[Node], str, dict[str, Any]]":
    """The sections of the page, the line and the values of `--json`."""
    from groundup.evaluate.metrics import wilson_bounds
    from groundup.lab.circuits.explain import explainer
    from groundup.lab.circuits.page import graph_sections

    explaining = explainer(opened, folder, found, progress=progress)
    graphs, summary = explaining.graphs(texts, progress), explaining.summary(progress)
    interval = None
    if summary["texts"]:
        interval = wilson_bounds(summary["explained"], summary["texts"])
    line = f"Graphs: {summary['explained']} of {summary['texts']} held-out passages are explained."
    values = {"graphs": graphs, "faithfulness": summary}
    return graph_sections(graphs, summary, interval), line, values


def _write_page(inside: "ModelViews", writing: PicturesToWrite, as_json: bool) -> None:
    from groundup.lab.page import write_lab_page, write_pictures

    if as_json:
        print_result([], inside, as_json)
        return
    page = writing.out or Path("lab.html")
    write_lab_page(inside, page)
    lines = [f"{page} ({page.stat().st_size / 1e6:,.1f} MB): open it in a browser."]
    if writing.pictures is not None:
        made = write_pictures(inside, writing.pictures, form=writing.form)  # type: ignore[arg-type]
        lines.append(f"{writing.pictures}: {len(made)} pictures.")
    lines += [f"Left out, {view}: {reason}" for view, reason in inside["left_out"].items()]
    print_result(lines, inside, as_json)


def _write_film(
    opened: "OpenModel",
    text: str,
    writing: PicturesToWrite,
    path: Path,
    progress: "Progress",
    as_json: bool,
) -> None:
    """Write the film of a run, and a still picture beside it."""
    from groundup.lab.page import write_film
    from groundup.lab.views import look_through

    name = f"{writing.of}_forming"
    shown = look_through(name, opened, text, progress=progress)
    if as_json:
        print_result([], shown, as_json)
        return
    made = write_film(name, shown, path, form=writing.form, progress=progress)  # type: ignore[arg-type]
    notes = (
        f"{len(shown['frames'])} steps of the run, {writing.of} forming.",
        "some of them side by side, for print.",
    )
    lines = [
        f"{file} ({file.stat().st_size / 1e6:,.1f} MB): {note}"
        for file, note in zip(made, notes, strict=True)
    ]
    print_result(lines, shown, as_json)
