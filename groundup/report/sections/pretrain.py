"""Stage 3: the training curve of the model of its own."""

import math

from groundup.markup import Node
from groundup.report.chapter import absent, chapter, facts, figure, more, note, notes_of
from groundup.report.drawing.lines import LineChart, Point, Series, line_chart
from groundup.report.report_data import ReportData, RunRecord
from groundup.report.sections.repeat import settings
from groundup.report.values import JsonObject, flat, number, table
from groundup.report.words import count, duration, fixed, parameters, size

KEY, KICKER, TITLE = "pretrain", "Stage 3 · pretrain", "Learning to guess the next token"
SEE = (
    "The loss is the surprise at each next token: lower is better. While both lines fall together the model learns rules; "
    "where the training line falls alone it learns the text by heart."
)
VALIDATION_NAMES = ("validation_loss", "loss", "held_out_loss")
# Figures of a plan, its words, and how a figure is written.
PLANNED = (
    ("minutes", "minutes", lambda value: fixed(value, 1)),
    ("memory_bytes", "memory", size),
    ("tokens_per_s", "tokens a second", count),
    ("bits_per_byte", "bits per byte", fixed),
)


def pretrain(story: ReportData) -> Node:
    """The chapter with loss and bits per byte."""
    run = story.pretrain
    if not run.losses and not run.evaluations and not run.results:
        return absent(KEY, KICKER, TITLE, "no model of its own has been trained")
    stage = story.stage("pretrain")
    return chapter(
        KEY,
        KICKER,
        TITLE,
        SEE,
        _figures(run),
        _loss(run, _vocabulary(story)),
        _bits(run, table(story.evaluate, "text")),
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
        (count(number(last, "tokens")), "tokens read"),
        (fixed(number(results, "bits_per_byte")), "bits per byte, held-out text"),
        (duration(number(last, "elapsed_s")), "of training"),
    )


def _vocabulary(story: ReportData) -> float | None:
    return number(story.tokenizer, "vocab_size") or number(story.pretrain.run, "config", "model", "vocab_size")


def evaluation_points(run: RunRecord, *names: str) -> list[Point]:
    """(step, value) of the first of `names` that each evaluation has."""
    points = []
    for record in run.evaluations:
        step, value = (
            number(record, "step"),
            next((found for name in names if (found := number(record, name)) is not None), None),
        )
        if step is not None and value is not None:
            points.append((step, value))
    return points


def _loss(run: RunRecord, vocabulary: float | None) -> Node | None:
    reference = (
        (math.log(vocabulary), f"guessing blindly among {count(vocabulary)}") if vocabulary and vocabulary > 1 else None
    )
    series = [Series("training", run.losses), Series("validation", evaluation_points(run, *VALIDATION_NAMES), "marked")]
    drawn = line_chart(LineChart("Loss over training steps", "training step", "loss, nats a token", series, reference))
    caption = (
        "Training text and held-out text. The dotted line is the surprise of a model that has learned nothing: "
        "the logarithm of the vocabulary's size."
    )
    return figure(caption, drawn) if drawn else None


def _bits(run: RunRecord, measured: JsonObject) -> Node | None:
    series = [Series("validation", evaluation_points(run, "bits_per_byte", "validation_bits_per_byte"), "marked")]
    drawn = line_chart(
        LineChart("Bits per byte over training steps", "training step", "bits a byte of held-out text", series)
    )
    if not drawn:
        return None
    caption = (
        "The same surprise counted in bits for each byte of text. Models with different vocabularies can be "
        "compared in it; 8 would be no compression at all."
    )
    return figure([caption, _measured(measured)], drawn)


def _measured(found: JsonObject) -> str:
    value, low, high, chance = (number(found, key) for key in ("value", "low", "high", "chance"))
    if value is None or low is None or high is None:
        return ""
    guessed = f"; guessing blindly gives {fixed(chance)}" if chance is not None else ""
    return f" The finished model: {fixed(value)} (95 % interval {fixed(low)} to {fixed(high)}{guessed})."


def _kept(run: RunRecord) -> Node | None:
    best, steps = number(run.results, "best_step"), number(run.results, "steps")
    if best is None or best == steps:
        return None
    return note(f"The weights of step {count(best)} were kept: after it the validation loss rose again.")


def _planned(run: RunRecord) -> Node | None:
    """What was said before the first step beside what came; None for a run without a plan."""
    said = [
        f"{words} {form(planned)} planned, {form(actual)} came"
        for name, words, form in PLANNED
        if (planned := number(run.results, "planned", name)) is not None
        and (actual := number(run.results, "actual", name)) is not None
    ]
    return note("The plan and the run: " + "; ".join(said) + ".") if said else None


def _shape(run: RunRecord) -> Node | None:
    rows = flat(table(run.run, "config"))
    return more("The settings of this run", settings(rows)) if rows else None
