"""`groundup plan` and `groundup sweep` as a user meets them, on real small texts."""

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from simulated_windows import in_use

from groundup.cli.main import run
from groundup.errors import FormatError
from groundup.files import read_json
from groundup.planning.sweep import SWEEP_FILE, read_law

VOCABULARY = ["--set", "model.vocab_size=280"]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.txt").write_text(
            f"Tale {number}. The fox and the hen sang of the sea. " * 120
        )
    return folder


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements of some steps instead of seconds."""
    for name in ("measure.MEASURED_S", "measure.TRIAL_S"):
        monkeypatch.setattr(f"groundup.planning.{name}", 0.02)
    monkeypatch.setattr("groundup.planning.planner.MAX_MEASURED", 2)


def test_plan_chooses_and_says_why(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", str(texts), "--budget", "30s", *VOCABULARY, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["model"]["vocab_size"] == 280 and plan["fit"]["steps"] == plan["steps"] > 0
    used_up = any("used up" in warning for warning in plan["warnings"])
    assert plan["parameters"] > 0 and (used_up or plan["minutes"] == pytest.approx(0.5, rel=0.3))
    assert plan["minutes"] < 0.65
    assert plan["expected"]["low"] < plan["expected"]["bits_per_byte"] < plan["expected"]["high"]
    assert any("blocks x width" in reason and "(chosen)" in reason for reason in plan["reasons"])
    assert any("tokens per step" in reason for reason in plan["reasons"])
    differences = [re.findall(r"[+-]?\d\.\d{3}", reason) for reason in plan["reasons"]]
    assert all(each[0] in "+-" for found in differences for each in found), (
        "one loss for one plan: the expected one"
    )
    assert plan["context_tokens"] == plan["model"]["context_tokens"] and plan["warnings"]
    assert [path.name for path in tmp_path.iterdir()] == ["texts"], "nothing is kept"


def test_several_sources_are_planned_for_together(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = f"[[data.sources]]\nspec = '{texts / '[0-3].txt'}'\nname = 'half'\n"
    (tmp_path / "sources.toml").write_text(table)
    said = ["--depth", "1", "--steps", "9", *VOCABULARY]
    assert run(["plan", str(tmp_path / "sources.toml"), str(texts / "[4-7].txt"), *said]) == 0
    both = capsys.readouterr()
    assert (
        "half: 4 documents kept" in both.out + both.err
        and "[4-7].txt: 4 documents kept" in both.out + both.err
    )


@pytest.mark.parametrize(
    ("said", "parameters", "steps"),
    [
        (["--depth", "2", "--steps", "9"], (20_000, 60_000), 9),
        (["--size", "200k", "--tokens", "40960"], (150_000, 230_000), 40),
        (["--preset", "quickstart", "--steps", "9"], (800_000, 900_000), 9),
    ],
)
def test_what_is_said_is_not_chosen(
    texts: Path,
    capsys: pytest.CaptureFixture[str],
    said: list[str],
    parameters: tuple[int, int],
    steps: int,
) -> None:
    assert (
        run(["plan", str(texts), *said, *VOCABULARY, "--set", "fit.precision=float32", "--json"])
        == 0
    )
    plan = json.loads(capsys.readouterr().out)
    assert parameters[0] < plan["parameters"] < parameters[1]
    assert plan["steps"] == steps and plan["reasons"] == [] and plan["step_s"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere/", "--budget", "10s"], "nowhere"),
        ([], "No data and no model size"),
        (["TEXTS", "--budget", "1s"], "too short to train"),
        (["TEXTS", "--budget", "1m", "--steps", "4"], "must be given once"),
        (["TEXTS", "--size", "3X"], "can't be read"),
        (["TEXTS", "--law", "nowhere", "--steps", "1"], "has no scaling law"),
        (["TEXTS", "--steps", "99999999999999999999", "--size", "1M"], "--steps"),
        (["TEXTS", "--tokens", "99999999999999999999", "--size", "1M"], "--tokens"),
        (["TEXTS", "--machine", "h100"], "without DATA"),
        (["--machine", "abacus"], "is not a known device"),
        (["--machine", "h100", "--budget", "3m"], "--size and --tokens only"),
        (["--machine", "h100", "--test-fraction", "0"], "--size and --tokens only"),
        (["TEXTS", "--steps", "1", "--charset", "latin-99"], "'latin-99' is unknown"),
        (["TEXTS", "--steps", "1", "--test-fraction", "0.9"], "must be 0 to 0.5"),
        (["TEXTS", "--epochs", "inf"], "finite"),
        (["TEXTS", "--minutes", "inf"], "finite"),
        (["--size", "ten", "--machine", "h100"], "can't be read"),
    ],
)
def test_bad_plans_end_in_one_sentence(
    texts: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run(["plan", *(str(texts) if word == "TEXTS" else word for word in words)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


MORE_THAN_ITS_EPOCHS = ["--steps", "9999", "--set", "fit.rows.mixture.max_epochs=0.1"]


@pytest.mark.parametrize(("length", "code"), [(["--steps", "9"], 0), (MORE_THAN_ITS_EPOCHS, 2)])
def test_the_folder_of_a_plan_can_be_removed_also_of_one_that_is_refused(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: list[str], code: int
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    remove, seen, mapped = shutil.rmtree, list[str](), list[str]()

    def removed(path: Path, **options: Any) -> None:
        seen.extend(map(str, Path(path).rglob("train.bin")))
        mapped.extend(each for each in in_use() if each.startswith(str(path)))
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", removed)
    assert run(["plan", str(texts), *length, *VOCABULARY]) == code
    assert seen and not mapped  # Windows would not remove it


def test_a_missing_law_is_said_before_texts_are_read(
    texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", str(texts), "--law", "nowhere", "--steps", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: nowhere has no scaling law")


def test_the_table_of_large_models_needs_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--machine", "h100x8"]) == 0
    printed = capsys.readouterr().out
    assert "124M" in printed and "7B" in printed and "assumed" in printed
    assert run(["plan", "--size", "1B", "--machine", "a100x4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["devices"] == 4


def test_a_sweep_reads_its_texts_as_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f'"Сказка {n}. Лиса и курица поют о море. {"Лиса. " * 40}",x' for n in range(30)]
    (tmp_path / "texts.csv").write_bytes("\n".join(["story,mark", *rows, '"",x']).encode("cp1251"))
    command = [
        "sweep",
        str(tmp_path / "texts.csv"),
        "--out",
        str(tmp_path / "law"),
        "--sizes",
        "2",
        "--steps",
        "8",
    ]
    command += [
        "--text-column",
        "story",
        "--charset",
        "cp1251",
        "--test-fraction",
        "0.2",
        "--keep-dropped",
    ]
    monkeypatch.setattr("groundup.planning.sweep.sweep", lambda *_, **__: sys.exit(0))
    with pytest.raises(SystemExit):
        run(command)
    said = " ".join(capsys.readouterr().err.split())
    assert "1 files read as cp1251 (texts.csv)" in said
    card = read_json(tmp_path / "law" / "data" / "data.json")
    assert card["config"]["test_fraction"] == 0.2 and set(card["splits"]) == {
        "train",
        "validation",
        "test",
    }
    assert (tmp_path / "law" / "data" / "dropped.jsonl").read_text().count('"reason"') == 1
    assert "Лиса" in (tmp_path / "law" / "data" / "train.jsonl").read_text()


@pytest.mark.slow
def test_sweep_fits_a_law_once_and_plan_takes_it(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "law"
    command = ["sweep", str(texts), "--out", str(out), "--sizes", "2", "--steps", "8", "--json"]
    assert run(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["runs"]) == 6 and all(
        row["point"]["bits_per_byte"] > 0 for row in found["runs"]
    )
    assert len(found["asked"]) == 3 and found["asked"][0]["minutes"] == 10
    assert Path(found["picture"]).read_text().startswith("<?xml")
    assert read_law(out).floor == found["law"]["floor"]
    folder = out / "runs" / found["runs"][0]["name"]
    made = (folder / "results.json").stat().st_mtime_ns
    assert run(command) == 0, "nothing is done twice"
    assert (folder / "results.json").stat().st_mtime_ns == made
    assert json.loads(capsys.readouterr().out)["law"] == found["law"]
    assert (
        run(
            [
                "plan",
                str(out / "shards"),
                "--tokenizer",
                str(folder),
                "--law",
                str(out),
                "--depth",
                "1",
                "--steps",
                "5",
            ]
        )
        == 0
    )
    assert "bits per byte" in capsys.readouterr().out
    assert "law" in read_json(out / SWEEP_FILE)
    for part in ("runs", "flops_per_s"):
        record = read_json(out / SWEEP_FILE)
        (out / SWEEP_FILE).write_text(
            json.dumps({name: record[name] for name in record if name != part})
        )
        assert run(command) == 2, part
        assert SWEEP_FILE in capsys.readouterr().err
        (out / SWEEP_FILE).write_text(json.dumps(record))


@pytest.mark.parametrize(
    "record", [[], {"law": 1}, {"law": {"floor": 0.5}}, {"law": {"floor": "low"}}]
)
def test_a_damaged_law_is_told(tmp_path: Path, record: object) -> None:
    (tmp_path / SWEEP_FILE).write_text(json.dumps(record))
    with pytest.raises(FormatError, match=SWEEP_FILE):
        read_law(tmp_path)


def test_a_sweep_too_short_is_told(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sweep", str(texts), "--out", str(tmp_path / "law"), "--budget", "0.2s"]) == 2
    assert "too short for 3 sizes" in " ".join(capsys.readouterr().err.split())
    assert (
        run(["sweep", str(texts), "--out", str(tmp_path / "law"), "--budget", "1m", "--steps", "9"])
        == 2
    )
    assert "both give" in capsys.readouterr().err
    assert run(["sweep", str(texts), "--out", str(texts), "--budget", "1m"]) == 2
    assert "has files in it" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("length", [["--steps", "5"], ["--minutes", "1"]])
def test_a_batch_beyond_the_memory_is_refused_before_it_is_made(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], length: list[str]
) -> None:
    command = [
        "pretrain",
        str(texts),
        "--out",
        str(tmp_path / "run"),
        *length,
        "--set",
        "fit.batch_size=1000000000",
    ]
    assert run(command) == 2
    said = capsys.readouterr().err
    assert "GB are free" in said and "fit.batch_size" in said
