"""`groundup fetch`: what a build or the course needs of other machines, before it is needed."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from groundup.cli.build import stages_in
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.fields import ConfigFields, grouped
from groundup.cli.options import DryRunOption, JsonOption, folder_to_write
from groundup.errors import ConfigError, did_you_mean
from groundup.recipes.build_config import BuildConfig, packaged_recipes

if TYPE_CHECKING:
    from groundup.bundle.recipe import OfflineBuild
    from groundup.recipes.recipe import Recipe

COURSE = "course"


@grouped()
def command(
    purpose: Annotated[
        str,
        Option(
            "--for",
            metavar="RECIPE|PACK|FOLDER|course",
            help="What it is for: what `groundup build` is given, or course.",
        ),
    ],
    out: Annotated[
        Path | None,
        Option(
            "--out",
            callback=folder_to_write,
            help="Write all that another machine needs into this folder, groundup too; what is "
            "there is kept. Default: the cache of this machine.",
        ),
    ] = None,
    config: Annotated[
        BuildConfig, ConfigFields(*("base", "teach"), base={"metavar": "NAME|FOLDER"})
    ] = BuildConfig(),
    added: Annotated[
        list[str] | None,
        Option("--with", metavar="STAGES", help="As of `groundup build`: spam, chat."),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch what a build reads from other machines, so that it needs no network: texts, labelled
    messages, the public model, encoders. Each file is pinned by its SHA-256.

    --for course fetches what the course's notebooks need, for a class without a network; with a
    recipe, --out writes the same kind of folder for one other machine. It has groundup and its
    packages as wheels, and install.py: copy the folder there and run python3 install.py. The other
    machine needs the same system and the same version of Python as this one. A command that was
    stopped goes on with what is missing.

    --dry-run lists what would be fetched.

    Examples:
        groundup fetch --for quickstart
        groundup fetch --for quickstart --dry-run
        groundup fetch --for bank --out bank-offline
        groundup fetch --for my-texts/ --with chat
        groundup fetch --for course --out course-offline
        groundup verify course-offline
    """
    if purpose == COURSE:
        _fetch_course(out, as_json)
        return
    recipe = _recipe(purpose, replace(config, added=stages_in(added or ())))
    from groundup.bundle.recipe import downloads_of, fetch_recipe, fetch_recipe_folder

    if dry_run:
        found = downloads_of(recipe)
        rows = [
            {"name": name, "sha256": sha256, "stages": stages}
            | {"size_bytes": each.size_bytes * (len(each.files) == 1), "licence": each.licence}
            for each, stages in found
            for name, sha256 in (each.files or {each.what: ""}).items()
        ]
        print_result(_rows(rows) or [_nothing(recipe.name)], rows, as_json)
        return
    progress = console_progress()
    if out is None:
        made = fetch_recipe(recipe, progress)
    else:
        made = fetch_recipe_folder(recipe, purpose, out, progress)
    files = [{**asdict(each), "path": str(each.path)} for each in made.files]
    plain = {**asdict(made), "files": files, "folder": str(out or "")}
    print_result(_lines(made, purpose), plain, as_json)


def _recipe(purpose: str, config: BuildConfig) -> "Recipe":
    """Raises ConfigError, DataError."""
    from groundup.packs.pack import packaged_packs
    from groundup.recipes.recipe import load_recipe

    known = [COURSE, *packaged_recipes(), *packaged_packs()]
    if purpose not in known and not Path(purpose).exists():
        raise ConfigError(
            f"--for {purpose!r} is not known; it is for: {', '.join(known)}, a pack's folder, "
            "a folder of texts or a recipe.toml.",
            fix=did_you_mean(purpose, known) or "Write --for quickstart.",
        )
    return load_recipe(purpose, config)


def _fetch_course(out: Path | None, as_json: bool) -> None:
    from groundup.bundle.course import fetch_course
    from groundup.bundle.wheels import system_name

    if out is None:
        raise ConfigError(
            "--for course needs --out: a folder to carry to the class.",
            fix="Write: groundup fetch --for course --out course-offline",
        )
    made = fetch_course(out, console_progress())
    size_mb = (made.wheels_bytes + made.course_bytes) / 1e6
    lines = [
        f"{out}: {made.packages} packages ({made.wheels_bytes / 1e6:,.0f} MB) and "
        f"{made.notebooks} notebooks ({made.course_bytes / 1e6:,.1f} MB), for {system_name()}.",
        "On each laptop, from a copy of this folder: python3 install.py",
    ]
    plain = {**vars(made), "folder": str(made.folder), "size_mb": round(size_mb, 1)}
    print_result(lines, plain, as_json)


def _nothing(recipe: str) -> str:
    return f"{recipe} reads nothing from other machines."


def _rows(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    cells = [
        [
            row["name"],
            (row["size_bytes"] and f"{row['size_bytes'] / 1e6:,.1f}") or "",
            ", ".join(row["stages"]),
            row["sha256"] or "as published on the hub",
        ]
        for row in rows
    ]
    return table(["file", "MB", "stages that read it", "SHA-256"], cells)


def _lines(made: "OfflineBuild", asked: str) -> list[str]:
    from groundup.bundle.wheels import system_name
    from groundup.files import cache_path

    size = f"{made.size_bytes / 1e6:,.1f} MB"
    rows = _rows([vars(each) for each in made.files])
    if made.folder is None:
        if not rows:
            return [_nothing(made.recipe)]
        said = f"{size}, in {cache_path()}. The build needs no network now:"
        return [*rows, "", said, f"    groundup --offline build {asked}"]
    return [
        *rows,
        "",
        f"{made.folder}: these {size} and {made.packages} packages "
        f"({made.wheels_bytes / 1e6:,.0f} MB), for {system_name()}.",
        "On the other machine, from a copy of this folder: python3 install.py",
    ]
