"""The one figure of each stage that the head of the page shows, with what it counts: ("2.64", "bits
per byte").

A stage without one is shown by its state alone.
"""

from collections.abc import Callable

from groundup.report.formatting import count, fixed, percent
from groundup.report.report_data import CONTINUED, ReportData
from groundup.report.sections.data import DATA_CARD
from groundup.report.sections.export import exported
from groundup.report.sections.tokens import TOKENIZER_REPORT
from groundup.report.source_parts import kept
from groundup.report.values import measured, number, table, tables

Headline = tuple[str, str]


def headline(report: ReportData, stage: str) -> Headline | None:
    """Return the figure of a stage and what it counts; None where it has none."""
    found = OF_KIND.get(report.kinds.get(stage, stage), lambda report, stage: ("", ""))(
        report, stage
    )
    return found if found[0] and found[0] != "–" else None


def short(value: float | None) -> str:
    """Return a count in at most three digits: 5.05M, 135M, 4,096."""
    for divisor, unit in ((1e9, "B"), (1e6, "M")):
        if value is not None and value >= divisor:
            return f"{value / divisor:.3g}{unit}"
    return count(value)


def _data(report: ReportData, stage: str) -> Headline:
    return short(kept(tables(report.json(DATA_CARD), "sources"), "characters")), "characters"


def _tokenizer(report: ReportData, stage: str) -> Headline:
    return count(number(report.json(TOKENIZER_REPORT), "vocab_size")), "tokens"


def _pretrain(report: ReportData, stage: str) -> Headline:
    results = report.run(stage).results
    on_test = number(results, "test", "bits_per_byte")
    return fixed(number(results, "bits_per_byte") if on_test is None else on_test), "bits per byte"


def _base(report: ReportData, stage: str) -> Headline:
    return short(
        number(table(report.build, "stages", stage, "facts"), "parameters")
    ), "parameters, pulled"


def _classifier(report: ReportData, stage: str) -> Headline:
    best = next(iter(tables(report.run(stage).results, "models")), {})
    return percent(number(best, "accuracy", "value")), f"{stage} accuracy"


def _chat(report: ReportData, stage: str) -> Headline:
    found = report.json("evaluate/results.json")
    checked = table(
        found if report.of_kind("chat")[:1] == [stage] else table(found, "chats", stage), "checked"
    )
    before, after = measured(checked, "before"), measured(checked, "after")
    if not before or not after or after.items is None:
        return fixed(number(report.run(stage).results, "held_out_loss", "after")), "loss on answers"
    return (
        f"{count(before.value * after.items)} → {count(after.value * after.items)}",
        f"of {count(after.items)} right",
    )


def _taught(report: ReportData, stage: str) -> Headline:
    gained = table(report.run(stage).results, "forgetting", "texts")
    before, after = number(gained, "before"), number(gained, "after")
    return (
        (f"{before:.2f} → {after:.2f}", "bits per byte")
        if before is not None and after is not None
        else ("", "")
    )


def _index(report: ReportData, stage: str) -> Headline:
    return count(number(table(report.build, "stages", stage, "facts"), "passages")), "passages"


def _answers(report: ReportData, stage: str) -> Headline:
    arms = tables(report.json(f"{stage}/results.json"), "arms")
    quoted = next((arm for arm in arms if arm.get("name") == "quotations"), {})
    return percent(number(quoted, "contains", "value"), 0), "answered by quotations"


def _export(report: ReportData, stage: str) -> Headline:
    files = tables(exported(report), "files")
    return (f"{count(len(files))} files", "for llama.cpp") if files else ("", "")


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
