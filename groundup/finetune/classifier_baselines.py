"""The baselines of a fine-tuned classifier, on the same test messages: simple methods, and the base
model without training (zero-shot, few-shot).
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from groundup.device import Compute
from groundup.errors import MissingExtra, ModelError
from groundup.evaluate.tasks.classification import (
    ZERO_SHOT_ITEMS,
    ZERO_SHOT_MAX_TOKENS,
    ZeroShot,
    default_question,
)
from groundup.evaluate.tasks.label_baselines import (
    CHOSEN_ON,
    SHOTS,
    FewShot,
    baseline_predictions,
    choose_shots,
)
from groundup.evaluate.tasks.label_figures import compare, labels_of_texts, plain_labels
from groundup.finetune.classifier_results import ClassifierResults, JsonObject
from groundup.finetune.config import ClassifierConfig
from groundup.finetune.messages import Splits
from groundup.finetune.time_limit import TimeLimit
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.train.run_lifecycle import write_finished
from groundup.weights.model_io import OpenModel

ASKED = "the base model, asked"
SHOWN = "the base model, shown examples"
# Where nothing is said of few_shot, the base model is asked so if it takes at most this long.
MAX_S = 60.0
# Of a budget, what must be left to ask the base model at all.
ASKING_SHARE = 0.25
Predicted = dict[str, Sequence[Any]]
"""Method -> the label, or the labels, of each test message."""


def add_baselines(
    results: ClassifierResults,
    opened: OpenModel,
    splits: Splits,
    run: RunFolder,
    config: ClassifierConfig,
    *,
    items: int = ZERO_SHOT_ITEMS,
    compute: Compute,
    progress: Progress | None = None,
    limit: TimeLimit | None = None,
) -> ClassifierResults:
    """Return the results of `fit_classifier` with its baselines, and write them. `opened` is the
    base model, which is asked about at most `items` test messages, if `limit` leaves time for it.

    What can't be done (no scikit-learn, no chat template, a context too short) is left out and
    reported.
    """
    progress = progress or Silent()
    max_tokens = int((results.lengths or {}).get("limit", ZERO_SHOT_MAX_TOKENS))
    simple, settings = _simple_methods(results, splits, progress)
    own = {name: _as_labels(labels) for name, labels in results.predictions.items()}
    predictions = {**own, **simple}
    labels, positive, begun = tuple(results.labels), results.positive or "", time.monotonic()
    test, question = splits["test"], config.question
    zero_shot = few_shot = None
    if config.ask_base and _has_time(limit, progress):
        task = ZeroShot(test, labels, positive, question, items=items, max_tokens=max_tokens)
        zero_shot, predicted = _zero_shot(task, opened, compute, progress)
        predictions |= predicted
    if zero_shot is not None and not results.multi_label:
        few = FewShot(splits["train"], labels, question or default_question(labels), max_tokens)
        shown = ask_after_examples(
            few,
            opened,
            splits,
            config.few_shot,
            zero_shot_s=time.monotonic() - begun,
            most_s=min(MAX_S, limit.left_s) if limit else MAX_S,
            items=items,
            compute=compute,
            progress=progress,
        )
        if shown is not None:
            predictions[SHOWN], few_shot = shown
    models, same_messages = compare(predictions, labels_of_texts(test), results.labels, positive)
    results = replace(
        results,
        baselines=settings,
        zero_shot=zero_shot,
        few_shot=few_shot,
        models=models,
        same_messages=same_messages,
        predictions={name: plain_labels(each) for name, each in predictions.items()},
    )
    write_finished(run, results.plain())
    return results


def _has_time(limit: TimeLimit | None, progress: Progress) -> bool:
    """Whether the base model can be asked; else it is said."""
    if limit is None or limit.left_s > ASKING_SHARE * limit.seconds:
        return True
    progress.say(f"Left out: {ASKED}, for which the budget of {limit.budget} leaves no time.")
    return False


def _as_labels(predicted: Sequence[Any]) -> list[Any]:
    return [tuple(each) if isinstance(each, list) else each for each in predicted]


def _simple_methods(
    results: ClassifierResults, splits: Splits, progress: Progress
) -> tuple[Predicted, dict[str, JsonObject] | None]:
    """Nothing without scikit-learn, which is reported."""
    train, validation, test = (splits[name] for name in ("train", "validation", "test"))
    try:
        found = baseline_predictions(train, validation, test, results.labels)
    except MissingExtra as missing:
        progress.say(f"Left out: TF-IDF with logistic regression. {missing}")
        return {}, None
    settings = {each.name: each.settings for each in found if each.settings}
    return {each.name: each.predicted for each in found}, settings


def _zero_shot(
    task: ZeroShot, opened: OpenModel, compute: Compute, progress: Progress
) -> tuple[JsonObject | None, Predicted]:
    try:
        found = task.measure(opened, compute=compute, progress=progress)
    except ModelError as error:
        progress.say(f"Left out: {ASKED}. {error}")
        return None, {}
    asked = {name: found.details[name] for name in ("question", "asked", "of")}
    return asked, {ASKED: _as_labels(found.details["predictions"])}


def ask_after_examples(
    few: FewShot,
    opened: OpenModel,
    splits: Splits,
    shots: int | None,
    *,
    zero_shot_s: float,
    most_s: float = MAX_S,
    items: int = ZERO_SHOT_ITEMS,
    compute: Compute,
    progress: Progress,
) -> tuple[list[str], JsonObject] | None:
    """Return the labels of the first `items` test texts and what was chosen; None: left out, with
    the reason said.

    `shots`: examples of each label; 0: not asked; None: chosen on validation texts where that takes
    at most `most_s`, at the speed of zero-shot.
    """
    texts = [example.text for example in splits["test"][:items]]
    if shots == 0 or not texts:
        return None
    begun, tried = time.monotonic(), list[JsonObject]()
    try:
        if shots is None:
            tried_on = [example.text for example in splits["validation"][:CHOSEN_ON]]
            seconds = expected_s(few, opened, texts, tried_on, zero_shot_s)
            if seconds > most_s:
                progress.say(
                    f"Left out: {SHOWN}, which would take about {seconds:.0f} s; "
                    f"few_shot = {SHOTS[0]} asks it so."
                )
                return None
            tried = choose_shots(
                few, opened, splits["validation"], compute=compute, progress=progress
            )
            shots = tried[0]["shots"]
        if not few.fits(texts, shots, opened):
            raise ModelError(
                f"{shots} examples of each label do not fit the context of "
                f"{opened.config.context_tokens}."
            )
        predicted = few.predict(opened, texts, shots, compute=compute, progress=progress)
    except ModelError as error:
        progress.say(f"Left out: {SHOWN}. {error}")
        return None
    asked = {"shots": shots, "tried": tried, "asked": len(texts), "of": len(splits["test"])}
    elapsed_s = round(time.monotonic() - begun, 1)
    progress.say(
        f"{SHOWN}: {shots} of each label, {len(texts):,} texts asked about in {elapsed_s:.0f} s."
    )
    return predicted, {**asked, "elapsed_s": elapsed_s}


def expected_s(
    few: FewShot,
    opened: OpenModel,
    asked: Sequence[str],
    validation: Sequence[str],
    zero_shot_s: float,
) -> float:
    """Raises ModelError where no number of examples fits."""
    tokenizer = opened.require_tokenizer()
    fitting = [shots for shots in SHOTS if few.fits(validation, shots, opened)]
    if not fitting:
        raise ModelError(
            f"The context of {opened.config.context_tokens} tokens is too short for an example of "
            "each label."
        )
    chosen_on = sum(few.tokens(validation, shots, tokenizer) for shots in fitting)
    token_s = zero_shot_s / few.tokens(asked, 0, tokenizer)
    return token_s * (chosen_on + few.tokens(asked, fitting[-1], tokenizer))
