"""`groundup sweep`: a scaling law for one's own texts, from some tiny runs."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from groundup.cli import options, plan
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.fields import grouped
from groundup.cli.plan import NO_DATA, prepared_by, read_as
from groundup.errors import ConfigError, MissingExtra
from groundup.planning.pretrain_config import PretrainConfig, TextPreparation

if TYPE_CHECKING:
    from groundup.data.batches.shards import ShardSet
    from groundup.data.reading.data import Data
    from groundup.planning.sweep import Sweep
    from groundup.progress import Progress
    from groundup.tokenizer.fast import Tokenizer

PICTURE, DEFAULT_BUDGET = "law.svg", "10m"


@grouped()
def command(
    data: Annotated[
        list[str],
        Argument(help="A folder of token shards, a data folder, or texts: one address or more."),
    ],
    *,
    out: options.OutOption,
    sizes: Annotated[
        int, Option("--sizes", min=2, max=8, help="Number of models, of 2 blocks and more.")
    ] = 3,
    budget: Annotated[
        str | None, Option("--budget", help="For all runs: 90s, 10m, 2h; default: 10m.")
    ] = None,
    steps: Annotated[
        int | None, Option("--steps", min=4, help="Or the number of steps of the longest runs.")
    ] = None,
    reading: plan.Reading = NO_DATA,
    texts: plan.Preparation = TextPreparation(),
    processing: options.ProcessOptions = options.ProcessOptions(),
    settings: options.SetOption = None,
    seed: options.SeedOption = 0,
    device: options.DeviceOption = "auto",
    as_json: options.JsonOption = False,
) -> None:
    """Train some tiny models on your texts, fit a scaling law to them, draw it, and give the best
    model for longer runs.

    Each size is trained three times, for a quarter, half and all of the steps. The same command
    again skips finished runs. `groundup plan DATA --law OUT` plans with the fitted law. --set sets
    fields of data. (data.strict, data.process.personal_data, ...).

    Examples:
        groundup sweep my-texts/ --out runs/law
        groundup sweep runs/quickstart/tokenizer/shards --out runs/law --sizes 4 --budget 15m
    """
    from groundup.config import duration_s, to_plain
    from groundup.device import select_compute
    from groundup.planning.corpus import PREPARED
    from groundup.planning.sweep import RUNS, SWEEP_FILE, SweepOptions, best_for, sweep
    from groundup.runs import RunFolder
    from groundup.train.run_lifecycle import claim_folder

    if budget is not None and steps is not None:
        raise ConfigError(
            "--budget and --steps both give the length of the runs.", fix="Give one of them."
        )
    config = PretrainConfig(texts=prepared_by(texts, processing), settings=settings)
    given = config.tables()
    if given["fit"] or given["model"]:
        fix = "Leave fit. and model. out: a sweep chooses shapes and settings itself."
        raise ConfigError("--set of a sweep sets fields of data. only.", fix=fix)
    claim_folder(RunFolder(out), also=(*PREPARED, SWEEP_FILE, RUNS, PICTURE))
    budget_s = None if steps else duration_s(budget or DEFAULT_BUDGET)
    asked = SweepOptions(sizes, budget_s, steps, seed)
    compute, progress = select_compute(device), console_progress()
    shards, own = _corpus(read_as(data, reading), config, out, progress)
    found = sweep(shards, own, out, asked, compute=compute, progress=progress)
    picture = _draw(found, out / PICTURE, progress)
    value = {
        "runs": [asdict(run) for run in found.runs],
        "law": to_plain(found.law),
        "asked": best_for(found, own.vocab_size),
        "picture": picture and str(picture),
    }
    print_result(_lines(found, value), value, as_json)


def _corpus(
    data: "list[Data]", config: PretrainConfig, out: Path, progress: "Progress"
) -> "tuple[ShardSet, Tokenizer]":
    """Return the shards of the texts and their tokenizer."""
    from groundup.config import build_config
    from groundup.data.batches.mixture_config import source_weights
    from groundup.data.preparation.config import DataConfig
    from groundup.data.reading.sources import read_sources
    from groundup.data.runners.runner import check_runner
    from groundup.model.presets import preset
    from groundup.planning.corpus import corpus
    from groundup.planning.pretrain_options import PRESET, reading_of
    from groundup.runs import RunFolder

    specs, reading = reading_of(data)
    if source_weights(read_sources(specs)):
        progress.say(
            "note: the weights of the sources are not used: "
            "the runs of a sweep read the texts as they come."
        )
    tokenizer = config.texts.tokenizer
    return corpus(
        specs,
        RunFolder(out),
        build_config(DataConfig, {**reading, **config.tables()["data"]}, where="data."),
        tokenizer=None if tokenizer is None else Path(tokenizer),
        vocab_size=preset(PRESET).vocab_size,
        runner=check_runner(config.texts.runner),
        progress=progress,
    )


def _draw(found: "Sweep", path: Path, progress: "Progress") -> Path | None:
    """Draw the law, where matplotlib is installed."""
    from groundup.planning.sweep import draw_sweep

    try:
        draw_sweep(found).savefig(path)
    except MissingExtra as error:
        progress.say(f"The law is not drawn: {error.message} {error.fix}")
        return None
    return path


def _lines(found: "Sweep", value: dict[str, Any]) -> list[str]:
    law = found.law
    runs = [
        [
            run.name,
            f"{run.point.parameters:,}",
            f"{run.point.read_bytes / 1e6:.2f}",
            f"{run.point.bits_per_byte:.3f}",
            f"{law.expected(run.point):.3f}",
        ]
        for run in found.runs
        if run.point
    ]
    best = [
        [
            f"{row['minutes']:g}",
            row["shape"],
            f"{row['parameters']:,}",
            f"{row['epochs']:.2g}",
            row["expected"],
        ]
        for row in value["asked"]
    ]
    drawn = [f"drawn: {value['picture']}"] if value["picture"] else []
    return [
        *table(["run", "parameters", "MB read", "bits per byte", "law"], runs),
        "",
        law.words(),
        f"each run is predicted from the others within {200 * law.spread:.0f} % "
        "(two standard deviations)",
        "",
        *table(["minutes", "model", "parameters", "epochs", "bits per byte"], best),
        "",
        *drawn,
    ]
