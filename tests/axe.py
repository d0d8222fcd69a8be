"""axe-core in a page, from a wheel that is fetched once and whose hash is known: what a screen reader or a keyboard would stumble over."""

import zipfile
from functools import cache
from typing import Any

from groundup.fetch import fetch_package
from groundup.progress import Silent

AXE = "axe-playwright-python==0.1.8"  # a wheel with axe-core 4.12.1 in it
AXE_SHA256 = "fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8"


@cache
def program() -> str:
    with zipfile.ZipFile(fetch_package(AXE, AXE_SHA256, kind="wheel", progress=Silent())) as wheel:
        return wheel.read("axe_playwright_python/axe.min.js").decode()


def violations(page: Any, *impacts: str) -> list[tuple[str, int, str, str]]:
    """Rule, number of elements, the first of them and what is wrong there, of these impacts (none: of all)."""
    page.evaluate(f"{program()}; 0")
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 10
    return [
        (
            each["id"],
            len(each["nodes"]),
            each["nodes"][0]["html"][:200],
            each["nodes"][0]["failureSummary"],
        )
        for each in found["violations"]
        if not impacts or each["impact"] in impacts
    ]
