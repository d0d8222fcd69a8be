"""`build`, `pretrain`, `run_research`, `search_mixture`, `finetune_classifier`, `finetune_chat` and
`finetune_preference`: a recipe is carried out, a language model is trained from texts, changes of
its recipe and shares of its texts are tried, a model learns a task.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.config import checked_arguments
from groundup.data.reading.data import Data, address_and_share, as_data
from groundup.errors import ConfigError
from groundup.finetune.config import (
    REPLAY_SHARE,
    ChatConfig,
    ClassifierConfig,
    PreferenceConfig,
)
from groundup.planning.pretrain_config import PretrainConfig
from groundup.progress import Progress, Silent
from groundup.recipes.build_config import RUNS, BuildConfig, instructions_source, licence_of
from groundup.research.mixture.config import MixtureSearchConfig
from groundup.research.research_config import ResearchConfig
from groundup.runs import PLAN_FILE, RunFolder

if TYPE_CHECKING:
    from groundup.data.documents import Example
    from groundup.finetune.chat_training import ChatResults
    from groundup.finetune.classifier_results import ClassifierResults
    from groundup.planning.pretrain_options import PretrainOptions
    from groundup.recipes.builds.pipeline import BuildPlan
    from groundup.research.mixture.results import MixtureResults
    from groundup.research.results import ResearchResults
    from groundup.runs import BuildResults
    from groundup.train.pretrain_results import PretrainResults
    from groundup.train.steps.process_group import ProcessGroup
    from groundup.weights.card import ModelCard

AnyPath = str | Path


@checked_arguments
def build(
    recipe: AnyPath = "quickstart",
    out: AnyPath | None = None,
    config: BuildConfig | None = None,
    *,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> "BuildResults | BuildPlan":
    """Carry out a recipe (a name, a .toml file, a folder of texts, or a domain pack) into `out`, by
    default runs/NAME. Return what build.json holds, with `dry_run` the plan instead, and nothing is
    done.

    A folder of texts makes a model of these texts alone. `fixed_choices`: precision, threads and
    compilation follow rules instead of measurements; how much is done in the time is still
    measured. `fresh`: start again from the beginning.

    >>> plan = groundup.build("my-texts", config=groundup.BuildConfig(budget="3m"), dry_run=True)
    >>> [stage.stage for stage in plan.stages][:3]
    ['data', 'tokenizer', 'pretrain']
    """
    from groundup.device import select_compute
    from groundup.recipes.builds.build import build
    from groundup.recipes.builds.pipeline import plan_build, stages_of
    from groundup.recipes.recipe import load_recipe

    config, progress = config or BuildConfig(), progress or Silent()
    loaded = load_recipe(str(recipe), config)
    if dry_run:
        return plan_build(loaded)
    if loaded.pack:
        about = f"is a domain pack (docs/packs.md), not a folder of texts: {loaded.description}"
        progress.say(f"{recipe} {about}")
    return build(
        loaded,
        Path(out or RUNS / loaded.name),
        stages_of(loaded),
        compute=select_compute(device, fixed_choices=fixed_choices),
        progress=progress,
        fresh=fresh,
        redo=config.redo,
    )


@checked_arguments
def pretrain(
    data: AnyPath | Data | Sequence[AnyPath | Data],
    out: AnyPath,
    config: PretrainConfig = PretrainConfig(),
    *,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
    group: "ProcessGroup | None" = None,
) -> "PretrainResults":
    """Train a language model on texts, a data folder or token shards; its folder is `out`.

    `data`: one address or several (docs/data.md), a .toml that lists them, or `Data`. `config`: how
    long (by default 3 minutes), how large, from which model. With `fixed_choices` nothing is chosen
    by measuring. `group`: the processes that train together. The results (those of results.json)
    have the bits per byte of validation, by which the weights were chosen, and of the test split.

    >>> config = groundup.PretrainConfig(steps=2, model=groundup.ModelShape(depth=1))
    >>> results = groundup.pretrain("my-texts", "runs/new", config)
    >>> results.steps, results.bits_per_byte > 0
    (2, True)
    """
    from groundup.device import select_compute
    from groundup.evaluate.comparison.forgetting import suites
    from groundup.planning.corpus import PREPARED
    from groundup.planning.prepare import prepare_on_all_ranks, time_budget
    from groundup.planning.pretrain_options import pretrain_options
    from groundup.train.monitor.callbacks import MonitorConfig
    from groundup.train.monitor.time_budget import StepControl
    from groundup.train.pretrain import pretrain
    from groundup.train.run_lifecycle import claim_folder
    from groundup.train.steps.process_group import SINGLE_PROCESS

    run, group, progress = RunFolder(Path(out)), group or SINGLE_PROCESS, progress or Silent()
    _require_other_folder(run, config)
    asked = pretrain_options(data, config, fixed_choices=fixed_choices)
    compute = select_compute(device, fixed_choices=fixed_choices)
    monitor = config.monitor or MonitorConfig()
    if asked.start is not None:
        monitor = replace(monitor, forgetting=suites(config.start.general, progress))
    group.first(lambda: claim_folder(run, kind="pretrain", fresh=fresh, also=PREPARED))
    made = prepare_on_all_ranks(asked, run, compute, progress, group)
    if made.inputs.fit.parallel == "fsdp" and group.patient is None:
        progress.say(
            "note: fit.parallel=fsdp shares a model among processes; "
            "this is a single one (docs/large.md)."
        )
    for line in made.plan_lines():
        progress.say(line)
    return pretrain(
        made.inputs,
        run,
        compute=compute,
        progress=progress,
        card=_card(asked, run),
        monitor=monitor,
        group=group,
        control=StepControl(time_budget(asked, made.inputs)),
    )


@checked_arguments
def run_research(
    data: AnyPath | Data | Sequence[AnyPath | Data],
    out: AnyPath,
    config: ResearchConfig = ResearchConfig(),
    *,
    device: str = "auto",
    fresh: bool = False,
    progress: Progress | None = None,
) -> "ResearchResults":
    """Try switches, each a change of the pretraining recipe, beside the baseline in the same
    processor time (docs/research.md). Return what results.json holds.

    `config`: how long a try is, which switches, how many seeds and rounds; a `Switch` of your own
    stands beside the names of known ones. Differences are in bits per byte of validation text,
    paired by seed; those of test text are measured once, of the best and the baseline. The same call
    goes on where it was stopped. Raises ConfigError, DataError, FormatError.

    >>> config = groundup.ResearchConfig(steps=4, switches=["untied"], seeds=1, rounds=1)
    >>> results = groundup.run_research("my-texts", "runs/recipe", config)
    >>> [each.name for each in results.rounds[-1].tried]
    ['untied']
    """
    from groundup.research.research import run_research

    return run_research(
        data, Path(out), config, device=device, fresh=fresh, progress=progress or Silent()
    )


@checked_arguments
def search_mixture(
    data: AnyPath | Data | Sequence[AnyPath | Data],
    out: AnyPath,
    config: MixtureSearchConfig = MixtureSearchConfig(),
    *,
    device: str = "auto",
    fresh: bool = False,
    progress: Progress | None = None,
) -> "MixtureResults":
    """Search shares of the sources and processing steps that lower the loss on a target, by short
    proxy runs (docs/mixture.md). Return what results.json holds.

    `config`: the time of search and training together, the target. `mixture` of the results is
    "proportional" where the found shares are not clearly better in paired runs. The same call goes
    on where it was stopped. Raises ConfigError, DataError, FormatError.

    >>> config = groundup.MixtureSearchConfig(proxy_steps=2, proxies=4, seeds=2, target="letters")
    >>> results = groundup.search_mixture(["my-texts", "letters"], "runs/mixture", config)
    >>> len(results.proxies), [each.name for each in results.sources]
    (4, ['my-texts', 'letters'])
    """
    from groundup.research.mixture.search import search_mixture

    return search_mixture(
        data, Path(out), config, device=device, fresh=fresh, progress=progress or Silent()
    )


def _require_other_folder(run: RunFolder, config: PretrainConfig) -> None:
    """Raises ConfigError for the folder of the starting model."""
    start = config.start.init_from or config.start.cut_from
    if start is not None and run.path.resolve() == Path(start).resolve():
        raise ConfigError(
            f"{run.path} is the model that the training starts from.",
            fix="Choose another folder for `out`.",
        )


def _card(asked: "PretrainOptions", run: RunFolder) -> "ModelCard":
    """Return the model card without its figures."""
    from groundup.planning.corpus import licences
    from groundup.train.cut.cut_start import cut_card
    from groundup.weights.card import ModelCard

    name, texts, start = run.path.resolve().name, licences(asked.data), asked.start
    if asked.source is not None:
        return cut_card(name, asked.source, texts)
    if start is None:
        return ModelCard(name, "Trained from random weights.", texts)
    return ModelCard(
        name, f"Continued training of {start.name}.", texts, base=start.name, license=start.license
    )


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

    >>> config = groundup.ClassifierConfig(train="last-block", epochs=1)
    >>> results = groundup.finetune_classifier("runs/mine", "messages.csv", "runs/filter", config)
    >>> results.labels
    ['ham', 'spam']
    """
    from groundup.data.reading.sources import source_of
    from groundup.device import select_compute
    from groundup.finetune.classifier import fit_classifier, messages_of
    from groundup.finetune.classifier_baselines import add_baselines
    from groundup.finetune.classifier_time import texts_within
    from groundup.finetune.classifier_training import ClassifierJob
    from groundup.finetune.further_trainings import CURVE_FOLDER, FOLDS_FOLDER, RATES_FOLDER
    from groundup.finetune.time_limit import TimeLimit
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    limit = TimeLimit.of(config.budget)
    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run, data = progress or Silent(), RunFolder(Path(out)), as_data(data)
    source_of(data)  # a hash beside data on disk is refused before anything else
    require_model(model)
    splits = _read_splits(data, config, progress)
    # what does not fit together is refused before the model is opened
    messages = messages_of(splits, config)
    also = (RATES_FOLDER, CURVE_FOLDER, FOLDS_FOLDER, PLAN_FILE)
    claim_folder(run, kind="classifier", fresh=fresh, also=also)
    opened = open_model(model, compute, progress=progress)
    if limit is not None:
        job = ClassifierJob(opened, messages, config, compute, progress)
        given = [name for name in ("validation", "test") if getattr(config, name) is not None]
        config = replace(config, texts=texts_within(limit, job, run, given))
        splits = _read_splits(data, config, Silent())
    card = card_of(run, "Classifies texts.", data, model, opened.license)
    results = fit_classifier(
        opened, splits, run, config, compute=compute, progress=progress, card=card, limit=limit
    )
    if results.same_messages is not None:
        return results
    return add_baselines(
        results, opened, splits, run, config, compute=compute, progress=progress, limit=limit
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
        merge_rare=config.merge_rare,
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
    from groundup.api.teaching import taught_data
    from groundup.data.reading.examples import read_chat
    from groundup.device import select_compute
    from groundup.finetune.instruct import fit_chat
    from groundup.finetune.time_limit import TimeLimit
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    limit = TimeLimit.of(config.budget)
    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run, data = progress or Silent(), RunFolder(Path(out)), as_data(data)
    require_model(model)
    named, taught = replace(data, path=instructions_source(str(data.path))), None
    if config.teacher:
        taught = taught_data(named, run, config, compute, fresh=fresh, progress=progress)
        named, limit = Data(taught.file), TimeLimit.of(config.budget)
    examples = read_chat(named, progress=progress)
    if taught is None:
        claim_folder(run, kind="chat", fresh=fresh)
    opened = open_model(model, compute, progress=progress)
    card = card_of(run, "Answers short instructions.", data, model, opened.license)
    if taught is not None:
        card = replace(card, data=((taught.title, "as the teacher's terms allow"),))
    if config.replay:
        replayed, _ = address_and_share(config.replay, REPLAY_SHARE)
        card = replace(card, data=(*card.data, (f"{replayed} (replayed)", licence_of(replayed))))
    return fit_chat(
        opened, examples, run, config, compute=compute, progress=progress, card=card, limit=limit
    )


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
    """Teach a chat model which answers are better: which of two, and to write it (DPO), from pairs
    of chosen and rejected, or which single ones (KTO), from the answers that readers rated in a
    feedback.jsonl. Return what results.json holds.

    Raises ConfigError, DataError, ModelError, NetworkError.

    >>> config = groundup.PreferenceConfig(tokens=200)
    >>> results = groundup.finetune_preference("runs/mine", "pairs.jsonl", "runs/preferred", config)
    >>> results.chosen_loss["before"] > 0
    True
    """
    from groundup.data.documents import RatedExample
    from groundup.data.reading.examples import read_compared
    from groundup.device import select_compute
    from groundup.finetune.preference import fit_preference
    from groundup.finetune.ratings import KTO, fit_ratings, rated_of_pairs
    from groundup.finetune.time_limit import TimeLimit
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    limit = TimeLimit.of(config.budget)
    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run, data = progress or Silent(), RunFolder(Path(out)), as_data(data)
    require_model(model)
    examples = read_compared(data, progress=progress)
    claim_folder(run, kind="preference", fresh=fresh)
    opened = open_model(model, compute, progress=progress)
    card = card_of(run, "Prefers the answers that were chosen.", data, model, opened.license)
    rated = [each for each in examples if isinstance(each, RatedExample)]
    pairs = [each for each in examples if not isinstance(each, RatedExample)]
    if rated or config.loss == KTO:
        rated = rated or rated_of_pairs(pairs)
        return fit_ratings(
            opened, rated, run, config, compute=compute, progress=progress, card=card, limit=limit
        )
    return fit_preference(
        opened, pairs, run, config, compute=compute, progress=progress, card=card, limit=limit
    )


def card_of(
    run: RunFolder, summary: str, data: Data, model: AnyPath, license_id: str
) -> "ModelCard":
    from groundup.weights.card import ModelCard

    path = str(data.path)
    sources = ((path, licence_of(path)),)
    return ModelCard(
        run.path.resolve().name, summary, data=sources, base=str(model), license=license_id
    )
