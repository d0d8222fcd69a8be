"""What a wheel brings with it: an SBOM (CycloneDX 1.6, JSON) and a list of licences.

    python packaging/sbom.py dist/groundup-0.1.0-py3-none-any.whl build/sbom

pip chooses the versions as it would for a user of this system and this Python, and installs
nothing. Names, versions, licences and the hashes of the files are those of its report; older pips
than that of sbom.txt leave licences out.
"""

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

# Of a licence that stands as a whole text in the metadata, the first words.
MAX_CHARACTERS = 60


def main(wheel: Path, out: Path) -> None:
    """Write NAME-VERSION.cdx.json and NAME-VERSION.licences.txt."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
    options = ("--disable-pip-version-check", "--ignore-installed", "--report", "-", str(wheel))
    done = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE)
    packages = json.loads(done.stdout)["install"]
    name = "-".join(wheel.name.split("-")[:2])
    bill, licences = sbom(packages), licence_list(packages)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.cdx.json").write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")
    (out / f"{name}.licences.txt").write_text(licences, encoding="utf-8")
    print(f"{out}: {len(packages)} packages")


def sbom(packages: list[dict[str, Any]]) -> dict[str, Any]:
    """The bill of pip's report; the package that was asked for is what the others are parts of."""
    own = next(each for each in packages if each.get("requested"))
    others = sorted((each for each in packages if each is not own), key=purl)
    listed = [component(each) for each in others]
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([component(own), *listed]))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": component(own)},
        "components": listed,
        "dependencies": [{"ref": purl(own), "dependsOn": [purl(each) for each in others]}],
    }


def component(package: dict[str, Any]) -> dict[str, Any]:
    """One package."""
    about, hashes = package["metadata"], package["download_info"]["archive_info"]["hashes"]
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl(package),
        "name": about["name"],
        "version": about["version"],
        "purl": purl(package),
        "hashes": [{"alg": "SHA-256", "content": hashes["sha256"]}],
    }
    expression = about.get("license_expression")
    if expression:
        found["licenses"] = [{"expression": expression}]
    else:
        found["licenses"] = [{"license": {"name": licence(about)}}]
    return found


def purl(package: dict[str, Any]) -> str:
    """Its address as a package of PyPI."""
    about = package["metadata"]
    name = about["name"].lower().replace("_", "-")
    return f"pkg:pypi/{name}@{quote(about['version'], safe='.')}"


def licence(about: dict[str, Any]) -> str:
    """By the expression, the classifiers or the field, in this order."""
    named = [
        each.rpartition(" :: ")[2]
        for each in about.get("classifier", ())
        if each.startswith("License :: OSI Approved :: ")
    ]
    text = (about.get("license") or "").strip().split("\n")[0][:MAX_CHARACTERS]
    return about.get("license_expression") or ", ".join(named) or text or "not stated"


def licence_list(packages: list[dict[str, Any]]) -> str:
    """A line for each package."""
    rows = sorted(
        (about["name"].lower(), about["version"], licence(about))
        for about in (each["metadata"] for each in packages)
    )
    return "".join(f"{name} {version}: {said}\n" for name, version, said in rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
