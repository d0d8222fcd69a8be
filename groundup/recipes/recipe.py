"""A recipe: the configuration of a build, read from TOML and checked on load; a file names only
what differs from the defaults here. The line under a field is its meaning.

Classifiers, chat models and indexes have names of their own (`named_stages`), which are the names
of their tables and folders. Packaged recipes are beside this file.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field

from groundup.config import Settings, apply_sets, budget_s, build_config, read_toml, to_plain
from groundup.data.batches.mixture_config import MixtureConfig, mixture_config
from groundup.data.preparation.config import DataConfig
from groundup.data.processing.steps import ProcessConfig
from groundup.data.reading.decoding import AUTO
from groundup.data.reading.source_files import GENERAL_COLUMN, GENERAL_TEXT, Source
from groundup.errors import ConfigError, did_you_mean
from groundup.packs.assistant_texts import AssistantTexts
from groundup.packs.pack import is_pack, pack_folder, packaged_packs
from groundup.planning.scaling_law import HARMLESS_EPOCHS, REPLAY_SHARE
from groundup.recipes.build_config import BuildConfig, packaged_recipes
from groundup.recipes.named_stages import (
    NAMED,
    Charset,
    ChatStage,
    Count,
    N,
    NamedStage,
    StageConfig,
    kind_of,
    named_stage,
    pack_values,
)
from groundup.train.optimizers.muon import Muon
from groundup.train.steps.config import (
    MAX_SNAPSHOTS,
    pretraining_config,
)
from groundup.weights.gguf import GGUFQuantization

# Fields of `pretrain` that exclude one another.
WINDOWS = ("stride", "packing")
DEFAULTS = BuildConfig()
AUTO_SIZE = "auto"


class DataStage(StageConfig):
    """Stage 1: collect, clean, split."""

    sources: tuple[Source, ...] = ()
    text: str = ""
    """Of .jsonl, .json, .csv and .parquet files; by default it is recognised."""
    charset_errors: Literal["replace", "drop"] = "replace"
    """How invalid bytes are handled."""
    charset: Charset = AUTO
    """Of text files without a byte order mark; "auto": detected."""
    strict: bool = False
    """Fail at the first bad line; otherwise up to 1 % of bad lines are skipped and counted."""
    validation_share: Annotated[float, Field(gt=0, le=0.5)] = DataConfig.validation_fraction
    """Fraction of the documents, chosen by hash, on which the best checkpoint is chosen."""
    test_share: Annotated[float, Field(ge=0, le=0.5)] = DataConfig.test_fraction
    """Fraction of the documents on which the published figures are measured; 0: none, and they are
    those of validation.
    """
    keep_dropped: bool = False
    """Write the dropped documents to data/dropped.jsonl."""
    process: ProcessConfig = ProcessConfig()
    """What is done with documents after cleaning (docs/processing.md)."""

    def key(self) -> dict[str, Any]:
        """The weights of the sources are pretraining's, and change no text."""
        table = super().key()
        for source in table["sources"]:
            source.pop("weight", None)
        return table

    @property
    def config(self) -> DataConfig:
        """Raises ConfigError for shares that are too large together."""
        return DataConfig(
            text=self.text,
            charset_errors=self.charset_errors,
            strict=self.strict,
            validation_fraction=self.validation_share,
            test_fraction=self.test_share,
            charset=self.charset,
            keep_dropped=self.keep_dropped,
            process=self.process,
        )


class TokenizerStage(StageConfig):
    """Stage 2: byte-level BPE on the train part, then token shards."""

    vocab_size: Annotated[int, Field(ge=300, le=262_144)] = 4096
    """V, including control tokens. A small text gives fewer."""
    sample_bytes: Count | None = None
    """Of more text, so much is chosen at random to train on; by default 256 MB
    (tokenizer/training_sample.py).
    """


class PretrainStage(StageConfig):
    """Stage 3: a model trained from random weights, or one that is cut from a public one."""

    preset: str = "quickstart"
    """Shape, from model/presets.py; its vocabulary is the tokenizer's."""
    size: str = ""
    """Or its number of parameters, as 12M; AUTO_SIZE: shape and batch for which the scaling law
    expects the lowest loss in the stage's time on this machine, where that is long enough to time
    some, else the preset's.
    """
    cut_from: str = ""
    """The public model of which the first weights are cut (docs/processing.md): a name that
    `groundup pull` knows, or a model folder; by default random weights.
    """
    steps: Count | None = None
    """Number of training steps; by default as many as fit the stage's share of the budget, adjusted
    during the run.
    """
    batch_windows: Count = 8
    """B: windows of `context` tokens per step."""
    stride: Count | None = None
    """Tokens from one window to the next; by default the context."""
    packing: bool = False
    """Rows of whole documents instead of windows; no document attends to another."""
    optimizer: str = Muon.name
    """"muon", "adamw" or "sgd"; each has its own learning rate and schedule
    (train/steps/config.py).
    """
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Peak; by default the optimizer's."""
    mixture: str = ""
    """The shares of the sources, as of `pretrain --mixture`; by default the weights of
    data.sources, or where all are 1, as they come.
    """
    max_epochs_per_source: Annotated[float, Field(gt=0)] | None = None
    """How often a source is read at most; by default without end."""
    snapshots: Annotated[int, Field(ge=0, le=MAX_SNAPSHOTS)] = 0
    """How many copies of the weights are saved over the run, for `groundup lab RUN --film`; 0:
    none.
    """


class BaseStage(StageConfig):
    """Stage 4: the public model that is fine-tuned."""

    model: str = "smollm2-135m-instruct"
    """A name that `groundup pull` knows, or a model folder."""


class TeachStage(StageConfig):
    """Optional, before chat: the training of the public model is continued on the texts."""

    steps: Count | None = None
    """Number of training steps; by default as many as fit the stage's share of the budget."""
    epochs: Annotated[float, Field(gt=0)] = HARMLESS_EPOCHS
    """How often the texts are read at most."""
    step_tokens: Count = 512
    """Tokens of a step: few, since a processor reads some hundred a second."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Peak; by default a tenth of that for random weights."""
    replay_share: Annotated[float, Field(ge=0, lt=1)] = REPLAY_SHARE
    """The share of general text in what is read, so that less is forgotten; 0: none."""
    replay: Source | None = None
    """The general text; by default paragraphs of Wikipedia."""
    replay_column: str = ""
    """Its text column; by default it is recognised."""

    @property
    def general(self) -> Source:
        return self.replay or GENERAL_TEXT

    @property
    def general_column(self) -> str:
        if self.replay:
            return self.replay_column
        return self.replay_column or GENERAL_COLUMN


class EvaluateStage(StageConfig):
    """Before and after, on held-out data."""

    answers: Count = 20
    """Checked answers generated by each model; a short budget uses fewer."""
    answer_tokens: Count = 48
    side_by_side: Count = 8
    """Further held-out answers that are shown but not checked."""
    suites: tuple[str, ...] = ("grammar", "copying", "multiple_choice", "arithmetic", "emotions")
    """Evaluation suites for all models, as of `evaluate --tasks`, a part of each by the time; []
    for none.
    """


class ExportStage(StageConfig):
    """Exported files, and the parity gate against real llama.cpp."""

    quantizations: tuple[GGUFQuantization, ...] = ("f16", "q8_0")
    """[]: nothing is exported."""
    prompts: Count = 20
    """Of the gate; a short budget uses fewer."""


class ReportStage(StageConfig):
    """The HTML report."""


class Recipe(StageConfig):
    name: str
    description: str = ""
    seed: Annotated[int, Field(ge=0)] = 1
    budget: str = "10m"
    """Wall-clock time of the whole build without installation: 90s, 3m, 1h30m."""
    data: DataStage = DataStage()
    """Without sources there is no model of one's own: no data, tokenizer, pretrain."""
    tokenizer: TokenizerStage = TokenizerStage()
    pretrain: PretrainStage = PretrainStage()
    base: BaseStage = BaseStage()
    teach: TeachStage | None = None
    evaluate: EvaluateStage = EvaluateStage()
    export: ExportStage = ExportStage()
    report: ReportStage = ReportStage()
    pack: str = ""
    """The folder of the domain pack that it is made from, where there is one."""
    assistant: AssistantTexts = AssistantTexts()
    """What the assistant of its index says in fixed words."""
    named: dict[str, NamedStage] = {}
    """The stages with names of their own, in the order of the recipe; in the file each is a table
    like the others.
    """

    def table(self, name: str) -> StageConfig:
        found: StageConfig = self.named.get(name) or getattr(self, name)
        return found

    def of_kind(self, kind: type[N]) -> dict[str, N]:
        return {name: stage for name, stage in self.named.items() if isinstance(stage, kind)}

    @property
    def uses_public_model(self) -> bool:
        return bool(self.named) or self.teach is not None

    @property
    def mixture(self) -> MixtureConfig:
        """Raises ConfigError."""
        table = self.pretrain
        return mixture_config(table.mixture or None, table.max_epochs_per_source, self.data.sources)

    @property
    def budget_s(self) -> float:
        return budget_s(self.budget)


def load_recipe(name_or_path: str, config: BuildConfig = DEFAULTS) -> Recipe:
    """Read a recipe, apply the config's settings, then its other fields, and check it. A folder is
    that of a pack, or of texts: a model of these alone; with `teach` a chat model follows.

    Raises ConfigError, DataError of a pack that can't be built.
    """
    packaged, packs, added = packaged_recipes(), packaged_packs(), [*config.added]
    if name_or_path in packs or is_pack(Path(name_or_path)):
        values = pack_values(pack_folder(name_or_path))
    elif name_or_path in packaged:
        values = read_toml(packaged[name_or_path])
    elif Path(name_or_path).is_dir():
        values = with_texts(read_toml(packaged["quickstart"]), Path(name_or_path))
        if config.teach:
            added.append("chat")
    elif name_or_path.endswith(".toml"):
        values = read_toml(Path(name_or_path))
    else:
        fix = f"{did_you_mean(name_or_path, [*packaged, *packs])} Or give a folder of texts, a pack's folder, or a .toml file."
        raise ConfigError(f"There is no recipe or folder '{name_or_path}'.", fix=fix)
    values = apply_sets(with_stages(values, added), config.settings)
    if config.teach:
        values.setdefault("teach", {})
    given = {"budget": config.budget, "seed": config.seed, "base.model": config.base}
    recipe = check(values, {name: value for name, value in given.items() if value is not None})
    if config.base is not None:
        require_base(recipe)
    if not config.follow_links:
        return recipe
    sources = tuple(
        dataclasses.replace(source, follow_links=True) for source in recipe.data.sources
    )
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"sources": sources})})


def check(values: dict[str, Any], sets: Settings | None = None) -> Recipe:
    """Raises ConfigError."""
    values = apply_sets(values, sets)
    named = {
        name: named_stage(name, table) for name, table in values.items() if is_named(name, table)
    }
    recipe = build_config(
        Recipe, {name: value for name, value in values.items() if name not in named}
    )
    recipe = recipe.model_copy(update={"named": named})
    budget_s(recipe.budget)
    if recipe.name in ("", ".", "..") or Path(recipe.name).name != recipe.name:
        raise ConfigError(
            f"name: {recipe.name!r} can't be a folder's name.",
            fix="Give it one without '/': my-model.",
        )
    if not recipe.data.sources and not named:
        raise ConfigError(
            "data.sources is empty.", fix="Name at least one: [[data.sources]] spec = 'FOLDER'."
        )
    require_stages(recipe)
    if recipe.evaluate.suites != EvaluateStage().suites:
        from groundup.evaluate.suites.registry import (
            suites_named,  # with torch, so for named ones only
        )

        suites_named(recipe.evaluate.suites)
    windows = {name: getattr(recipe.pretrain, name) for name in WINDOWS}
    fields = {"rows": windows, "optimizer": recipe.pretrain.optimizer}
    _ = recipe.data.config, recipe.mixture, pretraining_config(1, fields)
    if recipe.teach and recipe.teach.general.title in [
        source.title for source in recipe.data.sources
    ]:
        fix = "Name other general text in teach.replay, or set teach.replay_share=0."
        raise ConfigError(
            f"{recipe.teach.general.title} is both a text to learn and general text to replay.",
            fix=fix,
        )
    return recipe


def require_base(recipe: Recipe) -> None:
    """Raises ConfigError where no stage would use a public model, ModelError for one that there is
    not.
    """
    from groundup.weights.model_io import require_model  # with torch, so for named ones only

    if not recipe.uses_public_model:
        raise ConfigError(
            f"`base` {recipe.base.model}: this build makes no model of a public one.",
            fix="Add `teach`, or `added` chat: then one is fine-tuned.",
        )
    require_model(recipe.base.model)


def require_stages(recipe: Recipe) -> None:
    """Raises ConfigError for stages that need others, or texts, which there are not."""
    if recipe.teach and not recipe.data.sources:
        raise ConfigError(
            "There are no texts to teach: data.sources is empty.",
            fix="Leave out `teach`, or name texts.",
        )
    kinds = {name: stage.kind for name, stage in recipe.named.items()}
    for name, stage in recipe.named.items():
        for kind in ("index", "chat"):
            needed: Any = getattr(stage, kind, None)
            may_lack = needed is None or (not needed and isinstance(stage, ChatStage))
            if not may_lack and kinds.get(needed) != kind:
                raise ConfigError(
                    f"{name}.{kind}: there is no {kind} stage '{needed}'.",
                    fix=f"Stages: {', '.join(kinds)}.",
                )


def is_named(name: str, value: Any) -> bool:
    """Whether a field is the table of a stage with a name of its own. Raises ConfigError for one
    without its kind.
    """
    unknown = name == "named" or name not in Recipe.model_fields
    if not unknown or not isinstance(value, Mapping):
        return False
    if name == "named" or not kind_of(name, value):
        close = did_you_mean(name, [*Recipe.model_fields, *NAMED])
        meant = ""
        if name in stages_to_add():
            meant = f"`added` {name} adds that stage. "
        elif close.startswith("Did"):
            meant = f"{close} "
        kinds = ", ".join(f'"{kind}"' for kind in NAMED)
        fix = f"{meant}A stage with a name of its own says its kind: {name}.kind = one of {kinds}."
        raise ConfigError(f"Unknown field '{name}'.", fix=fix)
    return True


def with_texts(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Leave out the stages that learn from anything but the user's texts."""
    own = {name: value for name, value in values.items() if not is_named(name, value)}
    data = {
        **own.get("data", {}),
        "sources": [{"spec": str(folder.resolve()), "licence": "the user's own"}],
    }
    head = {
        "name": folder.resolve().name or "build",
        "description": f"Texts of {folder}",
        "data": data,
    }
    pretrained = {**own.get("pretrain", {}), "size": AUTO_SIZE}
    own |= {"pretrain": pretrained, "evaluate": {**own.get("evaluate", {}), "suites": []}}
    return {**own, **head}


def with_stages(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Add stages of quickstart (`build --with spam,chat`); those that are there stay. Raises
    ConfigError.
    """
    offered = stages_to_add()
    for name in names:
        if name not in offered:
            fix = f"{did_you_mean(name, offered)} Stages that can be added: {', '.join(offered)}."
            raise ConfigError(f"`added` {name}: there is no such stage.", fix=fix)
    return {**{name: offered[name] for name in names}, **values}


def stages_to_add() -> dict[str, dict[str, Any]]:
    """Return the tables of the stages of quickstart that any build can have."""
    values = read_toml(packaged_recipes()["quickstart"])
    return {name: value for name, value in values.items() if is_named(name, value)}


def write_recipe(recipe: Recipe) -> str:
    """Return the resolved recipe as TOML."""
    plain = to_plain(recipe)
    return tomli_w.dumps(plain | plain.pop("named"))
