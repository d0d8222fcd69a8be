"""What several processes and users share: locks between processes, which the system releases when a
process ends in any way; temporary files beside those that they become, cleared away where a process
was interrupted; and who may have written a file.

A command that writes a run or a build has its folder alone (`only_one`); what is read from the
cache is held until the process ends (`hold`), so that it is not removed meanwhile (`cache`).
"""

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISLNK, S_ISVTX, S_IWGRP, S_IWOTH

from groundup.errors import ConfigError, DiskError
from groundup.files import OLD_PREFIX, TMP_PREFIX, disk_errors, make_folder
from groundup.operating_system import (
    IS_WINDOWS,
    belongs_to_another,
    is_own_group,
    is_running,
    lock,
    open_for_lock,
    replace,
)

# The locks that are held, where Linux has the list. To try a lock would acquire it, and a run that
# starts at that moment would fail.
LOCKS = Path("/proc/locks")
_held: dict[Path, int] = {}
# Of one path: Linux follows no more (path_resolution(7)).
MAX_LINKS = 40


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, made if missing: two processes never write one run or build.

    Raises ConfigError if taken, DiskError.
    """
    with disk_errors(make_folder(folder)):
        descriptor = open_for_lock(folder)
    try:  # the system releases the lock when the process ends, in any way
        try:
            lock(descriptor)
        except BlockingIOError as error:
            fix = "Wait for it, or choose another folder (`out`)."
            raise ConfigError(f"Another process is writing {folder}.", fix=fix) from error
        except OSError as error:  # ENOLCK, ENOSYS, EOPNOTSUPP: some network disks
            message = (
                f"{folder} has no locks ({error.strerror}): two processes could write it at once."
            )
            raise DiskError(message, fix="Choose a folder on another disk (`out`).") from error
        yield
    finally:
        os.close(descriptor)


def hold(path: Path) -> bool:
    """Keep an entry of the cache from being removed until this process ends, and note its use;
    return whether it is there.
    """
    try:
        descriptor = open_for_lock(path)
    except OSError:
        return False
    with suppress(OSError):  # a disk without locks, or a cache that only others may write
        lock(descriptor, shared=True, wait=True)  # waits for a removal
        os.utime(path)
    if not path.exists():
        os.close(descriptor)
        return False
    before = _held.pop(path, None)
    _held[path] = descriptor
    if before is not None:
        os.close(before)
    return True


@contextmanager
def unused(path: Path) -> Iterator[bool]:
    """Have `path` alone while nothing uses it; gives whether that is so."""
    descriptor = open_for_lock(path)
    try:
        try:
            lock(descriptor)
            free = True
        except OSError:  # in use, or a disk without locks
            free = False
        yield free
    finally:
        os.close(descriptor)


def is_locked(folder: Path) -> bool | None:
    """Whether a process holds the folder's lock; None where the system has no list of locks."""
    try:
        stat, text = folder.stat(), LOCKS.read_text(encoding="ascii")
    except OSError:
        return None
    return held(text, stat.st_dev, stat.st_ino)


def held(locks: str, device: int, inode: int) -> bool | None:
    """Whether /proc/locks lists a lock on a file; None where only a file of this inode on another
    device is locked.

    That may be the same file: btrfs has a device for each subvolume and lists the lock under the
    device of the whole disk.
    """
    expected = f"{os.major(device):02x}:{os.minor(device):02x}"
    devices = set()
    for fields in map(str.split, locks.splitlines()):
        if fields[1:2] == ["FLOCK"] and len(fields) > 5:
            found, _, number = fields[5].rpartition(":")
            if number == str(inode):
                devices.add(found)
    if not devices:
        return False
    return expected in devices or None


def remove_temporaries(folder: Path) -> None:
    """Remove the leftovers of interrupted writes in `folder`; a folder that was moved aside and not
    replaced is restored.

    Files that another running process is writing (its id ends the name) are kept. Raises DiskError.
    """
    with disk_errors(folder):
        for aside in folder.glob(f"{OLD_PREFIX}*"):
            path = folder / aside.name.removeprefix(OLD_PREFIX).rpartition("-")[0]
            if not path.exists() and not _another_writes(aside):
                replace(aside, path)
        for leftover in folder.glob(f"{TMP_PREFIX}*"):
            if _another_writes(leftover):
                continue
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a folder in `parent` that is removed afterwards; leftovers of killed processes are
    removed now. Raises DiskError.
    """
    remove_temporaries(parent)
    suffix = f"-{os.getpid()}"
    with disk_errors(parent):
        try:
            made = tempfile.TemporaryDirectory(prefix=TMP_PREFIX, suffix=suffix, dir=parent)
        except FileNotFoundError as error:  # as `make_folder`
            raise OSError(errno.EACCES, "No folder can be made there") from error
    with made as name:
        yield Path(name)


def _another_writes(temporary: Path) -> bool:
    """Whether the process whose id ends this name is running and is not this one."""
    pid = temporary.name.rpartition("-")[2]
    if not re.fullmatch(r"[1-9][0-9]{0,8}", pid) or int(pid) == os.getpid():
        return False
    return is_running(int(pid))


def written_by_others(path: Path) -> str:
    """Return why another user may have written what stands at `path`, or is to be made there; ""
    where only this user and root can have.

    Looked at are the file or folder, the folders above it, and where links lead. A folder above may
    be one like /tmp, that all may write and whose entries only their owners replace. A group counts
    as another user unless it is the user's own (of the same name and without other members). Windows
    has lists of rights instead, which are not read: only the user's own folder is taken for private.
    """
    path = path.absolute()
    if IS_WINDOWS:
        private = path.resolve().is_relative_to(Path.home().resolve())
        return "" if private else f"{path} is outside of the user's folder"
    way = list(_way_to(path))
    for each in dict.fromkeys(way):
        try:
            stat = each.lstat()
        except OSError:  # it is to be made
            continue
        if belongs_to_another(stat):
            return f"{each} belongs to another user"
        is_shared_folder = each not in (path, way[-1]) and bool(stat.st_mode & S_ISVTX)
        if S_ISLNK(stat.st_mode) or is_shared_folder:
            continue
        if stat.st_mode & S_IWOTH or (stat.st_mode & S_IWGRP and not is_own_group(stat.st_gid)):
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
