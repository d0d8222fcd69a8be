"""The baselines of a fine-tuned classifier, on the same test messages: simple methods, and the base
model without training (zero-shot, few-shot).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from groundup.device import Compute
from groundup.errors import MissingExtra, ModelError
from groundup.evaluate.tasks.classification import (
    ZERO_SHOT_ITEMS,
    ZERO_SHOT_MAX_TOKENS,
    ZeroShot,
    default_question,
)
from groundup.evaluate.tasks.few_shot import CHOSEN_ON, SHOTS, FewShot, choose_shots
from groundup.evaluate.tasks.label_baselines import baseline_predictions
from groundup.evaluate.tasks.label_figures import compare, labels_of_texts
from groundup.finetune.classifier_results import ClassifierResults, JsonObject
from groundup.finetune.config import ClassifierConfig
from groundup.finetune.messages import Splits
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.train.run_lifecycle import write_finished
from groundup.weights.model_io import OpenModel

ASKED = "the base model, asked"
SHOWN = "the base model, shown examples"
# Where nothing is said of few_shot, the base model is asked so if it takes at most this long.
MAX_S = 60.0
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
) -> ClassifierResults:
    """Return the results of `fit_classifier` with its baselines, and write them to the run folder.
    `opened` is the base model, which is asked about at most `items` test messages.

    Without scikit-learn its two baselines are left out, and so is a base model that can't be asked
    (no chat template, a context too short for the question); both are reported.
    """
    progress = progress or Silent()
    limit = int((results.lengths or {}).get("limit", ZERO_SHOT_MAX_TOKENS))
    simple, settings = _simple_methods(results, splits, progress)
    asked = _AskedBaseModel(results, opened, splits, config, items, limit, compute, progress)
    own = {name: _as_labels(labels) for name, labels in results.predictions.items()}
    predictions = {**own, **simple}
    begun = time.monotonic()
    zero_shot, predicted = asked.zero_shot()
    predictions |= predicted
    few_shot = None
    if zero_shot is not None and not results.multi_label:
        few_shot, predicted = asked.few_shot(time.monotonic() - begun)
        predictions |= predicted
    models, same_messages = compare(
        predictions, labels_of_texts(splits["test"]), results.labels, results.positive or ""
    )
    results = replace(
        results,
        baselines=settings,
        zero_shot=zero_shot,
        few_shot=few_shot,
        models=models,
        same_messages=same_messages,
        predictions={
            name: [list(each) if isinstance(each, tuple) else each for each in labels]
            for name, labels in predictions.items()
        },
    )
    write_finished(run, results.plain())
    return results


def _as_labels(predicted: Sequence[Any]) -> list[Any]:
    """Return labels as in results.json with the several labels of a text as a tuple."""
    return [tuple(each) if isinstance(each, list) else each for each in predicted]


def _simple_methods(
    results: ClassifierResults, splits: Splits, progress: Progress
) -> tuple[Predicted, dict[str, JsonObject] | None]:
    """Return the predictions of methods without a language model, and their settings; nothing
    without scikit-learn, which is reported.
    """
    train, validation, test = (splits[name] for name in ("train", "validation", "test"))
    try:
        found = baseline_predictions(train, validation, test, results.labels)
    except MissingExtra as missing:
        progress.say(f"Left out: TF-IDF with logistic regression. {missing}")
        return {}, None
    settings = {each.name: each.settings for each in found if each.settings}
    return {each.name: each.predicted for each in found}, settings


@dataclass(frozen=True)
class _AskedBaseModel:
    """The base model asked about the first `items` test messages, at most `limit` tokens of
    each.
    """

    results: ClassifierResults
    opened: OpenModel
    splits: Splits
    config: ClassifierConfig
    items: int
    limit: int
    compute: Compute
    progress: Progress

    def zero_shot(self) -> tuple[JsonObject | None, Predicted]:
        """Return what was asked, and the predictions; nothing where it can't be asked."""
        task = ZeroShot(
            self.splits["test"],
            tuple(self.results.labels),
            self.results.positive or "",
            self.config.question,
            items=self.items,
            max_tokens=self.limit,
        )
        try:
            found = task.measure(self.opened, compute=self.compute, progress=self.progress)
        except ModelError as error:
            self.progress.say(f"Left out: {ASKED}. {error}")
            return None, {}
        asked = {name: found.details[name] for name in ("question", "asked", "of")}
        return asked, {ASKED: _as_labels(found.details["predictions"])}

    def few_shot(self, zero_shot_s: float) -> tuple[JsonObject | None, Predicted]:
        """Return what was chosen and the predictions after examples of each label; nothing where
        it is not asked. `zero_shot_s`: the seconds that zero-shot took.
        """
        labels = tuple(self.results.labels)
        question = self.config.question or default_question(labels)
        few = FewShot(self.splits["train"], labels, question, self.limit)
        found = ask_after_examples(
            few,
            self.opened,
            self.splits,
            self.config.few_shot,
            zero_shot_s=zero_shot_s,
            items=self.items,
            compute=self.compute,
            progress=self.progress,
        )
        if found is None:
            return None, {}
        predicted, chosen = found
        return chosen, {SHOWN: predicted}


def ask_after_examples(
    few: FewShot,
    opened: OpenModel,
    splits: Splits,
    shots: int | None,
    *,
    zero_shot_s: float,
    items: int = ZERO_SHOT_ITEMS,
    compute: Compute,
    progress: Progress,
) -> tuple[list[str], JsonObject] | None:
    """Return the labels of the first `items` test texts and what was chosen; None where it is left
    out, with the reason said.

    `shots`: examples of each label; 0: not asked; None: chosen on validation texts where that takes
    at most MAX_S, judged by the seconds that zero-shot took on the same texts.
    """
    texts = [example.text for example in splits["test"][:items]]
    if shots == 0 or not texts:
        return None
    begun, tried = time.monotonic(), list[JsonObject]()
    try:
        if shots is None:
            tried_on = [example.text for example in splits["validation"][:CHOSEN_ON]]
            seconds = expected_s(few, opened, texts, tried_on, zero_shot_s)
            if seconds > MAX_S:
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
    """Return about how long choosing and asking take, at the speed of zero-shot.

    Raises ModelError where no number of examples fits.
    """
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
