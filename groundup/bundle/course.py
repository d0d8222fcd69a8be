"""The course in one folder, for machines without a network: `groundup fetch --for course`.

    FOLDER/course/       the notebooks and the texts that they read
    FOLDER/wheels/ ...   groundup, what its notebooks import, and JupyterLab (wheels.py)
    FOLDER/manifest.json sizes and hashes of all these: groundup verify FOLDER

A model is not among them: each notebook trains its own.
"""

from dataclasses import dataclass
from pathlib import Path

from groundup.bundle.wheels import WHEELS, Contents, folder_bytes, require_own_folder, write_wheels
from groundup.course.notebook import copy_notebook, notebooks
from groundup.files import write_manifest
from groundup.progress import Progress, Silent

COURSE = "course"
CONTENTS = Contents(
    requirements=("groundup[notebooks]", "jupyterlab"),
    place="groundup-course",
    folder=COURSE,
    into_cache=False,
    begin="learn 1 --out {place}",
)


@dataclass(frozen=True)
class OfflineCourse:
    """What was written."""

    folder: Path
    packages: int
    wheels_bytes: int
    notebooks: int
    course_bytes: int


def fetch_course(folder: Path, progress: Progress | None = None) -> OfflineCourse:
    """Write the course with all that it needs into `folder`, for this Python and this system.

    Raises what `write_wheels` raises.
    """
    progress, folder = progress or Silent(), folder.absolute()
    require_own_folder(folder)
    packages = write_wheels(folder, CONTENTS, progress)
    known = notebooks()
    for notebook in known:
        copy_notebook(notebook, folder / COURSE, fresh=True)
    write_manifest(folder)
    sizes = [folder_bytes(folder / name) for name in (WHEELS, COURSE)]
    return OfflineCourse(folder, packages, sizes[0], len(known), sizes[1])
