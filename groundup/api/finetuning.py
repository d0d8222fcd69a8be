"""`finetune_classifier`, `finetune_chat` and `finetune_preference`: a model learns a task."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from groundup.config import Settings, apply_sets, build_config, checked_arguments
from groundup.errors import ConfigError
from groundup.progress import Progress, Silent
from groundup.recipes.packaged import instructions_source, licence_of
from groundup.runs import RunFolder

if TYPE_CHECKING:
    from groundup.weights.card import ModelCard

AnyPath = str | Path


# Labelled texts that a classifier is made of, at most.
MESSAGES = 2400
CHAT_EPOCHS, LORA_RANK = 3.0, 8
PREFERENCE_EPOCHS, PREFERENCE_BETA = 1.0, 0.1


@checked_arguments
def finetune_classifier(
    model: AnyPath,
    data: AnyPath,
    out: AnyPath,
    *,
    text_column: str = "",
    label_column: str = "",
    label_from: str = "",
    label_separator: str = "",
    messages: int = MESSAGES,
    min_per_class: int = 0,
    validation: AnyPath | None = None,
    test: AnyPath | None = None,
    question: str | None = None,
    few_shot: int | None = None,
    sha256: str = "",
    encoding: str = "auto",
    follow_links: bool = False,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make a classifier of a language model and of labelled texts, at most `messages` of them.
    Return what results.json holds.

    `settings` are fields of `finetune.classifier.ClassifierConfig`. The results have the baselines
    beside it, among them the base model asked `question`, without examples and after `few_shot` of
    each label (0: not; None: as chosen on validation, where it takes at most a minute). Classes of
    fewer than `min_per_class` texts are left out. `validation` and `test` are own splits: all of
    `data` is then trained on, but for what stands in them too. `sha256` is that of the file at a
    pypi: or https: address. `label_from` "name": the label of a text is the name of its folder or
    mailbox; "column": it stands in a column; "": which of them, is recognised. A text may have
    none, one or several labels where they stand in lists, or in a column between `label_separator`.

    >>> results = groundup.finetune_classifier("runs/mine", "messages.csv", "runs/ham-or-spam", settings={"epochs": 1})
    >>> results["labels"]
    ['ham', 'spam']
    """
    from groundup.data.reading.examples import read_splits
    from groundup.data.reading.multi_label import require_label_sets
    from groundup.data.reading.source_files import Source
    from groundup.data.reading.sources import SourceOptions
    from groundup.device import select_compute
    from groundup.finetune.classifier import fit_classifier
    from groundup.finetune.classifier_baselines import add_baselines
    from groundup.finetune.classifier_config import ClassifierConfig
    from groundup.finetune.features import FEATURES_FILE
    from groundup.finetune.label_errors import FOLDS_FOLDER
    from groundup.finetune.learning_curve import CURVE_FOLDER
    from groundup.finetune.learning_rate import RATES_FOLDER
    from groundup.finetune.multi_label_baselines import add_set_baselines, require_asked_of_each
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run = progress or Silent(), RunFolder(Path(out))
    config = build_config(ClassifierConfig, apply_sets({"seed": seed}, settings))
    source = Source(str(data), sha256, follow_links=follow_links)
    if sha256 and source.is_local:
        raise ConfigError(
            f"{data} is on disk, so its SHA-256 would not be compared.",
            fix="Leave it out: it is for pypi: and https:.",
        )
    options = SourceOptions(
        text_column,
        label_column=label_column,
        encoding=encoding,
        label_from=label_from,
        label_separator=label_separator,
    )
    named = (("validation", validation), ("test", test))
    given = {
        name: Source(str(each), follow_links=follow_links)
        for name, each in named
        if each is not None
    }
    require_model(model)
    splits = read_splits(
        source,
        options,
        messages=messages,
        min_per_class=min_per_class,
        given=given,
        seed=seed,
        progress=progress,
    )
    if require_label_sets(splits):
        require_asked_of_each(question, few_shot)
    claim_folder(
        run,
        kind="classifier",
        fresh=fresh,
        also=(FEATURES_FILE, RATES_FOLDER, CURVE_FOLDER, FOLDS_FOLDER),
    )
    opened = open_model(model, compute, progress=progress)
    card = card_of(run, "Classifies texts.", data, model, opened.license)
    results = fit_classifier(
        opened, splits, run, config, compute=compute, progress=progress, card=card
    )
    if "same_messages" not in results:
        told: dict[str, Any] = {"question": question, "compute": compute, "progress": progress}
        if results.get("multi_label"):
            return add_set_baselines(results, opened, splits, run, **told)
        results = add_baselines(results, opened, splits, run, few_shot=few_shot, **told)
    return results


@checked_arguments
def finetune_chat(
    model: AnyPath,
    data: AnyPath,
    out: AnyPath,
    *,
    tokens: int | None = None,
    epochs: float = CHAT_EPOCHS,
    train: Literal["lora", "all"] = "lora",
    rank: int = LORA_RANK,
    targets: Sequence[str] = (),
    merge: bool = False,
    general: AnyPath | None = None,
    columns: Mapping[str, str] | str = "",
    layout: str = "",
    encoding: str = "auto",
    follow_links: bool = False,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Teach a language model to answer (a file or folder of examples, or "starter"). Return what
    results.json holds.

    The whole set is read `epochs` times, at most so many `tokens`. `train`: LoRA adapters of `rank`
    R around the matrices in `targets` (none: all), or all weights. The folder holds the adapters in
    PEFT's format, with `merge` the whole model. Instructions, prompts with completions and
    conversations are recognised; `columns` names the columns where they are not: {"prompt":
    "question"}. `settings` are fields of `finetune.instruct.ChatConfig`. `general`: a file of
    general text, on which what was forgotten is measured.

    >>> results = groundup.finetune_chat("runs/mine", "instructions.jsonl", "runs/chat", tokens=200)
    >>> sorted(results["held_out_loss"])
    ['after', 'before']
    """
    from groundup.data.reading.description import parse_columns
    from groundup.data.reading.examples import read_chat
    from groundup.data.reading.source_files import Source
    from groundup.data.reading.sources import SourceOptions
    from groundup.device import select_compute
    from groundup.finetune.instruct import ChatConfig, fit_chat
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run = progress or Silent(), RunFolder(Path(out))
    named = {
        "seed": seed,
        "tokens": tokens,
        "epochs": epochs,
        "train": train,
        "rank": rank,
        "merge": merge,
    }
    config = build_config(ChatConfig, apply_sets({**named, "targets": tuple(targets)}, settings))
    source = Source(instructions_source(str(data)), follow_links=follow_links)
    options = SourceOptions(columns=parse_columns(columns), layout=layout, encoding=encoding)
    require_model(model)
    examples = read_chat(source, options, progress=progress)
    claim_folder(run, kind="chat", fresh=fresh)
    opened = open_model(model, compute, progress=progress)
    card = card_of(run, "Answers short instructions.", data, model, opened.license)
    told: dict[str, Any] = {"compute": compute, "progress": progress, "card": card}
    return fit_chat(opened, examples, run, config, **told, general=general)


@checked_arguments
def finetune_preference(
    model: AnyPath,
    data: AnyPath,
    out: AnyPath,
    *,
    epochs: float = PREFERENCE_EPOCHS,
    tokens: int | None = None,
    beta: float = PREFERENCE_BETA,
    train: Literal["lora", "all"] = "lora",
    rank: int = LORA_RANK,
    targets: Sequence[str] = (),
    merge: bool = False,
    general: AnyPath | None = None,
    columns: Mapping[str, str] | str = "",
    layout: str = "",
    encoding: str = "auto",
    follow_links: bool = False,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Teach a chat model which of two answers is the better one (DPO), from pairs of chosen and
    rejected. Return what results.json holds.

    `beta`: how strongly the model is held to what it was. `settings` are fields of
    `finetune.preference.PreferenceConfig`; the rest is as in `finetune_chat`.

    >>> results = groundup.finetune_preference("runs/mine", "pairs.jsonl", "runs/preferred", tokens=200)
    >>> round(results["held_out_loss"]["before"], 3)
    0.693
    """
    from groundup.data.reading.description import parse_columns
    from groundup.data.reading.examples import read_preferences
    from groundup.data.reading.source_files import Source
    from groundup.data.reading.sources import SourceOptions
    from groundup.device import select_compute
    from groundup.finetune.preference import PreferenceConfig, fit_preference
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run = progress or Silent(), RunFolder(Path(out))
    named = {
        "seed": seed,
        "tokens": tokens,
        "epochs": epochs,
        "beta": beta,
        "train": train,
        "rank": rank,
    }
    config = build_config(
        PreferenceConfig, apply_sets({**named, "merge": merge, "targets": tuple(targets)}, settings)
    )
    options = SourceOptions(columns=parse_columns(columns), layout=layout, encoding=encoding)
    require_model(model)
    examples = read_preferences(
        Source(str(data), follow_links=follow_links), options, progress=progress
    )
    claim_folder(run, kind="preference", fresh=fresh)
    opened = open_model(model, compute, progress=progress)
    card = card_of(run, "Prefers the answers that were chosen.", data, model, opened.license)
    told: dict[str, Any] = {"compute": compute, "progress": progress, "card": card}
    return fit_preference(opened, examples, run, config, **told, general=general)


def card_of(
    run: RunFolder, summary: str, data: AnyPath, model: AnyPath, license_id: str
) -> "ModelCard":
    """What the model card of a fine-tuned model can say before the training."""
    from groundup.weights.card import ModelCard

    sources = ((str(data), licence_of(str(data))),)
    return ModelCard(
        run.path.resolve().name, summary, data=sources, base=str(model), license=license_id
    )
