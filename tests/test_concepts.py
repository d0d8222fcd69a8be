"""The concept pages that teach: their order, numbers on paper that code of the page gives too, and pictures that compute what
PyTorch computes. That their examples run: `test_words.py`.
"""

import json
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from groundup.model import attention_steps as steps
from tests.live_shapes import needs_node
from tests.test_docs import script

CONCEPTS = Path(__file__).parents[1] / "docs" / "concepts"
EVERY = sorted(CONCEPTS.glob("*.md"))
TAUGHT = [page for page in EVERY if "images/touch/" in page.read_text()]
PARTS = ["On paper", "In code", "How others do it"]
OTHERS = ["PyTorch", "Hugging Face", "The book", "nanochat"]
MAX_COLUMNS = 80


def by_name(page: Path) -> str:
    return page.stem


@cache
def touch() -> ModuleType:
    sys.path.insert(0, str(CONCEPTS.parent / "site"))
    try:
        return script("touch")
    finally:
        sys.path.pop(0)


@cache
def computed() -> dict[str, Any]:
    """What each picture computes before it is touched, and what its script says then."""
    program = """console.log(JSON.stringify(Object.fromEntries(Object.entries(PICTURES).map(([name, picture]) =>
        [name, { numbers: picture.compute(initial(picture)), said: said(picture, initial(picture)) }]))))"""
    found: dict[str, Any] = json.loads(touch().in_node(program))
    return found


def numbers(text: str) -> set[float]:
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.replace("−", "-"))
    return {float(number) for number in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", text)}


@pytest.mark.parametrize("page", TAUGHT, ids=by_name)
def test_a_page_asks_answers_shows_computes_and_compares_in_this_order(page: Path) -> None:
    question, answer, picture, _ = page.read_text().split("\n\n", 3)
    assert re.fullmatch(r"# .+\?", question)
    assert len(re.findall(r"[.?!](?= |$)", answer)) == 3, answer
    assert re.fullmatch(r"!\[.{20,}\]\(\.\./images/touch/[\w-]+\.svg\)", picture)
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert headings[:3] == PARTS
    assert headings[3:] in ([], ["More"])
    others = page.read_text().partition("## How others do it")[2].partition("## More")[0]
    assert re.findall(r"^- \*\*(.+?)\*\*", others, re.MULTILINE) == OTHERS


@pytest.mark.parametrize("page", TAUGHT, ids=by_name)
def test_every_result_on_paper_is_one_that_the_code_of_the_page_gives(page: Path) -> None:
    """Results are set bold; the examples, which the tests run, print them."""
    paper, code = (
        page.read_text().partition(f"## {part}")[2].partition("\n## ")[0] for part in PARTS[:2]
    )
    results = set().union(*(numbers(found) for found in re.findall(r"\*\*(.+?)\*\*", paper)))
    blocks = "".join(re.findall(r"^```python\n(.*?)^```", code, re.DOTALL | re.MULTILINE))
    printed = "\n".join(line for line in blocks.splitlines() if not line.startswith((">>>", "...")))
    assert results
    assert results <= numbers(printed)


@pytest.mark.parametrize("page", EVERY, ids=by_name)
def test_no_line_of_code_is_cut_off(page: Path) -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    assert not [line for line in lines if len(line) > MAX_COLUMNS]
    beside = r"^(?:>>> |\.\.\. )\s*[^#\s].*\s# (?!doctest:)"
    assert not [line for line in lines if re.search(beside, line)]


@needs_node
def test_still_pictures_are_what_the_script_draws() -> None:
    drawn = touch().stills()
    kept = {path.stem: path.read_text() for path in touch().STILLS.glob("*.svg")}
    assert drawn == kept, "run: python docs/site/touch.py"
    assert set(kept) == {
        name for page in TAUGHT for _, _, name in touch().STILL.findall(page.read_text())
    }


@needs_node
def test_type_in_a_picture_is_legible_on_a_phone() -> None:
    """A picture is 360 units wide, and at least 340 pixels on a screen of 390."""
    sizes = re.findall(r"(?:font|font-size): ?(\d+)px", (touch().HERE / "touch.css").read_text())
    assert sizes and min(map(int, sizes)) * 340 / 360 >= 12


@needs_node
def test_scores_and_shares_of_the_pictures_are_those_of_attention() -> None:
    found = computed()["score"]["numbers"]
    keys = torch.tensor([[1.0, 0, 0, 0], [0, 2, 0, 1], [0, 0, 2, 1]])
    scaled = steps.scale(steps.scores(torch.tensor([found["query"]]).float(), keys), head_width=4)
    assert found["scores"] == pytest.approx(scaled[0].tolist())
    assert found["shares"] == pytest.approx(steps.softmax(scaled)[0].tolist())
    made = computed()["qkv"]["numbers"]
    whole = steps.masked_head(
        *(torch.tensor(made[name]).float() for name in ("query", "key", "value"))
    )
    assert made["found"] == pytest.approx(whole[2].tolist())
