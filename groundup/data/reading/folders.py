"""The files below a folder or of a glob, sorted by name.

One walk does both: a folder is the glob `FOLDER/**`. `*`, `?` and `[...]` match within a name, `**`
matches any folders, as in Python's glob; names that begin with a dot match only where the pattern
does. A link whose target is outside of the folder, and every link to a folder, is skipped and
reported; with `follow_links` it is read, each real folder once, so that cyclic links end.
"""

import fnmatch
import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from groundup.errors import FormatError
from groundup.files import inside

# A folder with both is a build of this package: its data were made from texts and are not texts.
BUILD_FILES = {"recipe.toml", "build.json"}
EVERYTHING = ("**",)
BUILD = "a build's own folder"
OUTSIDE, LINKED_FOLDER = "a link that leaves the folder", "a link to a folder"

Skip = Callable[[str, str], None]
"""A callback with the reason and the name of a skipped entry."""


def folder_files(
    root: Path, skip: Skip, *, follow_links: bool = False
) -> Iterator[tuple[Path, str]]:
    """Yield (path, name within `root`) of every file below it, without hidden files and builds."""
    names = sorted(_Walk(root, EVERYTHING, skip, follow_links).names())
    yield from ((root / name, name) for name in names)


def glob_files(
    pattern: Path, skip: Skip, *, follow_links: bool = False
) -> Iterator[tuple[Path, str]]:
    """Yield (path, the same as text) of every file that the pattern matches."""
    fixed = next(at for at, part in enumerate(pattern.parts) if glob.has_magic(part))
    root = Path(*pattern.parts[:fixed])
    names = sorted(_Walk(root, pattern.parts[fixed:], skip, follow_links).names())
    yield from ((root / name, str(root / name)) for name in names)


class Pattern:
    """The parts of a pattern between its slashes, matched name by name: a state is a part that may
    come next.
    """

    def __init__(self, parts: tuple[str, ...]) -> None:
        self.parts = parts
        self.start = self._close({0})

    def after(self, states: set[int], name: str) -> set[int]:
        """Return the pattern's parts that may follow `name`, given those that may match it; empty:
        no match.
        """
        hidden = name.startswith(".")
        after = set()
        for state in states & set(range(len(self.parts))):
            part = self.parts[state]
            if part == "**":
                if not hidden:
                    after.add(state)
            elif fnmatch.fnmatchcase(name, part) and (not hidden or part.startswith(".")):
                after.add(state + 1)
        return self._close(after)

    def matches(self, name: str) -> bool:
        """Return whether a whole name, of parts with slashes between, matches."""
        states = self.start
        for part in name.split("/"):
            states = self.after(states, part)
        return len(self.parts) in states

    def _close(self, states: set[int]) -> set[int]:
        """Return `states` and what follows each `**`, which may match nothing."""
        for state in sorted(states):
            while state < len(self.parts) and self.parts[state] == "**":
                state += 1
                states.add(state)
        return states


class _Walk:
    """A walk below `root` along the parts of a pattern."""

    def __init__(self, root: Path, parts: tuple[str, ...], skip: Skip, follow_links: bool) -> None:
        self.root, self.pattern = root, Pattern(parts)
        self.skip, self.follow_links = skip, follow_links
        self.seen: set[str] = set()

    def names(self) -> Iterator[str]:
        """Yield the names of matching files within the root, unsorted."""
        waiting = [("", self.pattern.start)]
        while waiting:
            folder, states = waiting.pop()
            entries = self._entries(folder)
            is_build = {entry.name for entry in entries} >= BUILD_FILES
            if is_build and self.pattern.parts == EVERYTHING:
                self.skip(BUILD, folder or ".")
                continue
            for entry in entries:
                after = self.pattern.after(states, entry.name)
                name = os.path.join(folder, entry.name)
                if after and os.path.isdir(entry):
                    if self._enters(entry, name):
                        waiting.append((name, after))
                elif len(self.pattern.parts) in after and self._is_readable(entry, name):
                    yield name

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        path = self.root / folder
        real = os.path.realpath(path)
        if real in self.seen:
            return []
        self.seen.add(real)
        try:
            with os.scandir(path) as found:
                return sorted(found, key=lambda entry: entry.name)
        except OSError:
            self.skip("not readable", str(path))
            return []

    def _enters(self, entry: os.DirEntry[str], name: str) -> bool:
        if entry.is_symlink() and not self.follow_links:
            self.skip(LINKED_FOLDER, name)
            return False
        return True

    def _is_readable(self, entry: os.DirEntry[str], name: str) -> bool:
        if not os.path.isfile(entry):
            self.skip("not a plain file", name)
            return False
        if entry.is_symlink() and not self.follow_links:
            try:
                inside(self.root, name)
            except FormatError:
                self.skip(OUTSIDE, name)
                return False
        return True
