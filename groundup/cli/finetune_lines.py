"""What `groundup finetune` prints of its results."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.cli.console import table
from groundup.cli.plain import beginning

if TYPE_CHECKING:
    from groundup.finetune.chat_training import ChatResults
    from groundup.finetune.classifier_results import ClassifierResults


def chat_lines(results: "ChatResults", out: Path) -> list[str]:
    from groundup.evaluate.comparison.forgetting import forgetting_lines

    loss, counts, of_pairs = results.held_out_loss, results.examples, results.prefers
    what = "pairs" if of_pairs else "rated answers" if results.gains else "examples"
    if counts["repeats"] and not results.beta:
        what = f"examples ({counts['repeats']:,} repeats left out)"
    lines = [
        f"{counts['train']:,} {what}, {results.epochs:.3g} epochs: {results.tokens:,} tokens in "
        f"{results.steps:,} steps ({results.precision}), {results.elapsed_s:.0f} s"
    ]
    change = f"held-out loss {loss['before']:.3f} -> {loss['after']:.3f} nats per"
    if of_pairs:
        lines += [
            "held-out pairs whose chosen answer gained more than the rejected one: "
            f"{results.accuracy_line}",
            f"chosen answer the more probable per token: {of_pairs['before']:.0%} before, "
            f"{of_pairs['after']:.0%} after",
            f"{change} pair",
            *_moved_lines(results),
        ]
    elif gains := results.gains:
        lines += [
            "held-out answers that gained where they were rated up, or lost where down: "
            f"{results.accuracy_line}",
            f"mean gain: {', '.join(f'{kind} ones {gain:+.3f}' for kind, gain in gains.items())} (beta "
            f"{results.beta:g} times nats, beyond the drift of all answers)",
            f"held-out loss {loss['before']:.3f} -> {loss['after']:.3f} (0.5: no preference)",
        ]
    else:
        lines += [
            f"{100 * (results.supervised_share or 0):.0f} % of the tokens were learned (answers), "
            "the rest was read only (prompts)",
            f"{change} token, {counts['held_out']} answers",
        ]
    if (budget := results.budget) and budget["examples"] < budget["of"]:
        lines.append(
            f"{budget['examples']:,} of {budget['of']:,} examples in the budget of {budget['given']}"
        )
    return [
        *_kept_lines(results),
        *_answer_lines(results),
        *lines,
        *forgetting_lines(results.forgetting or {}),
        *_forgotten_lines(results),
        f"Try it: groundup chat {out}",
    ]


def _moved_lines(results: "ChatResults") -> list[str]:
    moved, chosen = results.moved_nats, results.chosen_loss
    if moved is None or chosen is None:
        return []
    return [
        f"chosen answers {chosen['before']:.3f} -> {chosen['after']:.3f} nats per token",
        f"log-probability of the chosen answers {moved['chosen']:+.1f} nats in the mean, of the "
        f"rejected {moved['rejected']:+.1f}",
    ]


def _forgotten_lines(results: "ChatResults") -> list[str]:
    """What to do where something was forgotten."""
    from groundup.evaluate.comparison.forgetting import forgotten

    worse = forgotten(results.forgetting or {})
    if not worse:
        return []
    said = f"Forgotten: {', '.join(name.replace('_', ' ') for name in worse)}"
    if results.proposed_replay is None:
        nearer = "A lower learning rate, or fewer epochs, holds the model nearer."
        if results.prefers:
            nearer = f"A larger sft_weight (1 by default) costs less of it. {nearer}"
        return [f"{said}. {nearer}"]
    source = (results.replay or {"source": "wikipedia"})["source"]
    return [
        f"{said}. Worth a try: --replay {source}={results.proposed_replay:g}, in another --out."
    ]


def _kept_lines(results: "ChatResults") -> list[str]:
    """Which weights are kept, where they are not the last ones."""
    best, steps, planned = results.best_step, results.steps, results.planned_steps
    if best == 0:
        return [
            "No evaluation has a lower held-out loss than the model that training began with: it is "
            "kept as it was. More examples, or a lower learning rate, may help."
        ]
    if best == steps == planned:
        return []
    ended = f"The training ended after {steps:,} of {planned:,} steps: " if steps < planned else ""
    line = f"{ended}the held-out loss was lowest after step {best:,}, whose weights are kept."
    return [line[:1].upper() + line[1:]]


def _answer_lines(results: "ChatResults") -> list[str]:
    lines: list[str] = []
    for answer in (results.answers or [])[:SHOWN_ANSWERS]:
        question = " ".join(f"{answer['instruction']} {answer['input']}".split())
        lines.append(f"held out: {question[:SHOWN_CHARACTERS]}")
        lines += [
            f"  {side + ':':<10} {' / '.join(answer[side].splitlines())[:SHOWN_CHARACTERS]}"
            for side in ("before", "after", "reference")
        ]
    words = results.answer_words
    if words:
        lines.append(
            f"words in the answers to {len(results.answers or [])} held-out prompts: "
            f"{words['before']:.1f} before, {words['after']:.1f} after, {words['reference']:.1f} "
            "wanted"
        )
    if same := results.same_answer:
        lines.append(
            f"{same['after']} of them are answered {same['text'][:SHOWN_CHARACTERS]!r}, which "
            f"{same['reference']} should be: that answer was learned, and not when to give it."
        )
    return [*lines, ""] if lines else []


SHOWN_SUSPECTS = 10
SHOWN_CHARACTERS, SHOWN_ANSWERS = 200, 4
METHOD_HEADS = ("n", "the classifier, on the same texts")
JsonObject = dict[str, Any]


def classifier_lines(results: "ClassifierResults", out: Path) -> list[str]:
    example = results.examples[-1]["text"]  # a misclassified one only if all are
    tables = _label_set_tables if results.multi_label else _label_tables
    return [
        *tables(results),
        *_tried_lines(results),
        "",
        *_decision_lines(results),
        *_wrong_label_lines(results),
        f"Try it: groundup classify {out} {beginning(example)}",
    ]


def _label_tables(results: "ClassifierResults") -> list[str]:
    from groundup.evaluate.paired import difference_line

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


def _label_set_tables(results: "ClassifierResults") -> list[str]:
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
    from groundup.evaluate.paired import NO_DIFFERENCE

    lead = row.get("lead", {}).get("micro_f1", {})
    if lead.get("low") is None:
        return ""
    meaning = lead["verdict"].replace("unclear", NO_DIFFERENCE)
    interval = f"{lead['low']:+.3f} to {lead['high']:+.3f}"
    return f"micro F1 {lead['value']:+.3f} (95 % interval {interval}): {meaning}"


def _decision_lines(results: "ClassifierResults") -> list[str]:
    from groundup.finetune.classifier_results import answered_line, promise_of

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
    promise = promise_of(results)
    if promise is not None:
        lines.append(promise.of_labels)
    if results.decision["abstain_below"]:
        lines.append(answered_line(coverage))
    if results.learning_curve is not None:
        lines.append(results.learning_curve.line())
    return lines


def _tried_lines(results: "ClassifierResults") -> list[str]:
    if results.tried is None:
        return []
    rows = []
    for each in results.tried:
        right = each["right"]
        behind = f"{each['behind']:+.3f} ± {each['standard_error']:.3f}"
        if not each["behind"]:
            behind = "lowest"
        rows.append(
            [
                each["train"],
                f"{each['validation_loss']:.3f}",
                behind,
                f"{100 * right['value']:.1f}",
                f"{100 * right['low']:.1f} to {100 * right['high']:.1f}",
                f"{each['elapsed_s']:.1f}",
                "chosen" if each["chosen"] else "",
            ]
        )
    heads = ["trained", "validation loss", "over the lowest", "right %", "95 % interval", "s", ""]
    line = "Chosen: the simplest whose loss is within a standard error of the lowest."
    if results.plain_head is None:
        line += " Other programs open its folder whole."
    return ["", *table(heads, rows), line]


def _stacked_lines(results: "ClassifierResults") -> list[str]:
    found, head = results.stacked, results.plain_head
    if found is None or head is None:
        return []
    blocks = ", ".join(str(each["block"]) for each in found["blocks"])
    parts = [
        f"mean hidden states after blocks {blocks}",
        f"and {found['letters']['ngrams']:,} n-grams of letters with a share of "
        f"{found['letters_share']:.2f}",
    ]
    if "vectors" in found:
        vectors = found["vectors"]
        parts.append(f"and vectors of {vectors['encoder']} with a share of {vectors['share']:.2f}")
    return [
        f"stacked: {', '.join(parts)}; other programs read the plain head alone "
        f"({100 * head['value']:.1f} % on the test texts)"
    ]


def _wrong_label_lines(results: "ClassifierResults") -> list[str]:
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
