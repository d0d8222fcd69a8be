"""A build of a folder of texts, whole but for its export: its stages, its closing lines, and which of its models the verbs open."""

import json
import re
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from groundup.api import public as api
from groundup.cli.build import _summary, stages_in
from groundup.cli.chat import command as chat
from groundup.cli.main import run
from groundup.device import Compute, select_compute
from groundup.errors import ModelError
from groundup.files import read_json, write_json
from groundup.migrations import BUILD
from groundup.progress import Silent
from groundup.recipes.build_config import BuildConfig
from groundup.recipes.recipe import load_recipe
from groundup.recipes.stage import StageContext
from groundup.recipes.stages import data as data_stage
from groundup.recipes.stages import report as report_stage
from groundup.report.pages.build_page import write_page
from groundup.runs import LIVE_NAME, BuildResults, provenance, read_build
from groundup.weights.model_io import find_model, require_stage

TALE = "Then the fox and the hen went down to the sea and sang. The wind was cold, but nobody wanted to go home. "
SETS = [
    "pretrain.steps=2",
    "pretrain.batch_windows=1",
    "pretrain.snapshots=0",
    "tokenizer.vocab_size=300",
    "export.quantizations=[]",
]


class Said:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def track(self, *_: object) -> object:
        raise AssertionError("opening a folder is no long work")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own")
    (root / "texts").mkdir()
    for number in range(24):
        (root / "texts" / f"{number}.txt").write_text(f"TALE {number}\n\n" + TALE * 12)
    api.build(root / "texts", root / "build", BuildConfig(settings=SETS))
    return root / "build"


def test_without_llamacpp_its_files_are_written_and_named_unchecked(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with the wheel alone: the training is not lost for a check at the end."""
    build = tmp_path / "build"
    shutil.copytree(own, build)
    monkeypatch.setitem(sys.modules, "xllamacpp", None)  # Python's own way to say: not there
    sets = [*SETS[:-1], 'export.quantizations=["f16"]']
    api.build(own.parent / "texts", build, BuildConfig(settings=sets))
    results = read_json(build / "export" / "results.json")
    assert len(results["files"]) == 1 and not results["gates"]
    assert (build / "export" / results["files"][0]["path"]).is_file()
    stage = read_build(build).stages["export"]
    assert "not compared with llama.cpp" in stage.line and "--redo export" in stage.thin[0]
    assert "the files are unchecked" in (build / "report.html").read_text()


def test_it_makes_the_model_and_tries_it_with_words_of_the_texts(own: Path) -> None:
    record, results = read_json(own / "build.json"), read_json(own / "evaluate" / "results.json")
    assert list(record["stages"]) == ["data", "tokenizer", "pretrain", "evaluate", "report"]
    assert (
        results["text"]["split"] == "test"
        and results["text"]["value"] > 0
        and "loss" not in results
    )
    prompts = [sample["prompt"] for sample in results["samples"]]
    assert prompts and set(prompts) <= {"Then the fox and", "The wind was cold"}, (
        "no heading, no word cut"
    )
    assert all(sample["text"] for sample in results["samples"])
    closing = "\n".join(_summary(read_build(own), own))
    words = record["stages"]["evaluate"]["facts"]["example"]
    assert f"generate {own} '{words}'" in closing and f"lab {own} --text '{words}'" in closing
    assert "classify" not in closing and "chat" not in closing and "Read the report" in closing


def test_the_page_with_the_model_inside_lies_beside_the_report_and_is_linked(
    own: Path, tmp_path: Path
) -> None:
    words = read_json(own / "build.json")["stages"]["evaluate"]["facts"]["example"]
    live, link = (own / LIVE_NAME).read_text(), f'<a href="{LIVE_NAME}">'
    assert f">{words}</textarea>" in live
    assert re.search(r"passages: \d+ of \d+ repeated", live)
    assert link in (own / "report.html").read_text()
    assert f"Open the model:   {own / LIVE_NAME}" in _summary(read_build(own), own)
    assert link not in write_page(own, tmp_path / "elsewhere.html").read_text()


def test_the_closing_lines_of_a_build_that_chats_name_its_page_first() -> None:
    kinds = {"index": "index", "chat": "chat"}
    results = BuildResults(**asdict(provenance()), recipe="x", kinds=kinds)
    [page, report, ask, talk, said] = _summary(results, Path("runs/x"))[-5:]
    assert page.endswith(" serve runs/x") and page.startswith("Open its page")
    assert report.startswith("Read the report") and said.startswith("All that it said")
    assert "ask runs/x/index" in ask and "chat runs/x" in talk


@pytest.mark.parametrize(("most", "why"), [(1000, "over 1,000"), (10**9, "not finite")])
def test_a_model_that_the_page_can_not_hold_is_said_and_leaves_no_older_page(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, why: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelError("The weights are not finite.", fix="")

    said, build = Said(), tmp_path / "build"
    shutil.copytree(own, build)
    monkeypatch.setattr(report_stage, "MOST_PARAMETERS", most)
    monkeypatch.setattr(report_stage, "page_contents", refuse)
    recipe = load_recipe(str(build / "recipe.toml"), BuildConfig())
    place = (build, build, recipe, 1.0, Compute(torch.device("cpu")), said)
    found = report_stage.run(StageContext(*place, sizes={}, record=lambda: None))  # type: ignore[arg-type]
    assert LIVE_NAME not in found.line
    assert not (build / LIVE_NAME).exists()
    assert LIVE_NAME not in (build / "report.html").read_text()
    assert why in said.lines[0]


def test_generate_and_lab_open_its_own_model_and_one_line_says_so(own: Path) -> None:
    said = Said()
    assert find_model(own, prefer="pretrain", progress=said) == own / "pretrain"  # type: ignore[arg-type]
    assert said.lines == [f"{own}: its own model is opened ({own / 'pretrain'})."]
    assert api.open_model(own).engine.opened.path == own / "pretrain"


def test_what_it_does_not_make_is_one_sentence_with_the_switch(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in (["chat", str(own)], ["classify", str(own), "Win a prize"]):
        assert run(verb) == 2
        shown = capsys.readouterr().err
        added = "chat" if verb[0] == "chat" else "spam"
        assert f"has no {'chat model' if added == 'chat' else 'classifier'}." in shown
        assert f"--with {added} adds one" in " ".join(shown.split())
    assert chat is not None
    served = Said()
    assert find_model(own, progress=served) == own / "pretrain"  # type: ignore[arg-type]
    assert "it has no chat model: the same build with the stage chat adds one." in served.lines[0]
    typed = {**read_json(own / "build.json"), "argv": ["groundup", "build", "my texts"]}
    write_json(tmp_path / "build.json", typed)
    assert run(["chat", str(tmp_path)]) == 2
    said = "groundup build 'my texts' --with chat adds one"
    assert said in " ".join(capsys.readouterr().err.split())


def test_evaluate_of_a_build_without_chat_measures_its_own_held_out_text(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(own), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["metric"] for row in rows} == {"bits_per_byte"}


def test_a_build_whose_chat_stage_is_not_done_is_told_to_go_on(own: Path, tmp_path: Path) -> None:
    record = read_json(own / "build.json")
    write_json(tmp_path / "build.json", {**record, "kinds": {**record["kinds"], "chat": "chat"}})
    with pytest.raises(ModelError, match="has no finished chat stage"):
        find_model(tmp_path)
    require_stage(tmp_path, "chat")
    require_stage(tmp_path / "no-build", "chat")


def test_generate_of_a_pack_opens_its_chat_model(own: Path, tmp_path: Path) -> None:
    (tmp_path / "talk").mkdir()
    (tmp_path / "talk" / "config.json").write_text("{}")
    kinds = {"index": "index", "talk": "chat"}
    write_json(tmp_path / "build.json", BUILD.stamp({"kinds": kinds, "stages": {}}))
    assert find_model(tmp_path, prefer="pretrain") == tmp_path / "talk"


def test_stages_to_add_are_given_with_commas_or_one_by_one() -> None:
    assert stages_in(["spam,chat"]) == ["spam", "chat"] == stages_in(["spam", " chat,"])


def test_the_line_of_the_data_says_how_many_files_were_skipped_and_why(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "sea.txt").write_text("The sea was calm that evening. " * 40, encoding="utf-8")
    for name in ("one", "two"):
        (texts / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    recipe = load_recipe(str(texts))
    place = (tmp_path / "data", tmp_path, recipe, 60.0, select_compute("cpu"), Silent())
    found = data_stage.run(StageContext(*place, sizes={}, record=lambda: None))
    assert "0 dropped; 2 files skipped: " in found.line
