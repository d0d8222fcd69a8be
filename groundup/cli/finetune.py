"""`groundup finetune classifier | chat | preference`: a pretrained model learns a task."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from groundup.api.finetuning import (
    CHAT_EPOCHS,
    MESSAGES,
    PREFERENCE_BETA,
    PREFERENCE_EPOCHS,
    finetune_chat,
    finetune_classifier,
    finetune_preference,
)
from groundup.cli import options
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.fields import grouped
from groundup.cli.label_sets import multi_label_lines
from groundup.cli.plain import beginning
from groundup.cli.usage import VerbApp
from groundup.config import apply_sets

SHOWN_SUSPECTS = 10

app = VerbApp(
    "Fine-tune a pretrained model: as a classifier of texts, to follow instructions, to prefer the better of two answers."
)


@app.command()
@grouped()
def classifier(
    model: options.ModelArgument,
    data: Annotated[
        str,
        Argument(
            help="Labelled texts: rows, lines of label, tab, text, or a folder of mailboxes or texts by label."
        ),
    ],
    out: options.OutOption,
    text_column: options.TextColumnOption = "",
    label_column: options.LabelColumnOption = "",
    label_from: Annotated[
        str,
        Option(
            "--label-from",
            help="Where the label is: column, or name (of the folder or the .mbox file); default: recognised.",
        ),
    ] = "",
    label_separator: options.LabelSeparatorOption = "",
    messages: Annotated[
        int,
        Option(
            "--messages", min=30, help="At most this many: two thirds train, an eighth validate."
        ),
    ] = MESSAGES,
    min_per_class: Annotated[
        int, Option("--min-per-class", min=0, help="Leave out classes of fewer distinct texts.")
    ] = 0,
    validation: Annotated[
        str | None,
        Option("--validation", help="Own texts to choose on, instead of a part of DATA."),
    ] = None,
    test: Annotated[
        str | None, Option("--test", help="Own texts to measure on, instead of a part of DATA.")
    ] = None,
    train: Annotated[
        str,
        Option(
            "--train",
            help="What learns: head, last-block (and head), lora (adapters of all blocks), all; stacked: regressions on hidden states and TF-IDF of "
            "letters; auto: of last-block and stacked what is better on validation.",
        ),
    ] = "last-block",
    class_weights: Annotated[
        str,
        Option(
            "--class-weights", help="none, or balanced: rare labels weigh as much as common ones."
        ),
    ] = "none",
    cost_false_alarm: Annotated[
        float,
        Option(
            "--cost-false-alarm", help="What it costs to say the label to detect where it is wrong."
        ),
    ] = 1.0,
    cost_miss: Annotated[
        float, Option("--cost-miss", help="What it costs not to say it where it is right.")
    ] = 1.0,
    abstain: Annotated[
        float | None,
        Option(
            "--abstain",
            metavar="ACCURACY",
            help="Say 'unsure' so that the other answers are so accurate: 0.99.",
        ),
    ] = None,
    learning_curve: Annotated[
        bool,
        Option(
            "--learning-curve",
            help="Also learn from 50, 100, 200, ... texts: what would more bring?",
        ),
    ] = False,
    find_wrong_labels: Annotated[
        bool,
        Option(
            "--find-wrong-labels",
            help="List the texts whose labels are probably wrong; four trainings more.",
        ),
    ] = False,
    question: Annotated[
        str | None,
        Option("--question", help="Question to the base model; default: which label fits."),
    ] = None,
    few_shot: Annotated[
        int | None,
        Option(
            "--few-shot",
            min=0,
            metavar="K",
            help="Also ask the base model after K examples of each label; 0: not. Default: 1, 2 or 4, if within 60 s.",
        ),
    ] = None,
    sha256: options.Sha256Option = "",
    training: options.FinetuneOptions = options.FinetuneOptions(),
    as_json: options.JsonOption = False,
) -> None:
    """Make a classifier of a language model: its last block, final norm and a score head are
    trained on cached activations.

    Learning rate and epoch are chosen on validation messages, as the baselines' settings are; then
    all are measured on test messages: the most common label, TF-IDF with logistic regression, and
    the base model with a prompt. Texts may have none, one or several labels: lists in JSONL, or a
    column with --label-separator; each label then has a threshold of its own. A folder with
    spam.mbox and ham.mbox, or with folders spam and ham of mails or texts, is labelled by these
    names. The same command again resumes where it stopped. --set sets epochs, batch_size,
    learning_rate, weight_decay, max_tokens, windows, positive, loss.

    Examples:
        groundup finetune classifier smollm2-135m-instruct reviews.csv --out runs/reviews
            --label-column stars
        groundup finetune classifier smollm2-135m-instruct messages.jsonl --out runs/spam
            --cost-false-alarm 5 --abstain 0.99
        groundup finetune classifier smollm2-135m-instruct mail/ --out runs/filter --train stacked
        groundup finetune classifier smollm2-135m-instruct train.csv --validation dev.csv --test
            test.csv --out runs/mine
        groundup finetune classifier smollm2-135m-instruct tickets.csv --label-column topics
            --label-separator ';' --out runs/tickets
        groundup classify runs/reviews "I would buy it again."
    """
    chosen = {
        "train": train,
        "class_weights": class_weights,
        "abstain": abstain,
        "learning_curve": learning_curve,
        "find_wrong_labels": find_wrong_labels,
    }
    costs = {"cost_false_alarm": cost_false_alarm, "cost_miss": cost_miss}
    asked = vars(training)
    settings = apply_sets({**chosen, **costs}, asked["settings"])
    results = finetune_classifier(
        *(model, data, out),
        text_column=text_column,
        label_column=label_column,
        label_from=label_from,
        label_separator=label_separator,
        messages=messages,
        min_per_class=min_per_class,
        validation=validation,
        test=test,
        **{
            "question": question,
            "few_shot": few_shot,
            "sha256": sha256,
            **asked,
            "settings": settings,
        },
        progress=console_progress(),
    )
    example = results["examples"][-1]["text"]  # a misclassified one only if all are
    lines = (
        multi_label_lines(results, out)
        if results.get("multi_label")
        else classifier_lines(results, out, example)
    )
    print_result(lines, {**results, "folder": str(out)}, as_json)


def classifier_lines(results: dict[str, Any], out: Path, example: str) -> list[str]:
    """Return the table of methods, the trained classifier first, and its confusion matrix."""
    labels = results["labels"]
    rows = [method_cells(row) for row in results["models"]]
    confusion = [
        [label, *map(str, counts)]
        for label, counts in zip(labels, results["models"][0]["confusion"], strict=True)
    ]
    f1 = f"F1 of {results['positive']}" if len(labels) == 2 else "mean F1"
    return [
        *table(
            ["method", "accuracy %", "95 % interval", f1, "n", "the classifier, on the same texts"],
            rows,
        ),
        "",
        *table(["is \\ said", *labels], confusion),
        "",
        *decision_lines(results),
        *wrong_label_lines(results),
        f"Try it: groundup classify {out} {beginning(example)}",
    ]


def decision_lines(results: dict[str, Any]) -> list[str]:
    """Return how far its probabilities can be trusted, and what costs and abstaining come to on the
    test texts.
    """
    from groundup.finetune.learning_curve import curve_line

    if "calibration" not in results:  # a run of an older version
        return []
    calibration, costs, coverage = (results[name] for name in ("calibration", "costs", "coverage"))
    chance = (
        f"; {calibration['by_chance']:.3f} is chance with {calibration['n']:,} texts"
        if "by_chance" in calibration
        else ""
    )
    lines = [
        f"calibration error {calibration['error']:.3f} (before the temperature {calibration['before']:.3f}{chance})"
    ]
    lines += stacked_lines(results)
    if costs["false_alarm"] != costs["miss"]:
        counts = f"{costs['false_alarms']} false alarms and {costs['misses']} misses of {results['positive']}"
        lines.append(
            f"{counts}, a cost of {costs['cost']:.3f} a text; it is said from {results['decision']['threshold']:.3f} on"
        )
    if results["decision"]["abstain_below"]:
        right = (
            ""
            if coverage["accuracy"] is None
            else f", of which {100 * coverage['accuracy']:.1f} % are right"
        )
        lines.append(
            f"answers {100 * coverage['answered']:.1f} % of the test texts{right}; unsure of the others"
        )
    if curve := results.get("learning_curve"):
        lines.append(curve_line(curve["points"], curve["forecast"]))
    return lines


def stacked_lines(results: dict[str, Any]) -> list[str]:
    """Return what was tried, and what a stacked classifier is made of."""
    lines = []
    if tried := results.get("tried"):
        losses = ", ".join(f"{each['train']} {each['validation_loss']:.4f}" for each in tried)
        lines.append(f"trained: {results['trained']}; loss on validation: {losses}")
    if found := results.get("stacked"):
        blocks = ", ".join(str(each["block"]) for each in found["blocks"])
        vectors = found.get("vectors")
        of_vectors = (
            f", and vectors of {vectors['encoder']} with a share of {vectors['share']:.2f}"
            if vectors
            else ""
        )
        lines.append(
            f"stacked: mean hidden states after blocks {blocks}, and {found['letters']['ngrams']:,} n-grams of letters with a share of "
            f"{found['letters_share']:.2f}{of_vectors}; other programs read the plain head alone "
            f"({100 * results['plain_head']['value']:.1f} % on the test texts)"
        )
    return lines


def wrong_label_lines(results: dict[str, Any]) -> list[str]:
    """Return the first of the labels that are probably wrong."""
    from groundup.finetune.label_errors import wrong_labels_line

    if not (found := results.get("wrong_labels")):
        return []
    rows = [
        [
            each["label"],
            each["suggested"],
            f"{100 * each['suggested_probability']:.1f}",
            beginning(each["text"]),
        ]
        for each in found["list"][:SHOWN_SUSPECTS]
        if each["suspected"]
    ]
    lines = ["", wrong_labels_line(found)]
    if rows:
        lines += table(
            ["label", "perhaps", "% sure", "text (all of them: results.json, and groundup report)"],
            rows,
        )
    return [*lines, ""]


def method_cells(row: dict[str, Any]) -> list[str]:
    """Return a method as a row of the table."""
    from groundup.evaluate.paired import difference_line

    found = row["accuracy"]
    interval = f"{100 * found['low']:.1f} to {100 * found['high']:.1f}"
    thin = " (thin)" if found["thin"] else ""
    count = f"{found['n']:,}{thin}"
    lead = (
        difference_line(row["lead"]["accuracy"]) if "lead" in row else ""
    )  # a run of before has none
    return [row["name"], f"{100 * found['value']:.1f}", interval, f"{row['f1']:.3f}", count, lead]


@app.command()
@grouped()
def chat(
    model: options.ModelArgument,
    data: Annotated[
        str,
        Argument(help="Instructions, conversations: a file or folder, or 'starter' (packaged)."),
    ],
    out: options.OutOption,
    columns: options.ColumnsOption = "",
    layout: options.LayoutOption = "",
    epochs: Annotated[
        float, Option("--epochs", help="How often the whole set is read.")
    ] = CHAT_EPOCHS,
    tokens: Annotated[
        int | None,
        Option("--tokens", min=1, help="At most so many tokens, prompts and repeats included."),
    ] = None,
    adapters: options.AdapterOptions = options.AdapterOptions(),
    general: options.GeneralOption = None,
    training: options.FinetuneOptions = options.FinetuneOptions(),
    as_json: options.JsonOption = False,
) -> None:
    """Teach a language model to follow instructions: LoRA adapters in PEFT's format (or all
    weights), trained on the answers only.

    DATA: rows with instruction, input and output (Alpaca), prompt and completion, messages, or
    conversations (ShareGPT), of many turns, with system prompts and tool calls. Rows with
    "held_out": true are never trained on; where none has it, a tenth is held out. Before the first
    step the loss mask is shown on the first examples. The same command again resumes where it
    stopped. The folder opens as a model by the name of its base; --merge makes it a whole model.
    --set sets max_tokens, alpha, batch_size, learning_rate, precision, recompute (less memory).

    Examples:
        groundup finetune chat smollm2-135m-instruct starter --out runs/chat
        groundup finetune chat smollm2-135m-instruct my-instructions.jsonl --out runs/mine --tokens
            100000 --rank 16
        groundup chat runs/mine
    """
    results = finetune_chat(
        *(model, data, out),
        columns=columns,
        layout=layout,
        tokens=tokens,
        epochs=epochs,
        general=general,
        **{**adapters.given(), **vars(training)},
        progress=console_progress(),
    )
    print_result(chat_lines(results, out), {**results, "folder": str(out)}, as_json)


def chat_lines(results: dict[str, Any], out: Path) -> list[str]:
    """Return the results as lines for people."""
    from groundup.evaluate.comparison.forgetting import forgetting_lines

    loss, counts = results["held_out_loss"], results["examples"]
    repeats = f" ({counts['repeats']:,} repeats left out)" if counts.get("repeats") else ""
    return [
        f"{counts['train']:,} examples{repeats}, {results['epochs']:.3g} epochs: {results['tokens']:,} tokens in "
        f"{results['steps']:,} steps ({results['precision']}), "
        f"{results['elapsed_s']:.0f} s",
        f"{100 * results['supervised_share']:.0f} % of the tokens were learned (answers), the rest was read only (prompts)",
        f"held-out loss {loss['before']:.3f} -> {loss['after']:.3f} nats per token, {counts['held_out']} answers",
        *forgetting_lines(results.get("forgetting", {})),
        f"Try it: groundup chat {out}",
    ]


@app.command()
@grouped()
def preference(
    model: options.ModelArgument,
    data: Annotated[str, Argument(help="Pairs of answers: rows with prompt, chosen, rejected.")],
    out: options.OutOption,
    columns: options.ColumnsOption = "",
    layout: options.LayoutOption = "",
    epochs: Annotated[
        float, Option("--epochs", help="How often the whole set is read.")
    ] = PREFERENCE_EPOCHS,
    tokens: Annotated[
        int | None,
        Option("--tokens", min=1, help="At most so many tokens, of both answers and repeats."),
    ] = None,
    beta: Annotated[
        float, Option("--beta", help="How strongly the model is held to what it was.")
    ] = PREFERENCE_BETA,
    adapters: options.AdapterOptions = options.AdapterOptions(),
    general: options.GeneralOption = None,
    training: options.FinetuneOptions = options.FinetuneOptions(),
    as_json: options.JsonOption = False,
) -> None:
    """Teach a chat model which of two answers is the better one: direct preference optimization
    (DPO), with LoRA or of all weights.

    DATA: rows with prompt, chosen and rejected, as texts or as messages. A tenth of the pairs is
    held out. Train on good answers first (finetune chat): DPO moves a model between answers that it
    can give. The same command again resumes where it stopped. --set sets max_tokens, alpha,
    batch_size, learning_rate, precision, recompute (less memory).

    Examples:
        groundup finetune preference runs/mine pairs.jsonl --out runs/preferred
        groundup finetune preference smollm2-135m-instruct pairs.jsonl --out runs/preferred --beta
            0.3 --merge
    """
    results = finetune_preference(
        *(model, data, out),
        columns=columns,
        layout=layout,
        epochs=epochs,
        tokens=tokens,
        beta=beta,
        general=general,
        **{**adapters.given(), **vars(training)},
        progress=console_progress(),
    )
    print_result(preference_lines(results, out), {**results, "folder": str(out)}, as_json)


def preference_lines(results: dict[str, Any], out: Path) -> list[str]:
    """Return the results as lines for people."""
    from groundup.evaluate.comparison.forgetting import forgetting_lines

    loss, counts, likes = results["held_out_loss"], results["examples"], results["prefers"]
    return [
        f"{counts['train']:,} pairs, {results['epochs']:.3g} epochs: {results['tokens']:,} tokens in {results['steps']:,} steps "
        f"({results['precision']}), {results['elapsed_s']:.0f} s",
        f"held-out pairs whose chosen answer gained more than the rejected one: {results['accuracy_line']}",
        f"chosen answer the more probable per token: {likes['before']:.0%} before, {likes['after']:.0%} after",
        f"held-out loss {loss['before']:.3f} -> {loss['after']:.3f} nats per pair (0.693: no preference)",
        *forgetting_lines(results.get("forgetting", {})),
        f"Try it: groundup chat {out}",
    ]
