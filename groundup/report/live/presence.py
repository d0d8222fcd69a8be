"""Is somebody training in this folder just now? Told without touching it.

fit() holds a lock on the run's folder (`files.only_one`). To try the lock would be to take it, and a run that begins at that moment would be
refused; Linux lists the locks that are held, so we read that list. Elsewhere the age of the last line has to do.
"""

import os
from pathlib import Path

LOCKS = Path("/proc/locks")
# Seconds without a word after which a run counts as stopped. A run that is over saves its model without the lock.
QUIET_S = {False: 20.0, None: 90.0}


def is_locked(folder: Path) -> bool | None:
    """Does a process hold the folder's lock? None where the system does not tell."""
    try:
        stat, text = folder.stat(), LOCKS.read_text()
    except OSError:
        return None
    return held(text, stat.st_dev, stat.st_ino)


def held(locks: str, device: int, inode: int) -> bool | None:
    """Is a file locked, in the words of /proc/locks? None where a file of this number is, but on another device.

    It may be the same file: btrfs, for one, has a device for each subvolume, and lists the lock under that of the whole disk.
    """
    place = f"{os.major(device):02x}:{os.minor(device):02x}"
    devices = set()
    for fields in map(str.split, locks.splitlines()):
        if fields[1:2] == ["FLOCK"] and len(fields) > 5:
            found, _, number = fields[5].rpartition(":")
            devices |= {found} if number == str(inode) else set()
    return True if place in devices else None if devices else False


def status_of(*, finished: bool, locked: bool | None, quiet_s: float | None) -> str:
    """ "finished", "running", "stopped", or "waiting" (nothing was written yet).

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
