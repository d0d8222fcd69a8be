"""`groundup plan`: the cost and expected loss of a training run, before it starts."""

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from groundup.cli.console import console_progress, print_result, table
from groundup.cli.fields import grouped
from groundup.cli.options import (
    DeviceOption,
    JsonOption,
    SeedOption,
    StartOptions,
    TrainingLength,
    TrainingTexts,
)
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.planning.pretrain_options import PretrainOptions

DEFAULT_MINUTES = 30.0


@grouped()
def command(
    data: Annotated[
        list[str] | None,
        Argument(
            help="Token shards, a data folder, or texts: one address or more, or a .toml that lists them. None with --machine."
        ),
    ] = None,
    budget: Annotated[
        str | None, Option("--budget", help="Train for this time: 90s, 30m, 2h.")
    ] = None,
    length: TrainingLength = TrainingLength(),
    machine: Annotated[
        str | None, Option("--machine", help="Without DATA, with --size: devices, h100x8.")
    ] = None,
    texts: TrainingTexts = TrainingTexts(),
    start: StartOptions = StartOptions(),
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Plan a training run: model, batch and learning rate, with expected loss, time, memory and
    disk.

    Real steps are timed on this machine for some seconds. For a given time, the shape with the
    lowest expected loss by the scaling law is chosen, unless --size, --depth, --preset or --set
    model.width=... gives one; any field can be set. No file is kept.

    Without DATA, --size and --machine estimate days and memory per device of large models, from
    published figures.

    Examples:
        groundup plan my-texts/ --budget 30m
        groundup plan my-texts/ --size 10M --epochs 2
        groundup plan --size 1B --machine h100x8
    """
    if not data:
        if machine is None:
            fix = "Name texts, or --size and --machine for a large model."
            raise ConfigError("No data and no model size were given.", fix=fix)
        others = dataclasses.replace(length, size=None, tokens=None)
        if budget or (others, texts, start) != (TrainingLength(), TrainingTexts(), StartOptions()):
            raise ConfigError(
                "A plan with --machine takes --size and --tokens only.", fix="Leave the others out."
            )
        _large(length.size, machine, length.tokens, as_json)
        return
    if machine is not None:
        fix = "Leave one of them out; this machine is measured."
        raise ConfigError("--machine is for plans without DATA.", fix=fix)
    from groundup.planning.pretrain_options import pretrain_options

    given = {
        "budget": budget,
        **vars(length),
        **vars(texts),
        **start.given(),
        "seed": seed,
        "default_minutes": DEFAULT_MINUTES,
    }
    print_result(*planned(pretrain_options(data, **given), device), as_json)


def planned(options: "PretrainOptions", device: str) -> tuple[list[str], dict[str, Any]]:
    """Return the plan as lines and as one value; it is made in a temporary folder."""
    from groundup.config import to_plain
    from groundup.device import select_compute
    from groundup.planning.plan import plan_lines, plan_warnings
    from groundup.planning.prepare import prepare_run
    from groundup.runs import RunFolder

    with tempfile.TemporaryDirectory() as folder:
        compute = select_compute(device, fixed_choices=options.fixed_choices)
        made = prepare_run(
            options, RunFolder(Path(folder)), compute, console_progress(), measured=True
        )
    plan = made.plan
    assert plan is not None
    value = {**dataclasses.asdict(plan), "minutes": plan.minutes, "tokens_per_s": plan.tokens_per_s}
    value |= {
        "warnings": plan_warnings(plan),
        "model": to_plain(made.shape),
        "fit": to_plain(made.fit),
    }
    return plan_lines(plan), value


def _large(size: str | None, machine: str, tokens: int | None, as_json: bool) -> None:
    """Print days and memory for one size, or for those of SIZES."""
    from groundup.planning.cluster import NOTES, SIZES, cluster_plan, parse_machine

    kind, count = parse_machine(machine)
    plans = [cluster_plan(each, kind, count, tokens=tokens) for each in ([size] if size else SIZES)]
    lines = table(list(plans[0].cells()), [list(plan.cells().values()) for plan in plans])
    print_result([*lines, "", *NOTES], [dataclasses.asdict(plan) for plan in plans], as_json)
