"""`groundup sweep`: a scaling law for one's own texts, from some tiny runs."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from groundup.cli import options
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.fields import grouped

if TYPE_CHECKING:
    from groundup.planning.sweep import Sweep

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
    tokenizer: options.TokenizerOption = None,
    text: options.TextColumnOption = "",
    charset: options.CharsetOption = "auto",
    test_fraction: options.TestFractionOption = None,
    keep_dropped: options.KeepDroppedOption = False,
    processing: options.ProcessOptions = options.ProcessOptions(),
    settings: options.SetOption = None,
    follow_links: options.FollowLinksOption = False,
    runner: options.RunnerOption = "auto",
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
    from groundup.config import build_config, duration_s, to_plain
    from groundup.data.batches.mixture_config import source_weights
    from groundup.data.preparation.config import DataConfig
    from groundup.data.processing.steps import process_fields
    from groundup.data.reading.source_list import read_sources
    from groundup.data.runners.runner import check_runner
    from groundup.device import select_compute
    from groundup.errors import ConfigError, MissingExtra
    from groundup.model.presets import preset
    from groundup.planning.corpus import PREPARED, corpus
    from groundup.planning.pretrain_options import PRESET, reading_fields, tables, with_steps
    from groundup.planning.sweep import RUNS, SWEEP_FILE, SweepOptions, best_for, draw_sweep, sweep
    from groundup.runs import RunFolder
    from groundup.train.run_lifecycle import claim_folder

    if budget is not None and steps is not None:
        raise ConfigError(
            "--budget and --steps both give the length of the runs.", fix="Give one of them."
        )
    given = tables(settings)
    if given["fit"] or given["model"]:
        fix = "Leave fit. and model. out: a sweep chooses shapes and settings itself."
        raise ConfigError("--set of a sweep sets fields of data. only.", fix=fix)
    claim_folder(RunFolder(out), also=(*PREPARED, SWEEP_FILE, RUNS, PICTURE))
    who = check_runner(runner)
    asked = SweepOptions(
        sizes, None if steps else duration_s(budget or DEFAULT_BUDGET), steps, seed
    )
    compute, progress = select_compute(device), console_progress()
    if source_weights(read_sources(data)):
        progress.say(
            "note: the weights of the sources are not used: the runs of a sweep read the texts as they come."
        )
    fields = given["data"] | reading_fields(
        text, charset, test_fraction, keep_dropped, follow_links
    )
    if steps_over_documents := process_fields(**vars(processing)):
        fields = with_steps(fields, steps_over_documents)
    reading, vocab_size = build_config(DataConfig, fields), preset(PRESET).vocab_size
    shards, own = corpus(
        data,
        RunFolder(out),
        reading,
        tokenizer=tokenizer,
        vocab_size=vocab_size,
        runner=who,
        progress=progress,
    )
    found = sweep(shards, own, out, asked, compute=compute, progress=progress)
    picture: Path | None = out / PICTURE
    try:
        draw_sweep(found).savefig(picture)
    except MissingExtra as error:
        progress.say(f"The law is not drawn: {error.message} {error.fix}")
        picture = None
    value = {
        "runs": [asdict(run) for run in found.runs],
        "law": to_plain(found.law),
        "asked": best_for(found, own.vocab_size),
        "picture": picture and str(picture),
    }
    print_result(_lines(found, value), value, as_json)


def _lines(found: "Sweep", value: dict[str, Any]) -> list[str]:
    """Return the runs, the law, and the best model for some times as lines."""
    law = found.law
    runs = [
        [
            *(run.name, f"{run.point.parameters:,}", f"{run.point.read_bytes / 1e6:.2f}"),
            *(f"{run.point.bits_per_byte:.3f}", f"{law.expected(run.point):.3f}"),
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
    return [
        *table(["run", "parameters", "MB read", "bits per byte", "law"], runs),
        "",
        law.words(),
        f"each run is predicted from the others within {200 * law.spread:.0f} % (two standard deviations)",
        "",
        *table(["minutes", "model", "parameters", "epochs", "bits per byte"], best),
        "",
        *([f"drawn: {value['picture']}"] if value["picture"] else []),
    ]
