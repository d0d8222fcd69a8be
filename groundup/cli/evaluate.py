"""`groundup evaluate`: models on held-out data, side by side, each figure with its interval."""

from pathlib import Path
from typing import Annotated, Any

import typer

from groundup.api import ITEMS, STARTER, run_evaluation
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.options import DeviceOption, FollowLinksOption, JsonOption, SeedOption, file_to_write
from groundup.cli.plain import plain
from groundup.files import write_json


def command(
    models: Annotated[list[str], typer.Argument(help="One model or more: names, folders, .gguf files, build folders.")],
    data: Annotated[
        str, typer.Option("--data", help="Instructions, labelled texts or plain texts; 'starter': packaged ones.")
    ] = STARTER,
    kind: Annotated[
        str | None, typer.Option("--as", help="What DATA is, as answers, labels or text; by default it is looked at.")
    ] = None,
    items: Annotated[
        int, typer.Option("--items", min=1, help="Measure each figure on at most so many answers, labels or documents.")
    ] = ITEMS,
    text_column: Annotated[str, typer.Option("--text-column", help="Field or column with the text.")] = "text",
    label_column: Annotated[str, typer.Option("--label-column", help="Field or column with the label.")] = "label",
    question: Annotated[
        str | None, typer.Option("--question", help="What language models are asked on labels.")
    ] = None,
    follow_links: FollowLinksOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", callback=file_to_write, help="Also write the results into this JSON file.")
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure models on the same held-out data: answers to instructions, labels, or bits per byte of text.

    Each figure comes with its 95 % interval, the number of items, and what guessing would give. DATA must be new to the models.

    Examples:

        groundup evaluate smollm2-135m-instruct runs/quickstart

        groundup evaluate runs/spam --data new-messages.csv

        groundup evaluate runs/mine runs/other --data held-out/ --as text
    """
    results = run_evaluation(
        models, data, kind=kind, items=items, text_column=text_column, label_column=label_column, question=question,
        follow_links=follow_links, seed=seed, device=device, progress=console_progress(),
    )  # fmt: skip
    if out is not None:
        write_json(out, results)
    print_result(lines(results), results, as_json)


def lines(results: dict[str, Any]) -> list[str]:
    """The figures as a table, and what the models wrote."""
    headers = ["task", "model", "figure", "value", "95 % interval", "n", "chance"]
    return [*table(headers, [cells(row) for row in results["rows"]]), *change_lines(results), *answers(results)]


def change_lines(results: dict[str, Any]) -> list[str]:
    """How the further models differ from the first, on the same items."""
    return [
        f"{row['task']}, from {row['from']} to {row['to']}: {row['metric']} changes by {row['value']:+.3f}"
        + (f" (95 % interval {row['low']:+.3f} to {row['high']:+.3f})" if row["low"] is not None else "")
        for row in results["changes"]
    ]


def cells(row: dict[str, Any]) -> list[str]:
    """One figure as a row; shares in percent."""
    from groundup.evaluate.task import SHARES

    def shown(value: float | None) -> str:
        if value is None:
            return ""
        return f"{100 * value:.1f} %" if row["metric"] in SHARES else f"{value:.3f}"

    interval = f"{shown(row['low'])} to {shown(row['high'])}" if row["low"] is not None else ""
    count = f"{row['n']:,}{' (thin)' if row['thin'] else ''}"
    return [row["task"], row["model"], row["metric"], shown(row["value"]), interval, count, shown(row["chance"])]


def answers(results: dict[str, Any]) -> list[str]:
    """A handful of answers, one model below the other."""
    written: list[str] = []
    models = results["details"].get("shown answers", {})
    for same in zip(*(details["answers"] for details in models.values()), strict=True):
        written += ["", plain(f"{same[0]['instruction']} {same[0]['input']}")]
        written += [f"    {name}: {plain(each['answer'])}" for name, each in zip(models, same, strict=True)]
    return written
