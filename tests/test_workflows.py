"""The workflows: every system and Python that is promised, actions pinned by commit, few permissions, steps that `make` runs, too."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
# Steps that are none of `make`'s: packages of the system, the one script of CI, the page of a release.
ELSE = ("sudo apt-get ", "bash .ci/run", "gh release create ")
# Job -> what it may do beside reading the repository.
WRITES = {"publish": {"id-token", "attestations"}, "page": {"contents"}}
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["jobs"]
    return found


@each_file
def test_actions_are_pinned_by_commit_with_their_version_beside(file: Path) -> None:
    used = re.findall(r"uses: (.+)", file.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_one_action_has_one_commit_everywhere() -> None:
    used = {line for file in FILES for line in re.findall(r"uses: (.+)", file.read_text())}
    names = [line.split("@")[0] for line in used]
    assert sorted(names) == sorted(set(names))


@each_file
def test_a_job_may_do_what_it_needs_and_no_more(file: Path) -> None:
    assert yaml.safe_load(file.read_text())["permissions"] == {}
    for name, job in jobs(file).items():
        writes = {what for what, right in job["permissions"].items() if right == "write"}
        assert writes == (WRITES.get(name, set()) if file.stem == "release" else set())
        assert job["timeout-minutes"] <= 180
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@each_file
def test_steps_are_those_that_anyone_can_run(file: Path) -> None:
    for job in jobs(file).values():
        for step in (step["run"] for step in job["steps"] if "run" in step):
            assert "${{" not in step, "a value written into a script is run as one"
            if step.startswith("make "):
                target = step.split()[1]
                assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
            else:
                assert step.startswith(ELSE), step


def test_every_system_and_python_is_in_the_matrix() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = [
        each.split(" :: ")[-1]
        for each in project["classifiers"]
        if each.startswith("Programming Language :: Python :: 3.")
    ]
    found = jobs(ROOT / ".github/workflows/ci.yml")
    for job in ("suite", "wheel"):
        matrix = found[job]["strategy"]["matrix"]
        assert matrix["python"] == pythons and f">={pythons[0]}" == project["requires-python"]
        assert {system.split("-")[0] for system in matrix["os"]} >= {"ubuntu", "macos"}
        assert any(system.endswith("-arm") for system in matrix["os"])
    assert any(each.startswith("windows") for each in found["wheel"]["strategy"]["matrix"]["os"])


def test_what_is_published_was_tried_and_no_password_is_kept() -> None:
    release = jobs(ROOT / ".github/workflows/release.yml")
    text = (ROOT / ".github/workflows/release.yml").read_text()
    assert release["publish"]["needs"] == "build" and release["page"]["needs"] == "publish"
    tried = [step.get("run", "").split(" TAG")[0] for step in release["build"]["steps"]]
    assert {"make release-files", "make try-wheel"} <= set(tried)
    assert "secrets." not in text and release["publish"]["environment"] == "pypi"
