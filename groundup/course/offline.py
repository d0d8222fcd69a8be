"""The course in one folder, for machines without a network: `groundup fetch --for course`.

    FOLDER/wheels/       groundup, what its notebooks import, and JupyterLab, as wheels
    FOLDER/course/       the notebooks and the texts that they read
    FOLDER/install.py    makes an environment of both on another machine (install.py of this room)
    FOLDER/offline.json  for which Python and system, and the packages that were chosen
    FOLDER/manifest.json sizes and hashes of all these: groundup verify FOLDER

pip chooses the versions once. Then the wheels are fetched in batches, each held against the hash of
the choice and kept as soon as its batch is whole, so that an interrupted command goes on with what
is missing. A model is not among them: each notebook trains its own.
"""

import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import groundup
from groundup.course import install
from groundup.course.notebook import copy_notebook, notebooks
from groundup.errors import ConfigError, NetworkError
from groundup.fetch import run_pip
from groundup.files import (
    disk_errors,
    make_folder,
    no_room,
    read_json_object,
    sha256_file,
    write_bytes,
    write_json,
    write_manifest,
)
from groundup.locks import temporary_folder
from groundup.offline import require_online
from groundup.progress import Progress, Silent

# The extra of groundup that the notebooks need, and what they are opened in.
EXTRA, LAB = "notebooks", "jupyterlab"
PLAN, WHEELS, COURSE = "offline.json", "wheels", "course"
BATCH_PACKAGES = 10
_QUIET = ("--quiet", "--no-input", "--disable-pip-version-check", "--retries", "2")


@dataclass(frozen=True)
class Package:
    """A package that pip chose, with the SHA-256 of the file that it comes from."""

    name: str
    version: str
    sha256: str

    def is_in(self, folder: Path) -> bool:
        """Whether a wheel of this version lies in `folder`."""
        own = [_normal(self.name), _normal(self.version)]
        return any(list(map(_normal, file.name.split("-")[:2])) == own for file in _wheels(folder))


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

    What is there already is kept. Raises NetworkError (no pip, or a package that can't be fetched),
    ConfigError (groundup was not installed from its source) and DiskError.
    """
    progress, folder = progress or Silent(), folder.absolute()
    wheels = make_folder(folder / WHEELS)
    packages = _chosen(folder, _own_wheel(wheels), progress)
    _fetch(packages, wheels, progress)
    known = notebooks()
    for notebook in known:
        copy_notebook(notebook, folder / COURSE, fresh=True)
    assert install.__file__
    write_bytes(folder / "install.py", Path(install.__file__).read_bytes())
    write_manifest(folder)
    sizes = [_size_bytes(folder / name) for name in (WHEELS, COURSE)]
    return OfflineCourse(folder, len(packages) + 1, sizes[0], len(known), sizes[1])


def _own_wheel(wheels: Path) -> Path:
    """Build groundup's wheel into `wheels` from the source that runs; an equal one is kept."""
    source = Path(groundup.__file__).parents[1]
    if not (source / "pyproject.toml").is_file():
        raise ConfigError(
            "groundup was not installed from its source, so no wheel can be made of it.",
            fix="Run this in a clone of the repository, installed with: pip install -e .",
        )
    with disk_errors(wheels), temporary_folder(wheels.parent) as temporary:
        _pip("wheel", ("--no-deps", "-w", str(temporary / "own"), str(source)), temporary)
        (made,) = (temporary / "own").glob("groundup-*.whl")
        for old in wheels.glob("groundup-*.whl"):
            old.unlink()
        write_bytes(wheels / made.name, made.read_bytes())
    return wheels / made.name


def _chosen(folder: Path, own: Path, progress: Progress) -> list[Package]:
    """Return the packages that pip chooses beside groundup; a choice made for an equal wheel of it
    on an equal system is read from the folder.
    """
    file, made_for = folder / PLAN, {**install.this_machine(), "groundup": sha256_file(own)}
    if file.is_file():
        plan = read_json_object(file)
        if plan.get("made_for") == made_for:
            return [Package(**each) for each in plan["packages"]]
    progress.say("Choosing the packages with pip, which takes some minutes ...")
    with disk_errors(folder), temporary_folder(folder) as temporary:
        report = temporary / "report.json"
        options = ("--dry-run", "--ignore-installed", "--report", str(report))
        _pip("install", (*options, f"{own}[{EXTRA}]", LAB), temporary)
        packages = _reported(read_json_object(report))
    plan = {
        "made_for": made_for,
        "requirements": [f"groundup[{EXTRA}]", LAB],
        "packages": [asdict(each) for each in packages],
    }
    write_json(file, plan)
    return packages


def _reported(report: dict[str, Any]) -> list[Package]:
    """Return the packages of pip's installation report (its format version 1), without groundup."""
    found = []
    for item in report["install"]:
        about, origin = item["metadata"], item["download_info"]["archive_info"]
        if about["name"] != "groundup":
            found.append(Package(about["name"], about["version"], origin["hashes"]["sha256"]))
    return found


def _fetch(packages: list[Package], wheels: Path, progress: Progress) -> None:
    left = [each for each in packages if not each.is_in(wheels)]
    if not left:
        return
    here = f", {len(packages) - len(left)} are here" if len(left) < len(packages) else ""
    progress.say(f"Fetching {len(left)} packages with pip{here} ...")
    with disk_errors(wheels), progress.track("fetch", len(left), "packages") as advance:
        for start in range(0, len(left), BATCH_PACKAGES):
            batch = left[start : start + BATCH_PACKAGES]
            with temporary_folder(wheels.parent) as temporary:
                listed = temporary / "requirements.txt"
                pinned = (f"{p.name}=={p.version} --hash=sha256:{p.sha256}\n" for p in batch)
                listed.write_text("".join(pinned), encoding="utf-8")
                options = ("--no-deps", "--require-hashes", "-w", str(temporary / "out"))
                _pip("wheel", (*options, "--requirement", str(listed)), temporary)
                for file in _wheels(temporary / "out"):
                    file.replace(wheels / file.name)
            advance(len(batch))


def _pip(verb: str, words: tuple[str, ...], folder: Path) -> None:
    """Run pip. Raises NetworkError, DiskError."""
    require_online("What the course needs")
    again = "Check the network and pip's settings, then run the same command again: it goes on."
    try:
        done = run_pip([sys.executable, "-m", "pip", verb, *_QUIET, *words], folder, None)
    except subprocess.TimeoutExpired as error:
        raise NetworkError("pip did not end in time.", fix=again) from error
    said = done.stderr or done.stdout
    if not done.returncode:
        return
    if "No space left on device" in said:
        raise no_room(folder)
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["no message"]
    faults = [line for line in lines if line.lower().startswith("error")] or lines
    raise NetworkError(f"pip could not fetch what the course needs: {faults[-1][:300]}.", fix=again)


def _wheels(folder: Path) -> list[Path]:
    return list(folder.glob("*.whl"))


def _normal(name: str) -> str:
    """Return a name or version in one form: the files of wheels write some characters as _."""
    return re.sub(r"[-_.+]+", "_", name.lower())


def _size_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def system_name() -> str:
    """Return this system in words, such as "Python 3.11 on Linux (x86_64)"."""
    return install.in_words(install.this_machine())
