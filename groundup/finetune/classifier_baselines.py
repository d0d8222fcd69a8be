"""The baselines of a fine-tuned classifier, on the same test messages: simple methods, and the base
model without training (zero-shot).
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from groundup.data.documents import Example
from groundup.device import Compute
from groundup.errors import MissingExtra, ModelError
from groundup.evaluate.tasks.classification import (
    ZERO_SHOT_ITEMS,
    ZERO_SHOT_MAX_TOKENS,
    ZeroShot,
    baseline_predictions,
    compare,
    default_question,
)
from groundup.evaluate.tasks.few_shot import FewShot
from groundup.finetune.few_shot import SHOWN, ask_after_examples
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.train.run_lifecycle import write_finished
from groundup.weights.model_io import OpenModel

ASKED = "the base model, asked"


def add_baselines(
    results: Mapping[str, Any],
    opened: OpenModel,
    splits: Mapping[str, Sequence[Example]],
    run: RunFolder,
    *,
    question: str | None = None,
    zero_shot_items: int = ZERO_SHOT_ITEMS,
    few_shot: int | None = None,
    compute: Compute,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the results of `fit_classifier` with its baselines, and write them to the run folder.
    `opened` is the base model.

    `few_shot`: the `shots` of `few_shot.ask_after_examples`.

    Without scikit-learn its two baselines are left out, and so is a base model that can't be asked
    (no chat template, a context too short for the question); both are reported.
    """
    progress = progress or Silent()
    test = splits["test"]
    labels, positive = tuple(results["labels"]), results["positive"]
    predictions: dict[str, Sequence[str]] = dict(results["predictions"])
    whole = dict(results)
    try:
        found = baseline_predictions(splits["train"], splits["validation"], test)
        predictions |= {each.name: each.predicted for each in found}
        whole["baselines"] = {each.name: each.settings for each in found if each.settings}
    except MissingExtra as missing:
        progress.say(f"Left out: TF-IDF with logistic regression. {missing}")
    limit = int(results.get("lengths", {}).get("limit", ZERO_SHOT_MAX_TOKENS))
    task = ZeroShot(
        test, labels, positive, question=question, items=zero_shot_items, max_tokens=limit
    )
    begun = time.monotonic()
    try:
        details = task.measure(opened, compute=compute, progress=progress).details
        predictions[ASKED] = details["predictions"]
        whole["zero_shot"] = {name: details[name] for name in ("question", "asked", "of")}
    except ModelError as error:
        progress.say(f"Left out: {ASKED}. {error}")
    zero_shot_s = time.monotonic() - begun
    few = FewShot(splits["train"], labels, question or default_question(labels), limit)
    told: dict[str, Any] = {"items": zero_shot_items, "compute": compute, "progress": progress}
    if ASKED in predictions and (
        shown := ask_after_examples(few, opened, splits, few_shot, zero_shot_s=zero_shot_s, **told)
    ):
        predictions[SHOWN], whole["few_shot"] = shown
    rows, same_messages = compare(
        predictions, [example.label for example in test], labels, positive
    )
    whole |= {"models": rows, "same_messages": same_messages, "predictions": predictions}
    write_finished(run, whole)
    return whole
