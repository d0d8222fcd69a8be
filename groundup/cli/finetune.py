"""`groundup finetune classifier | chat`: a pretrained model learns a task."""

from pathlib import Path
from typing import Annotated, Any

import typer

from groundup.api import CHAT_TOKENS, MESSAGES, finetune_chat, finetune_classifier
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.options import FinetuneOptions, JsonOption, ModelArgument, OutOption, grouped
from groundup.cli.plain import beginning

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


@app.callback()
def group() -> None:
    """Teach a pretrained model a task: to tell classes of text apart, or to follow instructions."""


@app.command()
@grouped()
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
    training: FinetuneOptions = FinetuneOptions(),
    as_json: JsonOption = False,
) -> None:
    """Make a classifier of a language model: its last block, final norm and a score head are trained, the rest is run once.

    Measured on messages kept apart, beside the commonest label, TF-IDF with logistic regression, and the base model simply asked.
    The same command again resumes it. --set reaches epochs, batch_size, learning_rate, weight_decay, max_tokens, positive, loss.

    Examples:

        groundup finetune classifier smollm2-135m-instruct reviews.csv --out runs/reviews --label-column stars

        groundup finetune classifier smollm2-135m-instruct messages.jsonl --out runs/spam --set epochs=6

        groundup classify runs/reviews "I would buy it again."
    """
    results = finetune_classifier(
        *(model, data, out),
        text_column=text_column,
        label_column=label_column,
        messages=messages,
        **{"question": question, "sha256": sha256, **vars(training)},
        progress=console_progress(),
    )
    example = results["examples"][-1]["text"]  # a mistake only where all are
    print_result(classifier_lines(results, out, example), {**results, "folder": str(out)}, as_json)


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
@grouped()
def chat(
    model: ModelArgument,
    data: Annotated[str, typer.Argument(help="Instructions: a .jsonl file or folder, or 'starter' (packaged).")],
    out: OutOption,
    tokens: Annotated[
        int, typer.Option("--tokens", min=1, help="Tokens to read, prompts and repeats included.")
    ] = CHAT_TOKENS,
    training: FinetuneOptions = FinetuneOptions(),
    as_json: JsonOption = False,
) -> None:
    """Teach a language model to follow instructions: low-rank corrections (LoRA), trained on the answers only, merged at the end.

    A line of DATA: {"instruction": "...", "input": "", "output": "..."}. Lines with "held_out": true are never trained on; where none has
    it, a tenth is held out. The same command again resumes it. --set reaches max_tokens, rank, alpha,
    batch_size, learning_rate, precision.

    Examples:

        groundup finetune chat smollm2-135m-instruct starter --out runs/chat

        groundup finetune chat smollm2-135m-instruct my-instructions.jsonl --out runs/mine --tokens 100000

        groundup chat runs/mine
    """
    results = finetune_chat(model, data, out, tokens=tokens, **vars(training), progress=console_progress())
    print_result(chat_lines(results, out), {**results, "folder": str(out)}, as_json)


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
