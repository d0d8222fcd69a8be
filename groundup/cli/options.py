"""The options that verbs share, each defined once."""

from pathlib import Path
from typing import Annotated

import typer

SeedOption = Annotated[int, typer.Option("--seed", help="Seed of every random choice.", min=0)]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override one field: --set stage.field=value (again for more).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON (progress goes to stderr).")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Begin anew instead of going on where it stopped.")]
OutOption = Annotated[Path, typer.Option("--out", help="The folder to write.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan and do nothing.")]
ModelArgument = Annotated[
    str, typer.Argument(help="A model's name, its folder, a .gguf file, or a build folder (its chat stage).")
]
