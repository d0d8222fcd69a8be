"""A file of one model's folder in another's, without a second copy where the disk can do that."""

import os
import shutil
from pathlib import Path


def link_or_copy(source: Path, target: Path) -> None:
    """Make a hard link, or a copy where the disk has none.

    Since our writes replace files and never modify one, the two are independent.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
