"""`pretrain`: a language model from texts, from random weights or from a model."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.config import checked_arguments, require_names
from groundup.errors import ConfigError
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder

if TYPE_CHECKING:
    from groundup.train.steps.process_group import ProcessGroup

AnyPath = str | Path


@checked_arguments
def pretrain(
    data: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    device: str = "auto",
    fresh: bool = False,
    progress: Progress | None = None,
    group: "ProcessGroup | None" = None,
    general: AnyPath | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train a language model on texts, a data folder or token shards; its folder is `out`. Return
    what results.json holds.

    It begins with random weights, or goes on with a model: `init_from` names it, `replay` general
    text to be read beside the new, so that less is forgotten ({"general.txt": 0.1}: a tenth). What
    was forgotten is measured on general text, packaged or of the file `general`.

    `data`: one address or several (docs/data.md), or a .toml that lists them. `options` are those
    of `groundup pretrain`, by name (`planning.pretrain_options.pretrain_options`): how long
    (minutes, steps, tokens or epochs), how large (size, depth or preset), tokenizer, law, settings,
    seed, how texts are read (text, charset, test_fraction, keep_dropped, follow_links),
    processed (process, rules, languages, decontaminate), by whom (runner), mixed
    (mixture={"letters": 2, "books": 1}, max_epochs_per_source), and cut into rows (packing,
    stride); with `fixed_choices` precision, threads and compilation follow rules, nothing is
    measured. The results have the bits per byte of validation, by which the weights were chosen,
    under "test" those of the test split, and under "sources" what was read of each. `group`: the
    processes that train together.

    >>> results = groundup.pretrain("my-texts", "runs/new", steps=2, depth=1)
    >>> results["steps"], results["bits_per_byte"] > 0
    (2, True)
    """
    from groundup.device import select_compute
    from groundup.evaluate.comparison.forgetting import suites
    from groundup.planning.corpus import PREPARED, licences
    from groundup.planning.plan import plan_lines
    from groundup.planning.prepare import prepare_on_all_ranks
    from groundup.planning.pretrain_options import pretrain_options
    from groundup.train.monitor.time_budget import StepControl
    from groundup.train.pretrain import pretrain
    from groundup.train.run_lifecycle import claim_folder
    from groundup.train.steps.process_group import SINGLE_PROCESS
    from groundup.weights.card import ModelCard

    require_names("pretrain", options, inspect.signature(pretrain_options).parameters)
    run = RunFolder(Path(out))
    if (init_from := options.get("init_from")) is not None and run.path.resolve() == Path(
        init_from
    ).resolve():
        raise ConfigError(
            f"{out} is the model that the training starts from.",
            fix="Choose another folder with --out.",
        )
    asked = pretrain_options(data, **options)
    compute = select_compute(device, fixed_choices=asked.fixed_choices)
    if general is not None and asked.start is None:
        raise ConfigError(
            "There is nothing to forget from random weights.",
            fix="Leave --general out, or name a model with --from.",
        )
    group, progress = group or SINGLE_PROCESS, progress or Silent()
    forgetting = suites(general, progress) if asked.start else ()
    group.first(lambda: claim_folder(run, kind="pretrain", fresh=fresh, also=PREPARED))
    made = prepare_on_all_ranks(asked, run, compute, progress, group)
    if made.fit.parallel == "fsdp" and group.patient is None:
        progress.say(
            "note: fit.parallel=fsdp shares a model among processes; this is a single one (docs/large.md)."
        )
    for line in plan_lines(made.plan) if made.plan else ():
        progress.say(line)
    start = asked.start
    began = f"Continued training of {start.name}." if start else "Trained from random weights."
    return pretrain(
        *(made.shards, made.tokenizer, made.shape, made.fit, run),
        compute=compute,
        progress=progress,
        card=ModelCard(
            *(run.path.resolve().name, began, licences(asked.data)),
            base=start.name if start else None,
            license=start.license if start else "",
        ),
        monitor=asked.monitor,
        group=group,
        control=StepControl(asked.time_budget),
        start=start,
        forgetting=forgetting,
    )
