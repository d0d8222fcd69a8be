"""`pretrain`: a language model from texts, from random weights or from a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.config import checked_arguments
from groundup.data.reading.data import Data
from groundup.errors import ConfigError
from groundup.planning.pretrain_config import PretrainConfig
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder

if TYPE_CHECKING:
    from groundup.planning.pretrain_options import PretrainOptions
    from groundup.train.pretrain_results import PretrainResults
    from groundup.train.steps.process_group import ProcessGroup
    from groundup.weights.card import ModelCard

AnyPath = str | Path


@checked_arguments
def pretrain(
    data: AnyPath | Data | Sequence[AnyPath | Data],
    out: AnyPath,
    config: PretrainConfig = PretrainConfig(),
    *,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
    group: "ProcessGroup | None" = None,
) -> "PretrainResults":
    """Train a language model on texts, a data folder or token shards; its folder is `out`.

    `data`: one address or several (docs/data.md), a .toml that lists them, or `Data`. `config`: how
    long (by default 3 minutes), how large, from which model. With `fixed_choices` nothing is chosen
    by measuring. `group`: the processes that train together. The results (those of results.json)
    have the bits per byte of validation, by which the weights were chosen, and of the test split.

    >>> config = groundup.PretrainConfig(steps=2, model=groundup.ModelShape(depth=1))
    >>> results = groundup.pretrain("my-texts", "runs/new", config)
    >>> results.steps, results.bits_per_byte > 0
    (2, True)
    """
    from groundup.device import select_compute
    from groundup.evaluate.comparison.forgetting import suites
    from groundup.planning.corpus import PREPARED
    from groundup.planning.prepare import prepare_on_all_ranks
    from groundup.planning.pretrain_options import pretrain_options
    from groundup.train.monitor.config import MonitorConfig
    from groundup.train.monitor.time_budget import StepControl
    from groundup.train.pretrain import pretrain
    from groundup.train.run_lifecycle import claim_folder
    from groundup.train.steps.process_group import SINGLE_PROCESS

    run, group, progress = RunFolder(Path(out)), group or SINGLE_PROCESS, progress or Silent()
    _require_other_folder(run, config)
    asked = pretrain_options(data, config, fixed_choices=fixed_choices)
    compute = select_compute(device, fixed_choices=fixed_choices)
    monitor = config.monitor or MonitorConfig()
    if asked.start is not None:
        monitor = monitor.with_forgetting(suites(config.start.general, progress))
    group.first(lambda: claim_folder(run, kind="pretrain", fresh=fresh, also=PREPARED))
    made = prepare_on_all_ranks(asked, run, compute, progress, group)
    if made.inputs.fit.parallel == "fsdp" and group.patient is None:
        progress.say(
            "note: fit.parallel=fsdp shares a model among processes; "
            "this is a single one (docs/large.md)."
        )
    for line in made.plan_lines():
        progress.say(line)
    return pretrain(
        made.inputs,
        run,
        compute=compute,
        progress=progress,
        card=_card(asked, run),
        monitor=monitor,
        group=group,
        control=StepControl(asked.time_budget),
    )


def _require_other_folder(run: RunFolder, config: PretrainConfig) -> None:
    """Refuse to write into the folder of the starting model. Raises ConfigError."""
    start = config.start.init_from
    if start is not None and run.path.resolve() == Path(start).resolve():
        raise ConfigError(
            f"{run.path} is the model that the training starts from.",
            fix="Choose another folder for `out`.",
        )


def _card(asked: "PretrainOptions", run: RunFolder) -> "ModelCard":
    """Return the model card without its figures."""
    from groundup.planning.corpus import licences
    from groundup.weights.card import ModelCard

    name, texts, start = run.path.resolve().name, licences(asked.data), asked.start
    if start is None:
        return ModelCard(name, "Trained from random weights.", texts)
    summary = f"Continued training of {start.name}."
    return ModelCard(name, summary, texts, base=start.name, license=start.license)
