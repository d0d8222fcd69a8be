"""Who may have written a file: machine code and packed weights are used only where nobody else can
have.
"""

import grp
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISLNK, S_ISVTX, S_IWGRP, S_IWOTH

# Of one path: Linux follows no more (path_resolution(7)).
MAX_LINKS = 40


def written_by_others(path: Path) -> str:
    """Return why another user may have written what stands at `path`, or is to be made there; ""
    where only this user and root can have.

    Looked at are the file or folder, the folders above it, and where links lead. A folder above may
    be one like /tmp, that all may write and whose entries only their owners replace. A group counts
    as another user unless it is the user's own (of the same name and without other members).
    """
    path = path.absolute()
    way = list(_way_to(path))
    for each in dict.fromkeys(way):
        try:
            stat = each.lstat()
        except OSError:  # it is to be made
            continue
        if stat.st_uid not in (0, os.geteuid()):
            return f"{each} belongs to another user"
        is_shared_folder = each not in (path, way[-1]) and bool(stat.st_mode & S_ISVTX)
        if S_ISLNK(stat.st_mode) or is_shared_folder:
            continue
        if stat.st_mode & S_IWOTH or (stat.st_mode & S_IWGRP and not _is_own_group(stat.st_gid)):
            return f"{each} can be written by other users"
    return ""


def _way_to(path: Path) -> Iterator[Path]:
    """Yield the folders and links that lead to what an absolute path names, and that itself last.

    A link is followed as the system does, so that the folders of links to links are among them.
    """
    place, links = Path(path.anchor), 0
    left = list(reversed(path.parts[1:]))
    yield place
    while left:
        name = left.pop()
        place /= name
        if name == "..":
            place = place.parent.parent
        yield place
        if place.is_symlink() and links < MAX_LINKS:
            links += 1
            target = place.readlink()
            left += reversed(target.parts)
            place = place.parent
            if target.is_absolute():
                place = Path(left.pop())


def _is_own_group(gid: int) -> bool:
    """Whether a group is this user's, or root's, alone."""
    try:
        group, names = grp.getgrgid(gid), {pwd.getpwuid(uid).pw_name for uid in (0, os.geteuid())}
    except KeyError:
        return False
    return group.gr_name in names and set(group.gr_mem) <= names
