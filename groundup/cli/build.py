"""`groundup build`: every stage of a model from one command."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from groundup.api.building import build
from groundup.cli import options
from groundup.cli.console import (
    console_progress,
    print_result,
    program,
    table,
    terminal_columns,
    wrapped,
)
from groundup.recipes.build_log import LOG_FILE
from groundup.recipes.packaged import RUNS
from groundup.runs import kinds_of_stages


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
    budget: Annotated[
        str | None, Option("--budget", help="Wall time of the whole build: 3m, 10m, 1h.")
    ] = None,
    added: Annotated[
        list[str] | None,
        Option(
            "--with",
            metavar="STAGES",
            help="Of a public model besides: spam (a filter of SMS), chat, or spam,chat.",
        ),
    ] = None,
    teach: Annotated[
        bool,
        Option(
            "--teach",
            help="Continue the training of the public model on the texts before it learns to chat.",
        ),
    ] = False,
    follow_links: options.FollowLinksOption = False,
    sets: options.SetOption = None,
    seed: Annotated[
        int | None, Option("--seed", min=0, help="Random seed; by default the recipe's.")
    ] = None,
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
        groundup build quickstart --set pretrain.learning_rate=0.002 --set data.strict=true
        groundup build quickstart --dry-run
    """
    record = build(
        recipe, out, budget=budget, seed=seed, follow_links=follow_links, teach=teach, added=stages_in(added or ()),
        settings=sets, redo=redo, dry_run=dry_run, device=device, fixed_choices=fixed_choices, fresh=fresh,
        progress=console_progress(),
    )  # fmt: skip
    print_result(
        _plan_lines(record) if dry_run else _summary(record, out or RUNS / record["recipe"]),
        record,
        as_json,
    )


def _summary(record: dict[str, Any], folder: Path) -> list[str]:
    stages = record["stages"]
    rows = [
        [name, f"{e['planned_s']:.0f}", f"{e['elapsed_s']:.0f}", e["line"]]
        for name, e in stages.items()
    ]
    noted = (f"thin: {name}: {text}" for name, entry in stages.items() for text in entry["thin"])
    thin = [line for note in noted for line in wrapped(note, terminal_columns(), "      ")]
    typed, named = program(), shlex.quote(str(folder))
    kinds = kinds_of_stages(record)
    chats, classifiers, indexes = (
        [name for name, made in kinds.items() if made == kind]
        for kind in ("chat", "classifier", "index")
    )
    return [
        "",
        *table(["stage", "planned s", "actual s", "result"], rows),
        *thin,
        "",
        f"Look at it:       {folder / 'report.html'}",
        f"All that it said: {folder / LOG_FILE}",
        *own_lines(stages, kinds, typed, named),
        *(f"Ask documents:    {typed} ask {named}/{name} 'QUESTION'" for name in indexes),
        *(f"Talk to it:       {typed} chat {named}{place(chats, name)}" for name in chats),
        *(
            f"Classify with it: {typed} classify {named}{place(classifiers, name)} "
            f"{shlex.quote(stages[name]['facts'].get('example', 'TEXT'))}"
            for name in classifiers
        ),
    ]


def stages_in(given: Sequence[str]) -> list[str]:
    """Return the names of `--with`, which may be given several times or with commas.

    >>> stages_in(["spam,chat"])
    ['spam', 'chat']
    """
    return [name.strip() for each in given for name in each.split(",") if name.strip()]


def own_lines(
    stages: Mapping[str, Any], kinds: Mapping[str, str], typed: str, named: str
) -> list[str]:
    """Return how to try the model of the user's own texts, with words of these texts, where the
    build makes no other.
    """
    if "pretrain" not in kinds or {"chat", "classifier"} & set(kinds.values()):
        return []
    words = shlex.quote(
        stages.get("evaluate", {}).get("facts", {}).get("example") or "Once upon a time"
    )
    return [
        f"Let it write:     {typed} generate {named} {words}",
        f"Look inside:      {typed} lab {named} --text {words}",
    ]


def place(names: Sequence[str], name: str) -> str:
    """Return what is typed after a build's folder for one of its models of a kind: nothing for the
    only one.
    """
    return f"/{name}" if len(names) > 1 else ""


def _plan_lines(plan: dict[str, Any]) -> list[str]:
    rows = [[row["stage"], f"{row['planned_s'] / 60:.1f}", row["what"]] for row in plan["stages"]]
    return [
        *table(["stage", "minutes", "what"], rows),
        "",
        f"memory: at most {plan['memory_bytes'] / 1e9:.1f} GB; disk: {plan['disk_bytes'] / 1e9:.1f} GB here"
        f" and {plan['download_bytes'] / 1e6:.0f} MB downloaded into the cache (once).",
    ]
