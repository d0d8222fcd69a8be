"""What a pretraining was asked to be, on the command line or in Python, and which shapes that leaves open. No data is read here."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.config import Settings, apply_sets, build_config, to_plain
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.presets import preset
from groundup.model.shape_from_size import parse_size, shape_of_depth, shape_of_size
from groundup.planning.length import Length, length_of
from groundup.train.checkpoint.identity import FREE_FIELDS
from groundup.train.monitor.config import MonitorConfig

PRESET = "quickstart"
DEFAULT_MINUTES = 3.0
TABLES = ("fit", "model", "data")
# With one of these the shape is the user's own: nothing is chosen.
SHAPING = ("width", "num_layers")


@dataclass(frozen=True)
class PretrainOptions:
    """Texts, how long, and what of the model is said. Raises ConfigError where two options name its shape."""

    data: str
    length: Length
    preset: str | None = None
    size: str | None = None
    depth: int | None = None
    tokenizer: Path | None = None
    seed: int = 0
    tables: dict[str, dict[str, Any]] = field(default_factory=lambda: tables([]))
    law: Path | None = None
    """A sweep's folder, whose law is taken instead of ours."""
    looks: MonitorConfig = field(default_factory=MonitorConfig)

    def __post_init__(self) -> None:
        said = [name for name in ("preset", "size", "depth") if getattr(self, name) is not None]
        if len(said) > 1:
            options = " and ".join(f"--{name}" for name in said)
            raise ConfigError(f"{options} both say the model's shape.", fix="Give one of --preset, --size, --depth.")

    @property
    def by_dial(self) -> bool:
        """Whether --size or --depth says the shape."""
        return self.size is not None or self.depth is not None

    @property
    def open_shape(self) -> bool:
        """Whether the planner chooses: a time is given, and nothing says how large the model is."""
        named = self.by_dial or self.preset is not None or any(name in self.tables["model"] for name in SHAPING)
        return self.length.seconds is not None and not named

    @property
    def ruled(self) -> bool:
        """Whether batch and learning rate follow from the shape: it is the family's. A preset keeps the defaults."""
        return self.open_shape or self.by_dial

    @property
    def vocab_size(self) -> int:
        """Ids that a tokenizer trained for this model has at most."""
        return int(self.tables["model"].get("vocab_size", preset(self.preset or PRESET).vocab_size))

    def shape(self, vocab_size: int) -> ModelConfig:
        """The shape said, or quickstart's, with --set applied. Raises ConfigError."""
        if self.size is not None:
            base = shape_of_size(parse_size(self.size), vocab_size=vocab_size)
        elif self.depth is not None:
            base = shape_of_depth(self.depth, vocab_size=vocab_size)
        else:
            base = preset(self.preset or PRESET)
        return self.changed(base, vocab_size)

    def changed(self, base: ModelConfig, vocab_size: int) -> ModelConfig:
        """A shape with the fields of --set and the tokenizer's vocabulary; heads share out a changed width, where they shared out the old one."""
        table = {**self.tables["model"], "vocab_size": vocab_size}
        values = {**to_plain(base), **table}
        if "head_width" not in table and base.head_width * base.num_heads == base.width:
            values["head_width"] = 0
        return build_config(ModelConfig, values, where="model.")

    def key(self) -> dict[str, Any]:
        """What a plan was made for: where it is the same, the plan in the run folder holds."""
        fit = {name: value for name, value in self.tables["fit"].items() if name not in FREE_FIELDS}
        tables = {"fit": fit, "model": self.tables["model"]}
        length = {name: value for name, value in dataclasses.asdict(self.length).items() if value is not None}
        shape = {name: getattr(self, name) for name in ("preset", "size", "depth") if getattr(self, name) is not None}
        return {"length": length, **shape, **tables, "law": str(self.law or ""), "seed": self.seed}


def pretrain_options(
    data: str | Path,
    *,
    budget: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    tokens: int | None = None,
    epochs: float | None = None,
    size: str | None = None,
    depth: int | None = None,
    preset: str | None = None,
    law: str | Path | None = None,
    tokenizer: str | Path | None = None,
    follow_links: bool = False,
    settings: Settings | None = None,
    seed: int = 0,
    looks: MonitorConfig = MonitorConfig(),
    default_minutes: float = DEFAULT_MINUTES,
) -> PretrainOptions:
    """The options of a training, each as a user writes it; `default_minutes` where no length is given. Raises ConfigError."""
    length = length_of(
        budget=budget, minutes=minutes, steps=steps, tokens=tokens, epochs=epochs, default_minutes=default_minutes
    )
    found = tables(settings)
    if follow_links:
        found["data"]["follow_links"] = True
    folders = [None if path is None else Path(path) for path in (tokenizer, law)]
    return PretrainOptions(str(data), length, preset, size, depth, folders[0], seed, found, folders[1], looks)


def tables(sets: Settings | None) -> dict[str, dict[str, Any]]:
    """Settings as one table a subject, {} where nothing was said. Raises ConfigError for a subject there is not."""
    found = apply_sets({}, sets)
    for name, value in found.items():
        if name not in TABLES or not isinstance(value, dict):
            known = ", ".join(f"{table}." for table in TABLES)
            raise ConfigError(
                f"--set {name}: no such field.", fix=f"Fields begin with {known}: fit.learning_rate=0.001."
            )
    return {**{name: {} for name in TABLES}, **found}
