"""A pretraining run that was asked for (`pretrain_config.py`), resolved as far as that needs no
text: which of shape, batch and learning rate are given, and the model that it starts from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.config import build_config, to_plain
from groundup.data.batches.mixture_config import mixture_config
from groundup.data.batches.shards import ShardSet
from groundup.data.reading.data import Data, address_and_share, as_data
from groundup.data.reading.sources import read_sources, source_of
from groundup.data.runners.runner import Runner, check_runner
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.heads import require_causal
from groundup.model.presets import parse_size, preset, shape_of_depth, shape_of_size
from groundup.model.sizes import parameter_count
from groundup.planning.pretrain_config import Length, PretrainConfig
from groundup.planning.scaling_law import (
    CONTINUED_RATE_SHARE,
    REPLAY_SHARE,
    learning_rate_for,
)
from groundup.tokenizer.fast import Tokenizer
from groundup.train.cut.cut import cut_shape, cut_shape_of_size, require_cuttable
from groundup.train.monitor.time_budget import TimeBudget
from groundup.train.optimizers.muon import Muon
from groundup.train.starting_model import StartingModel, starting_model
from groundup.train.steps.block_schedule import require_start_blocks
from groundup.train.steps.config import (
    FitConfig,
    decisive_fields,
    optimizer_fields,
    pretraining_config,
)

PRESET = "quickstart"
# With one of these fields the shape is given.
SHAPE_FIELDS = ("width", "num_layers")
# Stands for a number of steps that is not known yet, so that no warm-up given in steps is longer.
UNKNOWN_STEPS = 10**9
# Fields of Data that DataConfig has, too.
READING = ("text", "charset", "follow_links")

AnyData = str | Path | Data | Sequence[str | Path | Data]
# Public models were trained with it, and Muon gains nothing on them (Liu et al. 2025, "Muon is
# scalable for LLM training", section 3.5).
CONTINUED_OPTIMIZER = "adamw"
# The only field of the shape that can be set: rows may be shorter than the model's context.
OWN_FIELD = "context_tokens"
# Of Muon, for a model cut from a trained one: what its matrices know would soon be gone at the
# rates for random weights (docs/log.md).
CUT_RATES = {"name": Muon.name, "learning_rate": 3e-3, "matrix_learning_rate": 5e-3}
# A shape further from the asked size is told of.
SIZE_TOLERANCE = 0.1


@dataclass(frozen=True)
class PretrainOptions:
    """What `plan` and `pretrain` are asked for. Raises ConfigError."""

    data: tuple[str, ...]
    """Token shards, a data folder, or sources."""
    config: PretrainConfig
    length: Length
    tables: dict[str, dict[str, Any]]
    """The fields that are given, of FitConfig, ModelConfig and DataConfig."""
    runner: Runner = "auto"
    """Who reads and processes the texts; the result does not depend on it, so it is in no key."""
    start: StartingModel | None = None
    """The model whose training is continued; it gives shape and tokenizer."""
    source: StartingModel | None = None
    """The model that a smaller one is cut from, with which the training begins."""
    fixed_choices: bool = False
    """Whether nothing is chosen by measuring (`Compute.fixed_choices`)."""

    def __post_init__(self) -> None:
        if self.fixed_choices and self.length.seconds is not None:
            raise ConfigError(
                "`fixed_choices` chooses nothing by measuring, and how many steps a time has room "
                "for is measured.",
                fix="Give `steps`, `tokens` or `epochs`.",
            )
        if self.start is not None:
            others = {"tokenizer": self.config.texts.tokenizer, "law": self.config.law}
            given = [*self.config.model.given, *(name for name in others if others[name])]
            require_own_parts(self.start, given, self.tables["model"])
        if self.source is not None:
            self._require_size()

    def _require_size(self) -> None:
        """A cut has a size, and no law knows its loss. Raises ConfigError."""
        if not self.by_size and not any(name in self.tables["model"] for name in SHAPE_FIELDS):
            raise ConfigError(
                "`cut_from` needs the size of the model that is cut.", fix="Give `size`, as 12M."
            )
        if self.config.law is not None:
            raise ConfigError(
                "`law` forecasts the loss of random weights, and `cut_from` begins with others.",
                fix="Leave one of them out.",
            )

    @property
    def by_size(self) -> bool:
        """Whether size or depth gives the shape."""
        return self.config.model.size is not None or self.config.model.depth is not None

    @property
    def open_shape(self) -> bool:
        """Whether the planner chooses the shape: a time is given, and nothing that names a
        shape.
        """
        named = self.config.model.given or self.start is not None
        by_field = any(name in self.tables["model"] for name in SHAPE_FIELDS)
        return self.length.seconds is not None and not named and not by_field

    @property
    def in_family(self) -> bool:
        """Whether the shape is of the family whose batch and learning rate follow from it.

        A preset keeps the defaults.
        """
        return self.open_shape or self.by_size or self.start is not None

    @property
    def open_batch(self) -> bool:
        """Whether the batch size follows from the shape."""
        return self.in_family and "batch_size" not in self.tables["fit"]

    @property
    def open_tables(self) -> bool:
        """Whether the planner chooses how embedding and head begin: a head of its own makes a model
        larger than a size that is asked for.
        """
        given = "initial_tables" in self.tables["fit"] or "tied_head" in self.tables["model"]
        return self.open_shape and not given

    @property
    def tokenizer(self) -> Tokenizer | Path | None:
        """The starting model's, or the folder of the one that is given."""
        if self.start is not None:
            return self.start.tokenizer
        given = self.config.texts.tokenizer
        return None if given is None else Path(given)

    @property
    def law(self) -> Path | None:
        """A sweep's folder, whose scaling law replaces the built-in one."""
        return None if self.config.law is None else Path(self.config.law)

    @property
    def vocab_size(self) -> int:
        """Ids that a tokenizer trained for this model has at most."""
        if self.start is not None:
            return self.start.config.vocab_size
        named = preset(self.config.model.preset or PRESET)
        return int(self.tables["model"].get("vocab_size", named.vocab_size))

    @property
    def time_budget(self) -> TimeBudget | None:
        """The time that the run keeps; None where its length is given in another unit, or steps are
        set beside the time.
        """
        if self.length.seconds is None or "steps" in self.tables["fit"]:
            return None
        return TimeBudget(self.length.seconds)

    def fit(self, optimizer: str | None = None) -> FitConfig:
        """The training config with the fields that are given, its steps unknown unless set.

        Raises ConfigError.
        """
        table = {"seed": self.config.seed, **self.tables["fit"]}
        if optimizer is not None:
            table["optimizer"] = {**optimizer_fields(table), "name": optimizer}
        return pretraining_config(UNKNOWN_STEPS, table)

    def shape(self, vocab_size: int) -> ModelConfig:
        """The shape that is given, or quickstart's, with the fields that are set.

        Raises ConfigError.
        """
        asked = self.config.model
        if self.start is not None or self.source is not None:
            self.fit().require_tables(tied_head=False, continued=True)
        if self.start is not None:
            require_start_blocks(self.fit(), self.start.config, continued=True)
            context = self.start.config.context_tokens
            return self.start.shape(self.tables["model"].get("context_tokens", context))
        if asked.size is not None:
            base = shape_of_parameters(parse_size(asked.size), vocab_size, self.source)
        elif asked.depth is not None:
            base = shape_of_depth(asked.depth, vocab_size=vocab_size)
        else:
            base = preset(asked.preset or PRESET)
        shape = self.with_fields(base, vocab_size)
        require_start_blocks(self.fit(), shape, continued=self.source is not None)
        if self.source is not None:
            return cut_shape(shape, self.source.config, self.tables["model"], self.source.name)
        return shape

    def with_fields(self, base: ModelConfig, vocab_size: int) -> ModelConfig:
        """A shape with the fields that are set and the tokenizer's vocabulary; the head width
        follows a changed width unless it is its own.
        """
        fit, table = self.fit(), {**self.tables["model"], "vocab_size": vocab_size}
        if fit.initial_tables == "bigrams":
            table.setdefault("tied_head", False)
        values = {**to_plain(base), **table}
        if "head_width" not in table and base.head_width * base.num_heads == base.width:
            values["head_width"] = 0
        shape = build_config(ModelConfig, values, where="model.")
        require_causal(shape, "Pretraining")
        fit.require_tables(tied_head=shape.tied_head)
        return shape

    def key(self) -> dict[str, Any]:
        """What a plan was made for: the plan in a run folder holds as long as this is the same."""
        key = {
            "length": to_plain(self.length),
            **self.config.model.given,
            "fit": decisive_fields(self.tables["fit"]),
            "model": self.tables["model"],
            "law": str(self.config.law or ""),
            "seed": self.config.seed,
        }
        if self.fixed_choices:
            key["fixed_choices"] = True
        if self.source is not None:
            key["cut_from"] = self.source.plain()
        return key


def pretrain_options(
    data: AnyData, config: PretrainConfig = PretrainConfig(), *, fixed_choices: bool = False
) -> PretrainOptions:
    """Return what is asked for; the starting model is opened. Raises ConfigError."""
    specs, reading = reading_of(data)
    runner = check_runner(config.texts.runner)
    tables = config.tables()
    tables["data"] = {**reading, **tables["data"]}
    shares = config.mixture
    replayed = replay_shares(config.start.replay)
    mixed = mixture_config(
        shares.mixture, shares.max_epochs_per_source, read_sources(specs), shares_by_title(replayed)
    )
    if not mixed.as_they_come:
        tables["fit"].setdefault("rows", {})["mixture"] = to_plain(mixed)
    start = source = None
    if config.start.init_from is not None:
        start = starting_model(config.start.init_from)
        tables["fit"] = start_fields(start, tables["fit"])
    if config.start.cut_from is not None:
        source = starting_model(config.start.cut_from)
        require_cuttable(source.config, source.name)
        tables["fit"]["optimizer"] = cut_optimizer(tables["fit"])
    sources = (*specs, *replayed)
    return PretrainOptions(
        sources, config, config.length, tables, runner, start, source, fixed_choices
    )


def shape_of_parameters(
    parameters: int, vocab_size: int, source: StartingModel | None
) -> ModelConfig:
    """The family's shape of about so many parameters, `source`: as it is cut from that model.
    Raises ConfigError.
    """
    if source is None:
        return shape_of_size(parameters, vocab_size=vocab_size)
    return cut_shape_of_size(parameters, source.config, vocab_size, source.name)


def size_note(asked: str | None, shape: ModelConfig) -> str:
    """Says that the shape is not of the size that was asked for; "" where it is."""
    if asked is None:
        return ""
    count = parameter_count(shape)
    if abs(count.total / parse_size(asked) - 1) <= SIZE_TOLERANCE:
        return ""
    return (
        f"note: size {asked}: the nearest shape has {count.total:,} parameters, "
        f"{count.embedding + count.head:,} of them for the tokens of the vocabulary; a smaller one "
        "(model.vocab_size) leaves more choice."
    )


def reading_of(data: AnyData) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the addresses, and the fields of DataConfig that say how they are read. Raises
    ConfigError where they are to be read in different ways.
    """
    if isinstance(data, str | Path | Data):
        data = [data]
    each = [as_data(part) for part in data]
    found = [
        {
            name: getattr(part, name)
            for name in READING
            if getattr(part, name) != getattr(Data, name)
        }
        for part in each
    ]
    if any(fields != found[0] for fields in found):
        raise ConfigError(
            "The texts of one training are read in the same way, and their options differ.",
            fix="Prepare them one by one with `groundup data`.",
        )
    return tuple(source_of(part).pinned_spec for part in each), next(iter(found), {})


def start_fields(start: StartingModel, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `fields` of FitConfig that are set, with those that follow from the starting
    model. Raises ConfigError.

    The learning rate is a tenth of that for random weights (see
    `scaling_law.CONTINUED_RATE_SHARE`).
    """
    given = optimizer_fields(fields)
    name = given.get("name", CONTINUED_OPTIMIZER)
    rate = CONTINUED_RATE_SHARE * learning_rate_for(start.config.width, name)
    optimizer = {
        "name": name,
        "learning_rate": float(f"{rate:.2g}"),
        **pretraining_config(1, {"optimizer": name}).optimizer.continued(CONTINUED_RATE_SHARE),
        **given,
    }
    return {"initial_weights": start.weights, **fields, "optimizer": optimizer}


def cut_optimizer(fields: Mapping[str, Any]) -> dict[str, object]:
    """Return the optimizer among the `fields` of FitConfig that are set, with the learning rates of
    a cut model.
    """
    given = optimizer_fields(fields)
    if given.get("name", Muon.name) != Muon.name:
        return {**given}
    return {**CUT_RATES, **given}


def require_own_parts(
    start: StartingModel, given: Sequence[str], model_fields: Mapping[str, Any]
) -> None:
    """Refuse options and fields of the shape that the starting model decides.

    Raises ConfigError.
    """
    named = [f"`{name}`" for name in given]
    found = [*named, *(f"model.{name}" for name in model_fields if name != OWN_FIELD)]
    if found:
        raise ConfigError(
            f"{found[0]} can't be given beside `init_from`: "
            f"{start.name} has its own tokenizer and shape.",
            fix="Leave it out, or `init_from` to train a new model; of the shape only "
            f"model.{OWN_FIELD} can be set.",
        )
    rows, most = model_fields.get(OWN_FIELD, 1), start.config.context_tokens
    if not isinstance(rows, int) or not 1 <= rows <= most:
        raise ConfigError(
            f"model.{OWN_FIELD} must be 1 to {most:,}, the context of {start.name} (got {rows})."
        )


def require_its_tokens(start: StartingModel, shards: ShardSet) -> None:
    """Refuse shards of another tokenizer than the model's. Raises ConfigError."""
    if shards.tokenizer_fingerprint != start.tokenizer.fingerprint:
        raise ConfigError(
            f"The shards in {shards.folder} were made with another tokenizer than that of {start.name}.",
            fix="Name the texts or the data folder that they were made of: they are then encoded anew.",
        )


def replay_shares(replay: str | Sequence[str] | Mapping[str, float]) -> dict[str, float]:
    """Return the share of each replayed source, by its address. Raises ConfigError for a source
    named twice.

    >>> replay_shares("hf:me/books=0.2"), replay_shares("general.txt")
    ({'hf:me/books': 0.2}, {'general.txt': 0.05})
    """
    if isinstance(replay, Mapping):
        return {str(name): float(share) for name, share in replay.items()}
    found: dict[str, float] = {}
    for each in [replay] if isinstance(replay, str) else replay:
        spec, share = address_and_share(str(each), REPLAY_SHARE)
        if spec in found:
            raise ConfigError(f"{spec} is replayed twice.", fix="Give each source one share.")
        found[spec] = share
    return found


def shares_by_title(shares: Mapping[str, float]) -> dict[str, float]:
    """Return the shares by the names that the sources have in shards; those listed in a .toml share
    evenly. Raises ConfigError.
    """
    found: dict[str, float] = {}
    for spec, share in shares.items():
        sources = read_sources([spec])
        found |= {source.title: share / len(sources) for source in sources}
    return found
