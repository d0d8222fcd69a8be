"""`groundup plan`: what a training would be, before it is begun."""

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundup.cli.console import console_progress, print_result, table
from groundup.cli.options import DeviceOption, JsonOption, SeedOption, TrainingLength, TrainingTexts, grouped
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.planning.pretrain_options import PretrainOptions

DEFAULT_MINUTES = 30.0


@grouped()
def command(
    data: Annotated[
        str | None, typer.Argument(help="A folder of token shards, a data folder, or texts; none with --machine.")
    ] = None,
    budget: Annotated[str | None, typer.Option("--budget", help="As long as this: 90s, 30m, 2h.")] = None,
    length: TrainingLength = TrainingLength(),
    machine: Annotated[
        str | None, typer.Option("--machine", help="Without DATA: devices and how many, h100x8; with --size.")
    ] = None,
    texts: TrainingTexts = TrainingTexts(),
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Say what a training would be: which model, batch and learning rate, how good it will be, how long it takes, memory and disk.

    This machine is measured for some seconds with real steps. With a time, the shape is chosen that the scaling law expects the most
    of; --size, --depth, --preset or --set model.width=... choose it instead, and any field can be set. Nothing is kept.

    Without DATA, --size and --machine give days and memory of each device for large models, from published figures.

    Examples:

        groundup plan my-texts/ --budget 30m

        groundup plan my-texts/ --size 10M --epochs 2

        groundup plan --size 1B --machine h100x8
    """
    if data is None:
        if machine is None:
            raise ConfigError(
                "There is nothing to plan for.", fix="Name texts, or --size and --machine for a large model."
            )
        others = dataclasses.replace(length, size=None, tokens=None)
        if any((budget, *vars(others).values(), *vars(texts).values())):
            raise ConfigError("A plan with --machine takes --size and --tokens only.", fix="Leave the others out.")
        _large(length.size, machine, length.tokens, as_json)
        return
    if machine is not None:
        raise ConfigError(
            "--machine is for plans without DATA.", fix="Leave one of them out; this machine is measured."
        )
    from groundup.planning.pretrain_options import pretrain_options

    given = {**vars(length), **vars(texts), "seed": seed}
    print_result(
        *planned(pretrain_options(data, budget=budget, **given, default_minutes=DEFAULT_MINUTES), device), as_json
    )


def planned(options: "PretrainOptions", device: str) -> tuple[list[str], dict[str, Any]]:
    """The plan for people, and as one value; nothing that it needed is kept."""
    from groundup.config import to_plain
    from groundup.device import select_compute
    from groundup.planning.plan_text import plan_lines, plan_warnings
    from groundup.planning.prepare import prepare_run
    from groundup.runs import RunFolder

    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        made = prepare_run(options, run, select_compute(device), console_progress(), measured=True)
    plan = made.plan
    assert plan is not None
    value = {**dataclasses.asdict(plan), "minutes": plan.minutes, "tokens_per_s": plan.tokens_per_s}
    value |= {"warnings": plan_warnings(plan), "model": to_plain(made.shape), "fit": to_plain(made.fit)}
    return plan_lines(plan), value


def _large(size: str | None, machine: str, tokens: int | None, as_json: bool) -> None:
    """Rows of days and memory, for one size or for the usual ones."""
    from groundup.planning.cluster import NOTES, SIZES, cluster_plan, parse_machine

    kind, count = parse_machine(machine)
    plans = [cluster_plan(each, kind, count, tokens=tokens) for each in ([size] if size else SIZES)]
    lines = table(list(plans[0].cells()), [list(plan.cells().values()) for plan in plans])
    print_result([*lines, "", *NOTES], [dataclasses.asdict(plan) for plan in plans], as_json)
