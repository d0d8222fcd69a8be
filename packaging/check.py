"""Workflows and files of packaging/ by other people's rules: `make check-packaging`.

What is no package of Python's (systemd-analyze, ruby, a newer hadolint) is taken where it is installed;
a line says what was not checked. The exit code is 1 where a program finds a fault.
"""

import plistlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "packaging"
WORKFLOWS = sorted(str(file) for file in (ROOT / ".github/workflows").glob("*.yml"))
# Of 100, the worst, by systemd's own count; 4 is "OK", 2 "safe".
MAX_EXPOSURE = 25


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        unit = Path(folder) / "groundup.service"
        text = (FOLDER / "groundup.service").read_text(encoding="utf-8")
        unit.write_text(text.replace("/opt/groundup/bin/groundup", sys.executable), "utf-8")
        schema = ("check-jsonschema", "--builtin-schema")
        faults = [
            run(*schema, "vendor.github-workflows", *WORKFLOWS),
            run(*schema, "vendor.dependabot", str(ROOT / ".github/dependabot.yml")),
            run(*schema, "vendor.compose-spec", str(FOLDER / "compose.yaml")),
            run("actionlint", *WORKFLOWS),
            run("zizmor", "--offline", "--quiet", "--no-progress", *WORKFLOWS),
            run("hadolint", str(FOLDER / "Containerfile")),
            run("systemd-analyze", "verify", "--man=no", str(unit)),
            run(
                *("systemd-analyze", "security", "--offline=true", "--no-pager"),
                *(f"--threshold={MAX_EXPOSURE}", str(unit)),
            ),
            run("ruby", "-wc", str(FOLDER / "homebrew/groundup.rb")),
        ]
    plistlib.loads((FOLDER / "org.groundup.serve.plist").read_bytes())
    return int(any(faults))


def run(program: str, *words: str) -> bool:
    """Run a checker; return whether it found a fault."""
    beside = Path(sys.executable).parent
    found = shutil.which(program, path=str(beside)) or shutil.which(program)
    if found is None:
        print(f"not checked, {program} is not installed: {program} {' '.join(words[:3])}")
        return False
    done = subprocess.run(
        [found, *words], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    said = (done.stdout + done.stderr).strip()
    print(f"{'ok' if done.returncode == 0 else 'FAULT'}: {program} {' '.join(words[:3])}")
    if done.returncode:
        print(said)
    return done.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
