"""The files below a folder, or those that a glob names, in the order of their names.

One walk does both: a folder is the glob `FOLDER/**`. `*`, `?` and `[...]` match within a name, `**` any folders between, as in Python's
glob; names that begin with a dot only where the pattern does. A link whose target lies outside the folder named, and every link to a folder, is
passed over and noted; with `follow_links` it is read, each real folder once, so that links in a circle end.
"""

import fnmatch
import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from groundup.errors import FormatError
from groundup.files import inside

# A folder with both is a build of ours: its data were made from texts, they are none.
BUILD_FILES = {"recipe.toml", "build.json"}
EVERYTHING = ("**",)
OUTSIDE, LINKED_FOLDER = "a link that leaves the folder", "a link to a folder"

Skip = Callable[[str, str], None]
"""Called with a reason and the name of what is passed over."""


def folder_files(root: Path, skip: Skip, *, follow_links: bool = False) -> Iterator[tuple[Path, str]]:
    """(path, name within `root`) of every file below it; hidden files, and builds of ours, are left out."""
    names = sorted(_Walk(root, EVERYTHING, skip, follow_links).names())
    yield from ((root / name, name) for name in names)


def glob_files(pattern: Path, skip: Skip, *, follow_links: bool = False) -> Iterator[tuple[Path, str]]:
    """(path, the same as text) of every file that the pattern names."""
    fixed = next(at for at, part in enumerate(pattern.parts) if glob.has_magic(part))
    root = Path(*pattern.parts[:fixed])
    names = sorted(_Walk(root, pattern.parts[fixed:], skip, follow_links).names())
    yield from ((root / name, str(root / name)) for name in names)


class _Walk:
    """One walk below `root` along the parts of a pattern."""

    def __init__(self, root: Path, parts: tuple[str, ...], skip: Skip, follow_links: bool) -> None:
        self.root, self.parts, self.skip, self.follow_links = root, parts, skip, follow_links
        self.seen: set[str] = set()

    def names(self) -> Iterator[str]:
        """The names of the files within the root, in no order."""
        waiting = [("", self._closed({0}))]
        while waiting:
            folder, states = waiting.pop()
            entries = self._entries(folder)
            if self.parts == EVERYTHING and {entry.name for entry in entries} >= BUILD_FILES:
                self.skip("a build's own folder", folder or ".")
                continue
            for entry in entries:
                after, name = self._after(states, entry.name), os.path.join(folder, entry.name)
                if after and os.path.isdir(entry):
                    if self._enters(entry, name):
                        waiting.append((name, after))
                elif len(self.parts) in after and self._is_readable(entry, name):
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

    def _after(self, states: set[int], name: str) -> set[int]:
        """Which parts of the pattern may come after `name`, where those in `states` might be next; none: it does not match."""
        hidden = name.startswith(".")
        after = set()
        for state in states & set(range(len(self.parts))):
            part = self.parts[state]
            if part == "**":
                after |= set() if hidden else {state}
            elif fnmatch.fnmatchcase(name, part) and (not hidden or part.startswith(".")):
                after.add(state + 1)
        return self._closed(after)

    def _closed(self, states: set[int]) -> set[int]:
        """`states`, and what follows each `**`, which may stand for nothing."""
        for state in sorted(states):
            while state < len(self.parts) and self.parts[state] == "**":
                state += 1
                states.add(state)
        return states
