"""Temporary files and folders beside those that they become: made, and cleared away where a process
was interrupted.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from groundup.files import OLD_PREFIX, TMP_PREFIX, disk_errors


def remove_temporaries(folder: Path) -> None:
    """Remove the leftovers of interrupted writes in `folder`; a folder that was moved aside and not
    replaced is restored.

    Files that another running process is writing (its id ends the name) are kept. Raises DiskError.
    """
    with disk_errors(folder):
        for aside in folder.glob(f"{OLD_PREFIX}*"):
            path = folder / aside.name.removeprefix(OLD_PREFIX).rpartition("-")[0]
            if not path.exists() and not _another_writes(aside):
                os.rename(aside, path)
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
    with disk_errors(parent):
        made = tempfile.TemporaryDirectory(prefix=TMP_PREFIX, suffix=f"-{os.getpid()}", dir=parent)
    with made as name:
        yield Path(name)


def _another_writes(temporary: Path) -> bool:
    """Whether the process whose id ends this name is running and is not this one."""
    pid = temporary.name.rpartition("-")[2]
    if not re.fullmatch(r"[1-9][0-9]{0,8}", pid) or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)  # signal 0 only tests
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs as another user
        pass
    return True
