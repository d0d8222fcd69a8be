"""docs/packs/: the pages that benchmarks/pack_pages.py wrote have every question, in order, and the sums of their table."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("airline", "restaurant", "bank", "school", "writing")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_leaves_no_question_out(name: str) -> None:
    page = (ROOT / f"docs/packs/{name}.md").read_text()
    lines = (ROOT / f"benchmarks/held_out/third/{name}.jsonl").read_text().splitlines()[:20]
    rows = [line.split(" | ") for line in page.splitlines() if re.match(r"\| \d+\. ", line)]
    assert len(rows) == len(lines)
    said: dict[bool, list[str]] = {True: [], False: []}
    for place, (row, line) in enumerate(zip(rows, lines, strict=True), 1):
        asked = json.loads(line)
        question = " ".join(asked["question"].replace("|", "\\|").split())
        assert row[0].startswith(f"| {place}. {question}")
        (verdict,) = re.findall(r"<br>\*\*(.+?)\*\*", row[1])
        said[bool(asked.get("answers"))].append(verdict)
    counted = [int(found) for found in re.findall(r"^\| .* \| \d+ \| (\d+) \(", page, re.MULTILINE)]
    names = ("right", "partly", "wrong", "wrong, should answer")
    assert counted == [*(said[True].count(each) for each in names), said[False].count("right")]
