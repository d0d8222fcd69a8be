"""`groundup pretrain`: a language model of one's own, from random weights or from a model that is
trained already.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from groundup.api.pretraining import pretrain
from groundup.cli import options
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.distributed_launch import joined, progress_of, require_alone
from groundup.cli.fields import grouped
from groundup.cli.plain import beginning
from groundup.errors import ConfigError
from groundup.runs import RunFolder, read_lines

if TYPE_CHECKING:
    from groundup.train.steps.process_group import ProcessGroup


@grouped()
def command(
    data: Annotated[
        list[str] | None,
        Argument(
            help="Token shards, a data folder, or texts: one address or more, or a .toml that lists them."
        ),
    ] = None,
    *,
    out: options.OutOption,
    again: Annotated[
        Path | None, Option("--again", help="Instead of DATA: reproduce this run.")
    ] = None,
    length: options.TrainingLength = options.TrainingLength(),
    texts: options.TrainingTexts = options.TrainingTexts(),
    start: options.StartOptions = options.StartOptions(),
    general: options.GeneralOption = None,
    keep_dropped: options.KeepDroppedOption = False,
    monitor: options.MonitorOptions = options.MonitorOptions(),
    seed: options.SeedOption = 0,
    device: options.DeviceOption = "auto",
    fixed_choices: options.FixedChoicesOption = False,
    fresh: options.FreshOption = False,
    dry_run: options.DryRunOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Train a language model from random weights, or go on with a model (--from); the run folder is
    a Hugging Face folder at the end.

    Length: --minutes (by default 3), --steps, --tokens or --epochs. Size: --size, --depth or
    --preset; where none of them is given, the planner measures this machine and chooses for a time,
    as `groundup plan` does; for another length it is quickstart's shape.

    --from continues the training of a run or a public model on your texts, with its tokenizer and
    shape, at a tenth of the learning rate for random weights; --replay reads general text as well,
    so that less is forgotten. Without a length it is 3 minutes, too.

    The faster of float32 and bf16 is measured and written into the plan before the run begins:
    where another program keeps the machine busy, the same command may choose otherwise, and give
    other weights. With --fixed-choices (and --steps, --tokens or --epochs) it can't.

    The same command again resumes where it stopped. --set sets fields of the training
    (fit.optimizer.learning_rate, fit.batch_size, fit.accumulation, fit.precision, fit.checkpoints.snapshots, ...), of the
    shape (model.width, model.num_layers, model.vocab_size, ...) and of the reading of texts
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
        groundup pretrain --again runs/mine --out runs/mine-again
        torchrun --nproc_per_node 2 -m groundup pretrain my-texts/ --out runs/mine --set
            fit.parallel=fsdp
    """
    from groundup.cli.plan import planned
    from groundup.planning.pretrain_options import pretrain_options
    from groundup.planning.reproduce import reproduce
    from groundup.train.monitor.config import MonitorConfig

    given = {
        **vars(length),
        **vars(texts),
        **start.given(),
        "keep_dropped": keep_dropped,
        "seed": seed,
    }
    given["fixed_choices"] = fixed_choices
    if again is not None:
        groups = (length, texts, start, monitor)
        if any((data, dry_run, keep_dropped, seed, general, fixed_choices)) or groups != tuple(
            type(group)() for group in groups
        ):
            raise ConfigError(
                "--again takes all options from the run's folder.",
                fix="Give --out and --device only.",
            )
        with joined(device) as (group, compute):
            results = reproduce(
                RunFolder(again),
                RunFolder(out),
                compute,
                progress_of(group),
                fresh=fresh,
                group=group,
            )
        shown(results, out, group, as_json)
        return
    if not data:
        fix = "Name texts, a data folder or shards, or a run with --again."
        raise ConfigError("No training data was given.", fix=fix)

    def monitored() -> MonitorConfig:
        return monitor.config(seed=seed, progress=console_progress())

    if dry_run:
        require_alone("pretrain --dry-run")
        print_result(
            *planned(pretrain_options(data, **given, monitor=monitored()), device), as_json
        )
        return
    with joined(device) as (group, _):
        watched = group.made_first(monitored) or MonitorConfig()
        results = pretrain(
            data,
            out,
            device=device,
            group=group,
            progress=progress_of(group),
            fresh=fresh,
            general=general,
            monitor=watched,
            **given,
        )
    shown(results, out, group, as_json)


def shown(results: dict[str, Any], out: Path, group: "ProcessGroup", as_json: bool) -> None:
    """Print the results on rank 0."""
    if group.leads:
        print_result(summary(results, out), {**results, "folder": str(out)}, as_json)


def summary(results: dict[str, Any], out: Path) -> list[str]:
    """Return the results as lines for people."""
    share = 100 * results.get("evaluation_s", 0) / max(results["elapsed_s"], 0.1)
    return [
        f"{results['parameters']:,} parameters, {results['steps']:,} steps, {results['tokens']:,} tokens in {results['elapsed_s']:.0f} s"
        f" ({share:.0f} % of it evaluations)",
        f"training loss {results['train_loss']:.3f}, validation loss {results['validation_loss']:.3f} nats per token",
        held_out_line(results),
        *_before_lines(results),
        *_source_lines(results),
        *_planned_lines(results),
        f"Try it: groundup generate {out} {_first_words(out)}",
    ]


def held_out_line(results: dict[str, Any]) -> str:
    """Return the bits per byte on validation and, but for runs on older shards, on test."""
    validation, test = f"{results['bits_per_byte']:.3f}", results.get("test")
    if not test:
        return f"{validation} bits per byte of validation text, by which the weights were chosen"
    return f"{test['bits_per_byte']:.3f} bits per byte of test text (n = {test['tokens']:,} tokens), {validation} of validation text"


def _before_lines(results: dict[str, Any]) -> list[str]:
    """Return what the validation text cost the model before it was trained on, and what it forgot;
    no lines for random weights.
    """
    from groundup.evaluate.comparison.forgetting import forgetting_lines

    if "start" not in results:
        return []
    before = results["start"]["before"]["bits_per_byte"]
    first = f"{results['start']['model']} before: {before:.3f} bits per byte of validation text"
    return [first, *forgetting_lines(results.get("forgetting", {}))]


def _first_words(out: Path) -> str:
    """Return the prompt of the run's samples, without its last word, which may be cut."""
    record: dict[str, Any] = next(read_lines(RunFolder(out).samples_file), {})
    words = str(record.get("prompt", "")).split()
    return beginning(" ".join(words[: max(1, len(words) - 1)])) or "'Once'"


def _source_lines(results: dict[str, Any]) -> list[str]:
    """Return what was read of each source, with its loss on validation, as a table; no lines where
    there is one source.
    """
    sources = results.get("sources") or []
    read = max(1, sum(each["read_tokens"] for each in sources))
    rows = []
    for each in sources:
        bits = results.get(f"bits_per_byte:{each['source']}")
        shares = (
            f"{100 * share:.1f} %"
            for share in (each["share"], each["wanted"], each["read_tokens"] / read)
        )
        rows.append(
            [each["name"], *shares, f"{each['epochs']:.2f}", "" if bits is None else f"{bits:.3f}"]
        )
    return (
        ["", *table(["source", "there", "wanted", "read", "epochs", "bits per byte"], rows)]
        if rows
        else []
    )


def _planned_lines(results: dict[str, Any]) -> list[str]:
    """Return planned and actual figures as a table; no lines for a run without a plan."""
    from groundup.train.monitor.plan_vs_actual import compared

    rows = compared(results.get("planned") or {}, results.get("actual") or {})
    return ["", *table(["", "planned", "actual", "difference"], rows), ""] if rows else []
