"""Workflows and files of packaging/ by other people's rules: `make check-packaging`.

What is no package of Python's (systemd-analyze, ruby, a newer hadolint) is taken where it is installed;
a line says what was not checked. Packages, those that are pinned here and those of `make sbom` where it was run,
are looked up in PyPI's advisories by pip-audit; a line says where these can't be reached. The exit
code is 1 where a program finds a fault.
"""

import json
import plistlib
import re
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
PIN = re.compile(r"^[a-z0-9._-]+==[^\s;]+", re.MULTILINE)


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
    faults += [audit(words) for words in (*pinned_lists(), *bills())]
    plistlib.loads((FOLDER / "org.groundup.serve.plist").read_bytes())
    return int(any(faults))


def pinned_lists() -> list[str]:
    """NAME==VERSION of each list of packages in packaging/, one a line."""
    texts = (file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.txt")))
    return ["".join(f"{pin}\n" for pin in PIN.findall(text)) for text in texts]


def bills() -> list[str]:
    """The same of what a wheel brings with it, where `make sbom` has written that."""
    files = sorted((ROOT / "build/sbom").glob("*.cdx.json"))
    parts = (json.loads(file.read_text(encoding="utf-8"))["components"] for file in files)
    return ["".join(f"{each['name']}=={each['version']}\n" for each in part) for part in parts]


def audit(packages: str) -> bool:
    """Look packages up in PyPI's advisories; return whether one has a known fault. pip-audit itself
    passes over an index that can't be reached, or has none, and ends with 0.
    """
    program = checker("pip-audit")
    if program is None:
        print("not checked, pip-audit is not installed: advisories")
        return False
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text(packages, encoding="utf-8")
        words = ("--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json")
        done = subprocess.run(
            [program, *words, "--requirement", str(listed)], capture_output=True, encoding="utf-8"
        )
    return advised(done.stdout, len(packages.split()))


def advised(said: str, count: int) -> bool:
    """Print what pip-audit's JSON says of so many packages; return whether any has a known fault."""
    try:
        found = json.loads(said)["dependencies"]
    except (ValueError, TypeError):  # it ended with an error of the network
        found = []
    passed = [each for each in found if "skip_reason" in each]
    faults = [(each["name"], one["id"]) for each in found for one in each.get("vulns", ())]
    looked_up = len(found) - len(passed)
    for name, advisory in faults:
        print(f"FAULT: {name}: {advisory}")
    if not looked_up:
        print(f"not checked, no index of advisories can be reached: {count} packages")
    elif not faults:
        print(
            f"ok: pip-audit, {looked_up} of {count} packages (the index does not have the others)"
        )
    return bool(faults)


def checker(program: str) -> str | None:
    beside = Path(sys.executable).parent
    return shutil.which(program, path=str(beside)) or shutil.which(program)


def run(program: str, *words: str) -> bool:
    """Run a checker; return whether it found a fault."""
    found = checker(program)
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
