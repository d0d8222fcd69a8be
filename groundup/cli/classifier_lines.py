"""What the terminal shows of a classifier that was trained, of one label a text or of several."""

from pathlib import Path
from typing import Any

from groundup.cli.console import table
from groundup.cli.plain import beginning
from groundup.evaluate.paired import NO_DIFFERENCE, difference_line
from groundup.finetune.classifier_results import ClassifierResults

SHOWN_SUSPECTS = 10
METHOD_HEADS = ("n", "the classifier, on the same texts")
JsonObject = dict[str, Any]


def classifier_lines(results: ClassifierResults, out: Path) -> list[str]:
    """Return the table of methods, the trained classifier first, and what it does with each
    label.
    """
    example = results.examples[-1]["text"]  # a misclassified one only if all are
    tables = _label_tables
    if results.multi_label:
        tables = _label_set_tables
    return [
        *tables(results),
        "",
        *_decision_lines(results),
        *_wrong_label_lines(results),
        f"Try it: groundup classify {out} {beginning(example)}",
    ]


def _label_tables(results: ClassifierResults) -> list[str]:
    """Return the methods by accuracy, and the confusion matrix."""
    labels = results.labels
    f1 = "mean F1"
    if len(labels) == 2:
        f1 = f"F1 of {results.positive}"
    rows = []
    for row in results.models:
        found = row["accuracy"]
        interval = f"{100 * found['low']:.1f} to {100 * found['high']:.1f}"
        figures = [f"{100 * found['value']:.1f}", interval, f"{row['f1']:.3f}"]
        lead = difference_line(row["lead"]["accuracy"]) if "lead" in row else ""
        rows.append([row["name"], *figures, _count(found), lead])
    confusion = [
        [label, *map(str, counts)]
        for label, counts in zip(labels, results.models[0]["confusion"], strict=True)
    ]
    return [
        *table(["method", "accuracy %", "95 % interval", f1, *METHOD_HEADS], rows),
        "",
        *table(["is \\ said", *labels], confusion),
    ]


def _label_set_tables(results: ClassifierResults) -> list[str]:
    """Return the methods by micro F1, and the figures of each label."""
    rows = []
    for row in results.models:
        micro, exact = row["micro_f1"], row["exact_match"]
        macro = f"{row['macro_f1']['value']:.3f}" if "macro_f1" in row else ""
        figures = [f"{micro['value']:.3f}", _interval(micro), macro, f"{100 * exact['value']:.1f}"]
        rows.append([row["name"], *figures, _count(exact), _micro_f1_lead(row)])
    thresholds = results.decision["thresholds"]
    labels = [
        [
            row["label"],
            _percent(row["precision"]),
            _percent(row["recall"]),
            f"{row['f1']:.3f}",
            f"{row['n']:,}",
            f"{row['said']:,}",
            f"{thresholds[row['label']]:.2f}",
        ]
        for row in results.models[0]["by_label"]
    ]
    methods = ["method", "micro F1", "95 % interval", "macro F1", "all right %", *METHOD_HEADS]
    heads = ["label", "precision %", "recall %", "F1", "texts of it", "said", "said from"]
    return [*table(methods, rows), "", *table(heads, labels)]


def _count(found: JsonObject) -> str:
    count = f"{found['n']:,}"
    return f"{count} (thin)" if found["thin"] else count


def _interval(found: JsonObject) -> str:
    if found.get("low") is None:
        return ""
    return f"{found['low']:.3f} to {found['high']:.3f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _micro_f1_lead(row: JsonObject) -> str:
    lead = row.get("lead", {}).get("micro_f1", {})
    if lead.get("low") is None:
        return ""
    meaning = lead["verdict"]
    if meaning == "unclear":
        meaning = NO_DIFFERENCE
    interval = f"{lead['low']:+.3f} to {lead['high']:+.3f}"
    return f"micro F1 {lead['value']:+.3f} (95 % interval {interval}): {meaning}"


def _decision_lines(results: ClassifierResults) -> list[str]:
    """Return how far its probabilities can be trusted, and what costs and abstaining come to on the
    test texts.
    """
    calibration = results.calibration
    before = f"before the temperature {calibration['before']:.3f}"
    if "by_chance" in calibration:
        before += f"; {calibration['by_chance']:.3f} is chance with {calibration['n']:,} texts"
    lines = [f"calibration error {calibration['error']:.3f} ({before})", *_stacked_lines(results)]
    costs, coverage = results.costs, results.coverage
    if costs is None or coverage is None:
        return lines
    if costs["false_alarm"] != costs["miss"]:
        lines.append(
            f"{costs['false_alarms']} false alarms and {costs['misses']} misses of "
            f"{results.positive}, a cost of {costs['cost']:.3f} a text; it is said from "
            f"{results.decision['threshold']:.3f} on"
        )
    if results.decision["abstain_below"]:
        line = f"answers {100 * coverage['answered']:.1f} % of the test texts"
        if coverage["accuracy"] is not None:
            line += f", of which {100 * coverage['accuracy']:.1f} % are right"
        lines.append(f"{line}; unsure of the others")
    if results.learning_curve is not None:
        lines.append(results.learning_curve.line())
    return lines


def _stacked_lines(results: ClassifierResults) -> list[str]:
    """Return what was tried, and what a stacked classifier is made of."""
    lines = []
    if results.tried is not None:
        losses = ", ".join(
            f"{each['train']} {each['validation_loss']:.4f}" for each in results.tried
        )
        lines.append(f"trained: {results.trained}; loss on validation: {losses}")
    found, head = results.stacked, results.plain_head
    if found is None or head is None:
        return lines
    blocks = ", ".join(str(each["block"]) for each in found["blocks"])
    parts = [
        f"mean hidden states after blocks {blocks}",
        f"and {found['letters']['ngrams']:,} n-grams of letters with a share of "
        f"{found['letters_share']:.2f}",
    ]
    if "vectors" in found:
        vectors = found["vectors"]
        parts.append(f"and vectors of {vectors['encoder']} with a share of {vectors['share']:.2f}")
    lines.append(
        f"stacked: {', '.join(parts)}; other programs read the plain head alone "
        f"({100 * head['value']:.1f} % on the test texts)"
    )
    return lines


def _wrong_label_lines(results: ClassifierResults) -> list[str]:
    """Return the first of the labels that are probably wrong."""
    found = results.wrong_labels
    if found is None:
        return []
    rows = [
        [
            each.label,
            each.suggested,
            f"{100 * each.suggested_probability:.1f}",
            beginning(each.text),
        ]
        for each in found.list[:SHOWN_SUSPECTS]
        if each.suspected
    ]
    lines = ["", found.line()]
    if rows:
        heads = ["label", "perhaps", "% sure"]
        lines += table([*heads, "text (all of them: results.json, and groundup report)"], rows)
    return [*lines, ""]
