"""`groundup pretrain`: a language model of one's own, from random weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundup.cli.console import console_progress, print_result, table
from groundup.cli.distributed_launch import joined, progress_of, require_alone
from groundup.cli.lengths import (
    DepthOption,
    EpochsOption,
    LawOption,
    MinutesOption,
    PresetOption,
    SizeOption,
    StepsOption,
    TokensOption,
)
from groundup.cli.monitor_options import LogOption, PromptsOption, TaskOption, monitor_config_of
from groundup.cli.options import (
    DeviceOption,
    DryRunOption,
    FollowLinksOption,
    FreshOption,
    JsonOption,
    OutOption,
    SeedOption,
    SetOption,
    TokenizerOption,
    following,
)
from groundup.cli.plain import beginning
from groundup.errors import ConfigError
from groundup.runs import RunFolder, read_lines

if TYPE_CHECKING:
    from groundup.device import Compute
    from groundup.planning.pretrain_options import PretrainOptions
    from groundup.train.parallel.process_group import ProcessGroup

DEFAULT_MINUTES = 3.0


def command(
    data: Annotated[
        str | None, typer.Argument(help="A folder of token shards, a data folder, or texts: a folder, file or glob.")
    ] = None,
    *,
    out: OutOption,
    again: Annotated[
        Path | None, typer.Option("--again", help="Instead of DATA: do this run once more, from its folder.")
    ] = None,
    minutes: MinutesOption = None,
    steps: StepsOption = None,
    tokens: TokensOption = None,
    epochs: EpochsOption = None,
    size: SizeOption = None,
    depth: DepthOption = None,
    preset: PresetOption = None,
    law: LawOption = None,
    tokenizer: TokenizerOption = None,
    follow_links: FollowLinksOption = False,
    sets: SetOption = None,
    log: LogOption = None,
    prompts: PromptsOption = None,
    task: TaskOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    fresh: FreshOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a language model from random weights; the run folder is a Hugging Face folder at the end.

    How long: --minutes (by default 3), --steps, --tokens or --epochs. How large: --size, --depth or --preset; with none of them and a
    time, the planner measures this machine and chooses, as `groundup plan` does; with neither it is quickstart's shape.

    The same command again goes on where it stopped. --set reaches the training (fit.learning_rate, fit.batch_size,
    fit.accumulation, fit.precision, fit.snapshots, ...), the shape (model.width, model.num_layers, model.vocab_size, ...) and the reading of
    texts (data.text_column, data.strict, ...).

    Examples:

        groundup pretrain my-texts/ --out runs/mine --minutes 10

        groundup pretrain runs/quickstart/data --out runs/wide --set model.width=192 --steps 2000

        groundup pretrain my-texts/ --out runs/mine --dry-run

        groundup pretrain my-texts/ --out runs/mine --log tensorboard --prompts beginnings.txt --task answers

        groundup pretrain --again runs/mine --out runs/mine-again

        torchrun --nproc_per_node 2 -m groundup pretrain my-texts/ --out runs/mine --set fit.parallel=fsdp
    """
    from groundup.cli.plan import planned
    from groundup.planning.length import length_of
    from groundup.planning.pretrain_options import PretrainOptions, tables
    from groundup.planning.reproduce import reproduce
    from groundup.train.monitor.config import MonitorConfig

    lengths, shapes = (minutes, steps, tokens, epochs), (preset, size, depth)
    if again is not None:
        if any((data, tokenizer, sets, follow_links, log, prompts, task, seed, dry_run, law, *lengths, *shapes)):
            raise ConfigError("--again takes everything from the run's folder.", fix="Give --out and --device only.")
        with joined(device) as (group, compute):
            results = reproduce(RunFolder(again), RunFolder(out), compute, progress_of(group), fresh=fresh, group=group)
        shown(results, out, group, as_json)
        return
    if data is None:
        raise ConfigError(
            "There is nothing to train on.", fix="Name texts, a data folder or shards, or a run with --again."
        )

    def looks() -> MonitorConfig:
        return monitor_config_of(log, prompts, task, seed=seed, progress=console_progress())

    def wished(looks: MonitorConfig) -> PretrainOptions:
        length = length_of(minutes=minutes, steps=steps, tokens=tokens, epochs=epochs, default_minutes=DEFAULT_MINUTES)
        return PretrainOptions(
            data,
            length,
            preset,
            size,
            depth,
            tokenizer,
            seed,
            tables([*(sets or []), *following(follow_links)]),
            law,
            looks,
        )

    if dry_run:
        require_alone("pretrain --dry-run")
        print_result(*planned(wished(looks()), device), as_json)
        return
    with joined(device) as (group, compute):
        wish = wished(group.made_first(looks) or MonitorConfig())
        results = carried_out(wish, RunFolder(out), compute, group, fresh=fresh)
    shown(results, out, group, as_json)


def shown(results: dict[str, Any], out: Path, group: "ProcessGroup", as_json: bool) -> None:
    """Print the results, once."""
    if group.leads:
        print_result(summary(results, out), {**results, "folder": str(out)}, as_json)


def carried_out(
    wish: "PretrainOptions", run: RunFolder, compute: "Compute", group: "ProcessGroup", *, fresh: bool
) -> dict[str, Any]:
    """Train into the run folder; what results.json holds."""
    from groundup.planning.folder import make_way
    from groundup.planning.prepare import shared_by_all
    from groundup.train.pretrain import pretrain
    from groundup.train.time_budget import StepControl
    from groundup.weights.card import ModelCard

    progress = progress_of(group)
    group.first(lambda: make_way(run, fresh=fresh))
    made = shared_by_all(wish, run, compute, progress, group)
    if made.fit.parallel == "fsdp" and group.patient is None:
        progress.say("note: fit.parallel=fsdp says how processes share a model; this is one alone (docs/large.md).")
    for line in made.plan.lines() if made.plan else ():
        progress.say(line)
    card = ModelCard(run.path.resolve().name, "Trained from random weights.", data=((wish.data, "the user's own"),))
    parts, control = (made.shards, made.tokenizer, made.shape, made.fit), StepControl(made.aim)
    return pretrain(
        *parts, run, compute=compute, progress=progress, card=card, monitor=wish.looks, group=group, control=control
    )


def summary(results: dict[str, Any], out: Path) -> list[str]:
    """The results for people."""
    share = 100 * results.get("evaluation_s", 0) / max(results["elapsed_s"], 0.1)
    return [
        f"{results['parameters']:,} parameters, {results['steps']:,} steps, {results['tokens']:,} tokens in {results['elapsed_s']:.0f} s"
        f" ({share:.0f} % of it evaluations)",
        f"training loss {results['train_loss']:.3f}, validation loss {results['validation_loss']:.3f} nats a token",
        f"{results['bits_per_byte']:.3f} bits per byte of held-out text",
        *_planned_lines(results),
        f"Try it: groundup generate {out} {_first_words(out)}",
    ]


def _first_words(out: Path) -> str:
    """How the run's own samples begin: the user's text, but for the last word, which may be cut."""
    record: dict[str, Any] = next(read_lines(RunFolder(out).samples_file), {})
    words = str(record.get("prompt", "")).split()
    return beginning(" ".join(words[: max(1, len(words) - 1)])) or "'Once'"


def _planned_lines(results: dict[str, Any]) -> list[str]:
    """What was planned beside what came; nothing for runs that had no plan."""
    from groundup.train.monitor.plan_vs_actual import compared

    rows = compared(results.get("planned") or {}, results.get("actual") or {})
    return ["", *table(["", "planned", "actual", "difference"], rows), ""] if rows else []
