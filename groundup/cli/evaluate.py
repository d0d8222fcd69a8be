"""`groundup evaluate`: models on the same held-out data, each figure with its 95 % interval."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from groundup.api import ITEMS, STARTER, run_evaluation
from groundup.cli import options
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.plain import plain
from groundup.files import write_json


def command(
    models: Annotated[list[str], Argument(help="One model or more: names, folders, .gguf files, build folders.")],
    data: Annotated[
        str, Option("--data", help="Instructions, labelled texts or plain texts; 'starter': packaged ones.")
    ] = STARTER,
    kind: Annotated[
        str | None, Option("--as", help="Kind of DATA: answers, labels or text; default: detected.")
    ] = None,
    items: Annotated[int, Option("--items", min=1, help="At most this many items for each figure.")] = ITEMS,
    text_column: options.TextColumnOption = "",
    label_column: options.LabelColumnOption = "",
    label_separator: options.LabelSeparatorOption = "",
    columns: options.ColumnsOption = "",
    layout: options.LayoutOption = "",
    question: Annotated[str | None, Option("--question", help="The question to language models on labels.")] = None,
    encoding: options.EncodingOption = "auto",
    follow_links: options.FollowLinksOption = False,
    out: Annotated[
        Path | None, Option("--out", callback=options.file_to_write, help="Also write the results into this JSON file.")
    ] = None,
    seed: options.SeedOption = 0,
    device: options.DeviceOption = "auto",
    as_json: options.JsonOption = False,
) -> None:
    """Measure models on the same held-out data: answers to instructions, labels, or bits per byte of text.

    Each figure comes with its 95 % interval, the number of items, and the figure of guessing. Items that one of the models was trained on
    (run folders record that) are left out and counted.

    Examples:
        groundup evaluate smollm2-135m-instruct runs/quickstart
        groundup evaluate runs/spam --data new-messages.csv
        groundup evaluate runs/mine runs/other --data held-out/ --as text
    """
    results = run_evaluation(
        models, data, kind=kind, items=items, text_column=text_column, label_column=label_column, label_separator=label_separator,
        columns=columns, layout=layout, question=question,
        encoding=encoding, follow_links=follow_links, seed=seed, device=device, progress=console_progress(),
    )  # fmt: skip
    if out is not None:
        write_json(out, results)
    print_result(lines(results), results, as_json)


def lines(results: dict[str, Any]) -> list[str]:
    """Return the figures as a table, the differences from the first model on the same items, and the answers shown."""
    headers = ["task", "model", "figure", "value", "95 % interval", "n", "chance"]
    rows = [cells(row) for row in results["rows"]]
    changes = [change_line(row) for row in results["changes"]]
    return [*left_out(results["left_out"]), *table(headers, rows), *changes, *answers(results)]


def change_line(row: dict[str, Any]) -> str:
    """Return the difference between two models on the same items, and whether it is one."""
    said = f"{row['task']}, from {plain(row['from'])} to {plain(row['to'])}: {row['metric']} changes by {row['value']:+.3f}"
    from groundup.evaluate.paired import NO_DIFFERENCE

    if row["low"] is None:
        return f"{said} on {row['n']} items, too few to compare"
    meaning = NO_DIFFERENCE if row["verdict"] == "unclear" else row["verdict"]
    return f"{said} (paired 95 % interval {row['low']:+.3f} to {row['high']:+.3f}): {meaning}"


def left_out(counts: dict[str, Any]) -> list[str]:
    """Return how many items were not measured, as a model was trained on them."""
    if not counts["items"]:
        return []
    by = ", ".join(f"{plain(name)} {count:,}" for name, count in counts["models"].items() if count)
    return [f"{counts['items']:,} of {counts['of']:,} items are left out, as they were trained on ({by})."]


def cells(row: dict[str, Any]) -> list[str]:
    """Return one figure as a row; proportions in percent."""
    from groundup.evaluate.task import SHARES

    def shown(value: float | None) -> str:
        if value is None:
            return ""
        return f"{100 * value:.1f} %" if row["metric"] in SHARES else f"{value:.3f}"

    interval = f"{shown(row['low'])} to {shown(row['high'])}" if row["low"] is not None else ""
    count = f"{row['n']:,}{' (thin)' if row['thin'] else ''}"
    return [row["task"], row["model"], row["metric"], shown(row["value"]), interval, count, shown(row["chance"])]


def answers(results: dict[str, Any]) -> list[str]:
    """Return the answers shown, by question."""
    written: list[str] = []
    models = results["details"].get("shown answers", {})
    for same in zip(*(details["answers"] for details in models.values()), strict=True):
        written += ["", plain(f"{same[0]['instruction']} {same[0]['input']}")]
        written += [f"    {name}: {plain(each['answer'])}" for name, each in zip(models, same, strict=True)]
    return written
