"""What the model wrote at each evaluation: the same beginning, again and again, as it learns."""

from groundup.markup import Node, node
from groundup.report.chapter import absent, chapter, more
from groundup.report.report_data import ReportData
from groundup.report.values import JsonObject, number, text
from groundup.report.words import count, first_letters

KEY, KICKER, TITLE = "samples", "Stage 3 · pretrain", "What it wrote along the way"
SEE = "The model continues a beginning. First letters, then words, then lines that sound right; sense comes last and needs far more text and time."
SHOWN = 5
SAMPLE_CHARACTERS = 420


def samples(story: ReportData) -> Node:
    """The chapter with samples over time."""
    written = [sample for sample in story.pretrain.samples if text(sample, "text").strip()]
    if not written:
        return absent(KEY, KICKER, TITLE, "no samples were written")
    chosen = evenly([sample for sample in written if sample.get("prompt") == written[0].get("prompt")], SHOWN)
    rest = [sample for sample in written if not any(sample is one for one in chosen)]
    others = more(f"All {count(len(written))} samples", _listed(written)) if rest else None
    return chapter(KEY, KICKER, TITLE, SEE, _listed(chosen), others)


def evenly(items: list[JsonObject], wanted: int) -> list[JsonObject]:
    """At most `wanted` of the items, evenly spread, the first and the last among them."""
    if len(items) <= wanted:
        return items
    return [items[round(index * (len(items) - 1) / (wanted - 1))] for index in range(wanted)]


def _listed(written: list[JsonObject]) -> Node:
    return node("ol", [_sample(sample) for sample in written], class_="samples")


def _sample(sample: JsonObject) -> Node:
    step, prompt, continued = number(sample, "step"), text(sample, "prompt"), text(sample, "text")
    quote = node(
        "blockquote", node("b", prompt), first_letters(continued, SAMPLE_CHARACTERS), class_="document", dir="auto"
    )
    return node("li", node("p", f"step {count(step)}", class_="step"), quote)
