"""`groundup evaluate`: models on the same held-out data or suites, each figure with its 95 %
interval.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.api.evaluation import run_evaluation, run_memorised, run_suites
from groundup.cli import options
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.evaluate_index import evaluate_index, require_no_index
from groundup.cli.fields import COLUMN_OPTIONS, ConfigFields, grouped
from groundup.cli.plain import plain
from groundup.data.reading.data import Data
from groundup.errors import ConfigError
from groundup.evaluate.config import EvaluationConfig
from groundup.files import write_json
from groundup.recipes.build_config import STARTER

if TYPE_CHECKING:
    from groundup.evaluate.memorisation import MemorisationResults
    from groundup.evaluate.results import (
        EvaluationResults,
        EvaluationRow,
        MetricCurve,
        ModelChange,
    )
    from groundup.evaluate.task import Measure

PICTURES = (".png", ".svg")
READING = ConfigFields(
    "text",
    "label",
    "label_separator",
    "columns",
    "layout",
    "charset",
    "follow_links",
    **COLUMN_OPTIONS,
)
MEASURING = ConfigFields(
    "items",
    "kind",
    "question",
    "template",
    "over",
    "seed",
    items={"min": 1},
    kind={"option": "--as"},
    seed={"min": 0},
)
# Of a curve in the terminal: the width of its intervals, and what is drawn there.
COLUMNS = 40
VALUE, INTERVAL, CHANCE = "●", "─", "┊"
X_NAMES = {"steps": "step", "sizes": "parameters", "shots": "shots"}


@grouped()
def command(
    models: Annotated[
        list[str],
        Argument(
            help="One model or more: names, folders, .gguf files, build folders; or an index, with "
            "--questions."
        ),
    ],
    data: Annotated[
        str | None,
        Option(
            "--data",
            help="Instructions, labelled texts or plain texts; default 'starter': packaged "
            "instructions; of runs that were only pretrained --tasks text.",
        ),
    ] = None,
    tasks: Annotated[
        str,
        Option(
            "--tasks",
            metavar="A,B,...",
            help="Suites of items by name in place of data; 'written': all packaged ones; "
            "'text': held-out text of a run.",
        ),
    ] = "",
    questions: Annotated[
        Path | None,
        Option(
            "--questions",
            metavar="FILE",
            help="Of an index: JSON lines of question, answers and document, which it is asked.",
        ),
    ] = None,
    writer: Annotated[
        str | None,
        Option(
            "--model",
            metavar="MODEL",
            help="With --questions: a model that also writes, and answers as a baseline, unchecked.",
        ),
    ] = None,
    memorised: Annotated[
        bool,
        Option(
            "--memorised",
            help="What a run repeats of its training text word for word, personal data first.",
        ),
    ] = False,
    shots: Annotated[
        str,
        Option(
            "--shots",
            metavar="N,N,...",
            help="Numbers of worked examples before each item of --tasks.",
        ),
    ] = "0",
    config: Annotated[EvaluationConfig, MEASURING] = EvaluationConfig(),
    plot: Annotated[
        Path | None,
        Option(
            "--plot",
            callback=options.file_to_write,
            help="Draw the curves of --over: .png or .svg.",
        ),
    ] = None,
    reading: Annotated[Data, READING] = Data(""),
    out: Annotated[
        Path | None,
        Option(
            "--out",
            callback=options.file_to_write,
            help="Also write the results into this JSON file.",
        ),
    ] = None,
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
        groundup evaluate runs/mine --memorised
        groundup evaluate manuals.index --questions asked.jsonl --out outcomes.json
    """
    if questions is not None:
        if data is not None or tasks or plot is not None or len(models) != 1:
            what = "--questions are asked of one index, without --data, --tasks and --plot."
            raise ConfigError(what, fix="Write: groundup evaluate INDEX --questions FILE.")
        evaluate_index(models[0], questions, writer, device=device, out=out, as_json=as_json)
        return
    require_no_index(models, writer)
    if memorised:
        if data is not None or tasks or plot is not None or len(models) != 1:
            what = "--memorised is measured of one run, without --data, --tasks and --plot."
            raise ConfigError(what, fix="Write: groundup evaluate RUN --memorised.")
        repeated = run_memorised(models[0], config, device=device, progress=console_progress())
        plain_results = repeated.to_plain()
        if out is not None:
            write_json(out, plain_results)
        print_result(memorised_lines(repeated), plain_results, as_json)
        return
    require_plot(plot, config.over)
    if config.over and not tasks:
        raise ConfigError("--over is of suites.", fix="Name them: --tasks grammar,copying,text")
    if not tasks and data is None and not config.kind and all(map(is_own_base, models)):
        tasks = "text"  # a model that was only pretrained answers nothing
    if tasks and data is not None:
        what = "--data and --tasks are two ways to say what is measured."
        raise ConfigError(what, fix="Give one of them.")
    if tasks:
        config = replace(config, shots=parse_numbers(shots))
        results = run_suites(
            models, split_names(tasks), config, device=device, progress=console_progress()
        )
    else:
        held_out = replace(reading, path=data or STARTER)
        results = run_evaluation(
            models, held_out, config, device=device, progress=console_progress()
        )
    written = results.to_plain()
    if out is not None:
        write_json(out, written)
    if plot is not None:
        draw(written["curves"], plot)
    if config.over:
        print_result(over_lines(results, plot), written, as_json)
    else:
        print_result(result_lines(results), written, as_json)


def is_own_base(model: str) -> bool:
    """Whether what is opened is a pretraining run whose texts are there."""
    if not os.path.isdir(model):
        return False
    from groundup.data.preparation.trained_on import data_folder
    from groundup.weights.find import find_model

    return data_folder(find_model(model, hashes=False)) is not None


def memorised_lines(results: "MemorisationResults") -> list[str]:
    from groundup.evaluate.memorisation import HALF_TOKENS, PASSAGES

    headers = ["what", "text", "repeated", "n", "95 % interval", "longest"]
    rows = [
        [
            row.kind if row.kind == PASSAGES else f"personal data: {row.kind}",
            row.split,
            f"{row.repeated:,}",
            f"{row.tried:,}",
            f"{100 * row.low:.1f} to {100 * row.high:.1f} %",
            f"{row.longest} tokens",
        ]
        for row in results.rows
    ]
    shown = [
        line
        for text in results.repeated
        for line in (
            f"{plain(text.document)}, {text.kind}, {text.tokens} tokens:",
            f"    {plain(text.prompt)} -> {plain(text.text)}",
        )
    ]
    return [
        *table(headers, rows),
        f"Repeated: given at most {HALF_TOKENS} tokens of the text, greedy decoding writes what "
        "follows, token by token. Sampling and other prompts may bring out more.",
        *shown,
    ]


def require_plot(plot: Path | None, over: str | None) -> None:
    if plot is not None and over is None:
        fix = "Give --over steps, sizes or shots as well."
        raise ConfigError("--plot draws the curves of --over.", fix=fix)
    if plot is not None and plot.suffix not in PICTURES:
        fix = f"Use {' or '.join(PICTURES)}."
        raise ConfigError(f"--plot {plot} has no picture's suffix.", fix=fix)


def draw(curves: Sequence[dict[str, object]], file: Path) -> None:
    from groundup.files import atomic_file
    from groundup.lab.drawing.loss import draw_curves

    figure = draw_curves(curves)
    with atomic_file(file) as temporary:
        figure.savefig(temporary, format=file.suffix[1:], dpi=160)


def split_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def parse_numbers(text: str) -> tuple[int, ...]:
    """Raises ConfigError."""
    parts = split_names(text)
    if not parts or not all(part.isdecimal() for part in parts):
        what = f"--shots {text!r} is not a list of numbers."
        raise ConfigError(what, fix="Give, for example, --shots 0,4.")
    return tuple(map(int, parts))


def result_lines(results: "EvaluationResults") -> list[str]:
    headers = ["task", "model", "figure", "value", "95 % interval", "n", "chance"]
    return [
        *left_out_lines(results),
        *table(headers, [table_row(row) for row in results.rows]),
        *settings_lines(results.rows),
        *map(change_line, results.changes),
        *overlap_lines(results),
        *answer_lines(results),
    ]


def over_lines(results: "EvaluationResults", plot: Path | None) -> list[str]:
    lines = [line for curve in results.curves for line in (*curve_lines(curve), "")]
    lines += [*map(change_line, results.changes), *overlap_lines(results)]
    if plot:
        lines.append(f"drawn: {plot}")
    return lines


def overlap_lines(results: "EvaluationResults") -> list[str]:
    from groundup.evaluate.item_overlap import overlap_line

    return [
        overlap_line(name, plain(model), found)
        for name, models in (results.overlap or {}).items()
        for model, found in models.items()
    ]


def settings_lines(rows: "Sequence[EvaluationRow]") -> list[str]:
    """Return how suites were asked, and which figures show nothing."""
    from groundup.evaluate.task import AT_CHANCE

    asked = dict.fromkeys(
        f"{row.settings['template']} text, bos {row.settings['bos']}"
        for row in rows
        if "template" in row.settings
    )
    guessed = dict.fromkeys(f"{row.task} of {row.model}" for row in rows if row.is_chance)
    lines = []
    if asked:
        lines.append(f"Asked in {'; '.join(asked)}.")
    if guessed:
        lines.append(f"{AT_CHANCE.capitalize()}: {', '.join(guessed)}.")
    return lines


def change_line(change: "ModelChange") -> str:
    from groundup.evaluate.paired import describe_verdict

    models = f"from {plain(change.from_model)} to {plain(change.to_model)}"
    line = f"{change.task}, {models}: {change.metric} changes by {change.value:+.3f}"
    if change.low is None:
        return f"{line} on {change.n} items, too few to compare"
    interval = f"paired 95 % interval {change.low:+.3f} to {change.high:+.3f}"
    return f"{line} ({interval}): {describe_verdict(change.verdict(change.better))}"


def left_out_lines(results: "EvaluationResults") -> list[str]:
    found = results.left_out
    if not found or not found.items:
        return []
    by = ", ".join(f"{plain(name)} {count:,}" for name, count in found.models.items() if count)
    counts = f"{found.items:,} of {found.of:,} items"
    return [f"{counts} are left out, as they were trained on ({by})."]


def show_value(metric: str, value: float | None) -> str:
    """Proportions in percent, "" for None."""
    from groundup.evaluate.metrics import SHARES

    if value is None:
        return ""
    if metric in SHARES:
        return f"{100 * value:.1f} %"
    return f"{value:.3f}"


def table_row(row: "EvaluationRow") -> list[str]:
    value, low, high, chance = (
        show_value(row.metric, each) for each in (row.value, row.low, row.high, row.chance)
    )
    interval, count = "", f"{row.n:,}"
    if row.low is not None:
        interval = f"{low} to {high}"
    if row.thin:
        count += " (thin)"
    return [row.task, row.model, row.metric, value, interval, count, chance]


def answer_lines(results: "EvaluationResults") -> list[str]:
    lines: list[str] = []
    models = results.details.get("shown answers", {})
    for same in zip(*(details["answers"] for details in models.values()), strict=True):
        lines += ["", plain(f"{same[0]['instruction']} {same[0]['input']}")]
        lines += [
            f"    {name}: {plain(each['answer'])}" for name, each in zip(models, same, strict=True)
        ]
    return lines


def curve_lines(curve: "MetricCurve") -> list[str]:
    """A head, and a row for each point with its interval drawn beside it."""
    from groundup.evaluate.task import AT_CHANCE

    first = curve.points[0]
    head = f"{first.task}, {plain(curve.model)}: {first.metric.replace('_', ' ')}"
    if first.chance is not None:
        head += f", chance {show_value(first.metric, first.chance)} ({CHANCE})"
    lines = [f"{head}, n = {first.n:,}"]
    low, high = drawn_range(curve.points)
    width = max(len(f"{point.x:,.0f}") for point in curve.points)
    for point in curve.points:
        x, value = f"{point.x:>{width},.0f}", show_value(point.metric, point.value)
        drawn = draw_interval(point, first.chance, low, high)
        line = f"  {X_NAMES[curve.over]} {x}  {value:>7}  {drawn}"
        if point.is_chance:
            line += f"  {AT_CHANCE}"
        lines.append(line.rstrip())
    return lines


def drawn_range(points: "Sequence[EvaluationRow]") -> tuple[float, float]:
    """Return the least and the largest value to be drawn."""
    values = [
        value
        for point in points
        for value in (point.value, point.low, point.high, points[0].chance)
        if value is not None
    ]
    return min(values), max(values)


def draw_interval(point: "Measure", chance: float | None, low: float, high: float) -> str:
    """COLUMNS wide, from `low` to `high`, with the place of chance."""

    def place(value: float) -> int:
        return round((value - low) / (high - low or 1.0) * (COLUMNS - 1))

    cells = [" "] * COLUMNS
    if point.low is not None and point.high is not None:
        for column in range(place(point.low), place(point.high) + 1):
            cells[column] = INTERVAL
    if chance is not None:
        cells[place(chance)] = CHANCE
    cells[place(point.value)] = VALUE
    return "".join(cells)
