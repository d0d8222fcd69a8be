"""The baselines of a classifier of several labels, on the same test messages: a regression for each
label, and the base model asked of each label.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.data.documents import Example
from groundup.device import Compute
from groundup.errors import ConfigError, MissingExtra, ModelError
from groundup.evaluate.tasks.classification import ZERO_SHOT_ITEMS, ZERO_SHOT_MAX_TOKENS
from groundup.evaluate.tasks.label_sets import LabelSet, compare_sets, set_baselines, sets_of
from groundup.evaluate.tasks.multi_label import AskedOfEachLabel, require_place_for_label
from groundup.finetune.classifier_baselines import ASKED
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.train.run_lifecycle import write_finished
from groundup.weights.model_io import OpenModel


def require_asked_of_each(question: str | None, few_shot: int | None) -> None:
    """Raise ConfigError for what the base model can't be asked on texts with several labels, before
    the training.
    """
    require_place_for_label(question)
    if few_shot:
        raise ConfigError(
            "--few-shot does not apply to texts with several labels: the base model is asked of each label alone.",
            fix="Leave it out.",
        )


def add_set_baselines(
    results: Mapping[str, Any],
    opened: OpenModel,
    splits: Mapping[str, Sequence[Example]],
    run: RunFolder,
    *,
    question: str | None = None,
    zero_shot_items: int = ZERO_SHOT_ITEMS,
    compute: Compute,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the results of `fit_classifier` with its baselines, and write them to the run folder;
    as `classifier_baselines.add_baselines`.
    """
    progress = progress or Silent()
    test, labels = splits["test"], tuple(results["labels"])
    predictions: dict[str, Sequence[LabelSet]] = {
        name: list(map(tuple, found)) for name, found in results["predictions"].items()
    }
    whole = dict(results)
    try:
        found = set_baselines(splits["train"], splits["validation"], test, labels)
        predictions |= {each.name: each.predicted for each in found}
        whole["baselines"] = {each.name: each.settings for each in found if each.settings}
    except MissingExtra as missing:
        progress.say(f"Left out: TF-IDF with logistic regression. {missing}")
    limit = int(results.get("lengths", {}).get("limit", ZERO_SHOT_MAX_TOKENS))
    task = AskedOfEachLabel(test, labels, question, items=zero_shot_items, max_tokens=limit)
    try:
        details = task.measure(opened, compute=compute, progress=progress).details
        predictions[ASKED] = list(map(tuple, details["predictions"]))
        whole["zero_shot"] = {name: details[name] for name in ("question", "asked", "of")}
    except ModelError as error:
        progress.say(f"Left out: {ASKED}. {error}")
    shortest = min(map(len, predictions.values()))
    same = {name: predicted[:shortest] for name, predicted in predictions.items()}
    whole |= {
        "models": compare_sets(predictions, sets_of(test), labels),
        "same_messages": compare_sets(same, sets_of(test)[:shortest], labels),
        "predictions": {
            name: list(map(list, predicted)) for name, predicted in predictions.items()
        },
    }
    write_finished(run, whole)
    return whole
