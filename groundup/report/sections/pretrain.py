"""Stage 3: the loss curves of the pretrained model, and the samples that it wrote at each
evaluation.
"""

import math
from collections.abc import Sequence
from functools import partial

from groundup.html_nodes import Child, Node, foreign, node
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
    held_out = table(report.evaluation, "text")
    return training_parts(run, number(report.tokenizer, "vocab_size"), held_out)


def training_parts(run: RunRecord, vocabulary: float | None, held_out: JsonObject) -> list[Child]:
    """The figures, curves, sources and settings of a run on texts.

    `held_out`: what the finished model was measured at.
    """
    vocabulary = vocabulary or number(run.run, "config", "model", "vocab_size")
    drawn = [_loss(run, vocabulary), _bits(run, held_out), mixture(run.results)]
    resolved = settings_details("The settings of this run", table(run.run, "config"))
    return [_figures(run), *drawn, _kept(run), _planned(run), resolved]


def _figures(run: RunRecord) -> Node | None:
    results, last = run.results, run.last_step
    tested = f"bits per byte on test (n = {count(results, 'test', 'tokens')} tokens)"
    return facts(
        (parameters(results, "parameters"), "parameters"),
        (count(last, "step"), "steps"),
        (count(last, "tokens"), "training tokens"),
        (fixed(results, "test", "bits_per_byte"), tested),
        (fixed(results, "bits_per_byte"), "bits per byte on validation"),
        (duration(last, "elapsed_s"), "of training"),
        *_packed(results),
    )


def _packed(results: JsonObject) -> list[tuple[str, str]]:
    """The padding of a run on packed documents."""
    rows = number(results, "packing", "rows")
    if rows is None:
        return []
    said = f"padding in {count(rows)} rows of packed documents"
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
        reference = (math.log(vocabulary), f"uniform guess among {count(vocabulary)}")
    series = [
        Series("training", run.losses),
        Series("validation", evaluation_points(run, *VALIDATION_NAMES), "marked"),
    ]
    title = "Loss over training steps"
    drawn = line_chart(title, "loss, nats per token", series, reference=reference)
    caption = (
        "Training text and validation text. The dotted line is the loss of an untrained model that "
        "gives every token the same probability: the logarithm of the vocabulary size."
    )
    return figure(caption, drawn)


def _bits(run: RunRecord, record: JsonObject) -> Node | None:
    drawn = line_chart(
        "Bits per byte over training steps",
        "bits per byte of validation text",
        [Series("validation", evaluation_points(run, "bits_per_byte"), "marked")],
    )
    caption = (
        "The same loss in bits per byte of text, which can be compared between models with "
        "different vocabularies; 8 is no compression at all. The weights were chosen by it."
    )
    found = measured(record)
    if found:
        windows = fill(", n = {} windows", found.items)
        guessed = fill("; a uniform guess gives {}", found.chance, fixed)
        split = text(record, "split") or "validation"
        caption += f" The finished model on {split}: {fixed(found.value)} "
        caption += f"(95 % interval {found.bounds(fixed)}{windows}{guessed})."
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
        node("span", "share of what was read", class_="quiet"),
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
    words = f"The weights of step {count(best)} were kept: "
    return note(f"{words}after it the validation loss rose again.")


def _planned(run: RunRecord) -> Node | None:
    pairs = []
    for name, words, form in PLANNED:
        planned, actual = (number(run.results, key, name) for key in ("planned", "actual"))
        if planned is not None and actual is not None:
            pairs.append(f"{words} {form(planned)} planned, {form(actual)} actual")
    if not pairs:
        return None
    return note(f"Plan and actual: {'; '.join(pairs)}.")


PRETRAIN = Chapter(
    "pretrain",
    "",
    "Learning to predict the next token",
    "The loss is the cross-entropy of the next token: lower is better. While both lines fall "
    "together, the model generalises; where only the training line falls, it memorises the text.",
    parts,
    cards=[StageCard("pretrain", "Pretrained model", "learns to predict the next token")],
    runs=["pretrain"],
)


def samples(report: ReportData) -> Sequence[Child] | str:
    """Samples of some evaluations, and all of them; what the finished model writes after
    beginnings of test sentences.
    """
    parts = sample_parts(report.run("pretrain"))
    finished = tables(report.evaluation, "samples")
    if finished:
        title = "The finished model, on beginnings of sentences of the test text"
        parts += [node("h3", title), _list_samples(finished)]
    return parts or "no samples were written"


def sample_parts(run: RunRecord) -> list[Child]:
    """Samples of some evaluations, and all of them; nothing where none was written."""
    written, of_first = written_samples(run)
    if not written:
        return []
    chosen = evenly(of_first, SHOWN)
    parts: list[Child] = [_list_samples(chosen)]
    if len(written) > len(chosen):
        parts.append(more(f"All {count(len(written))} samples", _list_samples(written)))
    return parts


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


def _list_samples(written: list[JsonObject]) -> Node:
    items = []
    for sample in written:
        prompt = node("b", text(sample, "prompt"))
        words = first_letters(text(sample, "text"), SAMPLE_CHARACTERS)
        quote = node("blockquote", prompt, words, class_="document", dir="auto")
        step = "at the end"
        if "step" in sample:
            step = f"step {count(sample, 'step')}"
        items.append(node("li", node("p", step, class_="step"), quote))
    return node("ol", items, class_="samples")


SAMPLES = Chapter(
    "samples",
    "",
    "Samples during training",
    "The model continues the same prompt at each evaluation. It learns letters first, then words, "
    "then sentences; meaning needs far more text and time.",
    samples,
    runs=["pretrain"],
    stages=["pretrain"],
)
