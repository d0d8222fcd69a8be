"""`groundup evaluate`: models on the same held-out data or suites, each figure with its 95 %
interval.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, Option

from groundup.api.evaluation import ITEMS, run_evaluation, run_suites
from groundup.cli import options
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.plain import plain
from groundup.errors import ConfigError
from groundup.files import write_json
from groundup.recipes.packaged import STARTER

PICTURES = (".png", ".svg")


def command(
    models: Annotated[
        list[str], Argument(help="One model or more: names, folders, .gguf files, build folders.")
    ],
    data: Annotated[
        str | None,
        Option(
            "--data",
            help="Instructions, labelled texts or plain texts; default 'starter': packaged ones.",
        ),
    ] = None,
    tasks: Annotated[
        str,
        Option(
            "--tasks",
            metavar="A,B,...",
            help="Suites of items by name in place of data; 'written': all packaged ones; 'text': held-out text of a run.",
        ),
    ] = "",
    shots: Annotated[
        str,
        Option(
            "--shots",
            metavar="N,N,...",
            help="Numbers of worked examples before each item of --tasks.",
        ),
    ] = "0",
    template: Annotated[
        Literal["auto", "plain", "chat"],
        Option("--template", help="How --tasks are asked; auto: as each suite says."),
    ] = "auto",
    over: Annotated[
        Literal["steps", "sizes", "shots"] | None,
        Option(
            "--over",
            help="Curves of --tasks over a run's snapshots, a sweep's (or several models') sizes, or --shots.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        Option(
            "--plot",
            callback=options.file_to_write,
            help="Draw the curves of --over: .png or .svg.",
        ),
    ] = None,
    kind: Annotated[
        str | None, Option("--as", help="Kind of DATA: answers, labels or text; default: detected.")
    ] = None,
    items: Annotated[
        int | None,
        Option(
            "--items",
            min=1,
            help=f"At most this many items for each figure; by default {ITEMS}, of --tasks all.",
        ),
    ] = None,
    text_column: options.TextColumnOption = "",
    label_column: options.LabelColumnOption = "",
    label_separator: options.LabelSeparatorOption = "",
    columns: options.ColumnsOption = "",
    layout: options.LayoutOption = "",
    question: Annotated[
        str | None, Option("--question", help="The question to language models on labels.")
    ] = None,
    encoding: options.EncodingOption = "auto",
    follow_links: options.FollowLinksOption = False,
    out: Annotated[
        Path | None,
        Option(
            "--out",
            callback=options.file_to_write,
            help="Also write the results into this JSON file.",
        ),
    ] = None,
    seed: options.SeedOption = 0,
    device: options.DeviceOption = "auto",
    as_json: options.JsonOption = False,
) -> None:
    """Measure models on the same held-out data (answers to instructions, labels, bits per byte of
    text), or on suites by name.

    Each figure comes with its 95 % interval, the number of items, and the figure of guessing; of
    several models also the paired differences from the first. Items of data that one of the models
    was trained on (run folders record that) are left out and counted.

    Suites, packaged: multiple_choice, emotions, grammar, copying, arithmetic, format, summaries,
    translation. Fetched once: arc_easy, arc_challenge, openbookqa, sciq, piqa, socialiqa,
    commonsenseqa, common_knowledge, feelings, tweets, messages.

    Examples:
        groundup evaluate smollm2-135m-instruct runs/quickstart
        groundup evaluate runs/spam --data new-messages.csv
        groundup evaluate runs/mine runs/other --data held-out/ --as text
        groundup evaluate smollm2-135m-instruct --tasks written --items 100
        groundup evaluate runs/mine smollm2-135m-instruct --tasks grammar,copying --shots 0,4
        groundup evaluate runs/mine --tasks grammar,copying,text --over steps --plot curves.png
        groundup evaluate runs/law --tasks grammar,text --over sizes
    """
    require_plot(plot, over)
    if over and not tasks:
        raise ConfigError("--over is of suites.", fix="Name them: --tasks grammar,copying,text")
    if tasks:
        if data is not None:
            raise ConfigError(
                "--data and --tasks are two ways to say what is measured.", fix="Give one of them."
            )
        results = run_suites(
            *(models, named(tasks)), shots=numbers(shots), items=items, template=template, over=over, seed=seed,
            device=device, progress=console_progress(),
        )  # fmt: skip
    else:
        results = run_evaluation(
            models, data or STARTER, kind=kind, items=items or ITEMS, text_column=text_column, label_column=label_column,
            label_separator=label_separator, columns=columns, layout=layout, question=question,
            encoding=encoding, follow_links=follow_links, seed=seed, device=device, progress=console_progress(),
        )  # fmt: skip
    if out is not None:
        write_json(out, results)
    if plot is not None:
        draw(results["curves"], plot)
    print_result(lines(results) if over is None else over_lines(results, plot), results, as_json)


def require_plot(plot: Path | None, over: str | None) -> None:
    """Raise ConfigError for a picture of no curves or in a format that is not drawn."""
    if plot is not None and over is None:
        raise ConfigError(
            "--plot draws the curves of --over.", fix="Give --over steps, sizes or shots as well."
        )
    if plot is not None and plot.suffix not in PICTURES:
        raise ConfigError(
            f"--plot {plot} has no picture's suffix.", fix=f"Use {' or '.join(PICTURES)}."
        )


def draw(curves: list[dict[str, Any]], file: Path) -> None:
    """Write the picture. Raises MissingExtra (matplotlib), DiskError."""
    from groundup.files import atomic_file
    from groundup.lab.drawing.curves import draw_curves

    figure = draw_curves(curves)
    with atomic_file(file) as temporary:
        figure.savefig(temporary, format=file.suffix[1:], dpi=160)


def over_lines(results: dict[str, Any], plot: Path | None) -> list[str]:
    """Return the curves, the paired difference of the last point from the first, and which items
    the training text has.
    """
    from groundup.cli.curve_lines import curve_lines

    changes = [change_line(row) for row in results["changes"]]
    drawn = [f"drawn: {plot}"] if plot else []
    return [*curve_lines(results["curves"]), *changes, *overlap_lines(results), *drawn]


def overlap_lines(results: dict[str, Any]) -> list[str]:
    """Return of each suite how many items stand in the training text of a model."""
    from groundup.evaluate.memorisation import overlap_line

    of = results.get("overlap", {})
    return [
        overlap_line(name, plain(model), found)
        for name, models in of.items()
        for model, found in models.items()
    ]


def named(text: str) -> list[str]:
    """Return the names in "a,b"."""
    return [name.strip() for name in text.split(",") if name.strip()]


def numbers(text: str) -> list[int]:
    """Return the numbers in "0,4". Raises ConfigError."""
    parts = named(text)
    if not parts or not all(part.isdecimal() for part in parts):
        raise ConfigError(
            f"--shots {text!r} is not a list of numbers.", fix="Give, for example, --shots 0,4."
        )
    return [int(part) for part in parts]


def lines(results: dict[str, Any]) -> list[str]:
    """Return the figures as a table, the differences from the first model on the same items, and
    the answers shown.
    """
    headers = ["task", "model", "figure", "value", "95 % interval", "n", "chance"]
    rows = [cells(row) for row in results["rows"]]
    changes = [change_line(row) for row in results["changes"]]
    return [
        *left_out(results.get("left_out")),
        *table(headers, rows),
        *settings(results["rows"]),
        *changes,
        *overlap_lines(results),
        *answers(results),
    ]


def settings(rows: list[dict[str, Any]]) -> list[str]:
    """Return how suites were asked, and which figures show nothing."""
    from groundup.evaluate.task import AT_CHANCE

    asked = {
        f"{row['template']} text, bos {row['bos']}": row["model"]
        for row in rows
        if "template" in row
    }
    guessed = dict.fromkeys(
        f"{row['task']} of {row['model']}" for row in rows if row.get("is_chance")
    )
    return [
        *([f"Asked in {'; '.join(asked)}."] if asked else []),
        *([f"{AT_CHANCE.capitalize()}: {', '.join(guessed)}."] if guessed else []),
    ]


def change_line(row: dict[str, Any]) -> str:
    """Return the difference between two models on the same items, and whether it is one."""
    said = f"{row['task']}, from {plain(row['from'])} to {plain(row['to'])}: {row['metric']} changes by {row['value']:+.3f}"
    from groundup.evaluate.paired import NO_DIFFERENCE

    if row["low"] is None:
        return f"{said} on {row['n']} items, too few to compare"
    meaning = NO_DIFFERENCE if row["verdict"] == "unclear" else row["verdict"]
    return f"{said} (paired 95 % interval {row['low']:+.3f} to {row['high']:+.3f}): {meaning}"


def left_out(counts: dict[str, Any] | None) -> list[str]:
    """Return how many items were not measured, as a model was trained on them; None: of suites."""
    if not counts or not counts["items"]:
        return []
    by = ", ".join(f"{plain(name)} {count:,}" for name, count in counts["models"].items() if count)
    return [
        f"{counts['items']:,} of {counts['of']:,} items are left out, as they were trained on ({by})."
    ]


def cells(row: dict[str, Any]) -> list[str]:
    """Return one figure as a row; proportions in percent."""
    from groundup.evaluate.task import SHARES

    def shown(value: float | None) -> str:
        if value is None:
            return ""
        return f"{100 * value:.1f} %" if row["metric"] in SHARES else f"{value:.3f}"

    interval = f"{shown(row['low'])} to {shown(row['high'])}" if row["low"] is not None else ""
    count = f"{row['n']:,}{' (thin)' if row['thin'] else ''}"
    return [
        row["task"],
        row["model"],
        row["metric"],
        shown(row["value"]),
        interval,
        count,
        shown(row["chance"]),
    ]


def answers(results: dict[str, Any]) -> list[str]:
    """Return the answers shown, by question."""
    written: list[str] = []
    models = results["details"].get("shown answers", {})
    for same in zip(*(details["answers"] for details in models.values()), strict=True):
        written += ["", plain(f"{same[0]['instruction']} {same[0]['input']}")]
        written += [
            f"    {name}: {plain(each['answer'])}" for name, each in zip(models, same, strict=True)
        ]
    return written
