"""Samples written at each evaluation, for the same prompt, as training goes on."""

from groundup.markup import Node, node
from groundup.report.chapter import Heading, absent, chapter, more
from groundup.report.report_data import ReportData
from groundup.report.values import JsonObject, count, first_letters, number, text

HEADING = Heading(
    "samples",
    "Stage 3 · pretrain",
    "Samples during training",
    "The model continues the same prompt at each evaluation. It learns letters first, then words, then sentences; "
    "meaning needs far more text and time.",
)
SHOWN = 5
SAMPLE_CHARACTERS = 420


def samples(report: ReportData) -> Node:
    """The chapter with samples during training."""
    written = [sample for sample in report.pretrain.samples if text(sample, "text").strip()]
    if not written:
        return absent(HEADING, "no samples were written")
    chosen = evenly([sample for sample in written if sample.get("prompt") == written[0].get("prompt")], SHOWN)
    rest = [sample for sample in written if not any(sample is one for one in chosen)]
    others = more(f"All {count(len(written))} samples", _listed(written)) if rest else None
    return chapter(HEADING, _listed(chosen), others)


def evenly(items: list[JsonObject], wanted: int) -> list[JsonObject]:
    """Return at most `wanted` of the items, evenly spaced, the first and the last among them."""
    if len(items) <= wanted:
        return items
    return [items[round(index * (len(items) - 1) / (wanted - 1))] for index in range(wanted)]


def _listed(written: list[JsonObject]) -> Node:
    return node("ol", [_sample(sample) for sample in written], class_="samples")


def _sample(sample: JsonObject) -> Node:
    step, prompt, continued = number(sample, "step"), text(sample, "prompt"), text(sample, "text")
    words = (node("b", prompt), first_letters(continued, SAMPLE_CHARACTERS))
    quote = node("blockquote", *words, class_="document", dir="auto")
    return node("li", node("p", f"step {count(step)}", class_="step"), quote)
