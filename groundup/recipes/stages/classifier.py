"""A classifier: the public model is fine-tuned on labelled messages and compared with baselines.

NAME/results.json    models: the classifier, TF-IDF baselines, the majority class, the base model
                     zero-shot; pretraining: what it is worth
"""

import dataclasses
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from timeit import timeit
from typing import Any

import torch

from groundup.data.documents import Example
from groundup.data.reading.data import Data
from groundup.data.reading.example_splits import Distinct, stratified_split, without_repeats
from groundup.data.reading.examples import read_labelled
from groundup.device import Compute
from groundup.errors import FormatError, ModelError, NetworkError
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.classifier_baselines import add_baselines
from groundup.finetune.classifier_results import OURS, ClassifierResults
from groundup.finetune.config import NO_ENCODER, ClassifierConfig
from groundup.finetune.messages import Splits
from groundup.finetune.pretraining_ablation import (
    ablation_config,
    add_pretraining_ablation,
    without_pretraining_ablation,
)
from groundup.model.matmul_precision import steady_s
from groundup.recipes.downloads import Download, of_models, of_sources
from groundup.recipes.named_stages import ClassifierStage
from groundup.recipes.stage import MODEL_FILES, Stage, StageContext, StageResult, source_content
from groundup.recipes.stages.base import base_bytes
from groundup.runs import RunFolder
from groundup.train.steps.precision import open_kinds
from groundup.weights.model_io import ModelCard, OpenModel, find_model, open_model

# Of the budget, for all classifiers of a build together.
SHARE = 0.24
# Seconds beside the forward passes: reading, training on cached states at three rates and at the
# chosen one, baselines, saving.
BESIDE_S = 30.0
# Tokens of a zero-shot prompt beside its message: the question and control tokens.
PROMPT_TOKENS_AROUND = 30
MIN_PERCENT = 5
FEWEST_SHOWN, MOST_SHOWN = 30, 110
_PLAIN_WORD = re.compile(r"['\"(]*([^\W\d_](?:[^\W\d_A-Z]|['’-])*)[.,;:!?'\")]*")
# Forward passes over the training tokens that two models take to learn them: the backward pass is
# two, evaluations and the optimizer another two.
WORTH_FACTOR = 2 * 5


def run(context: StageContext) -> StageResult:
    table, started = context.table(ClassifierStage), time.monotonic()
    compute, progress = context.compute, context.progress
    opened = open_model(context.build / "base", compute)
    distinct = read_messages(table, context)
    percent = context.fix(
        "percent", lambda: affordable_percent(opened, distinct.examples, table, context)
    )
    sizes = {
        name: scaled(getattr(table, name), percent) for name in ("train", "validation", "test")
    }
    seed = context.seed if table.seed is None else table.seed
    splits = stratified_split(distinct.examples, sizes, seed)
    encoder, lack = find_encoder(table, context)
    config = ClassifierConfig(
        max_tokens=table.max_tokens,
        train=table.learner,
        epochs=table.epochs,
        abstain=table.abstain,
        encoder=encoder,
        question=table.question,
        ask_base=table.ask_base,
        few_shot=0,  # longer prompts: the stage's time has no room for them
        seed=seed,
    )
    runs = RunFolder(context.folder)
    card = card_of(context, table, distinct.examples, opened)
    results = fit_classifier(
        opened, splits, runs, config, compute=compute, progress=progress, card=card
    )
    left_out = {name: getattr(distinct, name) for name in ("repeats", "conflicts", "empty")}
    results = add_baselines(
        dataclasses.replace(results, source=left_out),
        opened,
        splits,
        runs,
        config,
        items=scaled(table.zero_shot, percent),
        compute=compute,
        progress=progress,
    )
    if context.recipe.data.sources:
        results = with_pretraining_ablation(results, splits, runs, config, context, started)
    right = [
        each
        for each, said in zip(splits["test"], results.predictions[OURS], strict=True)
        if each.label == said
    ]
    example = readable_example(right or splits["test"], results.positive)
    result = summarise(results, context.name, sizes, percent, example)
    if not lack:
        return result
    return dataclasses.replace(result, thin=(*result.thin, lack))


def card_of(
    context: StageContext, table: ClassifierStage, examples: Sequence[Example], opened: OpenModel
) -> ModelCard:
    labels = ", ".join(sorted({each.label for each in examples}))
    return ModelCard(
        name=f"{context.recipe.name}-{context.name}",
        summary=f"Classifies short messages: {labels}.",
        data=((table.source.spec, table.source.licence),),
        base=context.recipe.base.model,
        license=opened.license,  # of the model that its weights are from
    )


def find_encoder(table: ClassifierStage, context: StageContext) -> tuple[str, str]:
    """Return the encoder and "", or none and why the classifier learns without it."""
    none = NO_ENCODER if table.learner == "auto" else ""
    try:
        if table.encoder:
            find_model(table.encoder, progress=context.progress)
    except (ModelError, NetworkError, FormatError) as error:
        lacks = f"The classifier {context.name} learned without an encoder's vectors"
        return none, context.note(lacks, error, "them")
    return table.encoder or none, ""


def with_pretraining_ablation(
    results: ClassifierResults,
    splits: Splits,
    runs: RunFolder,
    config: ClassifierConfig,
    context: StageContext,
    started: float,
) -> ClassifierResults:
    own, compute = open_model(context.build / "pretrain", context.compute), context.compute
    assert config.max_tokens is not None
    config = ablation_config(min(config.max_tokens, own.config.context_tokens), config.seed)
    rows = [
        own.require_tokenizer().encode(example.text)[: config.max_tokens]
        for example in splits["train"]
    ]
    token_s = seconds_per_token(own, rows[:64], compute, low_precision=False)
    needed_s = WORTH_FACTOR * sum(map(len, rows)) * config.epochs * token_s
    if reason := context.lack_of_time("worth", needed_s, started):
        context.progress.say(f"      what pretraining is worth was not measured: {reason}")
        return without_pretraining_ablation(results, runs, reason)
    return add_pretraining_ablation(
        results, own, splits, runs, config, compute=compute, progress=context.progress
    )


def read_messages(table: ClassifierStage, context: StageContext) -> Distinct[Example]:
    data = Data(
        table.source.spec,
        table.source.follow_links,
        table.source.sha256,
        text=table.text,
        label=table.label,
        charset=table.charset,
    )
    examples = read_labelled(data, progress=context.progress)
    distinct = without_repeats(examples)
    context.progress.say(
        f"      {len(examples):,} messages, {len(distinct.examples):,} distinct: "
        f"{distinct.repeats:,} repeats, {distinct.conflicts:,} with two labels and "
        f"{distinct.empty:,} empty left out"
    )
    return distinct


def scaled(upper: int, percent: int) -> int:
    """At least 20, so that every class can be present."""
    return min(upper, max(20, upper * percent // 100))


def affordable_percent(
    opened: OpenModel, examples: Sequence[Example], table: ClassifierStage, context: StageContext
) -> float:
    """Return the percentage that fits the stage's time, from timed passes over a few messages."""
    tokenizer = opened.require_tokenizer()
    rows = [tokenizer.encode(example.text)[: table.max_tokens] for example in examples[:256]]
    mean_tokens = sum(map(len, rows)) / len(rows)
    kinds = open_kinds("auto", opened.config.width, compute=context.compute)
    token_s = {}
    with context.progress.track("measuring a forward pass", len(kinds), "precisions") as advance:
        for low in kinds:
            token_s[low] = seconds_per_token(opened, rows[:32], context.compute, low_precision=low)
            advance()
    messages = table.train + table.validation + table.test
    whole_s = messages * mean_tokens * min(token_s.values())
    if table.ask_base:
        whole_s += table.zero_shot * (mean_tokens + PROMPT_TOKENS_AROUND) * token_s[False]
    percent = 100 * (context.seconds - BESIDE_S) / whole_s
    return min(100.0, max(MIN_PERCENT, percent))


def seconds_per_token(
    opened: OpenModel, rows: Sequence[Sequence[int]], compute: Compute, *, low_precision: bool
) -> float:
    """Time forward passes over rows of similar length, until two or more agree."""
    longest = sorted(rows, key=len)[len(rows) // 2 :]
    length = min(map(len, longest))
    ids = torch.tensor([list(row[:length]) for row in longest], device=compute.device)
    with (
        torch.no_grad(),
        torch.autocast(compute.device.type, dtype=torch.bfloat16, enabled=low_precision),
    ):
        return (
            steady_s(lambda: timeit(lambda: opened.model.transformer(ids), number=1)) / ids.numel()
        )


def readable_example(messages: Sequence[Example], label: str | None) -> str:
    """Return a message to try the classifier with: of the label where there is one, short, in small
    letters and words that others use too.
    """
    used = Counter(word for each in messages for word in set(plain_words(each.text)))
    usual = [
        each
        for each in messages
        if FEWEST_SHOWN <= len(each.text) <= MOST_SHOWN and "\n" not in each.text
    ]
    wanted = [each for each in usual if each.label == label] or usual or messages

    def readable(example: Example) -> float:
        known = sum(used[word] > 1 for word in plain_words(example.text))
        return known / max(1, len(example.text.split()))

    return max(wanted, key=readable).text[:MOST_SHOWN]


def plain_words(text: str) -> list[str]:
    """Return the words of a text that are not shouted and have no figures in them.

    >>> plain_words("WIN a Prize, call 09061 now!")
    ['a', 'prize', 'call', 'now']
    """
    return [match[1].lower() for word in text.split() if (match := _PLAIN_WORD.fullmatch(word))]


def summarise(
    results: ClassifierResults, name: str, sizes: Mapping[str, int], percent: int, example: str
) -> StageResult:
    ours, *others = results.models
    found = ours["accuracy"]
    # The zero-shot baseline has fewer messages: it is compared only where there is no other (no
    # scikit-learn).
    same = [row for row in others if row["accuracy"]["n"] == found["n"]]
    best = max(same or others or [ours], key=lambda row: row["accuracy"]["value"])
    interval = f"{100 * found['low']:.1f} to {100 * found['high']:.1f}, n = {found['n']}"
    line = (
        f"accuracy {100 * found['value']:.1f} % ({interval}); "
        f"{best['name']}: {100 * best['accuracy']['value']:.1f} %{describe_lead(best)}"
    )
    facts = {
        "sizes": dict(sizes),
        "accuracy": found["value"],
        "f1": ours["f1"],
        "example": example,
        "best_other": best["accuracy"]["value"],
    }
    if percent == 100:
        return StageResult(line, facts)
    thin = f"The classifier {name} was trained and tested on {percent} % of the messages."
    return StageResult(line, facts, (thin,))


def describe_lead(other: Mapping[str, Any]) -> str:
    verdict = other["lead"]["accuracy"]["verdict"] if "lead" in other else ""
    return {
        "unclear": " (no clear difference)",
        "better": " (clearly less)",
        "worse": " (clearly more)",
    }.get(verdict, "")


def describe(table: ClassifierStage) -> str:
    evaluated = f"{table.validation:,} and {table.test:,} to evaluate on"
    return f"up to {table.train:,} messages to train on, {evaluated}"


def downloads(table: ClassifierStage) -> list[Download]:
    return [*of_sources([table.source]), *of_models(table.encoder)]


def stage(name: str, share: float) -> Stage:
    return Stage(
        name,
        3,
        run,
        share,
        describe=lambda recipe: describe(recipe.of_kind(ClassifierStage)[name]),
        disk_bytes=base_bytes,
        needs=("pretrain", "base"),
        outputs=MODEL_FILES,
        sized_by_budget=True,
        outside=lambda recipe: source_content(recipe.of_kind(ClassifierStage)[name].source),
        downloads=lambda recipe: downloads(recipe.of_kind(ClassifierStage)[name]),
        kind="classifier",
    )
