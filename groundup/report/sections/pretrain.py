"""Stage 3: the loss curves of the pretrained model, with the samples that it wrote along them."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import Chapter, StageCard, data_table, facts, figure, more, note
from groundup.report.drawing import Point, Series, bar, line_chart
from groundup.report.report_data import ReportData, RunRecord
from groundup.report.sections.provenance import settings_details
from groundup.report.values import (
    JsonObject,
    count,
    duration,
    fill,
    first_letters,
    fixed,
    measured,
    number,
    numbers,
    parameters,
    percent,
    size,
    table,
    tables,
    text,
    three_decimals,
)

VALIDATION_NAMES = ("validation_loss", "loss", "held_out_loss")
SHOWN = 5
SAMPLE_CHARACTERS = 420
OPENED = "times this test split was opened on this machine, this one included"
# Figures of a plan: key, label, format.
PLANNED = (
    ("minutes", "minutes", partial(fixed, decimals=1)),
    ("memory_bytes", "memory", size),
    ("tokens_per_s", "tokens per second", count),
    ("bits_per_byte", "validation bits per byte", fixed),
)


def parts(report: ReportData) -> Sequence[Child] | str:
    run = report.run("pretrain")
    if not run.losses and not run.evaluations and not run.results:
        return "no model has been pretrained"
    held_out, finished = table(report.evaluation, "text"), tables(report.evaluation, "samples")
    title = "The finished model, on beginnings of sentences of the test text"
    return [
        *training_parts(run, number(report.tokenizer, "vocab_size"), held_out),
        more(title, list_samples(finished)),
    ]


def training_parts(run: RunRecord, vocabulary: float | None, held_out: JsonObject) -> list[Child]:
    """The figures, the curve with samples along it, sources and settings of a run on texts.

    `held_out`: what the finished model was measured at.
    """
    vocabulary = vocabulary or number(run.run, "config", "model", "vocab_size")
    return [
        _figures(run),
        _loss(run, vocabulary),
        *_samples(run),
        _kept(run),
        _planned(run),
        mixture(run.results),
        more("Bits per byte over the steps", _bits(run, held_out)),
        settings_details("The settings of this run", table(run.run, "config")),
    ]


def _figures(run: RunRecord) -> Node | None:
    results, last = run.results, run.last_step
    read = count(results, "test", "tokens")
    tested = say("bits per byte on test (n = {count} tokens)", count=read)
    return facts(
        (parameters(results, "parameters"), "parameters"),
        (count(last, "step"), "steps"),
        (count(last, "tokens"), "training tokens"),
        (fixed(results, "test", "bits_per_byte"), tested),
        (fixed(results, "bits_per_byte"), "bits per byte on validation"),
        (duration(last, "elapsed_s"), "of training"),
        (count(results, "test_openings"), OPENED),
        *_packed(results),
    )


def _packed(results: JsonObject) -> list[tuple[str, str]]:
    """The padding of a run on packed documents."""
    rows = number(results, "packing", "rows")
    if rows is None:
        return []
    said = say("padding in {count} rows of packed documents", count=count(rows))
    return [(percent(results, "packing", "padding_share"), said)]


def evaluation_points(run: RunRecord, *names: str) -> list[Point]:
    """Return (step, value) for each evaluation, where value is the first of `names` that it has."""
    points = []
    for record in run.evaluations:
        step, values = number(record, "step"), numbers(record, *names)
        value = next((value for value in values if value is not None), None)
        if step is not None and value is not None:
            points.append((step, value))
    return points


def _loss(run: RunRecord, vocabulary: float | None) -> Node | None:
    reference = None
    if vocabulary and vocabulary > 1:
        guess = say("uniform guess among {count}", count=count(vocabulary))
        reference = (math.log(vocabulary), guess)
    series = [
        Series("training", run.losses),
        Series("validation", evaluation_points(run, *VALIDATION_NAMES), "marked"),
    ]
    along = [(step, str(place)) for place, step in enumerate(_sampled_steps(run), 1)]
    title = "Loss over training steps"
    drawn = line_chart(title, "loss, nats per token", series, reference=reference, along=along)
    caption = say(
        "Training text and validation text. The dotted line is the loss of an untrained model that "
        "gives every token the same probability: the logarithm of the vocabulary size."
    )
    if along:
        caption += " " + say("At the numbers the model wrote the samples below.")
    return figure(caption, drawn)


def _bits(run: RunRecord, record: JsonObject) -> Node | None:
    drawn = line_chart(
        "Bits per byte over training steps",
        "bits per byte of validation text",
        [Series("validation", evaluation_points(run, "bits_per_byte"), "marked")],
    )
    caption = say(
        "The same loss in bits per byte of text, which can be compared between models with "
        "different vocabularies; 8 is no compression at all. The weights were chosen by it."
    )
    found = measured(record)
    if found:
        split = text(record, "split") or "validation"
        caption += " " + say(
            "The finished model on {split}: {value} (95 % interval {bounds}{windows}{guessed}).",
            split=say(split),
            value=fixed(found.value),
            bounds=found.bounds(fixed),
            windows=fill(", n = {} windows", found.items),
            guessed=fill("; a uniform guess gives {}", found.chance, fixed),
        )
    return figure(caption, drawn)


SOURCE_COLUMNS = ("read", "there", "wanted", "epochs", "tokens read", "bits per byte")


def mixture(results: JsonObject) -> Node | None:
    """The shares of the sources; None for runs on one."""
    sources = tables(results, "sources")
    read = [number(each, "read_tokens") or 0.0 for each in sources]
    total = sum(read)
    if not total:
        return None
    shares = [tokens / total for tokens in read]
    # room for a mark at the end
    largest = 1.02 * max(*shares, *[number(each, "share") or 0.0 for each in sources])
    rows = [
        _source_row(each, share, largest, results)
        for each, share in zip(sources, shares, strict=True)
    ]
    head: list[Child] = [
        "source",
        node("span", say("share of what was read"), class_="quiet"),
        *SOURCE_COLUMNS,
    ]
    caption = (
        "A bar is the share of a source in the tokens that the model read; the vertical mark is "
        "its share of the text that is there. Beyond about four epochs repeated text teaches "
        "little, and a small source is memorised. Bits per byte are of its validation text."
    )
    title, figures = "Sources of the training text", range(2, 2 + len(SOURCE_COLUMNS))
    return figure(caption, data_table(title, head, rows, figures=figures, class_="bars"))


def _source_row(
    source: JsonObject, share: float, largest: float, results: JsonObject
) -> list[Child]:
    return [
        foreign(text(source, "name")),
        bar(share, largest, number(source, "share")),
        percent(share),
        percent(source, "share"),
        percent(source, "wanted"),
        fixed(source, "epochs"),
        count(source, "read_tokens"),
        three_decimals(results, f"bits_per_byte:{text(source, 'source')}"),
    ]


def _kept(run: RunRecord) -> Node | None:
    best, steps = numbers(run.results, "best_step", "steps")
    if best is None or best == steps:
        return None
    words = "The weights of step {step} were kept: after it the validation loss rose again."
    return note(say(words, step=count(best)))


def _planned(run: RunRecord) -> Node | None:
    pairs = []
    for name, words, form in PLANNED:
        planned, actual = (number(run.results, key, name) for key in ("planned", "actual"))
        if planned is not None and actual is not None:
            figures = {"planned": form(planned), "actual": form(actual)}
            pairs.append(
                say("{what} {planned} planned, {actual} actual", what=say(words), **figures)
            )
    if not pairs:
        return None
    return note(say("Plan and actual: {pairs}.", pairs="; ".join(pairs)))


def _samples(run: RunRecord) -> list[Child]:
    """Samples of some evaluations, numbered as on the curve, and all of them."""
    written, of_first = written_samples(run)
    if not written:
        return [note("This run stored no samples of what the model writes.")]
    chosen = evenly(of_first, SHOWN)
    parts: list[Child] = [list_samples(chosen, dict(evaluation_points(run, *VALIDATION_NAMES)))]
    if len(written) > len(chosen):
        parts.append(
            more(say("All {count} samples", count=count(len(written))), list_samples(written))
        )
    return parts


def _sampled_steps(run: RunRecord) -> list[float]:
    """The steps of the samples that are shown along the curve."""
    _, of_first = written_samples(run)
    steps = [number(sample, "step") for sample in evenly(of_first, SHOWN)]
    return [step for step in steps if step is not None]


def written_samples(run: RunRecord) -> tuple[list[JsonObject], list[JsonObject]]:
    """The samples with a text, and those of them that continue the first prompt."""
    written = [sample for sample in run.samples if text(sample, "text").strip()]
    of_first = [each for each in written if each.get("prompt") == written[0].get("prompt")]
    return written, of_first


def evenly(items: list[JsonObject], wanted: int) -> list[JsonObject]:
    """At most `wanted` of the items, evenly spaced, the first and the last among them."""
    if len(items) <= wanted:
        return items
    return [items[round(index * (len(items) - 1) / (wanted - 1))] for index in range(wanted)]


def list_samples(
    written: Sequence[JsonObject], along: Mapping[float, float] | None = None
) -> Node | None:
    """Samples with their steps; `along`, the loss at each step, numbers them as on the curve."""
    items = []
    for place, sample in enumerate(written, 1):
        prompt = node("b", text(sample, "prompt"))
        words = first_letters(text(sample, "text"), SAMPLE_CHARACTERS)
        quote = node("blockquote", prompt, words, class_="document", dir="auto")
        step: list[Child] = [say("at the end")]
        if "step" in sample:
            step = [say("step {step}", step=count(sample, "step"))]
        if along is not None:
            loss = along.get(number(sample, "step") or 0.0)
            said = node("span", fill("loss {}", loss, fixed))
            step = [node("b", str(place), class_="along"), node("span", step), said]
        items.append(node("li", node("p", step, class_="step"), quote))
    if not items:
        return None
    return node("ol", items, class_="samples")


PRETRAIN = Chapter(
    "pretrain",
    "",
    "Learning to predict the next token",
    "The loss is the cross-entropy of the next token: lower is better. The model goes on from the "
    "same words along the way: it learns letters first, then words, then sentences; meaning needs "
    "far more text and time.",
    parts,
    cards=[StageCard("pretrain", "Pretrained model", "learns to predict the next token")],
    runs=["pretrain"],
)
