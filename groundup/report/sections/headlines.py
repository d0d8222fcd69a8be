"""The one figure of each stage that the head of the page shows, with what it counts: ("2.64", "bits
per byte").

A stage without one is shown by its state alone.
"""

from collections.abc import Callable

from groundup.report.formatting import MISSING, count, fixed, percent, whole_percent
from groundup.report.report_data import CONTINUED, ReportData
from groundup.report.source_parts import kept
from groundup.report.values import measured, number, numbers, table, tables

Headline = tuple[str, str]


def headline(report: ReportData, stage: str) -> Headline | None:
    """Return the figure of a stage and what it counts; None where it has none."""
    find = OF_KIND.get(report.kinds.get(stage, stage))
    if find is None:
        return None
    figure, what = find(report, stage)
    if figure in ("", MISSING):
        return None
    return figure, what


def short(value: float | None) -> str:
    """Return a count in at most three digits: 5.05M, 135M, 4,096."""
    for divisor, unit in ((1e9, "B"), (1e6, "M")):
        if value is not None and value >= divisor:
            return f"{value / divisor:.3g}{unit}"
    return count(value)


def _data(report: ReportData, stage: str) -> Headline:
    return short(kept(tables(report.data_card, "sources"), "characters")), "characters"


def _tokenizer(report: ReportData, stage: str) -> Headline:
    return count(number(report.tokenizer, "vocab_size")), "tokens"


def _pretrain(report: ReportData, stage: str) -> Headline:
    results = report.run(stage).results
    bits = number(results, "test", "bits_per_byte")
    if bits is None:
        bits = number(results, "bits_per_byte")
    return fixed(bits), "bits per byte"


def _base(report: ReportData, stage: str) -> Headline:
    return short(number(report.facts(stage), "parameters")), "parameters, pulled"


def _classifier(report: ReportData, stage: str) -> Headline:
    best = next(iter(tables(report.run(stage).results, "models")), {})
    return percent(number(best, "accuracy", "value")), f"{stage} accuracy"


def _chat(report: ReportData, stage: str) -> Headline:
    checked = table(report.chat_evaluation(stage), "checked")
    before, after = measured(checked, "before"), measured(checked, "after")
    if not before or not after or after.items is None:
        return fixed(number(report.run(stage).results, "held_out_loss", "after")), "loss on answers"
    right = [count(found.value * after.items) for found in (before, after)]
    return " → ".join(right), f"of {count(after.items)} right"


def _taught(report: ReportData, stage: str) -> Headline:
    gained = table(report.run(stage).results, "forgetting", "texts")
    before, after = numbers(gained, "before", "after")
    if before is None or after is None:
        return "", ""
    return f"{before:.2f} → {after:.2f}", "bits per byte"


def _index(report: ReportData, stage: str) -> Headline:
    return count(number(report.facts(stage), "passages")), "passages"


def _answers(report: ReportData, stage: str) -> Headline:
    arms = tables(report.json(f"{stage}/results.json"), "arms")
    quoted = next((arm for arm in arms if arm.get("name") == "quotations"), {})
    return whole_percent(number(quoted, "contains", "value")), "answered by quotations"


def _export(report: ReportData, stage: str) -> Headline:
    files = len(tables(report.export, "files"))
    if not files:
        return "", ""
    return f"{count(files)} files", "for llama.cpp"


OF_KIND: dict[str, Callable[[ReportData, str], Headline]] = {
    "data": _data,
    "tokenizer": _tokenizer,
    "pretrain": _pretrain,
    "base": _base,
    "classifier": _classifier,
    "chat": _chat,
    CONTINUED: _taught,
    "index": _index,
    "answers": _answers,
    "export": _export,
}
