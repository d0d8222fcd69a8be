"""Locks between processes, which the system releases when a process ends, in any way.

A command that writes a run or a build has its folder alone (`only_one`); what is read from the
cache is held until the process ends (`hold`), so that it is not removed meanwhile (`cache`).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from groundup.errors import ConfigError, DiskError
from groundup.files import disk_errors, make_folder

# The locks that are held, where Linux has the list. To try a lock would acquire it, and a run that
# starts at that moment would fail.
LOCKS = Path("/proc/locks")
_held: dict[Path, int] = {}


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, made if missing: two processes never write one run or build.

    Raises ConfigError if taken, DiskError.
    """
    with disk_errors(make_folder(folder)):
        descriptor = os.open(folder, os.O_RDONLY)
    try:  # the system releases the lock when the process ends, in any way
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    with suppress(OSError):  # a disk without locks, or a cache that only others may write
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits for a removal
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
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:  # in use, or a disk without locks
            free = False
        yield free
    finally:
        os.close(descriptor)


def is_locked(folder: Path) -> bool | None:
    """Whether a process holds the folder's lock; None where the system has no list of locks."""
    try:
        stat, text = folder.stat(), LOCKS.read_text()
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
