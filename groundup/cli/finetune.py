"""`groundup finetune classifier | chat | preference`: a pretrained model learns a task."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from typer import Argument

from groundup.api.finetuning import finetune_chat, finetune_classifier, finetune_preference
from groundup.cli import options
from groundup.cli.console import console_progress, print_result
from groundup.cli.fields import ConfigFields, grouped
from groundup.cli.usage import VerbApp
from groundup.config import apply_sets, build_config
from groundup.data.reading.data import Data
from groundup.finetune.config import ChatConfig, ClassifierConfig, PreferenceConfig

if TYPE_CHECKING:
    from groundup.finetune.chat_results import ChatResults

Config = TypeVar("Config", ClassifierConfig, ChatConfig, PreferenceConfig)
LABELLED = ConfigFields(
    "text",
    "label",
    "label_from",
    "label_separator",
    "charset",
    "follow_links",
    "sha256",
    text={"option": "--text-column"},
    label={"option": "--label-column"},
)
COLUMNS = ConfigFields("columns", "layout", "charset", "follow_links")
CLASSIFIER = ConfigFields(
    "texts",
    "min_per_class",
    "validation",
    "test",
    "train",
    "class_weights",
    "cost_false_alarm",
    "cost_miss",
    "abstain",
    "learning_curve",
    "find_wrong_labels",
    "question",
    "few_shot",
    "seed",
    texts={"min": 30},
    min_per_class={"min": 0},
    abstain={"metavar": "ACCURACY"},
    few_shot={"min": 0, "metavar": "K"},
    seed={"min": 0},
)
CHAT_FIELDS = ("epochs", "tokens", "train", "rank", "targets", "merge", "general", "seed")
CHAT_CHANGES: dict[str, dict[str, Any]] = {
    "tokens": {"min": 1},
    "rank": {"min": 1},
    "general": {"metavar": "FILE"},
    "seed": {"min": 0},
}
CHAT = ConfigFields(*CHAT_FIELDS, **CHAT_CHANGES)
PREFERENCE = ConfigFields(*CHAT_FIELDS, "beta", **CHAT_CHANGES)

app = VerbApp(
    "Fine-tune a pretrained model: as a classifier of texts, to follow instructions, "
    "to prefer the better of two answers."
)


@dataclass(frozen=True)
class RunOptions:
    """Options of every fine-tuning method that are no fields of its config."""

    settings: options.SetOption = None
    device: options.DeviceOption = "auto"
    fixed_choices: options.FixedChoicesOption = False
    fresh: options.FreshOption = False

    def complete(self, config: Config) -> Config:
        """Return the config with the fields that --set names. Raises ConfigError."""
        return build_config(type(config), apply_sets(vars(config), self.settings))


@app.command()
@grouped()
def classifier(
    model: options.ModelArgument,
    data: Annotated[
        str,
        Argument(
            help="Labelled texts: rows, lines of label, tab, text, or a folder of mailboxes or "
            "texts by label."
        ),
    ],
    out: options.OutOption,
    reading: Annotated[Data, LABELLED] = Data(""),
    config: Annotated[ClassifierConfig, CLASSIFIER] = ClassifierConfig(),
    run: RunOptions = RunOptions(),
    as_json: options.JsonOption = False,
) -> None:
    """Make a classifier of a language model: its last block, final norm and a score head are
    trained on cached activations.

    Learning rate and epoch are chosen on validation texts, as the baselines' settings are; then
    all are measured on test texts: the most common label, TF-IDF with logistic regression, and
    the base model with a prompt. Texts may have none, one or several labels: lists in JSONL, or a
    column with --label-separator; each label then has a threshold of its own. A folder with
    spam.mbox and ham.mbox, or with folders spam and ham of mails or texts, is labelled by these
    names. The same command again resumes where it stopped. --set sets epochs, batch_size,
    learning_rate, weight_decay, max_tokens, windows, positive, encoder, precision, loss.

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
    results = finetune_classifier(
        model,
        replace(reading, path=data),
        out,
        run.complete(config),
        device=run.device,
        fixed_choices=run.fixed_choices,
        fresh=run.fresh,
        progress=console_progress(),
    )
    from groundup.cli.classifier_lines import classifier_lines

    _print(classifier_lines(results, out), results, out, as_json)


@app.command()
@grouped()
def chat(
    model: options.ModelArgument,
    data: Annotated[
        str,
        Argument(help="Instructions, conversations: a file or folder, or 'starter' (packaged)."),
    ],
    out: options.OutOption,
    reading: Annotated[Data, COLUMNS] = Data(""),
    config: Annotated[ChatConfig, CHAT] = ChatConfig(),
    run: RunOptions = RunOptions(),
    as_json: options.JsonOption = False,
) -> None:
    """Teach a language model to follow instructions: LoRA adapters in PEFT's format (or all
    weights), trained on the answers only.

    DATA: rows with instruction, input and output (Alpaca), prompt and completion, messages, or
    conversations (ShareGPT), of many turns, with system prompts and tool calls. Rows with
    "held_out": true are never trained on; where none has it, a tenth is held out. Before the first
    step the loss mask is shown on the first examples. The same command again resumes where it
    stopped. The folder opens as a model by the name of its base; --merge makes it a whole model.
    --set sets max_tokens, alpha, batch_size, learning_rate, precision, recompute (less memory),
    loss.

    Examples:
        groundup finetune chat smollm2-135m-instruct starter --out runs/chat
        groundup finetune chat smollm2-135m-instruct my-instructions.jsonl --out runs/mine --tokens
            100000 --rank 16
        groundup chat runs/mine
    """
    results = finetune_chat(
        model,
        replace(reading, path=data),
        out,
        run.complete(config),
        device=run.device,
        fixed_choices=run.fixed_choices,
        fresh=run.fresh,
        progress=console_progress(),
    )
    _print(chat_lines(results, out), results, out, as_json)


@app.command()
@grouped()
def preference(
    model: options.ModelArgument,
    data: Annotated[str, Argument(help="Pairs of answers: rows with prompt, chosen, rejected.")],
    out: options.OutOption,
    reading: Annotated[Data, COLUMNS] = Data(""),
    config: Annotated[PreferenceConfig, PREFERENCE] = PreferenceConfig(),
    run: RunOptions = RunOptions(),
    as_json: options.JsonOption = False,
) -> None:
    """Teach a chat model which of two answers is the better one: direct preference optimization
    (DPO), with LoRA or of all weights.

    DATA: rows with prompt, chosen and rejected, as texts or as messages. A tenth of the pairs is
    held out. Train on good answers first (finetune chat): DPO moves a model between answers that it
    can give. The same command again resumes where it stopped. --set sets max_tokens, alpha,
    batch_size, learning_rate, precision, recompute (less memory), loss.

    Examples:
        groundup finetune preference runs/mine pairs.jsonl --out runs/preferred
        groundup finetune preference smollm2-135m-instruct pairs.jsonl --out runs/preferred --beta
            0.3 --merge
    """
    results = finetune_preference(
        model,
        replace(reading, path=data),
        out,
        run.complete(config),
        device=run.device,
        fixed_choices=run.fixed_choices,
        fresh=run.fresh,
        progress=console_progress(),
    )
    _print(chat_lines(results, out), results, out, as_json)


def _print(lines: list[str], results: Any, out: Path, as_json: bool) -> None:
    print_result(lines, {**results.plain(), "folder": str(out)}, as_json)


def chat_lines(results: "ChatResults", out: Path) -> list[str]:
    """Return the results of a chat model, trained on answers or on pairs of them, as lines for
    people.
    """
    from groundup.evaluate.comparison.forgetting import forgetting_lines

    loss, counts, of_pairs = results.held_out_loss, results.examples, results.prefers
    what = "examples"
    if of_pairs:
        what = "pairs"
    elif counts["repeats"]:
        what = f"examples ({counts['repeats']:,} repeats left out)"
    lines = [
        f"{counts['train']:,} {what}, {results.epochs:.3g} epochs: {results.tokens:,} tokens in "
        f"{results.steps:,} steps ({results.precision}), {results.elapsed_s:.0f} s"
    ]
    change = f"held-out loss {loss['before']:.3f} -> {loss['after']:.3f} nats per"
    if of_pairs:
        lines += [
            "held-out pairs whose chosen answer gained more than the rejected one: "
            f"{results.accuracy_line}",
            f"chosen answer the more probable per token: {of_pairs['before']:.0%} before, "
            f"{of_pairs['after']:.0%} after",
            f"{change} pair (0.693: no preference)",
        ]
    else:
        lines += [
            f"{100 * (results.supervised_share or 0):.0f} % of the tokens were learned (answers), "
            "the rest was read only (prompts)",
            f"{change} token, {counts['held_out']} answers",
        ]
    return [
        *lines,
        *forgetting_lines(results.forgetting or {}),
        f"Try it: groundup chat {out}",
    ]
