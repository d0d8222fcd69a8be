"""Before a release: the tag names the version, the changelog has its date, and a second build, of a copy
of the files with other times and rights, has the same bytes as dist/.

    python packaging/release.py v0.1.0
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAX_WHEEL_BYTES = 8_000_000


def main(tag: str) -> None:
    version = read(r'^__version__ = "(.+)"$', ROOT / "groundup/__init__.py")
    if tag != f"v{version}":
        sys.exit(f"The tag is {tag}, the version in groundup/__init__.py is {version}.")
    read(rf"^## {re.escape(version)} \((\d{{4}}-\d\d-\d\d)\)$", ROOT / "CHANGELOG.md")
    with tempfile.TemporaryDirectory() as folder:
        again = built_again(Path(folder))
        for file in sorted((ROOT / "dist").iterdir()):
            if file.read_bytes() != (again / file.name).read_bytes():
                sys.exit(f"{file.name}: a second build has other bytes.")
            if file.suffix == ".whl" and file.stat().st_size > MAX_WHEEL_BYTES:
                sys.exit(f"{file.name} has {file.stat().st_size:,} bytes.")
            print(f"{file.name}: {file.stat().st_size:,} bytes, built twice, equal")


def read(pattern: str, file: Path) -> str:
    found = re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        sys.exit(f"{file.name} has no line {pattern}")
    return found[1]


def built_again(folder: Path) -> Path:
    """Build a copy of the files that git knows; return where."""
    copy, dist = folder / "copy", folder / "dist"
    known = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in known.stdout.decode().rstrip("\0").split("\0"):
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
        os.utime(target, (10**9, 10**9))
        target.chmod(0o600)
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(dist)]
    subprocess.run(command, cwd=copy, check=True, stdout=subprocess.DEVNULL)
    return dist


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Say which tag: make release-files TAG=v0.1.0")
    main(sys.argv[1])
