"""`benchmarks/tools.py`: its sixty requests are in order, and its figures are those of a model that calls because it must."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import save_language

from groundup.tokenizer.special import CHATML_TEMPLATE

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CHECK = """
from tool_requests import requests, same
asked = list(requests())
assert len({each.text for each in asked}) == 60
assert sum(each.tools[0]["function"]["name"] == each.name for each in asked) == 30
for each in asked:
    [right] = [tool["function"] for tool in each.tools if tool["function"]["name"] == each.name]
    assert right["parameters"]["properties"].keys() == each.arguments.keys()
    assert all(str(value).casefold() in each.text.casefold() for value in each.arguments.values())
    assert same(each.arguments, each.arguments) and not same({}, each.arguments)
assert same({"room": "the Kitchen ", "degrees": 21}, {"room": "kitchen", "degrees": 21})
assert not same({"room": "kitchen", "degrees": "21"}, {"room": "kitchen", "degrees": 21})
"""


def test_each_request_has_the_arguments_of_its_tool_in_its_words() -> None:
    subprocess.run([sys.executable, "-c", CHECK], cwd=BENCHMARKS, check=True)


@pytest.mark.slow
def test_a_table_has_each_outcome_with_its_interval(tmp_path: Path) -> None:
    model = save_language(tmp_path / "chatty", context_tokens=2048, template=CHATML_TEMPLATE)
    command = [sys.executable, str(BENCHMARKS / "tools.py"), "--quick", "--model", str(model)]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "out.json")],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    rows = {
        (row["tool_choice"], row["outcome"]): row
        for row in json.loads((tmp_path / "out.json").read_text())["rows"]
    }
    assert len(rows) == 6 and all(
        0 <= row["low"] <= row["value"] <= row["high"] <= 1 for row in rows.values()
    )
    assert rows["auto", "right tool"]["hits"] + rows["auto", "no call"]["hits"] <= 10
    assert done.stdout.count("%") == 18
