"""Stage 3: the loss curves of the pretrained model, and the samples that it wrote at each
evaluation.
"""

import math
from collections.abc import Sequence

from groundup.html_nodes import Child, Node, node
from groundup.report.chapter import Chapter, StageCard, facts, figure, more, note
from groundup.report.drawing import Point, Series, line_chart
from groundup.report.formatting import (
    count,
    duration,
    first_letters,
    fixed,
    parameters,
    percent,
    size,
)
from groundup.report.report_data import ReportData, RunRecord
from groundup.report.sections.mixture import mixture
from groundup.report.sections.provenance import settings
from groundup.report.values import JsonObject, flat, measured, number, table, tables, text

VALIDATION_NAMES = ("validation_loss", "loss", "held_out_loss")
SHOWN = 5
SAMPLE_CHARACTERS = 420
# Figures of a plan: key, label, format.
PLANNED = (
    ("minutes", "minutes", lambda value: fixed(value, 1)),
    ("memory_bytes", "memory", size),
    ("tokens_per_s", "tokens per second", count),
    ("bits_per_byte", "validation bits per byte", fixed),
)


def parts(report: ReportData) -> Sequence[Child] | str:
    """Loss, bits per byte, and the settings of the run."""
    run = report.run("pretrain")
    if not run.losses and not run.evaluations and not run.results:
        return "no model has been pretrained"
    held_out = table(report.json("evaluate/results.json"), "text")
    return training_parts(run, number(report.json("tokenizer/report.json"), "vocab_size"), held_out)


def training_parts(run: RunRecord, vocabulary: float | None, held_out: JsonObject) -> list[Child]:
    """The figures, curves, sources and settings of a run on texts.

    `held_out`: what the finished model was measured at.
    """
    vocabulary = vocabulary or number(run.run, "config", "model", "vocab_size")
    config = flat(table(run.run, "config"))
    resolved = more("The settings of this run", settings(config)) if config else None
    drawn = [_loss(run, vocabulary), _bits(run, held_out), mixture(run.results)]
    return [_figures(run), *drawn, _kept(run), _planned(run), resolved]


def _figures(run: RunRecord) -> Node | None:
    results, last = run.results, run.last_step
    return facts(
        (parameters(number(results, "parameters")), "parameters"),
        (count(number(last, "step")), "steps"),
        (count(number(last, "tokens")), "training tokens"),
        *_held_out(results),
        (duration(number(last, "elapsed_s")), "of training"),
        *_packed(results),
    )


def _held_out(results: JsonObject) -> list[tuple[str, str]]:
    """The bits per byte on test, and on validation; runs on older shards have the latter only."""
    test, tokens = number(results, "test", "bits_per_byte"), number(results, "test", "tokens")
    on_test = (
        [(fixed(test), f"bits per byte on test (n = {count(tokens)} tokens)")]
        if test is not None
        else []
    )
    return [*on_test, (fixed(number(results, "bits_per_byte")), "bits per byte on validation")]


def _packed(results: JsonObject) -> list[tuple[str, str]]:
    """The padding of a run on packed documents."""
    rows = number(results, "packing", "rows")
    share = percent(number(results, "packing", "padding_share"), 1)
    return (
        [(share, f"padding in {count(rows)} rows of packed documents")] if rows is not None else []
    )


def evaluation_points(run: RunRecord, *names: str) -> list[Point]:
    """Return (step, value) for each evaluation, where value is the first of `names` that it has."""
    points = []
    for record in run.evaluations:
        step, values = number(record, "step"), [number(record, name) for name in names]
        value = next((value for value in values if value is not None), None)
        if step is not None and value is not None:
            points.append((step, value))
    return points


def _loss(run: RunRecord, vocabulary: float | None) -> Node | None:
    reference = None
    if vocabulary and vocabulary > 1:
        reference = (math.log(vocabulary), f"uniform guess among {count(vocabulary)}")
    series = [
        Series("training", run.losses),
        Series("validation", evaluation_points(run, *VALIDATION_NAMES), "marked"),
    ]
    drawn = line_chart(
        "Loss over training steps", "loss, nats per token", series, reference=reference
    )
    caption = (
        "Training text and validation text. The dotted line is the loss of an untrained model that gives every token the same "
        "probability: the logarithm of the vocabulary size."
    )
    return figure(caption, drawn) if drawn else None


def _bits(run: RunRecord, record: JsonObject) -> Node | None:
    series = [
        Series(
            "validation",
            evaluation_points(run, "bits_per_byte", "validation_bits_per_byte"),
            "marked",
        )
    ]
    drawn = line_chart(
        "Bits per byte over training steps", "bits per byte of validation text", series
    )
    caption = (
        "The same loss in bits per byte of text, which can be compared between models with different vocabularies; "
        "8 is no compression at all. The weights were chosen by it."
    )
    if found := measured(record):
        guessed = (
            f"; a uniform guess gives {fixed(found.chance)}" if found.chance is not None else ""
        )
        windows = f", n = {count(found.items)} windows" if found.items is not None else ""
        interval = f"95 % interval {fixed(found.low)} to {fixed(found.high)}{windows}{guessed}"
        split = text(record, "split") or "validation"  # older builds had no test split
        caption += f" The finished model on {split}: {fixed(found.value)} ({interval})."
    return figure(caption, drawn) if drawn else None


def _kept(run: RunRecord) -> Node | None:
    best, steps = number(run.results, "best_step"), number(run.results, "steps")
    if best is None or best == steps:
        return None
    return note(
        f"The weights of step {count(best)} were kept: after it the validation loss rose again."
    )


def _planned(run: RunRecord) -> Node | None:
    """Planned and actual figures; None for a run without a plan."""
    pairs = [
        f"{words} {form(planned)} planned, {form(actual)} actual"
        for name, words, form in PLANNED
        if (planned := number(run.results, "planned", name)) is not None
        and (actual := number(run.results, "actual", name)) is not None
    ]
    return note("Plan and actual: " + "; ".join(pairs) + ".") if pairs else None


PRETRAIN = Chapter(
    "pretrain",
    "",
    "Learning to predict the next token",
    "The loss is the cross-entropy of the next token: lower is better. While both lines fall together, the model generalises; "
    "where only the training line falls, it memorises the text.",
    parts,
    cards=[StageCard("pretrain", "Pretrained model", "learns to predict the next token")],
    runs=["pretrain"],
)


def samples(report: ReportData) -> Sequence[Child] | str:
    """Samples of some evaluations, and all of them; what the finished model writes after beginnings
    of test sentences.
    """
    parts = sample_parts(report.run("pretrain"))
    finished = tables(report.json("evaluate/results.json"), "samples")
    if finished:
        parts += [
            node("h3", "The finished model, on beginnings of sentences of the test text"),
            _listed(finished),
        ]
    return parts or "no samples were written"


def sample_parts(run: RunRecord) -> list[Child]:
    """Samples of some evaluations, and all of them; nothing where none was written."""
    written = [sample for sample in run.samples if text(sample, "text").strip()]
    if not written:
        return []
    chosen = evenly(
        [sample for sample in written if sample.get("prompt") == written[0].get("prompt")], SHOWN
    )
    others = (
        more(f"All {count(len(written))} samples", _listed(written))
        if len(written) > len(chosen)
        else None
    )
    return [_listed(chosen), others]


def evenly(items: list[JsonObject], wanted: int) -> list[JsonObject]:
    """Return at most `wanted` of the items, evenly spaced, the first and the last among them."""
    if len(items) <= wanted:
        return items
    return [items[round(index * (len(items) - 1) / (wanted - 1))] for index in range(wanted)]


def _listed(written: list[JsonObject]) -> Node:
    items = []
    for sample in written:
        words = (
            node("b", text(sample, "prompt")),
            first_letters(text(sample, "text"), SAMPLE_CHARACTERS),
        )
        quote = node("blockquote", *words, class_="document", dir="auto")
        step = f"step {count(number(sample, 'step'))}" if "step" in sample else "at the end"
        items.append(node("li", node("p", step, class_="step"), quote))
    return node("ol", items, class_="samples")


SAMPLES = Chapter(
    "samples",
    "",
    "Samples during training",
    "The model continues the same prompt at each evaluation. It learns letters first, then words, then sentences; "
    "meaning needs far more text and time.",
    samples,
    runs=["pretrain"],
    stages=["pretrain"],
)
