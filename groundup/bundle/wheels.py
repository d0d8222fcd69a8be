"""groundup and the packages that it needs, as wheels in a folder for a machine without a network.

    FOLDER/wheels/       groundup, its packages and what else was asked for
    FOLDER/install.py    makes an environment of them there (install.py of this room)
    FOLDER/offline.json  for which Python and system, the packages that were chosen, and what
                         install.py copies and says

pip chooses the versions once. Then the wheels are fetched in batches, each held against the hash of
the choice and kept as soon as its batch is whole, so that an interrupted command goes on with what
is missing.
"""

import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import groundup
from groundup.bundle import install
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
)
from groundup.locks import temporary_folder
from groundup.offline import require_online
from groundup.progress import Progress

PLAN, WHEELS, SCRIPT = "offline.json", "wheels", "install.py"
BATCH_PACKAGES = 10
_QUIET = ("--quiet", "--no-input", "--disable-pip-version-check", "--retries", "2")


@dataclass(frozen=True)
class Contents:
    """What the wheels are for, and what install.py does with the folder beside them."""

    requirements: tuple[str, ...]
    """Of pip; the first is groundup with its extras."""
    place: str
    """The folder that is made in the home folder where none is named."""
    folder: str
    """What is copied beside the wheels, ..."""
    into_cache: bool
    """... into groundup's cache there, else into the place."""
    begin: str
    """The command's words with which one begins; {place} stands for the place."""


@dataclass(frozen=True)
class WheelPackage:
    """A package that pip chose, with the SHA-256 of the file that it comes from."""

    name: str
    version: str
    sha256: str

    def is_in(self, folder: Path) -> bool:
        """Whether a wheel of this version lies in `folder`."""
        own = [_normal(self.name), _normal(self.version)]
        return any(list(map(_normal, file.name.split("-")[:2])) == own for file in _wheels(folder))


def require_own_folder(folder: Path) -> None:
    """Raises ConfigError where a folder has files, and none that an earlier `fetch` wrote."""
    is_used = folder.is_dir() and any(folder.iterdir())
    if is_used and not (folder / WHEELS).is_dir():
        raise ConfigError(
            f"{folder} has files in it, and is not an earlier folder of groundup fetch.",
            fix="Give a new or empty folder.",
        )


def write_wheels(folder: Path, contents: Contents, progress: Progress) -> int:
    """Write the wheels for this Python and this system, and the script; return how many there are.

    What is there already is kept. Raises NetworkError (no pip, or a package that can't be fetched),
    ConfigError (groundup was not installed from its source) and DiskError.
    """
    wheels = make_folder(folder / WHEELS)
    packages = _chosen(folder, contents, own_wheel(wheels), progress)
    _fetch(packages, wheels, progress)
    assert install.__file__
    write_bytes(folder / SCRIPT, Path(install.__file__).read_bytes())
    return len(packages) + 1


def own_wheel(wheels: Path) -> Path:
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


def _chosen(folder: Path, contents: Contents, own: Path, progress: Progress) -> list[WheelPackage]:
    """Return the packages that pip chooses beside groundup; a choice made for an equal wheel of it
    on an equal system is read from the folder.
    """
    file, made_for = folder / PLAN, {**install.this_machine(), "groundup": sha256_file(own)}
    begin = {key: getattr(contents, key) for key in ("place", "folder", "into_cache", "begin")}
    wanted = {"made_for": made_for, "requirements": list(contents.requirements), **begin}
    if file.is_file():
        plan = read_json_object(file)
        if {key: plan.get(key) for key in wanted} == wanted:
            return [WheelPackage(**each) for each in plan["packages"]]
    progress.say("Choosing the packages with pip, which takes some minutes ...")
    with disk_errors(folder), temporary_folder(folder) as temporary:
        report = temporary / "report.json"
        options = ("--dry-run", "--ignore-installed", "--report", str(report))
        extras = contents.requirements[0].removeprefix("groundup")
        _pip("install", (*options, f"{own}{extras}", *contents.requirements[1:]), temporary)
        packages = _reported(read_json_object(report))
    write_json(file, {**wanted, "packages": [asdict(each) for each in packages]})
    return packages


def _reported(report: dict[str, Any]) -> list[WheelPackage]:
    """Return the packages of pip's installation report (its format version 1), without groundup."""
    found = []
    for item in report["install"]:
        about, origin = item["metadata"], item["download_info"]["archive_info"]
        if about["name"] != "groundup":
            sha256 = origin["hashes"]["sha256"]
            found.append(WheelPackage(about["name"], about["version"], sha256))
    return found


def _fetch(packages: list[WheelPackage], wheels: Path, progress: Progress) -> None:
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
    require_online("The packages")
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
    raise NetworkError(f"pip could not fetch the packages: {faults[-1][:300]}.", fix=again)


def _wheels(folder: Path) -> list[Path]:
    return list(folder.glob("*.whl"))


def _normal(name: str) -> str:
    """Return a name or version in one form: the files of wheels write some characters as _."""
    return re.sub(r"[-_.+]+", "_", name.lower())


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below it."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def system_name() -> str:
    """Return this system in words, such as "Python 3.11 on Linux (x86_64)"."""
    return install.in_words(install.this_machine())
