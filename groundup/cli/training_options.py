"""The options of `plan`, `pretrain` and `sweep`, from the fields of `PretrainConfig` and its parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from typer import Option

from groundup.cli.fields import ConfigFields
from groundup.cli.options import ProcessOptions
from groundup.data.reading.data import Data
from groundup.planning.pretrain_config import (
    ContinuedTraining,
    ModelShape,
    PretrainConfig,
    SourceShares,
    TextPreparation,
)
from groundup.train.steps.config import Rows

Length = Annotated[
    PretrainConfig,
    ConfigFields(
        "minutes",
        "steps",
        "tokens",
        "epochs",
        "law",
        minutes={"min": 0.05},
        steps={"min": 1, "max": 10**9},
        tokens={"min": 1, "max": 10**15},
    ),
]
Shape = Annotated[ModelShape, ConfigFields("size", "depth", "preset")]
Reading = Annotated[
    Data,
    ConfigFields(
        "text",
        "charset",
        "follow_links",
        text={"option": "--text-column"},
    ),
]
Preparation = Annotated[
    TextPreparation,
    ConfigFields(
        "tokenizer",
        "test_fraction",
        "keep_dropped",
        "runner",
        test_fraction={"show_default": "0.08"},
    ),
]
PlannedPreparation = Annotated[
    TextPreparation,
    ConfigFields("tokenizer", "test_fraction", "runner", test_fraction={"show_default": "0.08"}),
]
Shares = Annotated[
    SourceShares,
    ConfigFields(
        "mixture",
        "max_epochs_per_source",
        mixture={
            "metavar": "NAME=WEIGHT,...",
            "show_default": "the weights of a .toml list, or proportional",
        },
    ),
]
Windows = Annotated[
    Rows,
    ConfigFields(
        "packing",
        "stride",
        packing={
            "help": "Pack whole documents into rows; none attends to another. Default: windows."
        },
        stride={
            "help": "Tokens from one window to the next.",
            "min": 1,
            "max": 10**9,
            "show_default": "the context",
        },
    ),
]
NO_DATA = Data("")


@dataclass(frozen=True)
class StartOptions:
    """The model whose training is continued, and replayed text."""

    init_from: Annotated[
        str | None,
        Option(
            "--from",
            metavar="MODEL",
            help="Continue the training of this model, with its own tokenizer.",
        ),
    ] = None
    replay: Annotated[
        list[str] | None,
        Option(
            "--replay",
            metavar="SOURCE[=SHARE]",
            help="With --from: general text to be read, too (0.05).",
        ),
    ] = None

    def config(self, general: Path | None = None) -> ContinuedTraining:
        """Return the part of a PretrainConfig. Raises ConfigError."""
        return ContinuedTraining(self.init_from, tuple(self.replay or ()), general)


def prepared_by(texts: TextPreparation, processing: ProcessOptions) -> TextPreparation:
    """Return the preparation of texts with the steps over documents."""
    return replace(texts, **vars(processing))


def read_as(paths: Sequence[str], reading: Data) -> list[Data]:
    """Return each text to be read in this way."""
    return [replace(reading, path=path) for path in paths]
