"""`groundup plan`: the cost and expected loss of a training run, before it starts; and the options of
`plan`, `pretrain` and `sweep`, from the fields of `PretrainConfig` and its parts.
"""

import dataclasses
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.cli import options
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.fields import COLUMN_OPTIONS, ConfigFields, grouped
from groundup.cli.mixture_search import SEARCH, SearchOptions, show_search
from groundup.cli.options import ProcessOptions
from groundup.config import duration_s
from groundup.data.reading.data import Data
from groundup.errors import ConfigError, clear_variables
from groundup.planning.pretrain_config import (
    ContinuedTraining,
    ModelShape,
    PretrainConfig,
    SourceShares,
    TextPreparation,
)
from groundup.train.steps.config import Rows

if TYPE_CHECKING:
    from groundup.planning.pretrain_options import AnyData

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
Reading = Annotated[Data, ConfigFields("text", "charset", "follow_links", **COLUMN_OPTIONS)]
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
PlannedShares = Annotated[
    SourceShares,
    ConfigFields(
        "mixture",
        "max_epochs_per_source",
        mixture={
            "metavar": "NAME=WEIGHT,...",
            "show_default": "the weights of a .toml list, or proportional",
            "help": "Shares of the sources in what is read, as of pretrain; search: proxy runs "
            "find them.",
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
    """The model that the training starts from, and replayed text."""

    init_from: Annotated[
        str | None,
        Option(
            "--from",
            metavar="MODEL",
            help="Continue the training of this model, with its own tokenizer.",
        ),
    ] = None
    cut_from: Annotated[
        str | None,
        Option(
            "--cut-from",
            metavar="MODEL",
            help="Begin with a model of --size cut from this one, with an own vocabulary.",
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

    def config(self, general: str | None = None) -> ContinuedTraining:
        """Return the part of a PretrainConfig. Raises ConfigError."""
        return ContinuedTraining(self.init_from, tuple(self.replay or ()), general, self.cut_from)


def prepared_by(texts: TextPreparation, processing: ProcessOptions) -> TextPreparation:
    """Return the preparation of texts with the steps over documents."""
    return replace(texts, **vars(processing))


def read_as(paths: Sequence[str], reading: Data) -> list[Data]:
    """Return each text to be read in this way."""
    return [replace(reading, path=path) for path in paths]


DEFAULT_MINUTES = 30.0


@grouped()
def command(
    data: Annotated[
        list[str] | None,
        Argument(
            help="Token shards, a data folder, or texts: one address or more, "
            "or a .toml that lists them. None with --machine."
        ),
    ] = None,
    budget: Annotated[
        str | None, Option("--budget", help="Train for this time: 90s, 30m, 2h.")
    ] = None,
    length: Length = PretrainConfig(),
    shape: Shape = ModelShape(),
    machine: Annotated[
        str | None, Option("--machine", help="Without DATA, with --size: devices, h100x8.")
    ] = None,
    reading: Reading = NO_DATA,
    texts: PlannedPreparation = TextPreparation(),
    processing: options.ProcessOptions = options.ProcessOptions(),
    shares: PlannedShares = SourceShares(),
    search: SearchOptions = SearchOptions(),
    rows: Windows = Rows(),
    settings: options.SetOption = None,
    start: StartOptions = StartOptions(),
    seed: options.SeedOption = 0,
    device: options.DeviceOption = "auto",
    as_json: options.JsonOption = False,
) -> None:
    """Plan a training run: model, batch and learning rate, with expected loss, time, memory and
    disk.

    Real steps are timed on this machine for some seconds. For a given time, the shape with the
    lowest expected loss by the scaling law is chosen, unless --size, --depth, --preset or --set
    model.width=... gives one; any field can be set. No file is kept.

    With --mixture search, a quarter of the budget goes into short proxy runs, which find the shares
    of the sources and the processing steps that lower the loss on --target; OUT keeps the runs, the
    same command goes on, and the last lines have the command of the training.

    Without DATA, --size and --machine estimate days and memory per device of large models, from
    published figures.

    Examples:
        groundup plan my-texts/ --budget 30m
        groundup plan my-texts/ --size 10M --epochs 2
        groundup plan letters/ crawl/ --mixture search --target letters --budget 1h --out runs/mixture
        groundup plan --size 1B --machine h100x8
    """
    if not data:
        if machine is None:
            fix = "Name texts, or --size and --machine for a large model."
            raise ConfigError("No data and no model size were given.", fix=fix)
        groups = (length, shape, reading, texts, processing, shares, rows, start, search)
        plain = (PretrainConfig(tokens=length.tokens), ModelShape(shape.size), NO_DATA)
        defaults = (*plain, TextPreparation(), options.ProcessOptions(), SourceShares(), Rows())
        if budget or settings or groups != (*defaults, StartOptions(), SearchOptions()):
            raise ConfigError(
                "A plan with --machine takes --size and --tokens only.", fix="Leave the others out."
            )
        _show_large(shape.size, machine, length.tokens, as_json)
        return
    if machine is not None:
        fix = "Leave one of them out; this machine is measured."
        raise ConfigError("--machine is for plans without DATA.", fix=fix)
    config = dataclasses.replace(
        length,
        model=shape,
        texts=prepared_by(texts, processing),
        mixture=shares,
        rows=None if rows == Rows() else rows,
        start=start.config(),
        settings=settings,
        seed=seed,
    )
    named = read_as(data, reading)
    if shares.mixture == SEARCH:
        show_search(named, search.config(budget, config), search, device, as_json)
        return
    search.require_search()
    config = dataclasses.replace(config, minutes=_minutes(budget, length))
    show_plan(named, config, device, as_json=as_json)


def _minutes(budget: str | None, length: PretrainConfig) -> float | None:
    """Raises ConfigError where it is given twice."""
    if budget is not None:
        if length.minutes is not None:
            raise ConfigError("--budget and --minutes both give a time.", fix="Give one of them.")
        return duration_s(budget) / 60
    given = (length.steps, length.tokens, length.epochs, length.minutes)
    if any(each is not None for each in given):
        return length.minutes
    return DEFAULT_MINUTES


def show_plan(
    data: "AnyData",
    config: PretrainConfig,
    device: str,
    *,
    fixed_choices: bool = False,
    as_json: bool,
) -> None:
    """Make a plan in a temporary folder and print it."""
    from groundup.config import to_plain
    from groundup.device import select_compute
    from groundup.planning.plan import plan_lines, plan_warnings
    from groundup.planning.prepare import prepare_run
    from groundup.planning.pretrain_options import pretrain_options
    from groundup.runs import RunFolder

    asked = pretrain_options(data, config, fixed_choices=fixed_choices)
    compute = select_compute(device, fixed_choices=fixed_choices)
    folder = Path(tempfile.mkdtemp())
    try:
        made = prepare_run(asked, RunFolder(folder), compute, console_progress(), measured=True)
    except BaseException as error:
        clear_variables(error)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    plan = made.plan
    assert plan is not None
    value = {
        **dataclasses.asdict(plan),
        "minutes": plan.minutes,
        "tokens_per_s": plan.tokens_per_s,
        "warnings": plan_warnings(plan),
        "model": to_plain(made.inputs.shape),
        "fit": to_plain(made.inputs.fit),
    }
    print_result(plan_lines(plan), value, as_json)


def _show_large(size: str | None, machine: str, tokens: int | None, as_json: bool) -> None:
    """Print days and memory for one size, or for those of SIZES."""
    from groundup.planning.cluster import NOTES, SIZES, cluster_plan, parse_machine

    kind, count = parse_machine(machine)
    sizes = [size] if size else SIZES
    plans = [cluster_plan(each, kind, count, tokens=tokens) for each in sizes]
    lines = table(list(plans[0].cells()), [list(plan.cells().values()) for plan in plans])
    print_result([*lines, "", *NOTES], [dataclasses.asdict(plan) for plan in plans], as_json)
