"""What the terminal shows of a classifier of several labels a text."""

from pathlib import Path
from typing import Any

from groundup.cli.console import table
from groundup.cli.plain import beginning, plain

NO_LABEL = "(no label)"


def multi_label_lines(results: dict[str, Any], out: Path) -> list[str]:
    """Return the table of methods, the trained classifier first, and the figures of each label."""
    heads = [
        "method",
        "micro F1",
        "95 % interval",
        "macro F1",
        "all right %",
        "n",
        "the classifier, on the same texts",
    ]
    rows = [_method_cells(row) for row in results["models"]]
    thresholds = results["decision"]["thresholds"]
    labels = [
        [*_label_cells(row), f"{thresholds[row['label']]:.2f}"]
        for row in results["models"][0]["by_label"]
    ]
    calibration = results["calibration"]
    return [
        *table(heads, rows),
        "",
        *table(
            ["label", "precision %", "recall %", "F1", "texts of it", "said", "said from"], labels
        ),
        "",
        f"calibration error {calibration['error']:.3f} (before the temperature {calibration['before']:.3f})",
        f"Try it: groundup classify {out} {beginning(results['examples'][-1]['text'])}",
    ]


def _method_cells(row: dict[str, Any]) -> list[str]:
    from groundup.evaluate.paired import NO_DIFFERENCE

    micro, exact = row["micro_f1"], row["exact_match"]
    interval = "" if micro["low"] is None else f"{micro['low']:.3f} to {micro['high']:.3f}"
    macro = f"{row['macro_f1']['value']:.3f}" if "macro_f1" in row else ""
    count = f"{exact['n']:,}{' (thin)' if exact['thin'] else ''}"
    lead = row["lead"]["micro_f1"] if "lead" in row else None
    ahead = ""
    if lead and lead["low"] is not None:
        meaning = NO_DIFFERENCE if lead["verdict"] == "unclear" else lead["verdict"]
        ahead = f"micro F1 {lead['value']:+.3f} (95 % interval {lead['low']:+.3f} to {lead['high']:+.3f}): {meaning}"
    return [
        row["name"],
        f"{micro['value']:.3f}",
        interval,
        macro,
        f"{100 * exact['value']:.1f}",
        count,
        ahead,
    ]


def _label_cells(row: dict[str, Any]) -> list[str]:
    shares = [_share(row["precision"]), _share(row["recall"])]
    return [row["label"], *shares, f"{row['f1']:.3f}", f"{row['n']:,}", f"{row['said']:,}"]


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def named(found: dict[str, Any]) -> str:
    """Return the labels that are said of a text, with their probabilities, or that there are none.

    >>> named({"labels": ["late"], "probabilities": {"late": 0.91, "rude": 0.2}})
    'late 91.0 %'
    """
    said = [
        f"{plain(label)} {100 * found['probabilities'][label]:.1f} %" for label in found["labels"]
    ]
    return ", ".join(said) or NO_LABEL
