"""`groundup fetch`: all that the course needs, in one folder, for machines without a network."""

from pathlib import Path
from typing import Annotated

from typer import Option

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import JsonOption, folder_to_write
from groundup.errors import ConfigError, did_you_mean

COURSE = "course"


def command(
    purpose: Annotated[str, Option("--for", help="What it is for: course.")],
    out: Annotated[
        Path,
        Option(
            "--out",
            callback=folder_to_write,
            help="The folder to write; what is there already is kept.",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Fetch everything that the course's notebooks need into one folder, so that a class works
    without a network.

    The folder has groundup, its packages and JupyterLab as wheels, the notebooks with their texts,
    and install.py. Copy it to each laptop and run there: python3 install.py. The laptops need the
    same system and the same version of Python as this machine. A command that was stopped goes on
    with what is missing.

    Examples:
        groundup fetch --for course --out course-offline
        groundup verify course-offline
    """
    if purpose != COURSE:
        raise ConfigError(
            f"--for {purpose!r} is not known; it is for: {COURSE}.",
            fix=did_you_mean(purpose, [COURSE]) or f"Write --for {COURSE}.",
        )
    from groundup.course.offline import fetch_course, system_name

    made = fetch_course(out, console_progress())
    size_mb = (made.wheels_bytes + made.course_bytes) / 1e6
    lines = [
        f"{out}: {made.packages} packages ({made.wheels_bytes / 1e6:,.0f} MB) and "
        f"{made.notebooks} notebooks ({made.course_bytes / 1e6:,.1f} MB), for {system_name()}.",
        "On each laptop, from a copy of this folder: python3 install.py",
    ]
    plain = {**vars(made), "folder": str(made.folder), "size_mb": round(size_mb, 1)}
    print_result(lines, plain, as_json)
