"""`groundup build`: every stage of a model from one command."""

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.api.training import build
from groundup.cli import options
from groundup.cli.console import (
    console_progress,
    print_result,
    program,
    table,
    terminal_columns,
    wrapped,
)
from groundup.cli.fields import ConfigFields, grouped
from groundup.errors import GroundupError
from groundup.recipes.build_config import RUNS, BuildConfig
from groundup.runs import BuildResults

if TYPE_CHECKING:
    from groundup.recipes.builds.pipeline import BuildPlan

DEFAULTS = BuildConfig()


@grouped()
def command(
    recipe: Annotated[
        str,
        Argument(
            metavar="RECIPE|PACK|FOLDER",
            help="quickstart, a domain pack (name or folder), a recipe.toml, or a folder of your own texts.",
        ),
    ] = "quickstart",
    out: Annotated[
        Path | None,
        Option(
            "--out",
            callback=options.folder_to_write,
            help="The build's folder; default: runs/NAME.",
        ),
    ] = None,
    config: Annotated[
        BuildConfig,
        ConfigFields(
            *("budget", "base", "teach", "follow_links", "seed"),
            seed={"min": 0},
            base={"metavar": "NAME|FOLDER"},
        ),
    ] = DEFAULTS,
    added: Annotated[
        list[str] | None,
        Option(
            "--with",
            metavar="STAGES",
            help="Of a public model besides: spam (a filter of SMS), chat, or spam,chat.",
        ),
    ] = None,
    sets: options.SetOption = None,
    device: options.DeviceOption = "auto",
    fixed_choices: options.FixedChoicesOption = False,
    redo: Annotated[
        list[str] | None, Option("--redo", help="Repeat this stage (again for more).")
    ] = None,
    fresh: options.FreshOption = False,
    dry_run: options.DryRunOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Run every stage of a recipe: data, tokenizer, pretraining, a pulled model, classifiers, chat
    models, evaluation, export, report.

    A folder of texts makes a model of these texts alone; --with spam,chat adds what quickstart
    makes of a public model besides. The same command again resumes where it stopped and repeats
    only what changed.

    --fixed-choices: what fits the time is still measured, and recorded in build.json; give the
    numbers of steps by --set for the same weights.

    --teach: the public model, which has never seen your texts, reads them before it learns to chat,
    with a little general text beside them (--set teach.replay_share=0.1, teach.replay.spec=FILE);
    the page says what it gained and what it forgot.

    Examples:
        groundup build quickstart
        groundup build my-texts/ --budget 30m
        groundup build my-texts/ --with spam,chat --budget 30m
        groundup build my-texts/ --teach --budget 1h
        groundup build my-firm/ --budget 15m
        groundup build bank --base qwen2.5-coder-0.5b --budget 40m
        groundup build quickstart --set pretrain.learning_rate=0.002 --set data.strict=true
        groundup build quickstart --dry-run
    """
    results = build(
        recipe,
        out,
        replace(config, added=stages_in(added or ()), redo=redo or (), settings=sets),
        device=device,
        fixed_choices=fixed_choices,
        fresh=fresh,
        dry_run=dry_run,
        progress=console_progress(),
    )
    if isinstance(results, BuildResults):
        folder = out or RUNS / results.recipe
        print_result(_summary(results, folder), results.plain(), as_json)
        _prepare_model(folder, device)
    else:
        print_result(_plan_lines(results), asdict(results), as_json)


def _prepare_model(folder: Path, device: str) -> None:
    """Of the build whose model is talked with next. Ctrl-C or a fault leaves it to the first
    answer: the build is done.
    """
    from groundup.device import select_compute
    from groundup.engine.precision import prepare_first_answer

    with suppress(GroundupError, KeyboardInterrupt):
        prepare_first_answer(folder, select_compute(device), console_progress())


def _summary(results: BuildResults, folder: Path) -> list[str]:
    from groundup.recipes.builds.build import LOG_FILE
    from groundup.runs import LIVE_NAME

    rows = [
        [name, f"{stage.planned_s:.0f}", f"{stage.elapsed_s:.0f}"]
        for name, stage in results.stages.items()
    ]
    noted = (
        f"thin: {name}: {text}" for name, stage in results.stages.items() for text in stage.thin
    )
    thin = [line for note in noted for line in wrapped(note, terminal_columns(), "      ")]
    typed, named, live = program(), shlex.quote(str(folder)), folder / LIVE_NAME
    chats, classifiers = results.of_kind("chat"), results.of_kind("classifier")
    has_page = len(chats) == 1 or (not chats and results.of_kind("index"))
    examples = {name: results.stages[name].facts.get("example", "TEXT") for name in classifiers}
    return [
        "",
        *table(["stage", "planned s", "actual s"], rows),
        *thin,
        "",
        *([f"Open its page:    {typed} serve {named}"] if has_page else []),
        f"Read the report:  {folder / 'report.html'}",
        *([f"Open the model:   {live}"] if live.is_file() else []),
        *own_lines(results, typed, named),
        *(
            f"Ask documents:    {typed} ask {named}/{name} 'QUESTION'"
            for name in results.of_kind("index")
        ),
        *(f"Talk to it:       {typed} chat {named}{place(chats, name)}" for name in chats),
        *(
            f"Classify with it: {typed} classify {named}{place(classifiers, name)} "
            f"{shlex.quote(examples[name])}"
            for name in classifiers
        ),
        f"All that it said: {folder / LOG_FILE}",
    ]


def stages_in(given: Sequence[str]) -> list[str]:
    """Return the names of `--with`, which may be given several times or with commas.

    >>> stages_in(["spam,chat"])
    ['spam', 'chat']
    """
    return [name.strip() for each in given for name in each.split(",") if name.strip()]


def own_lines(results: BuildResults, typed: str, named: str) -> list[str]:
    others = results.of_kind("chat") + results.of_kind("classifier")
    if "pretrain" not in results.kinds or others:
        return []
    words = shlex.quote(results.stages["evaluate"].facts.get("example") or "Once upon a time")
    return [
        f"Let it write:     {typed} generate {named} {words}",
        f"Look inside:      {typed} lab {named} --text {words}",
    ]


def place(names: Sequence[str], name: str) -> str:
    return "" if len(names) == 1 else f"/{name}"


def _plan_lines(plan: "BuildPlan") -> list[str]:
    rows = [[row.stage, f"{row.planned_s / 60:.1f}", row.what] for row in plan.stages]
    return [
        *table(["stage", "minutes", "what"], rows),
        "",
        f"memory: at most {plan.memory_bytes / 1e9:.1f} GB; "
        f"disk: {plan.disk_bytes / 1e9:.1f} GB here"
        f" and {plan.download_bytes / 1e6:.0f} MB downloaded into the cache (once).",
    ]
