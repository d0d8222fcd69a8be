"""What `groundup serve` serves of a build: its index, its assistant with its actions, its classifiers,
each by a name.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.cli.options import ActionOptions

if TYPE_CHECKING:
    from groundup.serve.indexes import ServedIndexes


def name_and_path(given: str) -> tuple[str, str]:
    """Return the name and path of NAME=PATH, or of a path (or a catalog's name), whose last part is
    the name.

    >>> name_and_path("my=runs/x/chat"), name_and_path("runs/x")
    (('my', 'runs/x/chat'), ('x', 'runs/x'))
    """
    from groundup.files import safe_name
    from groundup.serve.model_registry import default_name

    name, equals, path = given.partition("=")
    if equals and not os.path.exists(given):
        return safe_name(name), path
    return default_name(Path(given)), given


def indexes_of_builds(models: Sequence[str]) -> list[str]:
    """Of the builds among the models, as NAME=PATH: a build's only one has the build's name. Raises
    FormatError.
    """
    from groundup.retrieve.assistant import index_folders

    found: list[str] = []
    for name, path in map(name_and_path, models):
        folders = index_folders(Path(path))
        if len(folders) == 1:
            found.append(f"{name}={folders[0]}")
        else:
            found += [f"{name}-{folder.name}={folder}" for folder in folders]
    return found


def assistants_of(models: Sequence[str], indexes: Sequence[str]) -> dict[str, str]:
    """Build -> its (first) index; `indexes`: as NAME=PATH."""
    found: dict[str, str] = {}
    for name, path in map(name_and_path, models):
        for index, folder in map(name_and_path, indexes):
            if Path(folder).parent == Path(path):
                found.setdefault(name, index)
    return found


def classifiers_of_build(name: str, path: str) -> dict[str, Path]:
    """As NAME-STAGE (NAME is its chat model); {} for anything else. Raises FormatError."""
    from groundup.weights.model_io import stages_with_model

    found = stages_with_model(Path(path), "classifier")
    return {f"{name}-{stage.name}": stage for stage in found}


def open_desks(
    indexes: "ServedIndexes",
    models: Sequence[str],
    assistants: Mapping[str, str],
    actions: ActionOptions,
    *,
    trial: bool,
) -> list[str]:
    """Open the actions of the builds among the models; `trial`: also for trial customers. Return
    what to say of those. Raises ConfigError, FormatError.
    """
    from groundup.retrieve.assistant_actions import desk_of_build

    notes = []
    for name, path in map(name_and_path, models):
        desk = None
        if name in assistants:
            desk = desk_of_build(Path(path), **actions.given(), trial=trial)
        if desk is None:
            continue
        indexes.desks[assistants[name]] = desk
        if desk.trial_customer:
            what = f"nobody is signed in, and who asks is its trial customer {desk.trial_customer}"
            notes.append(f"{name}: {what} (for people: --no-trial, or --customer-header NAME)")
    return notes
