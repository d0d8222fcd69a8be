"""Stage 3: the loss curves of the pretrained model."""

import math

from groundup.markup import Node
from groundup.report.chapter import Heading, absent, chapter, facts, figure, more, note, notes_of
from groundup.report.drawing.lines import LineChart, Point, Series, line_chart
from groundup.report.report_data import ReportData, RunRecord
from groundup.report.sections.repeat import settings
from groundup.report.values import JsonObject, count, duration, fixed, flat, number, parameters, size, table

HEADING = Heading(
    "pretrain",
    "Stage 3 · pretrain",
    "Learning to predict the next token",
    "The loss is the cross-entropy of the next token: lower is better. While both lines fall together, the model generalises; "
    "where only the training line falls, it memorises the text.",
)
VALIDATION_NAMES = ("validation_loss", "loss", "held_out_loss")
# Figures of a plan: key, label, format.
PLANNED = (
    ("minutes", "minutes", lambda value: fixed(value, 1)),
    ("memory_bytes", "memory", size),
    ("tokens_per_s", "tokens per second", count),
    ("bits_per_byte", "bits per byte", fixed),
)


def pretrain(report: ReportData) -> Node:
    """The chapter with the loss and bits per byte."""
    run = report.pretrain
    if not run.losses and not run.evaluations and not run.results:
        return absent(HEADING, "no model has been pretrained")
    stage = report.stage("pretrain")
    return chapter(
        HEADING,
        _figures(run),
        _loss(run, _vocabulary(report)),
        _bits(run, table(report.evaluate, "text")),
        _kept(run),
        _planned(run),
        _shape(run),
        notes_of(stage.thin if stage else []),
    )


def _figures(run: RunRecord) -> Node | None:
    results, last = run.results, run.last_step
    return facts(
        (parameters(number(results, "parameters")), "parameters"),
        (count(number(last, "step")), "steps"),
        (count(number(last, "tokens")), "training tokens"),
        (fixed(number(results, "bits_per_byte")), "bits per byte, held-out text"),
        (duration(number(last, "elapsed_s")), "of training"),
    )


def _vocabulary(report: ReportData) -> float | None:
    return number(report.tokenizer, "vocab_size") or number(report.pretrain.run, "config", "model", "vocab_size")


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
    series = [Series("training", run.losses), Series("validation", evaluation_points(run, *VALIDATION_NAMES), "marked")]
    drawn = line_chart(
        LineChart("Loss over training steps", "training step", "loss, nats per token", series, reference)
    )
    caption = (
        "Training text and held-out text. The dotted line is the loss of an untrained model that gives every token the same "
        "probability: the logarithm of the vocabulary size."
    )
    return figure(caption, drawn) if drawn else None


def _bits(run: RunRecord, measured: JsonObject) -> Node | None:
    series = [Series("validation", evaluation_points(run, "bits_per_byte", "validation_bits_per_byte"), "marked")]
    chart = LineChart("Bits per byte over training steps", "training step", "bits per byte of held-out text", series)
    drawn = line_chart(chart)
    if not drawn:
        return None
    caption = (
        "The same loss in bits per byte of text, which can be compared between models with different vocabularies; "
        "8 is no compression at all."
    )
    return figure([caption, _measured(measured)], drawn)


def _measured(found: JsonObject) -> str:
    value, low, high, chance = (number(found, key) for key in ("value", "low", "high", "chance"))
    if value is None or low is None or high is None:
        return ""
    guessed = f"; a uniform guess gives {fixed(chance)}" if chance is not None else ""
    return f" The finished model: {fixed(value)} (95 % interval {fixed(low)} to {fixed(high)}{guessed})."


def _kept(run: RunRecord) -> Node | None:
    best, steps = number(run.results, "best_step"), number(run.results, "steps")
    if best is None or best == steps:
        return None
    return note(f"The weights of step {count(best)} were kept: after it the validation loss rose again.")


def _planned(run: RunRecord) -> Node | None:
    """Planned and actual figures; None for a run without a plan."""
    pairs = [
        f"{words} {form(planned)} planned, {form(actual)} actual"
        for name, words, form in PLANNED
        if (planned := number(run.results, "planned", name)) is not None
        and (actual := number(run.results, "actual", name)) is not None
    ]
    return note("Plan and actual: " + "; ".join(pairs) + ".") if pairs else None


def _shape(run: RunRecord) -> Node | None:
    rows = flat(table(run.run, "config"))
    return more("The settings of this run", settings(rows)) if rows else None
