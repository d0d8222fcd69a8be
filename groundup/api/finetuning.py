"""`finetune_classifier`, `finetune_chat` and `finetune_preference`: a model learns a task."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.config import checked_arguments
from groundup.data.reading.data import Data, as_data
from groundup.errors import ConfigError
from groundup.finetune.config import ChatConfig, ClassifierConfig, PreferenceConfig
from groundup.progress import Progress, Silent
from groundup.recipes.packaged import instructions_source, licence_of
from groundup.runs import RunFolder

if TYPE_CHECKING:
    from groundup.data.documents import Example
    from groundup.finetune.chat_results import ChatResults
    from groundup.finetune.classifier_results import ClassifierResults
    from groundup.weights.card import ModelCard

AnyPath = str | Path


@checked_arguments
def finetune_classifier(
    model: AnyPath,
    data: AnyPath | Data,
    out: AnyPath,
    config: ClassifierConfig = ClassifierConfig(),
    *,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> "ClassifierResults":
    """Make a classifier of a language model and of labelled texts. Return what results.json holds.

    A text has one label, or none, one or several where its labels stand in lists, or in a column
    between `Data.label_separator`. The results have the baselines beside the classifier, among them
    the base model that is asked. Raises ConfigError, DataError, ModelError, NetworkError.

    >>> config = groundup.ClassifierConfig(epochs=1)
    >>> results = groundup.finetune_classifier("runs/mine", "messages.csv", "runs/filter", config)
    >>> results.labels
    ['ham', 'spam']
    """
    from groundup.device import select_compute
    from groundup.finetune.classifier import fit_classifier, messages_of
    from groundup.finetune.classifier_baselines import add_baselines
    from groundup.finetune.label_errors import FOLDS_FOLDER
    from groundup.finetune.learning_curve import CURVE_FOLDER
    from groundup.finetune.learning_rate import RATES_FOLDER
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run, data = progress or Silent(), RunFolder(Path(out)), as_data(data)
    _require_address_of_hash(data)
    require_model(model)
    splits = _read_splits(data, config, progress)
    messages_of(splits, config)  # what does not fit together is refused before the model is opened
    also = (RATES_FOLDER, CURVE_FOLDER, FOLDS_FOLDER)
    claim_folder(run, kind="classifier", fresh=fresh, also=also)
    opened = open_model(model, compute, progress=progress)
    card = _card_of(run, "Classifies texts.", data, model, opened.license)
    results = fit_classifier(
        opened, splits, run, config, compute=compute, progress=progress, card=card
    )
    if results.same_messages is not None:
        return results
    return add_baselines(results, opened, splits, run, config, compute=compute, progress=progress)


def _require_address_of_hash(data: Data) -> None:
    """Refuse a hash beside data on disk. Raises ConfigError."""
    from groundup.data.reading.sources import source_of

    if data.sha256 and source_of(data).is_local:
        raise ConfigError(
            f"{data.path} is on disk, so its SHA-256 would not be compared.",
            fix="Leave it out: it is for pypi: and https:.",
        )


def _read_splits(
    data: Data, config: ClassifierConfig, progress: Progress
) -> "dict[str, list[Example]]":
    from groundup.data.reading.examples import read_splits

    own = {"validation": config.validation, "test": config.test}
    return read_splits(
        data,
        texts=config.texts,
        min_per_class=config.min_per_class,
        given={
            name: replace(data, path=path, sha256="")
            for name, path in own.items()
            if path is not None
        },
        seed=config.seed,
        progress=progress,
    )


@checked_arguments
def finetune_chat(
    model: AnyPath,
    data: AnyPath | Data,
    out: AnyPath,
    config: ChatConfig = ChatConfig(),
    *,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> "ChatResults":
    """Teach a language model to answer (a file or folder of examples, or "starter"). Return what
    results.json holds.

    Instructions, prompts with completions and conversations are recognised; `Data.columns` names
    the columns where they are not. The folder holds the LoRA adapters in PEFT's format, with
    `merge` the whole model. Raises ConfigError, DataError, ModelError, NetworkError.

    >>> config = groundup.ChatConfig(tokens=200)
    >>> results = groundup.finetune_chat("runs/mine", "instructions.jsonl", "runs/chat", config)
    >>> sorted(results.held_out_loss)
    ['after', 'before']
    """
    from groundup.data.reading.examples import read_chat
    from groundup.device import select_compute
    from groundup.finetune.instruct import fit_chat
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run, data = progress or Silent(), RunFolder(Path(out)), as_data(data)
    require_model(model)
    named = replace(data, path=instructions_source(str(data.path)))
    examples = read_chat(named, progress=progress)
    claim_folder(run, kind="chat", fresh=fresh)
    opened = open_model(model, compute, progress=progress)
    card = _card_of(run, "Answers short instructions.", data, model, opened.license)
    return fit_chat(opened, examples, run, config, compute=compute, progress=progress, card=card)


@checked_arguments
def finetune_preference(
    model: AnyPath,
    data: AnyPath | Data,
    out: AnyPath,
    config: PreferenceConfig = PreferenceConfig(),
    *,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> "ChatResults":
    """Teach a chat model which of two answers is the better one (DPO), from pairs of chosen and
    rejected. Return what results.json holds.

    Raises ConfigError, DataError, ModelError, NetworkError.

    >>> config = groundup.PreferenceConfig(tokens=200)
    >>> results = groundup.finetune_preference("runs/mine", "pairs.jsonl", "runs/preferred", config)
    >>> round(results.held_out_loss["before"], 3)
    0.693
    """
    from groundup.data.reading.examples import read_preferences
    from groundup.device import select_compute
    from groundup.finetune.preference import fit_preference
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run, data = progress or Silent(), RunFolder(Path(out)), as_data(data)
    require_model(model)
    examples = read_preferences(data, progress=progress)
    claim_folder(run, kind="preference", fresh=fresh)
    opened = open_model(model, compute, progress=progress)
    card = _card_of(run, "Prefers the answers that were chosen.", data, model, opened.license)
    return fit_preference(
        opened, examples, run, config, compute=compute, progress=progress, card=card
    )


def _card_of(
    run: RunFolder, summary: str, data: Data, model: AnyPath, license_id: str
) -> "ModelCard":
    """What the model card of a fine-tuned model can say before the training."""
    from groundup.weights.card import ModelCard

    path = str(data.path)
    sources = ((path, licence_of(path)),)
    return ModelCard(
        run.path.resolve().name, summary, data=sources, base=str(model), license=license_id
    )
