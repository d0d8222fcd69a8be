"""The files of packaging/ agree with the package: versions, dependencies, verbs, ports, users. Other people's rules: `make check-packaging`."""

import configparser
import plistlib
import re
import runpy
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import groundup
from groundup.cli.main import load_verb
from groundup.http.limits import Limits

ROOT = Path(groundup.__file__).parents[1]
FOLDER = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONTAINERFILE = (FOLDER / "Containerfile").read_text()
RECIPE: dict[str, Any] = yaml.safe_load((FOLDER / "conda/recipe.yaml").read_text())
FORMULA = (FOLDER / "homebrew/groundup.rb").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
# PyPI's name -> conda-forge's.
ELSEWHERE = {"torch": "pytorch"}


def unit() -> configparser.SectionProxy:
    """The section [Service] of the unit for systemd."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read(FOLDER / "groundup.service")
    return parser["Service"]


def agent() -> dict[str, Any]:
    """The agent for launchd."""
    found: dict[str, Any] = plistlib.loads((FOLDER / "org.groundup.serve.plist").read_bytes())
    return found


def commands() -> dict[str, list[str]]:
    container = re.search(r"^CMD \[(.+)\]$", CONTAINERFILE, re.MULTILINE)
    formula = re.search(r'run \[opt_bin/"groundup", "serve", "(--\w+)"', FORMULA)
    assert container and formula
    return {
        "Containerfile": shlex.split(container[1].replace(",", " ")),
        "compose.yaml": COMPOSE["services"]["groundup"]["command"],
        "groundup.service": shlex.split(unit()["ExecStart"])[1:],
        "launchd": agent()["ProgramArguments"][1:],
        "groundup.rb": ["serve", formula[1]],
    }


@pytest.mark.parametrize("where", commands())
def test_what_is_started_is_a_verb_with_its_options(where: str) -> None:
    verb, *words = commands()[where]
    known = {option for each in load_verb(verb).params for option in each.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_version_and_dependencies_are_those_of_the_project() -> None:
    assert RECIPE["context"]["version"] == groundup.__version__
    assert f"/v{groundup.__version__}/groundup-{groundup.__version__}.tar.gz" in FORMULA
    wanted = {f"python {PROJECT['requires-python']}"}
    for dependency in PROJECT["dependencies"]:
        match = re.fullmatch(r"([\w-]+)(.*)", dependency)
        assert match
        wanted.add(f"{ELSEWHERE.get(match[1], match[1])} {match[2]}".strip())
    assert set(RECIPE["requirements"]["run"]) == wanted
    script = PROJECT["scripts"]["groundup"]
    assert RECIPE["build"]["python"]["entry_points"] == [f"groundup = {script}"]


def test_extras_that_are_installed_exist() -> None:
    named = re.search(r"^ARG EXTRAS=(.+)$", CONTAINERFILE, re.MULTILINE)
    formula = re.search(r"#\{buildpath\}\[(.+)\]", FORMULA)
    assert named and formula
    for extras in (named[1], formula[1]):
        assert {"serve", *extras.split(",")} <= set(PROJECT["optional-dependencies"])


def test_the_container_has_no_rights_and_says_whether_it_is_healthy() -> None:
    after = CONTAINERFILE[CONTAINERFILE.rindex("\nFROM ") :]
    assert "USER 10001:10001" in after and "HEALTHCHECK" in after and "VOLUME /models" in after
    assert "11434" in (FOLDER / "healthy.py").read_text() and "EXPOSE 11434" in after
    service = COMPOSE["services"]["groundup"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "GROUNDUP_API_KEY:?" in service["environment"]["GROUNDUP_API_KEY"]
    ports = COMPOSE["services"]["open-webui"]["ports"]
    assert "ports" not in service and all(port.startswith("127.0.0.1:") for port in ports)


def test_open_webui_is_the_version_that_was_tried() -> None:
    tried = (ROOT / "tests/serve/clients/guests/large/open_webui.txt").read_text()
    version = re.search(r"open-webui==(\S+)", tried)
    assert version
    assert COMPOSE["services"]["open-webui"]["image"].endswith(f":v{version[1]}")


def test_the_service_stops_after_the_server_has_let_answers_end() -> None:
    last_s = Limits().shutdown_s + 1
    assert int(unit()["TimeoutStopSec"]) > last_s < agent()["ExitTimeOut"]


def test_the_bill_of_materials_has_each_package_with_its_hash_and_licence() -> None:
    """`make sbom`, of a report of pip."""
    sbom = runpy.run_path(str(FOLDER / "sbom.py"))

    def reported(name: str, **about: object) -> dict[str, Any]:
        origin = {"archive_info": {"hashes": {"sha256": "a" * 64}}}
        return {"metadata": {"name": name, "version": "1.0+x", **about}, "download_info": origin}

    own = {**reported("groundup", license_expression="Apache-2.0"), "requested": True}
    classifier = ["License :: OSI Approved :: MIT License"]
    packages = [reported("b_c", classifier=classifier), own, reported("a", license="BSD\nall")]
    bill = sbom["sbom"](packages)
    assert [each["name"] for each in bill["components"]] == ["a", "b_c"]
    assert bill["components"][1]["purl"] == "pkg:pypi/b-c@1.0%2Bx"
    assert bill["metadata"]["component"]["licenses"] == [{"expression": "Apache-2.0"}]
    assert bill["components"][0]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert sbom["licence_list"](packages) == (
        "a 1.0+x: BSD\nb_c 1.0+x: MIT License\ngroundup 1.0+x: Apache-2.0\n"
    )


def test_packages_that_no_advisories_were_found_for_are_not_called_sound(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """pip-audit ends with 0 where no index of advisories can be reached."""
    check = runpy.run_path(str(FOLDER / "check.py"))
    assert all("==" in line for pinned in check["pinned_lists"]() for line in pinned.split())
    unreached = '{"dependencies": [{"name": "a", "skip_reason": "not found"}]}'
    for said in (unreached, "", "[]"):
        assert not check["advised"](said, 1)
        assert "not checked, no index of advisories" in capsys.readouterr().out
    known = '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-2026-1"}]}]}'
    assert check["advised"](known, 1)
    assert "FAULT: a: PYSEC-2026-1" in capsys.readouterr().out
