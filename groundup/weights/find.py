"""Where the model is that a name or path means: `find_model`. Files are looked at and not read, and
torch is not imported for a folder.
"""

import os
import shlex
from pathlib import Path

from groundup.errors import ModelError
from groundup.files import is_cached, read_errors
from groundup.locks import hold
from groundup.progress import Progress
from groundup.runs import BUILD_FILE, nearest_names, read_build, read_stage_kinds
from groundup.weights.catalog import CATALOG, nearest_models
from groundup.weights.hf_config import CONFIG_FILE
from groundup.weights.pulled import pulled
from groundup.weights.verify import is_adapter

# What the kinds of a build's models are called, and what `BuildConfig.added` calls those that a folder
# of texts has not by itself.
BUILD_WORDS = {"pretrain": "own model", "chat": "chat model", "classifier": "classifier"}
SWITCHES = {"chat": "chat", "classifier": "spam"}
# What is opened of a build that does not make the preferred kind.
IN_PLACE = {"chat": "pretrain", "pretrain": "chat"}


def find_model(
    name_or_path: str | Path,
    *,
    prefer: str = "chat",
    progress: Progress | None = None,
    hashes: bool = True,
) -> Path:
    """The model folder or .gguf file that a name or path means. Raises ModelError, NetworkError.
    `hashes`: False for one that is going to be opened, which checks them.
    """
    path = Path(name_or_path)
    require_model(path)
    if os.path.isfile(path):
        return path
    if os.path.isdir(path):
        if is_cached(path):
            hold(path)
        found = _inner_model(path, prefer)
        if progress and found.parent == path and (path / BUILD_FILE).exists():
            progress.say(opened_line(path, found, prefer))
        return _with_base(found, progress)
    there = None if hashes else pulled(str(name_or_path))
    if there is not None:
        return there
    from groundup.weights.model_hub import pull

    return pull(str(name_or_path), None, progress)


def require_model(name_or_path: str | Path) -> None:
    """Raise ModelError where a name or path can't be a model; of a file the first bytes are
    read.
    """
    path = Path(name_or_path)
    # pathlib's own is_file raises for what can't be a name, such as a long prompt in the model's
    # place
    if os.path.isfile(path):
        from groundup.weights.formats import file_suffixes

        if path.suffix not in file_suffixes() and not _begins_as_gguf(path):
            fix = "Give a model's folder, a .gguf file or a name; texts and data come after the model."
            raise ModelError(f"{path} is a file that is no model.", fix=fix)
    elif not os.path.isdir(path) and str(path) not in CATALOG:
        near = nearest_names(path, "build", "run", "model")
        fix = near if near.startswith("Did") else nearest_models(str(path))
        raise ModelError(
            f"There is no model {str(path)!r}: no such folder or file, and no such name.", fix=fix
        )


def _begins_as_gguf(file: Path) -> bool:
    from groundup.weights.gguf_header import MAGIC

    with read_errors(file), file.open("rb") as handle:
        return handle.read(len(MAGIC)) == MAGIC


def _with_base(path: Path, progress: Progress | None) -> Path:
    """The base of an adapter is pulled when it is not there yet."""
    if path.is_dir() and is_adapter(path):
        from groundup.weights.adapter import base_name
        from groundup.weights.model_hub import pull

        name = base_name(path)
        if name in CATALOG and not os.path.exists(name):
            pull(name, None, progress)
    return path


def _inner_model(folder: Path, prefer: str) -> Path:
    """The folder itself, a build's stage, or the one .gguf in it."""
    if (folder / CONFIG_FILE).exists() or is_adapter(folder):
        return folder
    if (folder / BUILD_FILE).exists():
        kind = _kind_of(folder, prefer)
        found = stages_with_model(folder, kind)
        if not found:
            fix = "Run the same build again: it resumes."
            raise ModelError(f"The build {folder} has no finished {kind} stage.", fix=fix)
        if len(found) > 1:
            fix = f"Name the folder of one: {', '.join(map(str, found))}."
            raise ModelError(
                f"The build {folder} has {len(found)} finished {kind} stages.", fix=fix
            )
        return found[0]
    from groundup.weights.formats import file_suffixes
    from groundup.weights.one_file import ONE_FILE_SUFFIX

    # weights without their config.json are no model
    suffixes = [suffix for suffix in file_suffixes() if suffix != ONE_FILE_SUFFIX]
    files = sorted(file for suffix in suffixes for file in folder.glob("*" + suffix))
    if len(files) == 1:
        return files[0]
    many = f"{len(files)} {' or '.join(suffixes)} files, name one of them"
    reason = many if files else f"no {CONFIG_FILE}, so it is not a model folder, or is incomplete"
    fix = f"Give a model's folder, a .gguf file, a build's folder, or a name: {', '.join(CATALOG)}."
    raise ModelError(f"{folder} can't be opened as a model: it has {reason}.", fix=fix)


def _kind_of(build: Path, prefer: str) -> str:
    """The kind of stage that is opened: the preferred one, or what the build has in its place."""
    kinds = read_stage_kinds(build).values()
    instead = IN_PLACE.get(prefer, "")
    if prefer not in kinds and instead in kinds:
        return instead
    require_stage(build, prefer)
    return prefer


def require_stage(build: Path, kind: str) -> None:
    """A build must make a stage of this kind; what is not a build passes. Raises ModelError,
    FormatError.
    """
    if not (build / BUILD_FILE).is_file() or kind in read_stage_kinds(build).values():
        return
    fix = ""
    if kind in SWITCHES:
        fix = f"{_with_stage(build, SWITCHES[kind])} adds one; what is done stays."
    raise ModelError(f"The build {build} has no {BUILD_WORDS.get(kind, kind)}.", fix=fix)


def _with_stage(build: Path, stage: str) -> str:
    """The command of a build with one stage more, where the command line made it."""
    _, *typed = read_build(build).argv or [""]
    if typed[:1] != ["build"] or "--with" in typed:
        return f"The same build with `added` {stage}"
    return shlex.join(["groundup", *typed, "--with", stage])


def opened_line(build: Path, found: Path, prefer: str) -> str:
    """Which model of a build is opened, and how to add the one that was meant."""
    kind = read_stage_kinds(build).get(found.name, "")
    line = f"{build}: its {BUILD_WORDS.get(kind, kind)} is opened ({found})"
    if kind == prefer or prefer not in SWITCHES:
        return f"{line}."
    stage = SWITCHES[prefer]
    return (
        f"{line}; it has no {BUILD_WORDS[prefer]}: the same build with the stage {stage} adds one."
    )


def stages_with_model(build: Path, kind: str) -> list[Path]:
    """The folders of a build's finished models of a kind. Raises FormatError."""
    kinds = read_stage_kinds(build)
    return [
        build / name
        for name in kinds
        if kinds[name] == kind and (build / name / CONFIG_FILE).exists()
    ]
