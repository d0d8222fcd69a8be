"""What a build fetches, before it runs: `groundup fetch --for RECIPE`.

Into the cache of this machine, or into a folder for another one:

    FOLDER/cache/        what the stages read, as the cache has it
    FOLDER/wheels/ ...   groundup with what `make demo` installs (wheels.py)
    FOLDER/manifest.json sizes and hashes of all these: groundup verify FOLDER
"""

from dataclasses import dataclass, replace
from pathlib import Path

from groundup.bundle.wheels import WHEELS, Contents, folder_bytes, require_own_folder, write_wheels
from groundup.cache import stored_bytes
from groundup.files import cache_path, disk_errors, make_folder, write_manifest
from groundup.progress import Progress, Silent
from groundup.recipes.builds.pipeline import stages_of
from groundup.recipes.downloads import Download
from groundup.recipes.recipe import Recipe
from groundup.weights.stacked import link_or_copy

CACHE = "cache"
REQUIREMENTS = ("groundup[demo]",)


@dataclass(frozen=True)
class FetchedFile:
    """A file that a stage reads."""

    name: str
    """NAME==VERSION or its address; of a model that only the hub has its name."""
    sha256: str
    size_bytes: int
    stages: tuple[str, ...]
    """Which read it."""
    licence: str
    path: Path
    """In the cache."""


@dataclass(frozen=True)
class OfflineBuild:
    """What was fetched."""

    recipe: str
    files: tuple[FetchedFile, ...]
    folder: Path | None = None
    packages: int = 0
    wheels_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """Of the files."""
        return sum(file.size_bytes for file in self.files)


def downloads_of(recipe: Recipe) -> list[tuple[Download, tuple[str, ...]]]:
    """Return what the stages of a recipe fetch, each with the stages that read it. Raises
    ConfigError for a source that can't be fetched before.
    """
    found: dict[tuple[str, ...], tuple[Download, tuple[str, ...]]] = {}
    for stage in stages_of(recipe):
        for each in stage.downloads(recipe):
            key = (*each.files,) or (each.what,)
            _, stages = found.get(key, (each, ()))
            found[key] = each, (*stages, stage.name)
    return list(found.values())


def fetch_recipe(recipe: Recipe, progress: Progress | None = None) -> OfflineBuild:
    """Fetch what the stages of a recipe read into the cache; what is there is kept.

    Raises ConfigError, NetworkError, FormatError (other bytes than pinned) and DiskError.
    """
    progress, files = progress or Silent(), list[FetchedFile]()
    for download, stages in downloads_of(recipe):
        paths = download.fetch(progress)
        named = download.files or {download.what: ""}
        for (name, sha256), path in zip(named.items(), paths, strict=True):
            size = stored_bytes(path)
            files.append(FetchedFile(name, sha256, size, stages, download.licence, path))
    return OfflineBuild(recipe.name, tuple(files))


def fetch_recipe_folder(
    recipe: Recipe, asked: str, folder: Path, progress: Progress | None = None
) -> OfflineBuild:
    """Write what the stages read and groundup with its packages into `folder`, for this Python and
    this system; `asked` is what `groundup build` is given there.

    What is there is kept. Raises what `fetch_recipe` and `write_wheels` raise.
    """
    progress, folder = progress or Silent(), folder.absolute()
    require_own_folder(folder)
    make_folder(folder)  # before the downloads
    made = fetch_recipe(recipe, progress)
    contents = Contents(
        REQUIREMENTS,
        place=f"groundup-{recipe.name}",
        folder=CACHE,
        into_cache=True,
        begin=f"--offline build {asked}",
    )
    packages = write_wheels(folder, contents, progress)
    for fetched in made.files:
        for file in files_below(fetched.path):
            target = folder / CACHE / file.relative_to(cache_path())
            make_folder(target.parent)
            with disk_errors(target):
                if not target.exists():
                    link_or_copy(file, target)
    write_manifest(folder)
    size = folder_bytes(folder / WHEELS)
    return replace(made, folder=folder, packages=packages, wheels_bytes=size)


def files_below(path: Path) -> list[Path]:
    """Return a file itself, or all files of a folder."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())
