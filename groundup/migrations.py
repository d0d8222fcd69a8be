"""The formats of the folders that groundup writes, with their versions, and the migrations that read
folders of earlier versions.

A folder has a head, a file that is read first (`run.json`, `build.json`), whose FIELD is the version
of the folder's format. Whoever changes a format adds a migration from the version before to the
format below, and a test of it (CONTRIBUTING.md); nothing else in the package knows an earlier
version. Migrations work on what was read: a folder is never rewritten because it is read, so that
its manifest and its hashes stay valid.

    write_json(folder / "run.json", RUN.stamp(values))      RUN.read(folder) -> values
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.errors import FormatError
from groundup.files import read_json_object

FIELD = "format_version"
Head = dict[str, Any]
Migration = Callable[[Head], Head]
"""From the values of one version to those of the next, the version itself left out."""
UPDATE = "Update groundup: pip install --upgrade groundup."
MAKE_AGAIN = "It is of a groundup before 0.1.0 or was altered: make it again, in another folder."


@dataclass(frozen=True)
class FolderFormat:
    """The format of a kind of folder: its head, and the migrations by the version that each reads."""

    kind: str
    head: str
    """The file that says the version."""
    migrations: Mapping[int, Migration] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """The version that is written: the one that the last migration leads to, else 1."""
        return max(self.migrations, default=0) + 1

    def stamp(self, values: Head) -> Head:
        """Return the values of a head with the version before them."""
        return {FIELD: self.version, **values}

    def read(self, folder: Path) -> Head:
        """Return the head of a folder as the current version writes it. Raises FormatError."""
        file = folder / self.head
        return self.upgrade(read_json_object(file), file)

    def upgrade(self, head: Head, file: Path) -> Head:
        """Return a head that was read as the current version writes it.

        Raises FormatError for a later version, or one that has no migration.
        """
        found = head.get(FIELD)
        if not isinstance(found, int) or isinstance(found, bool):
            raise FormatError(file, FIELD, "is missing or not a whole number", fix=MAKE_AGAIN)
        if found > self.version:
            reason = f"is {found}, and this groundup reads a {self.kind} of version {self.version}"
            raise FormatError(file, FIELD, reason, fix=UPDATE)
        values = {name: value for name, value in head.items() if name != FIELD}
        for version in range(found, self.version):
            if version not in self.migrations:
                reason = f"is {found}, which this groundup can't read any more"
                raise FormatError(file, FIELD, reason, fix=MAKE_AGAIN)
            values = self.migrations[version](values)
        return self.stamp(values)


RUN = FolderFormat("run", "run.json")
BUILD = FolderFormat("build", "build.json")
