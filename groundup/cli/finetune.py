"""`groundup finetune classifier | chat | preference`: a pretrained model learns a task."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from typer import Argument

from groundup.api.training import finetune_chat, finetune_classifier, finetune_preference
from groundup.cli import options
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.fields import COLUMN_OPTIONS, ConfigFields, grouped
from groundup.cli.plain import beginning
from groundup.cli.usage import VerbApp
from groundup.config import apply_sets, build_config
from groundup.data.reading.data import Data
from groundup.finetune.config import ChatConfig, ClassifierConfig, PreferenceConfig

if TYPE_CHECKING:
    from groundup.finetune.chat_training import ChatResults
    from groundup.finetune.classifier_results import ClassifierResults

Results = TypeVar("Results")
LABELLED = ConfigFields(
    "text",
    "label",
    "label_from",
    "label_separator",
    "charset",
    "follow_links",
    "sha256",
    **COLUMN_OPTIONS,
)
COLUMNS = ConfigFields("columns", "layout", "charset", "follow_links")
CLASSIFIER = ConfigFields(
    "texts",
    "min_per_class",
    "merge_rare",
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
    "ask_base",
    "few_shot",
    "seed",
    texts={"min": 30},
    min_per_class={"min": 0},
    merge_rare={"metavar": "LABEL"},
    abstain={"metavar": "ACCURACY"},
    ask_base={"option": "--base/--no-base"},
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

    def fit(
        self,
        train: Callable[..., Results],
        model: str,
        data: Data,
        out: Path,
        config: ClassifierConfig | ChatConfig | PreferenceConfig,
    ) -> Results:
        """`config` has the fields that --set names, too. Raises ConfigError."""
        return train(
            model,
            data,
            out,
            build_config(type(config), apply_sets(vars(config), self.settings)),
            device=self.device,
            fixed_choices=self.fixed_choices,
            fresh=self.fresh,
            progress=console_progress(),
        )


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
    """Make a classifier of a language model: its last block is trained on cached activations, and
    regressions on them; what is chosen on validation texts is kept.

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
        groundup finetune classifier smollm2-135m-instruct mail/ --out runs/filter --train last-block
        groundup finetune classifier smollm2-135m-instruct train.csv --validation dev.csv --test
            test.csv --out runs/mine
        groundup finetune classifier smollm2-135m-instruct tickets.csv --label-column topics
            --label-separator ';' --out runs/tickets
        groundup classify runs/reviews "I would buy it again."
    """
    results = run.fit(finetune_classifier, model, replace(reading, path=data), out, config)
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
    step the loss mask is shown on the first examples. The training ends when the held-out loss has
    turned; the weights with the lowest are kept, those of the start where none is lower. Answers to
    held-out prompts are shown before and after. The same command again resumes where it stopped.
    The folder opens as a model by the name of its base; --merge makes it a whole model. --set sets
    max_tokens, alpha, batch_size, learning_rate, precision, recompute (less memory), patience,
    answers (how many are shown), loss.

    Examples:
        groundup finetune chat smollm2-135m-instruct starter --out runs/chat
        groundup finetune chat smollm2-135m-instruct my-instructions.jsonl --out runs/mine --tokens
            100000 --rank 16
        groundup chat runs/mine
    """
    results = run.fit(finetune_chat, model, replace(reading, path=data), out, config)
    _print(chat_lines(results, out), results, out, as_json)


@app.command()
@grouped()
def preference(
    model: options.ModelArgument,
    data: Annotated[
        str,
        Argument(
            help="Pairs of answers: rows with prompt, chosen, rejected. Or the rated answers of a "
            "feedback.jsonl."
        ),
    ],
    out: options.OutOption,
    reading: Annotated[Data, COLUMNS] = Data(""),
    config: Annotated[PreferenceConfig, PREFERENCE] = PreferenceConfig(),
    run: RunOptions = RunOptions(),
    as_json: options.JsonOption = False,
) -> None:
    """Teach a chat model which answers are better: of pairs, by direct preference optimization
    (DPO), or of thumbs up and down (KTO), with LoRA or of all weights.

    DATA: rows with prompt, chosen and rejected, as texts or as messages; or the file that groundup
    serve --feedback FILE writes. A tenth is held out. Train on good answers first (finetune chat): DPO moves a model between answers that it
    can give. Ends and keeps weights as finetune chat does. The same command again resumes where it
    stopped. --set sets max_tokens, alpha, batch_size, learning_rate, precision, recompute (less
    memory), patience, answers, loss (kto: pairs as single good and bad answers).

    Examples:
        groundup finetune preference runs/mine pairs.jsonl --out runs/preferred
        groundup finetune preference runs/mine feedback.jsonl --out runs/liked
        groundup finetune preference smollm2-135m-instruct pairs.jsonl --out runs/preferred --beta
            0.3 --merge
    """
    results = run.fit(finetune_preference, model, replace(reading, path=data), out, config)
    _print(chat_lines(results, out), results, out, as_json)


def _print(lines: list[str], results: Any, out: Path, as_json: bool) -> None:
    print_result(lines, {**results.plain(), "folder": str(out)}, as_json)


def chat_lines(results: "ChatResults", out: Path) -> list[str]:
    from groundup.evaluate.comparison.forgetting import forgetting_lines

    loss, counts, of_pairs = results.held_out_loss, results.examples, results.prefers
    what = "pairs" if of_pairs else "rated answers" if results.gains else "examples"
    if counts["repeats"] and not results.beta:
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
            *_moved_lines(results),
        ]
    elif gains := results.gains:
        lines += [
            "held-out answers that gained where they were rated up, or lost where down: "
            f"{results.accuracy_line}",
            f"mean gain: {', '.join(f'{kind} ones {gain:+.3f}' for kind, gain in gains.items())} (beta "
            f"{results.beta:g} times nats, beyond the drift of all answers)",
            f"held-out loss {loss['before']:.3f} -> {loss['after']:.3f} (0.5: no preference)",
        ]
    else:
        lines += [
            f"{100 * (results.supervised_share or 0):.0f} % of the tokens were learned (answers), "
            "the rest was read only (prompts)",
            f"{change} token, {counts['held_out']} answers",
        ]
    return [
        *_kept_lines(results),
        *_answer_lines(results),
        *lines,
        *forgetting_lines(results.forgetting or {}),
        f"Try it: groundup chat {out}",
    ]


def _moved_lines(results: "ChatResults") -> list[str]:
    moved = results.moved_nats
    if moved is None:
        return []
    return [
        f"log-probability of the chosen answers {moved['chosen']:+.1f} nats in the mean, of the "
        f"rejected {moved['rejected']:+.1f}"
    ]


def _kept_lines(results: "ChatResults") -> list[str]:
    """Which weights are kept, where they are not the last ones."""
    best, steps, planned = results.best_step, results.steps, results.planned_steps
    if best == 0:
        return [
            "No evaluation has a lower held-out loss than the model that training began with: it is "
            "kept as it was. More examples, or a lower learning rate, may help."
        ]
    if best == steps == planned:
        return []
    ended = f"The training ended after {steps:,} of {planned:,} steps: " if steps < planned else ""
    line = f"{ended}the held-out loss was lowest after step {best:,}, whose weights are kept."
    return [line[:1].upper() + line[1:]]


def _answer_lines(results: "ChatResults") -> list[str]:
    lines: list[str] = []
    for answer in (results.answers or [])[:SHOWN_ANSWERS]:
        question = " ".join(f"{answer['instruction']} {answer['input']}".split())
        lines.append(f"held out: {question[:SHOWN_CHARACTERS]}")
        lines += [
            f"  {side + ':':<10} {' / '.join(answer[side].splitlines())[:SHOWN_CHARACTERS]}"
            for side in ("before", "after", "reference")
        ]
    words = results.answer_words
    if words:
        lines.append(
            f"words in the answers to {len(results.answers or [])} held-out prompts: "
            f"{words['before']:.1f} before, {words['after']:.1f} after, {words['reference']:.1f} "
            "wanted"
        )
    return [*lines, ""] if lines else []


SHOWN_SUSPECTS = 10
SHOWN_CHARACTERS, SHOWN_ANSWERS = 200, 4
METHOD_HEADS = ("n", "the classifier, on the same texts")
JsonObject = dict[str, Any]


def classifier_lines(results: "ClassifierResults", out: Path) -> list[str]:
    example = results.examples[-1]["text"]  # a misclassified one only if all are
    tables = _label_set_tables if results.multi_label else _label_tables
    return [
        *tables(results),
        *_tried_lines(results),
        "",
        *_decision_lines(results),
        *_wrong_label_lines(results),
        f"Try it: groundup classify {out} {beginning(example)}",
    ]


def _label_tables(results: "ClassifierResults") -> list[str]:
    from groundup.evaluate.paired import difference_line

    labels = results.labels
    f1 = "mean F1"
    if len(labels) == 2:
        f1 = f"F1 of {results.positive}"
    rows = []
    for row in results.models:
        found = row["accuracy"]
        interval = f"{100 * found['low']:.1f} to {100 * found['high']:.1f}"
        figures = [f"{100 * found['value']:.1f}", interval, f"{row['f1']:.3f}"]
        lead = difference_line(row["lead"]["accuracy"]) if "lead" in row else ""
        rows.append([row["name"], *figures, _count(found), lead])
    confusion = [
        [label, *map(str, counts)]
        for label, counts in zip(labels, results.models[0]["confusion"], strict=True)
    ]
    return [
        *table(["method", "accuracy %", "95 % interval", f1, *METHOD_HEADS], rows),
        "",
        *table(["is \\ said", *labels], confusion),
    ]


def _label_set_tables(results: "ClassifierResults") -> list[str]:
    rows = []
    for row in results.models:
        micro, exact = row["micro_f1"], row["exact_match"]
        macro = f"{row['macro_f1']['value']:.3f}" if "macro_f1" in row else ""
        figures = [f"{micro['value']:.3f}", _interval(micro), macro, f"{100 * exact['value']:.1f}"]
        rows.append([row["name"], *figures, _count(exact), _micro_f1_lead(row)])
    thresholds = results.decision["thresholds"]
    labels = [
        [
            row["label"],
            _percent(row["precision"]),
            _percent(row["recall"]),
            f"{row['f1']:.3f}",
            f"{row['n']:,}",
            f"{row['said']:,}",
            f"{thresholds[row['label']]:.2f}",
        ]
        for row in results.models[0]["by_label"]
    ]
    methods = ["method", "micro F1", "95 % interval", "macro F1", "all right %", *METHOD_HEADS]
    heads = ["label", "precision %", "recall %", "F1", "texts of it", "said", "said from"]
    return [*table(methods, rows), "", *table(heads, labels)]


def _count(found: JsonObject) -> str:
    count = f"{found['n']:,}"
    return f"{count} (thin)" if found["thin"] else count


def _interval(found: JsonObject) -> str:
    if found.get("low") is None:
        return ""
    return f"{found['low']:.3f} to {found['high']:.3f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _micro_f1_lead(row: JsonObject) -> str:
    from groundup.evaluate.paired import NO_DIFFERENCE

    lead = row.get("lead", {}).get("micro_f1", {})
    if lead.get("low") is None:
        return ""
    meaning = lead["verdict"].replace("unclear", NO_DIFFERENCE)
    interval = f"{lead['low']:+.3f} to {lead['high']:+.3f}"
    return f"micro F1 {lead['value']:+.3f} (95 % interval {interval}): {meaning}"


def _decision_lines(results: "ClassifierResults") -> list[str]:
    calibration = results.calibration
    before = f"before the temperature {calibration['before']:.3f}"
    if "by_chance" in calibration:
        before += f"; {calibration['by_chance']:.3f} is chance with {calibration['n']:,} texts"
    lines = [f"calibration error {calibration['error']:.3f} ({before})", *_stacked_lines(results)]
    costs, coverage = results.costs, results.coverage
    if costs is None or coverage is None:
        return lines
    if costs["false_alarm"] != costs["miss"]:
        lines.append(
            f"{costs['false_alarms']} false alarms and {costs['misses']} misses of "
            f"{results.positive}, a cost of {costs['cost']:.3f} a text; it is said from "
            f"{results.decision['threshold']:.3f} on"
        )
    if results.decision["abstain_below"]:
        line = f"answers {100 * coverage['answered']:.1f} % of the test texts"
        if coverage["accuracy"] is not None:
            line += f", of which {100 * coverage['accuracy']:.1f} % are right"
        lines.append(f"{line}; unsure of the others")
    if results.learning_curve is not None:
        lines.append(results.learning_curve.line())
    return lines


def _tried_lines(results: "ClassifierResults") -> list[str]:
    if results.tried is None:
        return []
    rows = []
    for each in results.tried:
        right = each["right"]
        behind = f"{each['behind']:+.3f} ± {each['standard_error']:.3f}"
        if not each["behind"]:
            behind = "lowest"
        rows.append(
            [
                each["train"],
                f"{each['validation_loss']:.3f}",
                behind,
                f"{100 * right['value']:.1f}",
                f"{100 * right['low']:.1f} to {100 * right['high']:.1f}",
                f"{each['elapsed_s']:.1f}",
                "chosen" if each["chosen"] else "",
            ]
        )
    heads = ["trained", "validation loss", "over the lowest", "right %", "95 % interval", "s", ""]
    line = "Chosen: the simplest whose loss is within a standard error of the lowest."
    if results.plain_head is None:
        line += " Other programs open its folder whole."
    return ["", *table(heads, rows), line]


def _stacked_lines(results: "ClassifierResults") -> list[str]:
    found, head = results.stacked, results.plain_head
    if found is None or head is None:
        return []
    blocks = ", ".join(str(each["block"]) for each in found["blocks"])
    parts = [
        f"mean hidden states after blocks {blocks}",
        f"and {found['letters']['ngrams']:,} n-grams of letters with a share of "
        f"{found['letters_share']:.2f}",
    ]
    if "vectors" in found:
        vectors = found["vectors"]
        parts.append(f"and vectors of {vectors['encoder']} with a share of {vectors['share']:.2f}")
    return [
        f"stacked: {', '.join(parts)}; other programs read the plain head alone "
        f"({100 * head['value']:.1f} % on the test texts)"
    ]


def _wrong_label_lines(results: "ClassifierResults") -> list[str]:
    found = results.wrong_labels
    if found is None:
        return []
    rows = [
        [
            each.label,
            each.suggested,
            f"{100 * each.suggested_probability:.1f}",
            beginning(each.text),
        ]
        for each in found.list[:SHOWN_SUSPECTS]
        if each.suspected
    ]
    lines = ["", found.line()]
    if rows:
        heads = ["label", "perhaps", "% sure"]
        lines += table([*heads, "text (all of them: results.json, and groundup report)"], rows)
    return [*lines, ""]
