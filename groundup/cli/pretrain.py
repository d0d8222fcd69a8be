"""`groundup pretrain`: a language model of one's own, from random weights, from a model that is
trained already, or cut out of one.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from groundup.api.training import pretrain
from groundup.cli import options, plan
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.distributed_launch import join_group, progress_of, require_alone
from groundup.cli.fields import grouped
from groundup.cli.plain import beginning
from groundup.cli.plan import NO_DATA, prepared_by, read_as
from groundup.errors import ConfigError
from groundup.planning.pretrain_config import (
    ModelShape,
    PretrainConfig,
    SourceShares,
    TextPreparation,
)
from groundup.runs import RunFolder, read_lines
from groundup.train.steps.config import Rows

if TYPE_CHECKING:
    from groundup.train.monitor.callbacks import MonitorConfig
    from groundup.train.pretrain_results import PretrainResults
    from groundup.train.steps.process_group import ProcessGroup

DEFAULTS = (
    PretrainConfig(),
    ModelShape(),
    NO_DATA,
    TextPreparation(),
    options.ProcessOptions(),
    SourceShares(),
    Rows(),
    plan.StartOptions(),
    options.MonitorOptions(),
)


@grouped()
def command(
    data: Annotated[
        list[str] | None,
        Argument(
            help="Token shards, a data folder, or texts: one address or more, "
            "or a .toml that lists them."
        ),
    ] = None,
    *,
    out: options.OutOption,
    again: Annotated[
        Path | None, Option("--again", help="Instead of DATA: reproduce this run.")
    ] = None,
    length: plan.Length = PretrainConfig(),
    shape: plan.Shape = ModelShape(),
    reading: plan.Reading = NO_DATA,
    texts: plan.Preparation = TextPreparation(),
    processing: options.ProcessOptions = options.ProcessOptions(),
    shares: plan.Shares = SourceShares(),
    rows: plan.Windows = Rows(),
    settings: options.SetOption = None,
    start: plan.StartOptions = plan.StartOptions(),
    general: options.GeneralOption = None,
    monitor: options.MonitorOptions = options.MonitorOptions(),
    seed: options.SeedOption = 0,
    device: options.DeviceOption = "auto",
    fixed_choices: options.FixedChoicesOption = False,
    fresh: options.FreshOption = False,
    dry_run: options.DryRunOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Train a language model from random weights, go on with a model (--from), or begin with a part
    of one (--cut-from); the run folder is a Hugging Face folder at the end.

    Length: --minutes (by default 3), --steps, --tokens or --epochs. Size: --size, --depth or
    --preset; where none of them is given, the planner measures this machine and chooses for a time,
    as `groundup plan` does; for another length it is quickstart's shape.

    --from continues the training of a run or a public model on your texts, with its tokenizer and
    shape, at a tenth of the learning rate for random weights; --replay reads general text as well,
    so that less is forgotten. Without a length it is 3 minutes, too.

    --cut-from makes a model of --size out of a larger one, with the blocks, heads and units that
    are important on your texts and a tokenizer of your own, and trains it. Its card names the
    larger one and its licence.

    The faster of float32 and bf16 is measured and written into the plan before the run begins:
    where another program keeps the machine busy, the same command may choose otherwise, and give
    other weights. With --fixed-choices (and --steps, --tokens or --epochs) it can't.

    The same command again resumes where it stopped. --set sets fields of the training
    (fit.optimizer.learning_rate, fit.batch_size, fit.precision, fit.checkpoints.snapshots, ...), of
    the shape (model.width, model.num_layers, model.vocab_size, ...) and of the reading of texts
    (data.text, data.strict, ...).

    Examples:
        groundup pretrain my-texts/ --out runs/mine --minutes 10
        groundup pretrain runs/quickstart/data --out runs/wide --set model.width=192 --steps 2000
        groundup pretrain my-texts/ --out runs/mine --dry-run
        groundup pretrain letters/ hf:roneneldan/TinyStories --out runs/both --mixture
            letters=1,TinyStories=3
        groundup pretrain my-texts/ --out runs/mine --log tensorboard --prompts beginnings.txt
            --task answers
        groundup pretrain my-texts/ --from smollm2-135m-instruct --replay general.txt=0.1 --out
            runs/mine --epochs 2
        groundup pretrain my-texts/ --cut-from smollm2-135m-instruct --size 12M --out runs/mine
        groundup pretrain --again runs/mine --out runs/mine-again
        torchrun --nproc_per_node 2 -m groundup pretrain my-texts/ --out runs/mine --set
            fit.parallel=fsdp
    """
    if again is not None:
        groups = (length, shape, reading, texts, processing, shares, rows, start, monitor)
        others = (data, dry_run, settings, seed, general, fixed_choices)
        if any(others) or groups != DEFAULTS:
            raise ConfigError(
                "--again takes all options from the run's folder.",
                fix="Give --out and --device only.",
            )
        _reproduce(again, out, device, fresh=fresh, as_json=as_json)
        return
    if not data:
        fix = "Name texts, a data folder or shards, or a run with --again."
        raise ConfigError("No training data was given.", fix=fix)
    config = replace(
        length,
        model=shape,
        texts=prepared_by(texts, processing),
        mixture=shares,
        rows=None if rows == Rows() else rows,
        start=start.config(general),
        settings=settings,
        seed=seed,
    )
    named = read_as(data, reading)

    def monitored() -> "MonitorConfig":
        return monitor.config(seed=seed, progress=console_progress())

    if dry_run:
        require_alone("pretrain --dry-run")
        asked = replace(config, monitor=monitored())
        plan.show_plan(named, asked, device, fixed_choices=fixed_choices, as_json=as_json)
        return
    with join_group(device) as (group, _):
        results = pretrain(
            named,
            out,
            replace(config, monitor=group.made_first(monitored)),
            device=device,
            fixed_choices=fixed_choices,
            fresh=fresh,
            progress=progress_of(group),
            group=group,
        )
    show_results(results, out, group, as_json=as_json)


def _reproduce(run: Path, out: Path, device: str, *, fresh: bool, as_json: bool) -> None:
    from groundup.planning.reproduce import reproduce

    with join_group(device) as (group, compute):
        progress = progress_of(group)
        results = reproduce(
            RunFolder(run), RunFolder(out), compute, progress, fresh=fresh, group=group
        )
    show_results(results, out, group, as_json=as_json)


def show_results(
    results: "PretrainResults", out: Path, group: "ProcessGroup", *, as_json: bool
) -> None:
    if group.leads:
        value = {**results.to_json(), "folder": str(out)}
        print_result(summarise(results, out), value, as_json)


def summarise(results: "PretrainResults", out: Path) -> list[str]:
    share = 100 * results.evaluation_s / max(results.elapsed_s, 0.1)
    return [
        f"{results.parameters:,} parameters, {results.steps:,} steps, {results.tokens:,} tokens "
        f"in {results.elapsed_s:.0f} s ({share:.0f} % of it evaluations)",
        f"training loss {results.train_loss:.3f}, "
        f"validation loss {results.validation_loss:.3f} nats per token",
        describe_held_out(results),
        *_before_lines(results),
        *_source_lines(results),
        *_planned_lines(results),
        f"Try it: groundup generate {out} {_first_words(out)}",
    ]


def describe_held_out(results: "PretrainResults") -> str:
    validation, test = f"{results.bits_per_byte:.3f}", results.test
    if not test:
        return f"{validation} bits per byte of validation text, by which the weights were chosen"
    return (
        f"{test['bits_per_byte']:.3f} bits per byte of test text (n = {test['tokens']:,} tokens), "
        f"{validation} of validation text"
    )


def _before_lines(results: "PretrainResults") -> list[str]:
    """What it cost before, and what it forgot; nothing of random weights."""
    from groundup.evaluate.comparison.forgetting import forgetting_lines

    if not results.start:
        return []
    before = results.start["before"]["bits_per_byte"]
    name = results.start.get("cut_from", results.start["model"])
    what = f"{name}, cut, before" if "cut_from" in results.start else f"{name} before"
    first = f"{what}: {before:.3f} bits per byte of validation text"
    return [first, *forgetting_lines(results.forgetting)]


def _first_words(out: Path) -> str:
    """Of the run's samples, without the last word, which may be cut."""
    record: dict[str, Any] = next(read_lines(RunFolder(out).samples_file), {})
    words = str(record.get("prompt", "")).split()
    return beginning(" ".join(words[: max(1, len(words) - 1)])) or "'Once'"


def _source_lines(results: "PretrainResults") -> list[str]:
    """Nothing where there is one source."""
    if not results.sources:
        return []
    read = max(1, sum(each["read_tokens"] for each in results.sources))
    rows = []
    for each in results.sources:
        shares = (each["share"], each["wanted"], each["read_tokens"] / read)
        percents = (f"{100 * share:.1f} %" for share in shares)
        bits = results.figures.get(f"bits_per_byte:{each['source']}")
        shown = "" if bits is None else f"{bits:.3f}"
        rows.append([each["name"], *percents, f"{each['epochs']:.2f}", shown])
    return ["", *table(["source", "there", "wanted", "read", "epochs", "bits per byte"], rows)]


def _planned_lines(results: "PretrainResults") -> list[str]:
    """Nothing of a run without a plan."""

    from groundup.train.pretrain_results import planned_and_actual

    rows = planned_and_actual(results.planned, results.actual)
    if not rows:
        return []
    return ["", *table(["", "planned", "actual", "difference"], rows), ""]
