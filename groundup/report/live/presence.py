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
        stat, lines = folder.stat(), LOCKS.read_text().splitlines()
    except OSError:
        return None
    place = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}"
    return any(fields[1:2] == ["FLOCK"] and place in fields for fields in (line.split() for line in lines))


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
