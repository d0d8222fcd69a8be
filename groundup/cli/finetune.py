"""`groundup finetune classifier | chat | preference | reward | encoder`: a model learns a task."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from typer import Argument

from groundup.api.encoders import finetune_encoder
from groundup.api.rewards import finetune_reward
from groundup.api.training import (
    finetune_chat,
    finetune_classifier,
    finetune_preference,
)
from groundup.cli import options
from groundup.cli.console import console_progress, print_result
from groundup.cli.fields import COLUMN_OPTIONS, ConfigFields, grouped
from groundup.cli.finetune_lines import chat_lines, classifier_lines
from groundup.cli.usage import VerbApp
from groundup.config import apply_sets, build_config
from groundup.data.reading.data import Data
from groundup.finetune.config import (
    ChatConfig,
    ClassifierConfig,
    EncoderConfig,
    PreferenceConfig,
)
from groundup.finetune.reward_config import RewardConfig

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
BUDGET: dict[str, Any] = {"budget": {"metavar": "TIME"}}
CLASSIFIER = ConfigFields(
    "texts",
    "budget",
    "min_per_class",
    "merge_rare",
    "validation",
    "test",
    "train",
    "class_weights",
    "cost_false_alarm",
    "cost_miss",
    "max_error",
    "learning_curve",
    "find_wrong_labels",
    "question",
    "ask_base",
    "few_shot",
    "seed",
    texts={"min": 30},
    min_per_class={"min": 0},
    merge_rare={"metavar": "LABEL"},
    max_error={"metavar": "SHARE"},
    ask_base={"option": "--base/--no-base"},
    few_shot={"min": 0, "metavar": "K"},
    seed={"min": 0},
    **BUDGET,
)
CHAT_FIELDS = ("epochs", "tokens", "budget", "train", "rank", "targets", "merge", "general", "seed")
CHAT_CHANGES: dict[str, dict[str, Any]] = {
    **BUDGET,
    "tokens": {"min": 1},
    "rank": {"min": 1},
    "general": {"metavar": "WHAT,..."},
    "seed": {"min": 0},
}
CHAT = ConfigFields(
    *CHAT_FIELDS,
    "replay",
    "teacher",
    "teacher_model",
    **CHAT_CHANGES,
    replay={"metavar": "SOURCE[=SHARE]"},
    teacher={"metavar": "MODEL|ADDRESS"},
    teacher_model={"metavar": "NAME"},
)
PREFERENCE = ConfigFields(*CHAT_FIELDS, "beta", **CHAT_CHANGES)
REWARD = ConfigFields(
    "steps",
    "budget",
    "prompts",
    "group",
    "answer_tokens",
    "reward",
    "beta",
    "items",
    "rank",
    "targets",
    "merge",
    "general",
    "seed",
    steps={"min": 1},
    prompts={"min": 1},
    group={"min": 2},
    answer_tokens={"min": 1},
    reward={"metavar": "NAME"},
    items={"min": 1},
    rank={"min": 1},
    general={"metavar": "FILE"},
    **BUDGET,
    seed={"min": 0},
)
ENCODER = ConfigFields(
    "epochs",
    "budget",
    "train",
    "rank",
    "pooling",
    "query_prefix",
    "text_prefix",
    "seed",
    rank={"min": 1},
    pooling={"metavar": "mean|cls"},
    query_prefix={"metavar": "TEXT"},
    text_prefix={"metavar": "TEXT"},
    seed={"min": 0},
    **BUDGET,
)

app = VerbApp(
    "Fine-tune a pretrained model: as a classifier of texts, to follow instructions, "
    "to prefer the better of two answers, to earn rewards that code gives, to make vectors of "
    "one's own kind of texts."
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
        data: Data | str,
        out: Path,
        config: ClassifierConfig | ChatConfig | PreferenceConfig | RewardConfig | EncoderConfig,
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
    learning_rate, weight_decay, max_tokens, windows, positive, encoder, precision, loss, abstain.

    Examples:
        groundup finetune classifier smollm2-135m-instruct reviews.csv --out runs/reviews
            --label-column stars
        groundup finetune classifier smollm2-135m-instruct messages.jsonl --out runs/spam
            --cost-false-alarm 5 --max-error 0.05
        groundup finetune classifier smollm2-135m-instruct mail/ --out runs/filter --budget 10m
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
    The folder opens as a model by the name of its base; --merge makes it a whole model.

    With --teacher another model answers first: DATA has rows with messages, prompt, instruction or
    question (with the context that answers it). Answers that are cut, empty, not supported by their
    context or failing their check are left out; OUT/teacher has all of them, and the examples.

    --set sets max_tokens, alpha, batch_size, learning_rate, precision, recompute (less memory),
    patience, answers (how many are shown), loss, teacher_tokens, teacher_temperature.

    Examples:
        groundup finetune chat smollm2-135m-instruct starter --out runs/chat
        groundup finetune chat smollm2-135m-instruct my-instructions.jsonl --out runs/mine --budget
            10m --rank 16
        groundup finetune chat smollm2-135m-instruct my-instructions.jsonl --out runs/mine --general
            common_knowledge,wikipedia --replay books/=0.1
        groundup finetune chat smollm2-135m-instruct prompts.jsonl --out runs/taught --teacher
            http://127.0.0.1:8000/v1 --teacher-model qwen3
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
    (DPO) that also learns the chosen answers, or of thumbs up and down (KTO), with LoRA or of all
    weights.

    DATA: rows with prompt, chosen and rejected, as texts or as messages; or the file that groundup
    serve --feedback FILE writes. A tenth is held out; answers to it are shown before and after.
    Ends and keeps weights as finetune chat does. The same command again resumes where it stopped.
    --set sets max_tokens, alpha, batch_size, learning_rate, precision, recompute (less memory),
    patience, answers, sft_weight (0: DPO alone), loss (kto: pairs as single good and bad answers).

    Examples:
        groundup finetune preference runs/mine pairs.jsonl --out runs/preferred
        groundup finetune preference runs/mine feedback.jsonl --out runs/liked
        groundup finetune preference smollm2-135m-instruct pairs.jsonl --out runs/preferred --beta
            0.3 --merge
    """
    results = run.fit(finetune_preference, model, replace(reading, path=data), out, config)
    _print(chat_lines(results, out), results, out, as_json)


@app.command()
@grouped()
def reward(
    model: options.ModelArgument,
    task: Annotated[
        str,
        Argument(help="addition, letter-counting, dates, json-extraction, or a .jsonl file."),
    ],
    out: options.OutOption,
    config: Annotated[RewardConfig, REWARD] = RewardConfig(),
    run: RunOptions = RunOptions(),
    as_json: options.JsonOption = False,
) -> None:
    """Teach a chat model what earns a reward that code gives, by group relative policy optimization
    (GRPO): of several sampled answers to a prompt, those with more reward than the others become
    more probable.

    TASK: addition (two digits, with a carry), letter-counting, dates or json-extraction, whose
    prompts are made; or rows of JSON with prompt (or messages), answer and reward, and perhaps
    split (train, validation, test). Rewards: exact (the text), number (the last one in the
    answer), regex (answer is an expression), json (the same value), json_schema (answer is a
    schema), supported (numbers and names of the row's context alone, and answer among them), or
    module:function, file.py:function: your own Python function of the answer's text and the row,
    which gives a number. It is run with your rights, as any program that you start. Prompts that
    are not trained on are answered before and after; others choose the weights that are kept. The
    same command again resumes where it stopped. --set sets alpha, learning_rate, normalise,
    validation, test, precision, sampling.

    Examples:
        groundup finetune reward smollm2-135m-instruct addition --out runs/adds
        groundup finetune reward smollm2-135m-instruct letter-counting --out runs/letters --group 16
        groundup finetune reward runs/mine sums.jsonl --out runs/better --reward number
        groundup finetune reward runs/mine prompts.jsonl --out runs/short --reward rules.py:short
        groundup chat runs/adds
    """
    results = run.fit(finetune_reward, model, task, out, config)
    _print([*results.lines, f"Try it: groundup chat {out}"], results, out, as_json)


@app.command()
@grouped()
def encoder(
    model: options.ModelArgument,
    data: Annotated[
        str,
        Argument(help="Pairs of texts in rows, or documents: a file, a folder, an index's folder."),
    ],
    out: options.OutOption,
    reading: Annotated[Data, COLUMNS] = Data(""),
    config: Annotated[EncoderConfig, ENCODER] = EncoderConfig(),
    run: RunOptions = RunOptions(),
    as_json: options.JsonOption = False,
) -> None:
    """Tune an encoder of sentences on your own pairs of texts, or on documents without labels:
    texts that belong together come near one another, others move away.

    DATA: rows with two texts (question and answer, anchor and positive, sentence1 and sentence2),
    and texts that do not fit, where there are some (negative); what data make-questions writes; or
    documents, of which questions are made by rules. A tenth of the pairs validates and another is
    held out: recall@1 and the reciprocal rank are measured on them before and after, and the
    encoder stays as it was where it did not become better. The folder is a whole encoder, which
    sentence-transformers opens, too. The same command again resumes where it stopped. --set sets
    max_tokens, alpha, batch_size, drawn, learning_rate, precision.

    Examples:
        groundup finetune encoder all-minilm-l6-v2 pairs.jsonl --out runs/search
        groundup finetune encoder all-minilm-l6-v2 manuals/ --out runs/search
        groundup finetune encoder models/e5 pairs.csv --out runs/e5 --columns
            anchor=asked,positive=found --query-prefix 'query: ' --text-prefix 'passage: '
        groundup index manuals/ --out runs/index --vectors runs/search
    """
    results = run.fit(finetune_encoder, model, replace(reading, path=data), out, config)
    lines = [*results.lines, f"Search with it: groundup index DOCS --vectors {out}"]
    _print(lines, results, out, as_json)


def _print(lines: list[str], results: Any, out: Path, as_json: bool) -> None:
    print_result(lines, {**results.plain(), "folder": str(out)}, as_json)
