"""Every number of README and docs/benchmarks.md is a claim that stands where it says; cheap claims are measured again."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
try:
    from claim_pages import PAGES, ROOT, Block, blocks
    from claims import (
        NO_RUN,
        CanNotMeasure,
        Claim,
        Measured,
        compared,
        last_run,
        main,
        read_claims,
        run,
    )
finally:
    sys.path.remove(str(BENCHMARKS))

CLAIMS = read_claims()
ON_PAGES = {block for page in PAGES for block in blocks(page, (ROOT / page).read_text())}
CHEAP = [
    pytest.param(claim, id=name, marks=[pytest.mark.network] if claim.cheap == "network" else [])
    for name, claim in CLAIMS.items()
    if claim.cheap
]


def uncovered(on_pages: set[Block]) -> list[str]:
    """What no claim covers, as it has to be written."""
    claimed = {block for claim in CLAIMS.values() for block in claim.blocks}
    return [
        f"{block.page}, section {block.section!r}: no claim of benchmarks/claims.toml says {block}"
        for block in sorted(on_pages - claimed, key=str)
    ]


def test_every_number_of_readme_and_benchmarks_has_a_claim() -> None:
    assert not uncovered(ON_PAGES), "\n".join(uncovered(ON_PAGES))


def test_what_a_claim_says_stands_on_the_page() -> None:
    lost = [
        f"{name}: {block.page}, section {block.section!r} does not have {block}"
        for name, claim in CLAIMS.items()
        for block in claim.blocks
        if block not in ON_PAGES
    ]
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize(
    "was, becomes",
    [
        ("| 2.03 |", "| 2.03, with more time 1.9 |"),
        ("| spam,", "| an invented row | its peer | 7.5 |\n| spam,"),
        ("A difference is called", "It is 3 times as good. A difference is called"),
        ("make test      # the tests", "make test      # 2 minutes: the tests"),
    ],
)
def test_a_number_that_is_added_to_readme_is_found(was: str, becomes: str) -> None:
    text = (ROOT / "README.md").read_text()
    changed = text.replace(was, becomes)
    assert changed != text
    assert len(uncovered(set(blocks("README.md", changed)))) == 1


@pytest.mark.parametrize(
    "line, numbers",
    [
        ("int8, SmolLM2-135M, AVX-512, q8_0, bf16, GPT-2", []),
        ("on 2026-11-26, `--rounds 3`, [table](x.md#4)", []),
        ("4,096 ids, 1.38-1.58; -0.08 (+0.30), 5.41e-05-5.86e-05, 10M, 99 %", [
            "4,096", "1.38", "1.58", "-0.08", "+0.30", "5.41e-05", "5.86e-05", "10M", "99",
        ]),
    ],
)  # fmt: skip
def test_what_counts_as_a_number(line: str, numbers: list[str]) -> None:
    found = [number for block in blocks("a.md", line) for number in block.numbers]
    assert found == numbers


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS.keys())
def test_a_claim_says_where_its_results_stand_and_how_they_are_measured(claim: Claim) -> None:
    written = {number for block in claim.blocks for number in block.numbers}
    for result in claim.results:
        assert {result.old, *result.rounded} <= written, result.name
        for short in result.rounded:
            digits = len(short.partition(".")[2])
            exact = float(result.old.replace(",", "")) / (1e6 if claim.id == "demo-sizes" else 1)
            assert f"{exact:.{digits}f}" == short or abs(exact - float(short)) <= 10.0**-digits / 2
        assert bool(result.find) != bool(result.at)
        assert not result.find or re.compile(result.find).groups == 1
    assert bool(claim.command) == bool(claim.results) == bool(claim.date and claim.minutes)
    assert bool(claim.command) != bool(claim.why)
    for command in claim.command:
        files = re.findall(r"\b(?:benchmarks|tests)/[\w/.]+", command)
        assert all((ROOT / file).is_file() for file in files), command


@pytest.mark.parametrize("claim", CHEAP)
def test_a_cheap_claim_is_measured_again(
    claim: Claim,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("claims.RUNS", tmp_path / "runs")
    monkeypatch.syspath_prepend(BENCHMARKS)
    code = main([claim.id, "--json", "--keep"])
    done = json.loads(capsys.readouterr().out)
    assert [each for each in done["results"] if not each["inside"]] == [] and code == 0
    assert last_run(claim) == done


FOUND = {"tables": {"speed": [
    {"what": "encoding", "contender": "ours", "ratio": 1, "median": 8},
    {"what": "encoding", "contender": "peer", "ratio": 2.2, "median": 4},
]}, "skipped": {"memory": "the peer is not here"}}  # fmt: skip


def result_of(**keys: Any) -> Measured:
    raw = CLAIMS["tokenizer"]
    claim = type(raw)("a", "what", (), "any", None, "none", relative=0.1)
    return compared(
        claim, type(raw.results[0])("result", **keys), FOUND, "right: 40\nright: 41 of 60"
    )


def test_a_result_is_a_row_a_ratio_or_what_is_printed_and_inside_its_tolerance_or_not() -> None:
    row, ours = ("tables", "speed", "encoding", "peer"), ("tables", "speed", "ours", "median")
    assert result_of(old="2.0", at=(*row, "ratio")) == Measured("result", 2, 2.2, 0.2, True)
    assert not result_of(old="1.5", at=(*row, "ratio")).inside
    assert result_of(old="2", at=ours, over=(*row, "median")).new == 2
    assert result_of(old="40", find=r"right: (\d+)", relative=0.0, absolute=2).new == 41
    assert result_of(old="41", find=r"right: (\d+)").inside
    with pytest.raises(CanNotMeasure, match="no tables / memory / peer: the peer is not here"):
        result_of(old="1", at=("tables", "memory", "peer"))


def test_an_earlier_run_is_read_in_place_of_a_new_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, facts = tmp_path / "build.json", {"documents": 42, "characters": 5_053_860, "dropped": 1}
    tokens = {"vocab_size": 4096, "train_tokens": 1_192_833, "bytes_per_token": 3.401}
    stages = {"data": {"facts": facts}, "tokenizer": {"facts": tokens}}
    file.write_text(json.dumps({"created": "2026-11-30T01:00:00Z", "stages": stages}))
    assert main(["demo-data", "--from", str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert ["OUTSIDE" in line for line in lines[1:-2]] == [False, False, True, False, False, False]
    assert lines[-1].startswith("New: 2026-11-30")
    code, told = said(["demo-data", "--from", str(tmp_path / "none")], capsys)
    assert code == 2 and "can't be read" in told
    file.write_text("{}")
    code, told = said(["demo-data", "--from", str(file)], capsys)
    assert code == 2 and "no stages / data / facts / documents" in told


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(arguments)
    return code, capsys.readouterr().err.strip().splitlines()[-1]


def test_what_can_not_be_measured_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, told = said(["near-duplicate"], capsys)
    assert code == 2 and "near-duplicate'. Did you mean near-duplicates?" in told
    code, told = said(["prompts-int8"], capsys)
    assert code == 2 and "no command" in told
    monkeypatch.setattr("claims.ROOT", tmp_path)
    (tmp_path / "Makefile").write_text("LITGPT := .venv-litgpt\n")
    code, told = said(["training-step"], capsys)
    assert code == 2 and "make .venv-litgpt/bench.done" in told
    for command, why in (("no-such-program x", "can't be started"), ("false", "ended with 1")):
        with pytest.raises(CanNotMeasure, match=why):
            run(command)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, told = said(["tokenizer"], capsys)
    assert code == 2 and "pip install tiktoken" in told
    monkeypatch.setattr("claims.read_claims.__defaults__", (tmp_path / "claims.toml",))
    code, told = said(["tokenizer"], capsys)
    assert code == 2 and "from a clone" in told


def test_the_script_lists_all_claims_from_any_folder(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "claims.py"), "--list", "--json"]
    listed = json.loads(subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE).stdout)
    assert [row["id"] for row in listed] == [*CLAIMS]


def test_a_stored_run_is_of_the_command_and_the_results_that_its_claim_has_now() -> None:
    for file in (BENCHMARKS / "claim_runs").iterdir():
        done, claim = json.loads(file.read_text()), CLAIMS[file.stem]
        assert done["command"] == [*claim.command], f"{file.name} is of an earlier claim: remove it"
        names = {result.name: float(result.old.replace(",", "")) for result in claim.results}
        assert {each["name"]: each["old"] for each in done["results"]} == names, file.name


def test_a_claim_without_a_stored_run_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("claims.RUNS", tmp_path)
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CLAIMS)
    assert [NO_RUN in line for line in lines] == [bool(claim.command) for claim in CLAIMS.values()]
