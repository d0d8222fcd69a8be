"""The options that verbs share, each defined once."""

from pathlib import Path
from typing import Annotated

import typer

from groundup.errors import ConfigError


def folder_to_write(option: typer.CallbackParam, path: Path | None) -> Path | None:
    """Refuse, before any work, a name that can't be a folder's: a file stands there, or where a folder above it must. Raises ConfigError."""
    if path is not None:
        _require_folder(path, option, path)
    return path


def file_to_write(option: typer.CallbackParam, path: Path | None) -> Path | None:
    """Refuse, before any work, a name that can't be a file's: a folder stands there, or a file where its folder must. Raises ConfigError."""
    if path is not None:
        if _stands(path, option) and path.is_dir():
            raise ConfigError(
                f"{option.opts[0]} {path} is a folder, expected a file.",
                fix="Name a file, such as one in that folder.",
            )
        _require_folder(path.parent, option, path)
    return path


def name_to_write(option: typer.CallbackParam, path: Path) -> Path:
    """Refuse, before any work, a name that is neither a file's nor a folder's. Raises ConfigError."""
    _stands(path, option)
    _require_folder(path.parent, option, path)
    return path


def _require_folder(folder: Path, option: typer.CallbackParam, path: Path) -> None:
    """See that `folder`, needed for `path`, is one or can be made: the nearest thing there is on the way to it is a folder."""
    nearest = next((place for place in (folder, *folder.parents) if _stands(place, option)), None)
    if nearest is not None and not nearest.is_dir():
        raise ConfigError(
            f"{option.opts[0]} {path} can't be written: {nearest} is a file, expected a folder.",
            fix="Name a place in a folder that is there, or in a new one.",
        )


def _stands(path: Path, option: typer.CallbackParam) -> bool:
    """Whether anything has this name, be it a link that leads nowhere. Raises ConfigError for what can't be a name."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ConfigError(
            f"{option.opts[0]} {str(path)[:60]}... can't be written: {error.strerror}.",
            fix="Shorten it, or name another place.",
        ) from error
    return True


def following(follow_links: bool) -> list[str]:
    """--follow-links as an override of the texts' table."""
    return ["data.follow_links=true"] if follow_links else []


SeedOption = Annotated[int, typer.Option("--seed", help="Seed of every random choice.", min=0)]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
PrecisionOption = Annotated[
    str,
    typer.Option("--precision", help="float32, bf16, int8, int4 (weights in so many bits), or auto: measured once."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override one field (again for more).")
]
TokenizerOption = Annotated[
    Path | None, typer.Option("--tokenizer", help="A tokenizer's folder; by default one is trained on the texts.")
]
FollowLinksOption = Annotated[
    bool, typer.Option("--follow-links", help="Read links that leave DATA's folder; by default they are passed over.")
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
