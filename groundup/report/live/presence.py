"""Whether a process is training in a folder, found out without touching it.

fit() holds a lock on the run's folder (`files.only_one`). Trying the lock would acquire it, and a run that starts at that moment would fail.
So the list of held locks is read where Linux has one; elsewhere the age of the last write decides.
"""

import os
from pathlib import Path

LOCKS = Path("/proc/locks")
# Seconds without a write after which a run counts as stopped, by whether its lock is held. A finished run saves its model without the lock.
QUIET_S = {False: 20.0, None: 90.0}


def is_locked(folder: Path) -> bool | None:
    """Whether a process holds the folder's lock; None where the system has no list of locks."""
    try:
        stat, text = folder.stat(), LOCKS.read_text()
    except OSError:
        return None
    return held(text, stat.st_dev, stat.st_ino)


def held(locks: str, device: int, inode: int) -> bool | None:
    """Whether /proc/locks lists a lock on a file; None where only a file of this inode on another device is locked.

    That may be the same file: btrfs has a device for each subvolume and lists the lock under the device of the whole disk.
    """
    expected = f"{os.major(device):02x}:{os.minor(device):02x}"
    devices = set()
    for fields in map(str.split, locks.splitlines()):
        if fields[1:2] == ["FLOCK"] and len(fields) > 5:
            found, _, number = fields[5].rpartition(":")
            devices |= {found} if number == str(inode) else set()
    return True if expected in devices else None if devices else False


def status_of(*, finished: bool, locked: bool | None, quiet_s: float | None) -> str:
    """Return "finished", "running", "stopped", or "waiting" (nothing was written yet).

    >>> status_of(finished=False, locked=True, quiet_s=600.0)
    'running'
    """
    if finished:
        return "finished"
    if locked:
        return "running"
    if quiet_s is None:
        return "waiting"
    return "running" if quiet_s < QUIET_S[locked] else "stopped"
