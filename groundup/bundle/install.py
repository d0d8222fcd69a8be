"""The script of a folder that `groundup fetch` wrote: it installs groundup from the folder, without
any network. It needs Python alone, and nothing of groundup.

    python3 install.py            into a folder of the home folder, which it names
    python3 install.py PLACE
"""

import json
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = "from groundup.files import cache_folder; print(cache_folder())"


def this_machine() -> dict[str, str]:
    """Return what a wheel depends on: Python's version, system and processor."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"python": version, "system": platform.system(), "machine": platform.machine()}


def main() -> int:
    """Make the environment, install, copy what lies beside the wheels, say how to begin; the exit
    code.
    """
    plan = json.loads((HERE / "offline.json").read_text(encoding="utf-8"))
    found = this_machine()
    wanted = {key: plan["made_for"][key] for key in found}
    if wanted != found:
        print(f"error: This folder is for {in_words(wanted)}; this is {in_words(found)}.")
        print("       Run the same `groundup fetch` on a machine of the same kind as this one.")
        return 2
    place = Path.home() / plan["place"]
    if len(sys.argv) > 1:
        place = Path(sys.argv[1])
    place = place.resolve()
    environment = place / ".venv"
    programs = environment / ("Scripts" if sys.platform == "win32" else "bin")
    print(f"Installing into {place}, which takes some minutes ...", flush=True)
    venv.create(environment, with_pip=True)
    wheels = ("--no-index", "--find-links", str(HERE / "wheels"))
    quiet = ("--isolated", "--quiet", "--disable-pip-version-check", "--no-input")
    command = [str(programs / "python"), "-m", "pip", *quiet, "install", *wheels]
    done = subprocess.run([*command, *plan["requirements"]], check=False)
    if done.returncode:
        print("error: pip could not install; its message stands above.")
        print("       Copy the folder again, and check it on the first machine: groundup verify.")
        return 2
    target = place
    if plan["into_cache"]:
        asked = [str(programs / "python"), "-I", "-c", CACHE]
        said = subprocess.run(asked, check=True, stdout=subprocess.PIPE, encoding="utf-8")
        target = Path(said.stdout.strip())
    copy_missing(HERE / plan["folder"], target)
    words = plan["begin"].replace("{place}", f'"{place}"')
    print(f'Done. Begin with:\n    "{programs / "groundup"}" {words}')
    return 0


def copy_missing(folder: Path, target: Path) -> None:
    """Copy the files that are not there: a pupil's own work stays."""
    for file in sorted(folder.rglob("*")):
        copied = target / file.relative_to(folder)
        if file.is_file() and not copied.exists():
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied)


def in_words(made: dict[str, str]) -> str:
    """Return such a machine in words."""
    return f"Python {made['python']} on {made['system']} ({made['machine']})"


if __name__ == "__main__":
    sys.exit(main())
