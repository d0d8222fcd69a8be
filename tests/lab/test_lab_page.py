"""`groundup lab`: every view on a model and a text, as a page, as pictures, as numbers."""

import html
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import groundup
from groundup.cli.main import run
from groundup.errors import DataError, ModelError
from groundup.files import write_json
from groundup.lab import views
from groundup.lab.charts import attention_chart, heads_chart
from groundup.lab.page import PUBLIC_MODEL, picture, render, write_lab_page
from groundup.lab.style import LEAST_PIXELS, smallest_type
from groundup.lab.tokens import beginning
from groundup.lab.views import VIEWS, Contrast, View, function, look_inside
from groundup.migrations import BUILD
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.catalog import CATALOG
from groundup.weights.model_io import OpenModel, save_model
from tests.page_faults import page_faults, print_faults

TEXT = "To be, or not to be. To suffer the mind."
MARKUP = "</script><script>alert(1)</script>"
# The registry ends here; an entry of a new view goes before it.
END_OF_VIEWS = ")\n# In the order of the page."
MOVING = [name for name, view in VIEWS.items() if view.reel]


@pytest.fixture(scope="module")
def opened(model: LanguageModel, tokenizer: Tokenizer) -> OpenModel:
    return OpenModel(model, tokenizer, model.config, Path("runs/<b>tiny</b>"), "language")


@pytest.fixture(scope="module")
def inside(opened: OpenModel) -> dict[str, Any]:
    return look_inside(opened, TEXT, contrast=Contrast(corrupted="To be. Or not to suffer"))


@pytest.fixture(scope="module")
def page(inside: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of every view on a text of markup, in a folder of its own."""
    file = tmp_path_factory.mktemp("lab") / "pages" / "inside.html"
    file.parent.mkdir()
    write_lab_page({**inside, "text": MARKUP}, file)
    return file


def test_a_second_text_is_refused_before_any_other_view_is_made(
    opened: OpenModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    look = views.look_through
    monkeypatch.setattr(
        views,
        "look_through",
        lambda view, *of, **more: looked.append(view) or look(view, *of, **more),
    )
    with pytest.raises(DataError, match="same"):
        look_inside(opened, TEXT, contrast=Contrast(corrupted=TEXT))
    assert looked == [views.COMPARES]


@pytest.mark.parametrize("view", VIEWS.values(), ids=lambda view: view.name)
def test_every_view_names_functions_and_a_concept_that_exist(view: View) -> None:
    paths = (view.draw, view.chart, view.parts, view.reel, view.remark)
    assert all(callable(function(path)) for path in paths if path)
    assert (Path(__file__).parents[2] / f"docs/concepts/{view.concept}.md").is_file()


def test_a_language_model_has_every_view_as_json(inside: dict[str, Any]) -> None:
    assert set(inside["left_out"]) == set(
        MOVING
    )  # no training run behind this model: test_lab_film.py has one
    assert list(inside["views"]) == [name for name in VIEWS if name not in MOVING]
    assert json.loads(json.dumps(inside)) == inside


def test_a_view_that_does_not_suit_is_left_out_with_its_reason(opened: OpenModel) -> None:
    few = look_inside(opened, "To be", only=("tokens", "sentences"))
    assert list(few["views"]) == ["tokens"]
    assert "two sentences" in few["left_out"]["sentences"]
    with pytest.raises(DataError, match="two sentences"):
        look_inside(opened, "To be", only=("sentences",))


def test_a_classifier_is_looked_into_too(tokenizer: Tokenizer, model: LanguageModel) -> None:
    classifier = Classifier(model.config, 2)
    initialise(classifier, torch.Generator().manual_seed(0))
    opened = OpenModel(
        classifier.eval(), tokenizer, model.config, Path("spam"), "classifier", ("ham", "spam")
    )
    inside = look_inside(opened, TEXT)
    assert {
        "lens",
        "surprise",
        "context",
        "sentences",
        "ablation",
        "tracing",
        "contributions",
        *MOVING,
    } == set(inside["left_out"])
    assert inside["views"]["attribution"]["decision"] in ("ham", "spam")
    assert "classifier" in inside["left_out"]["lens"]


@pytest.mark.parametrize("name", [name for name in VIEWS if name not in MOVING])
def test_no_type_of_a_picture_is_below_12_pixels(name: str, inside: dict[str, Any]) -> None:
    assert smallest_type(function(VIEWS[name].draw)(inside["views"][name])) >= LEAST_PIXELS


def test_the_chart_shows_the_head_that_is_chosen(inside: dict[str, Any]) -> None:
    view = inside["views"]["attention"]
    chart = attention_chart(view)
    assert [choice["name"] for choice in chart["choices"]] == ["block", "head"]
    second = next(head for head in view["heads"] if (head["block"], head["head"]) == (2, 3))
    assert chart["z"][1][2] == second["weights"]
    found = inside["views"]["heads"]
    chart = heads_chart(found)
    kind = chart["choices"][0]["options"][1]
    assert chart["z"][1][0][2] == found["heads"][2]["scores"][kind]


def test_the_page_holds_every_view_and_no_markup_from_texts(page: Path) -> None:
    written = page.read_text()
    assert written.count("<section id=") == len(VIEWS) - len(MOVING)
    assert "<b>tiny" not in written
    assert "<script>alert" not in written
    assert "https://" not in written.split("<main>")[1].split("</main>")[0]


def test_neurons_stand_in_a_table_below_their_picture(page: Path) -> None:
    section = page.read_text().split('<section id="contributions">')[1].split("</section>")[0]
    assert section.count("<tr>") == 1 + 12
    assert "removed (mean)" in section


def test_help_page_and_registry_agree_on_the_views(
    inside: dict[str, Any], page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lab", "--help"]) == 0
    said = " ".join(re.sub(r"[^A-Za-z0-9_,:. ]", " ", capsys.readouterr().out).split())
    assert f"The lab has {len(VIEWS)}: tokens" in said
    assert "Of a build its own model pretrain is opened" in said
    assert f"{len(inside['views'])} of the lab's {len(VIEWS)} views" in page.read_text()


@pytest.mark.slow
def test_a_view_is_added_by_its_function_its_drawing_and_one_entry_of_the_registry(
    folder: Path, tmp_path: Path
) -> None:
    copy, page = tmp_path / "groundup", tmp_path / "page.html"
    shutil.copytree(
        Path(groundup.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    (copy / "lab/letters.py").write_text(
        'def count_letters(text):\n    return {"letters": len(text), "caption": "Counted."}\n'
    )
    (copy / "lab/drawing/letters.py").write_text(
        "from groundup.lab.style import finish, pyplot\n\n\n"
        "def draw_letters(values):\n    figure, axes = pyplot().subplots()\n"
        '    axes.barh(0, values["letters"])\n    return finish(figure, caption=values["caption"])\n'
    )
    entry = """    View(
        "letters",
        "How many letters",
        "A bar.",
        look=lambda s: function("letters:count_letters")(s.text),
        draw="drawing.letters:draw_letters",
    ),
"""
    registry = copy / "lab/views.py"
    before, after = registry.read_text().split(END_OF_VIEWS)
    registry.write_text(before + entry + END_OF_VIEWS + after)
    shown = ["lab", str(folder), "--text", TEXT, "--only", "letters"]
    written = [
        *shown,
        "--out",
        str(page),
        "--pictures",
        str(tmp_path / "pictures"),
        "--form",
        "svg",
    ]
    script = f"from groundup.cli.main import run\nfor words in {[['lab', '--help'], written, [*shown, '--json']]}: assert run(words) == 0"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"The lab has {len(VIEWS) + 1}" in " ".join(
        re.sub(r"[^A-Za-z0-9 ]", " ", said.stdout).split()
    )
    values = json.loads(said.stdout[said.stdout.index("\n{") :])
    assert values["views"]["letters"]["letters"] == len(TEXT)
    assert "How many letters" in page.read_text()
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["01-letters.svg"]


def test_the_page_says_which_model_of_a_build_it_shows(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build, page = tmp_path / "mini", tmp_path / "page.html"
    build.mkdir()
    write_json(build / "build.json", BUILD.stamp({"kinds": {"pretrain": "pretrain"}}))
    shutil.copytree(folder, build / "pretrain")
    assert run(["lab", str(build), "--text", TEXT, "--only", "tokens", "--out", str(page)]) == 0
    body = page.read_text().split("<body>")[1]
    assert "mini/pretrain" in body
    assert "own model, trained on its texts" in body


def test_a_model_too_small_to_show_a_pattern_says_so_and_names_a_public_one(
    inside: dict[str, Any], page: Path
) -> None:
    text = page.read_text()
    assert "No head of this model gives half of its attention" in text
    assert html.unescape(text).count(f"groundup lab {PUBLIC_MODEL} --text '{MARKUP}'") == 1
    assert PUBLIC_MODEL in CATALOG
    kinds = [
        {**kind, "best": [{**kind["best"][0], "score": 0.9}]}
        for kind in inside["views"]["heads"]["kinds"]
    ]
    able = {"heads": {**inside["views"]["heads"], "kinds": kinds}}
    assert "No head of this model" not in render({**inside, "views": able})


def test_every_section_leads_to_the_page_that_explains_it(
    inside: dict[str, Any], page: Path
) -> None:
    links = re.findall(
        r'<a href="([^"#]+)"', page.read_text().split("<main>")[1].split("</main>")[0]
    )
    assert len(links) == len(inside["views"])
    assert all((page.parent / link).resolve().is_file() for link in links)


@pytest.mark.parametrize("form", [pytest.param("png", marks=pytest.mark.slow), "svg"])
def test_the_same_view_gives_the_same_picture(inside: dict[str, Any], form: Any) -> None:
    view = inside["views"]["reach"]
    assert picture("reach", view, form) == picture("reach", view, form)


def test_a_beginning_is_cut_between_tokens(tokenizer: Tokenizer) -> None:
    cut = beginning(tokenizer, TEXT, 3)
    assert tokenizer.encode(cut) == tokenizer.encode(TEXT)[:3]
    assert beginning(tokenizer, TEXT, 1000) == TEXT


@pytest.fixture(scope="module")
def folder(
    model: LanguageModel, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("lab") / "tiny"
    save_model(model, path, tokenizer)
    return path


def test_the_verb_writes_page_and_pictures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, pictures = tmp_path / "page.html", tmp_path / "pictures"
    only = ("--only", "attention", "--only", "reach")
    shown = (
        "--text",
        TEXT,
        "--out",
        str(page),
        "--pictures",
        str(pictures),
        "--form",
        "svg",
        *only,
    )
    assert run(["lab", str(folder), *shown]) == 0
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in pictures.iterdir()) == ["01-attention.svg", "02-reach.svg"]
    assert "2 pictures" in capsys.readouterr().out


def test_the_verb_prints_numbers_for_scripts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lab", str(folder), "--text", TEXT, "--only", "reach", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["views"]["reach"]["heads"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--text", "to be " * 40], "longer than the model's context of 32"),
        (["--text", ""], "needs a text"),
        (["--text", TEXT, "--only", "atention"], "Did you mean 'attention'"),
        (["--text", TEXT, "--form", "gif"], "png or svg"),
    ],
)
def test_bad_input_gets_one_sentence(
    folder: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lab", str(folder), *options]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


def test_a_file_without_a_text_gets_one_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in (("rows.csv", "text\n"), ("empty.txt", "")):
        (tmp_path / name).write_text(content)
        assert run(["lab", str(folder), "--file", str(tmp_path / name)]) == 2
        assert "needs a text" in capsys.readouterr().err


def test_a_file_of_several_rows_is_read_whole(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text("text\nTo be\nor not\n")
    assert (
        run(
            ["lab", str(folder), "--file", str(tmp_path / "rows.csv"), "--only", "tokens", "--json"]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["text"] == "To be\n\nor not"


@pytest.mark.parametrize(
    ("missing", "options"), [("plotly.offline", []), ("matplotlib.pyplot", ["--film", "x.gif"])]
)
def test_a_missing_library_is_told_before_the_model_is_opened(
    missing: str,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert run(["lab", "a model that is not there", *options]) == 2
    assert "pip install 'groundup[lab]'" in capsys.readouterr().err


def test_a_model_without_tokenizer_is_refused(model: LanguageModel) -> None:
    with pytest.raises(ModelError, match="no tokenizer"):
        look_inside(OpenModel(model, None, model.config, Path("bare"), "language"), TEXT)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_offline_and_its_charts_react(
    browser: Any, inside: dict[str, Any], tmp_path: Path, width: int
) -> None:
    path = tmp_path / "page.html"
    path.write_text(render(inside), encoding="utf-8")
    complaints: list[str] = []
    requests: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("#chart-attention .heatmaplayer image", state="attached")
    assert complaints == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [path.as_uri()]
    before = page.evaluate("document.getElementById('chart-attention').data[0].z[5][5]")
    page.locator("#attention select[name=block]").select_option("2")
    page.locator("#attention select[name=head]").select_option("3")
    after = page.evaluate("document.getElementById('chart-attention').data[0].z[5][5]")
    chosen = next(
        h for h in inside["views"]["attention"]["heads"] if (h["block"], h["head"]) == (2, 3)
    )
    assert after == pytest.approx(chosen["weights"][5][5]) != before
    assert page.locator("#attention .modebar-btn").all_inner_texts() == [""] * 4
    assert not page.locator("[data-title*=Share]").count()
    page.wait_for_function("document.getElementById('chart-embeddings').dataset.labelled")
    boxes = [
        label.bounding_box() for label in page.locator("#chart-embeddings .textpoint text").all()
    ]
    shown = [box for box in boxes if box and box["width"]]
    assert len(shown) >= 3
    assert not [(a, b) for a, b in itertools.combinations(shown, 2) if _meet(a, b)]
    assert page_faults(page) == print_faults(page) == []
    for part in page.locator("#steps img").all():  # each wholly inside its figure
        figure, box = page.locator("#steps figure").bounding_box(), part.bounding_box()
        assert figure["x"] <= box["x"]
        assert box["x"] + box["width"] <= figure["x"] + figure["width"]
    page.close()


def _meet(one: dict[str, float], other: dict[str, float]) -> bool:
    return all(
        one[at] < other[at] + other[size] and other[at] < one[at] + one[size]
        for at, size in (("x", "width"), ("y", "height"))
    )
