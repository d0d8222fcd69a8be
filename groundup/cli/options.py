"""The options that verbs share, each defined once.

TrainingLength, TrainingTexts, FinetuneOptions, ListenOptions      options that verbs take together
grouped                                                            makes a parameter of such a type into its options
"""

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

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


def grouped(shown: Mapping[str, str] | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator: each parameter of a command whose type is a dataclass becomes one option a field, in its place.

    Defaults are those of the parameter's own default value; `shown` says what help gives for one instead.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        groups: dict[str, Any] = {}
        parameters: dict[str, inspect.Parameter] = {}
        hints = get_type_hints(command, include_extras=True)
        for name, parameter in inspect.signature(command).parameters.items():
            parameter = parameter.replace(annotation=hints[name], kind=parameter.KEYWORD_ONLY)
            if not is_dataclass(hints[name]):
                parameters[name] = parameter
                continue
            groups[name] = hints[name]
            for field, option in get_type_hints(groups[name], include_extras=True).items():
                if shown and field in shown:
                    info = copy.copy(option.__metadata__[0])
                    info.show_default = shown[field]
                    option = Annotated[option.__origin__, info]
                parameters[field] = parameter.replace(
                    name=field, default=getattr(parameter.default, field), annotation=option
                )

        @functools.wraps(command)
        def run(**values: Any) -> None:
            for name, kind in groups.items():
                values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            command(**values)

        run.__annotations__ = {name: each.annotation for name, each in parameters.items()}
        run.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
        return run

    return decorate


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
FreshOption = Annotated[bool, typer.Option("--fresh", help="Start again instead of resuming.")]
OutOption = Annotated[Path, typer.Option("--out", callback=folder_to_write, help="The folder to write.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan and do nothing.")]
ModelArgument = Annotated[
    str, typer.Argument(help="A model's name, its folder, a .gguf file, or a build folder (its chat stage).")
]


@dataclass(frozen=True)
class TrainingLength:
    """How long and how large a training is: for `plan` and `pretrain`."""

    minutes: Annotated[float | None, typer.Option("--minutes", min=0.05, help="As long as this.")] = None
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, max=10**9, help="Or so many updates of the weights.")
    ] = None
    tokens: Annotated[
        int | None, typer.Option("--tokens", min=1, max=10**15, help="Or so many tokens read, repeats counted.")
    ] = None
    epochs: Annotated[float | None, typer.Option("--epochs", help="Or so many times over the text.")] = None
    size: Annotated[str | None, typer.Option("--size", help="About so many parameters: 10M, 1.5B.")] = None
    depth: Annotated[int | None, typer.Option("--depth", help="Or so many blocks; the rest follows.")] = None
    preset: Annotated[str | None, typer.Option("--preset", help="Or a known shape by name.")] = None


@dataclass(frozen=True)
class TrainingTexts:
    """By which law a training is planned, and how its texts are read: for `plan` and `pretrain`."""

    law: Annotated[Path | None, typer.Option("--law", help="A sweep's folder, whose scaling law is taken.")] = None
    tokenizer: TokenizerOption = None
    follow_links: FollowLinksOption = False
    settings: SetOption = None


@dataclass(frozen=True)
class FinetuneOptions:
    """How a model is fine-tuned."""

    follow_links: FollowLinksOption = False
    settings: SetOption = None
    seed: SeedOption = 0
    device: DeviceOption = "auto"
    fresh: FreshOption = False


@dataclass(frozen=True)
class ListenOptions:
    """Where a server listens and whom it lets in."""

    host: Annotated[str, typer.Option("--host", help="Where to listen; beyond this machine it needs a key.")] = (
        "127.0.0.1"
    )
    api_key: Annotated[
        str,
        typer.Option("--api-key", envvar="GROUNDUP_API_KEY", help="Let in only who brings it (Bearer, or a password)."),
    ] = ""
    is_open: Annotated[bool, typer.Option("--open", help="Let anyone in who reaches --host, without a key.")] = False
