"""A recipe: the configuration of a build. Read from TOML, checked on load; `--set stage.field=value` overrides a field.

Each stage has its own table; the line under a field is its meaning. A recipe file names only what differs from
the defaults here. Packaged recipes are beside this file and are named by their stem.

Classifiers, chat models and indexes have names of their own, which are the names of their tables and folders: `[spam]` with
kind = "classifier". A table that is named like its kind (`[chat]`) need not say it.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import to_jsonable_python

from groundup.config import Settings, apply_sets, build_config, duration_s, read_toml, to_plain
from groundup.data.batches.mixture_config import MixtureConfig, mixture_config
from groundup.data.config import DataConfig
from groundup.data.processing.steps import ProcessConfig
from groundup.data.reading.decoding import AUTO, check_encoding
from groundup.data.reading.source_files import Source
from groundup.errors import ConfigError, did_you_mean
from groundup.files import safe_name
from groundup.planning.scaling import HARMLESS_EPOCHS, REPLAY_SHARE
from groundup.recipes.packaged import packaged_recipes
from groundup.train.config import (
    FINETUNE_LEARNING_RATE,
    MAX_SNAPSHOTS,
    OPTIMIZER,
    OptimizerName,
    pretraining_config,
)
from groundup.weights.gguf import GGUFEncoding

Count = Annotated[int, Field(ge=1)]
Encoding = Annotated[str, AfterValidator(check_encoding)]
MIN_BUDGET_S = 30.0
# 1,000 paragraphs of five sentences, 0.5 MB; the package has them for another purpose, in columns "0" (as written) to "4" (shuffled).
GENERAL_TEXT = Source(
    "pypi:evals==3.0.1.post1!*/schelling_point/wikipedia_5.jsonl",
    sha256="0abcb2051303500784b1641a6e4f6b813ed43ad64f879a37d344a6774eb8eb78",
    licence="Paragraphs of Wikipedia (CC BY-SA); the package is under the MIT licence: downloaded, never redistributed.",
)
GENERAL_COLUMN = "0"
# Fields of `pretrain` that exclude one another.
WINDOWS = ("stride", "packing")


# Fields of sources that the first builds did not have: not in a stage's key at their default.
NEWER_OF_SOURCES = {"name", "weight"}


class StageConfig(BaseModel):
    """The base of all stages' tables: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    key_of_default: ClassVar[Mapping[str, Any]] = {}
    """Fields with a newer default than the first builds: what it is in a stage's key (None: nothing), so that older builds stay done."""

    def key(self) -> dict[str, Any]:
        """Return the table as plain values, for the key of its stage."""
        table = to_plain(self)
        for name, older in self.key_of_default.items():
            default = to_jsonable_python(type(self).model_fields[name].default)
            if table.get(name) == default:  # None is left out of plain values
                table.pop(name, None)
                table |= {} if older is None else {name: older}
        for source in [*table.get("sources", ()), table.get("source")]:
            if isinstance(source, dict):
                for name in NEWER_OF_SOURCES & source.keys():
                    if source[name] == getattr(Source, name):
                        del source[name]
        return table


class DataStage(StageConfig):
    """Stage 1: collect, clean, split."""

    sources: tuple[Source, ...] = ()
    text_column: str = ""
    """Of .jsonl, .json, .csv and .parquet files; by default it is recognised."""
    encoding_errors: Literal["replace", "drop"] = "replace"
    """How invalid bytes are handled."""
    encoding: Encoding = AUTO
    """Of text files without a byte order mark; "auto": detected."""
    strict: bool = False
    """Fail at the first bad line; otherwise up to 1 % of bad lines are skipped and counted."""
    validation_share: Annotated[float, Field(gt=0, le=0.5)] = DataConfig.validation_fraction
    """Fraction of the documents, chosen by hash, on which the best checkpoint is chosen."""
    test_share: Annotated[float, Field(ge=0, le=0.5)] = DataConfig.test_fraction
    """Fraction of the documents on which the published figures are measured; 0: none, and they are those of validation."""
    keep_dropped: bool = False
    """Write the dropped documents to data/dropped.jsonl."""
    process: ProcessConfig = ProcessConfig()
    """What is done with documents after cleaning (docs/processing.md)."""

    # Older builds, without a test split, stay as they are until `--redo data`.
    key_of_default = {
        "text_column": "text",
        "encoding": None,
        "test_share": None,
        "keep_dropped": None,
        "process": None,
    }

    def key(self) -> dict[str, Any]:
        """Return the table without the weights of the sources: they are pretraining's, and change no text."""
        table = super().key()
        for source in table["sources"]:
            source.pop("weight", None)
        return table

    @property
    def config(self) -> DataConfig:
        """The configuration of reading and splitting. Raises ConfigError for shares that are too large together."""
        return DataConfig(
            text_column=self.text_column,
            encoding_errors=self.encoding_errors,
            strict=self.strict,
            validation_fraction=self.validation_share,
            test_fraction=self.test_share,
            encoding=self.encoding,
            keep_dropped=self.keep_dropped,
            process=self.process,
        )


class TokenizerStage(StageConfig):
    """Stage 2: byte-level BPE on the train part, then token shards."""

    vocab_size: Annotated[int, Field(ge=300, le=262_144)] = 4096
    """V, including control tokens. A small text gives fewer."""
    sample_bytes: Count | None = None
    """Of more text, so much is chosen at random to train on; by default 256 MB (tokenizer/training_sample.py)."""


class PretrainStage(StageConfig):
    """Stage 3: a model trained from random weights."""

    preset: str = "quickstart"
    """Shape, from model/presets.py; its vocabulary is the tokenizer's."""
    steps: Count | None = None
    """Number of training steps; by default as many as fit the stage's share of the budget, adjusted during the run."""
    batch_windows: Count = 8
    """B: windows of `context` tokens per step."""
    stride: Count | None = None
    """Tokens from one window to the next; by default the context."""
    packing: bool = False
    """Rows of whole documents instead of windows; no document attends to another."""
    optimizer: OptimizerName = OPTIMIZER
    """"muon", "adamw" or "sgd"; each has its own learning rate and schedule (train/config.py)."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Peak; by default the optimizer's."""
    mixture: str = ""
    """The shares of the sources, as of `pretrain --mixture`; by default the weights of data.sources, or where all are 1, as they come."""
    max_epochs_per_source: Annotated[float, Field(gt=0)] | None = None
    """How often a source is read at most; by default without end."""
    snapshots: Annotated[int, Field(ge=0, le=MAX_SNAPSHOTS)] = 0
    """How many copies of the weights are saved over the run, for `groundup lab RUN --film`; 0: none."""
    key_of_default = {"mixture": None, "stride": None, "packing": None}


class BaseStage(StageConfig):
    """Stage 4: the public model that is fine-tuned."""

    model: str = "smollm2-135m-instruct"
    """A name that `groundup pull` knows, or a model folder."""


class ClassifierStage(StageConfig):
    """A stage by name: the public model is fine-tuned as a classifier. Counts are upper limits: a short budget uses fewer."""

    kind: Literal["classifier"] = "classifier"
    source: Source
    label_column: str = ""
    text_column: str = ""
    """Both are recognised by default."""
    encoding: Encoding = AUTO
    """As of the data."""
    train: Count = 1600
    validation: Count = 300
    test: Count = 500
    zero_shot: Count = 200
    """Test messages for the zero-shot baseline."""
    question: str | None = None
    """Its prompt before each message; by default it asks which of the labels fits."""
    max_tokens: Count = 64
    """T: longer messages are read in windows of so many tokens."""
    seed: int | None = None
    """Of the split and of the training; None: the build's."""
    key_of_default = {"kind": None, "label_column": "label", "text_column": "text", "encoding": None}


class TeachStage(StageConfig):
    """Optional, before chat: the training of the public model is continued on the texts. A recipe with this table has the stage."""

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
        """The general text."""
        return self.replay or GENERAL_TEXT

    @property
    def general_column(self) -> str:
        """The column of the general text; "": it is recognised."""
        return self.replay_column or ("" if self.replay else GENERAL_COLUMN)


class ChatStage(StageConfig):
    """A stage by name: the public model is fine-tuned on instructions."""

    kind: Literal["chat"] = "chat"
    source: str = "starter"
    """`starter` (packaged) or a file or folder of instruction/input/output JSON lines."""
    encoding: Encoding = AUTO
    """As of the data."""
    tokens: Count = 40_000
    """Upper limit of tokens seen in training, prompts and repeats included."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    """How often the whole set is read, where `tokens` and the budget allow it."""
    max_tokens: Count = 128
    """T: longer examples are cut."""
    rank: Count = 8
    """R of LoRA."""
    learning_rate: Annotated[float, Field(gt=0)] = FINETUNE_LEARNING_RATE
    key_of_default = {"kind": None, "encoding": None, "epochs": None}


class EvaluateStage(StageConfig):
    """Before and after, on held-out data."""

    answers: Count = 20
    """Checked answers generated by each model; a short budget uses fewer."""
    answer_tokens: Count = 48
    side_by_side: Count = 8
    """Further held-out answers that are shown but not checked."""
    suites: tuple[str, ...] = ("grammar", "copying", "multiple_choice", "arithmetic", "emotions")
    """Evaluation suites for all models, as of `evaluate --tasks`, a part of each by the time; [] for none."""
    key_of_default = {"suites": None}


class ExportStage(StageConfig):
    """Exported files, and the parity gate against real llama.cpp."""

    encodings: tuple[GGUFEncoding, ...] = ("f16", "q8_0")
    """[]: nothing is exported."""
    prompts: Count = 20
    """Of the gate; a short budget uses fewer."""


class ReportStage(StageConfig):
    """The HTML report."""


# The stages that have names of their own.
NamedStage = ClassifierStage | ChatStage
NAMED: dict[str, type[NamedStage]] = {"classifier": ClassifierStage, "chat": ChatStage}
N = TypeVar("N", ClassifierStage, ChatStage)


class Recipe(StageConfig):
    """The configuration of a whole build."""

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
    named: dict[str, NamedStage] = {}
    """The stages with names of their own, in the order of the recipe; in the file each is a table like the others."""

    def table(self, name: str) -> StageConfig:
        """Return the table of a stage."""
        found: StageConfig = self.named.get(name) or getattr(self, name)
        return found

    def of_kind(self, kind: type[N]) -> dict[str, N]:
        """Return the stages of a kind by their names."""
        return {name: stage for name, stage in self.named.items() if isinstance(stage, kind)}

    @property
    def mixture(self) -> MixtureConfig:
        """What pretraining reads of each source. Raises ConfigError."""
        table = self.pretrain
        return mixture_config(table.mixture or None, table.max_epochs_per_source, self.data.sources)

    @property
    def budget_s(self) -> float:
        return parse_duration(self.budget)


def load_recipe(
    name_or_path: str,
    sets: Settings | None = None,
    *,
    budget: str | None = None,
    seed: int | None = None,
    follow_links: bool = False,
    teach: bool = False,
) -> Recipe:
    """Read and check a recipe, `sets`, then the other options applied. A folder is quickstart with that folder's texts. Raises ConfigError.

    `teach`: whether it has the stage of that name, with its defaults where the recipe says nothing of it.
    """
    packaged = packaged_recipes()
    if name_or_path in packaged:
        values = read_toml(packaged[name_or_path])
    elif Path(name_or_path).is_dir():
        values = with_texts(read_toml(packaged["quickstart"]), Path(name_or_path))
    elif name_or_path.endswith(".toml"):
        values = read_toml(Path(name_or_path))
    else:
        fix = f"{did_you_mean(name_or_path, packaged)} Or give a folder of texts, or a .toml file."
        raise ConfigError(f"There is no recipe or folder '{name_or_path}'.", fix=fix)
    given = {name: value for name, value in (("budget", budget), ("seed", seed)) if value is not None}
    values = apply_sets(values, sets)
    recipe = check({"teach": {}, **values} if teach else values, given)
    if not follow_links:
        return recipe
    sources = tuple(dataclasses.replace(source, follow_links=True) for source in recipe.data.sources)
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"sources": sources})})


def check(values: dict[str, Any], sets: Settings | None = None) -> Recipe:
    """Return plain values as a Recipe. Raises ConfigError."""
    values = apply_sets(values, sets)
    named = {name: named_stage(name, table) for name, table in values.items() if is_named(name, table)}
    recipe = build_config(Recipe, {name: value for name, value in values.items() if name not in named})
    recipe = recipe.model_copy(update={"named": named})
    parse_duration(recipe.budget)
    if not recipe.data.sources:
        raise ConfigError("data.sources is empty.", fix="Name at least one: [[data.sources]] spec = 'FOLDER'.")
    if recipe.evaluate.suites != EvaluateStage().suites:
        from groundup.evaluate.suites.registry import suites_named  # with torch, so for named ones only

        suites_named(recipe.evaluate.suites)
    windows = {name: getattr(recipe.pretrain, name) for name in WINDOWS}
    _ = recipe.data.config, recipe.mixture, pretraining_config(1, windows)
    if recipe.teach and recipe.teach.general.title in [source.title for source in recipe.data.sources]:
        fix = "Name other general text in teach.replay, or set teach.replay_share=0."
        raise ConfigError(f"{recipe.teach.general.title} is both a text to learn and general text to replay.", fix=fix)
    return recipe


def is_named(name: str, value: Any) -> bool:
    """Whether a field of a recipe is the table of a stage with a name of its own. Raises ConfigError for one without its kind."""
    if name == "named" or (name not in Recipe.model_fields and isinstance(value, Mapping) and not kind_of(name, value)):
        kinds = ", ".join(f'"{kind}"' for kind in NAMED)
        fix = f"{did_you_mean(name, [*Recipe.model_fields, *NAMED])} A stage with a name of its own says its kind: one of {kinds}."
        raise ConfigError(f"Unknown field '{name}'.", fix=fix)
    return name not in Recipe.model_fields and isinstance(value, Mapping)


def kind_of(name: str, table: Mapping[str, Any]) -> Any:
    """Return the kind of a stage with a name of its own; None where its table does not say it."""
    return table.get("kind", name if name in NAMED else None)


def named_stage(name: str, table: Mapping[str, Any]) -> NamedStage:
    """Return the stage of a table. Raises ConfigError."""
    kind = kind_of(name, table)
    if kind not in NAMED or safe_name(name) != name:
        problem = f"{name}.kind: {kind!r} is no kind of stage" if kind not in NAMED else f"{name!r} can't be a folder"
        raise ConfigError(f"{problem}.", fix=f"Kinds: {', '.join(NAMED)}. Names: letters, digits, '-' and '_'.")
    return build_config(NAMED[kind], table, where=f"{name}.")


def with_texts(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a recipe's values with the user's own texts; other stages are unchanged."""
    data = {**values.get("data", {}), "sources": [{"spec": str(folder.resolve()), "licence": "the user's own"}]}
    return {**values, "name": folder.resolve().name or "build", "description": f"Texts of {folder}", "data": data}


def write_recipe(recipe: Recipe) -> str:
    """Return the resolved recipe as TOML, the contents of a build's `recipe.toml`."""
    plain = to_plain(recipe)
    return tomli_w.dumps(plain | plain.pop("named"))


def parse_duration(text: str) -> float:
    """Return the seconds of a build's budget. Raises ConfigError, also when it is too short."""
    total = duration_s(text)
    if total < MIN_BUDGET_S:
        problem = f"A budget of {total:g} s is too short to do every stage."
        raise ConfigError(problem, fix=f"Give at least {MIN_BUDGET_S:g}s.")
    return total
