"""The options that verbs share, each defined once."""

from pathlib import Path
from typing import Annotated

import typer

from groundup.errors import ConfigError


def folder_to_write(path: Path | None) -> Path | None:
    """Refuse, before any work, a name that can't be a folder's. Raises ConfigError."""
    if path is not None and _exists(path) and not path.is_dir():
        raise ConfigError(
            f"--out {path} is a file, expected a folder.", fix="Name a folder: an empty one, or a new one."
        )
    return path


def file_to_write(path: Path | None) -> Path | None:
    """Refuse, before any work, a name that can't be a file's. Raises ConfigError."""
    if path is not None and _exists(path) and path.is_dir():
        raise ConfigError(f"--out {path} is a folder, expected a file.", fix="Name a file, such as one in that folder.")
    return path


def possible_name(path: Path) -> Path:
    """Refuse a name that is neither a file's nor a folder's. Raises ConfigError."""
    _exists(path)
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise ConfigError(
            f"--out {str(path)[:60]}... can't be written: {error.strerror}.", fix="Shorten it."
        ) from error


SeedOption = Annotated[int, typer.Option("--seed", help="Seed of every random choice.", min=0)]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
PrecisionOption = Annotated[
    str,
    typer.Option("--precision", help="float32, bf16, int8, int4 (weights in so many bits), or auto: measured once."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override one field (again for more).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON (progress goes to stderr).")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Begin anew instead of going on where it stopped.")]
OutOption = Annotated[Path, typer.Option("--out", callback=folder_to_write, help="The folder to write.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan and do nothing.")]
HostOption = Annotated[str, typer.Option("--host", help="Where to listen; beyond this machine it needs a key.")]
ApiKeyOption = Annotated[
    str, typer.Option("--api-key", envvar="GROUNDUP_API_KEY", help="Let in only who brings it (Bearer, or a password).")
]
OpenOption = Annotated[bool, typer.Option("--open", help="Let anyone in who reaches --host, without a key.")]
ModelArgument = Annotated[
    str, typer.Argument(help="A model's name, its folder, a .gguf file, or a build folder (its chat stage).")
]
