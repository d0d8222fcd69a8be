"""The page of `data inspect`: all of it from the plain values, each source with a chapter, foreign text never as markup."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from groundup.cli.main import run
from groundup.data.preparation.inspection import inspect_sources
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.html_nodes import node
from groundup.progress import Silent
from groundup.report.drawing import length_histogram, median_length
from groundup.report.pages.inspection_page import render_inspection_page
from groundup.report.source_parts import source_parts

SCRIPT = "<script>alert(1)</script></style></title><img src=x onerror=alert(2)>"
HOSTILE = (
    f"{SCRIPT} \u202eRTL override\u202c שלום עולם مرحبا &lt;b&gt; ]]>  \r\nnext line \x07 e\u0301\n"
)


def write_sources(folder: Path) -> list[Path]:
    """A folder of hostile and ordinary texts, and rows."""
    texts = folder / "texts"
    texts.mkdir()
    (texts / "<script>alert(3)<script>.txt").write_bytes(HOSTILE.encode())
    (texts / "line.txt").write_text("unbroken" * 250_000 + "\n")
    (texts / "copy.txt").write_bytes(HOSTILE.encode())
    (texts / "empty.txt").write_text(" \n")
    for number in range(7):
        (texts / f"<b>{number}.png").write_bytes(b"\x89PNG")
    rows = folder / "rows.csv"
    rows.write_text(
        "text,label\n" + "".join(f'"Row {n} {SCRIPT}",{"ab"[n % 2]}\n' for n in range(40))
    )
    return [texts, rows]


def plain(*specs: Path) -> list[dict[str, Any]]:
    found = inspect_sources(
        [(Source(str(spec)), SourceOptions()) for spec in specs], progress=Silent()
    )
    return [each.to_plain() for each in found]


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the inspection of both says; not to be changed."""
    return plain(*write_sources(tmp_path_factory.mktemp("inspected")))


def test_page_has_all_there_is_of_each_source_and_no_markup_of_theirs(
    inspected: list[dict[str, Any]],
) -> None:
    html = render_inspection_page(inspected)
    assert not re.search(r"<(script|img|b>|iframe)|onerror=alert\(2\)>", html)
    assert html.count("<style>") == 1 and "http-equiv" in html and "\x07" not in html
    assert html.count("<section") == 2 and 'href="#source-2"' in html
    for part in (
        "2 sources have 44 documents",
        "What the files hold",
        "Lengths of the documents kept",
        "2 of 4 documents were dropped",
        "line ends normalised",
        "Before and after",
        "a format that is not read",
        "&lt;b&gt;6.png",
        "Random documents",
        "not stated",
        "&lt;script&gt;alert(3)",
    ):
        assert part in html, part
    assert len(html) < 180_000  # of two million characters of text


def test_page_without_the_detector_says_how_to_install_it_once(
    inspected: list[dict[str, Any]],
) -> None:
    cards = [{**card, "languages": None} for card in inspected]
    assert render_inspection_page(cards).count("pip install 'groundup[languages]'") == 1
    cards[0]["languages"] = {"documents": 4, "found": {"en": 3, SCRIPT: 1}}
    cards[1]["languages"] = {"documents": 2, "found": {"unknown": 2}}
    html = render_inspection_page(cards)
    assert (
        "pip install" not in html
        and "English" in html
        and "<script" not in html
        and "Languages of 4" in html
    )


@pytest.mark.parametrize(
    "odd", [None, True, -1, "text", [], {}, [None], {"found": []}, 1e308, float("nan")]
)
def test_odd_values_never_break_the_page(inspected: list[dict[str, Any]], odd: Any) -> None:
    card = inspected[0]
    for name in card:
        assert "<section" in render_inspection_page([{**card, name: odd}])
    for name in ("lengths", "change_examples", "drop_examples", "samples", "understood"):
        assert "<section" in render_inspection_page([{**card, name: [odd, *card[name]]}])


def test_the_command_writes_page_and_json_of_several_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, rows = write_sources(tmp_path)
    page = tmp_path / "page.html"
    assert run(["data", "inspect", str(texts), str(rows), "--out", str(page), "--json"]) == 0
    said = capsys.readouterr()
    assert [each["documents"] for each in json.loads(said.out)["sources"]] == [4, 40]
    assert "page.html" in said.err and page.read_text(encoding="utf-8").startswith(
        "<!DOCTYPE html>"
    )
    assert run(["data", "inspect", str(texts), str(rows), "--show", "1"]) == 0
    out = capsys.readouterr().out
    assert (
        f"== {texts}" in out and f"== {rows}" in out and "text in 'text', label in 'label'" in out
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{folder}", "{folder}"], "is named twice"),
        (["{folder}", "--out", "{folder}"], "is a folder, expected a file"),
        (
            ["pypi:a==1!*", "pypi:b==1!*", "--sha256", "0" * 64],
            "--sha256 is the hash of one pypi: or https: address; 2 are named",
        ),
    ],
)
def test_what_cant_be_done_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run(["data", "inspect", *(word.format(folder=tmp_path) for word in words)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_languages_count_by_the_documents_of_their_source_and_every_source_has_a_sample() -> None:
    def card(kept: int, language: str) -> dict[str, Any]:
        samples = [{"name": f"{language}{number}", "text": "a text"} for number in range(5)]
        counted = {"documents": 10, "found": {language: 10}}
        return {
            "kept_documents": kept,
            "lengths": [0, kept],
            "languages": counted,
            "samples": samples,
        }

    drawn = node("div", source_parts([card(9000, "en"), card(1000, "de")]))
    shown = "".join(drawn.itertext()).replace("\u00a0", " ")
    assert "Languages of 20 random documents" in shown and "90.0 %" in shown and "10.0 %" in shown
    assert [
        name for name in ("en0", "en1", "en2", "en3", "de0", "de1", "de2") if name in shown
    ] == [
        "en0",
        "en1",
        "en2",
        "de0",
        "de1",
    ]


def test_bars_stand_at_the_lengths_they_count() -> None:
    wide, _ = length_histogram([0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 8])
    bars = list(wide.iter("rect"))
    assert [bar.findtext("title") for bar in bars] == [
        "64 to 127 characters: 4 documents",
        "512 to 1,023 characters: 8 documents",
    ]
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.01)
    ticks = {
        each.text: float(each.attrib["x"])
        for each in wide.iter("text")
        if each.get("class") == "middle"
    }
    left, right = (
        float(bars[0].attrib["x"]),
        float(bars[0].attrib["x"]) + float(bars[0].attrib["width"]),
    )
    assert left < ticks["100"] < right
    assert length_histogram([5]) == [] == length_histogram([])


def test_median_is_near_the_true_one() -> None:
    lengths = [0] * 12
    for characters in range(1, 1001):
        lengths[characters.bit_length()] += 1
    assert median_length(lengths) == pytest.approx(500, rel=0.1)
    assert median_length([]) is None


@pytest.mark.parametrize("lengths", [[0] * 14 + [3, 9], [0, 5], [1] * 20])
def test_bars_are_at_most_48_pixels_wide_and_the_axis_has_round_lengths(
    lengths: list[int],
) -> None:
    for drawing in length_histogram(lengths):
        assert all(float(bar.attrib["width"]) <= 48 for bar in drawing.iter("rect"))
        right = float(drawing.attrib["viewBox"].split()[2])
        ticks = {
            each.text: float(each.attrib["x"])
            for each in drawing.iter("text")
            if each.get("class") == "middle"
        }
        assert len(ticks) >= 2 and all(20 < x < right - 14 for x in ticks.values())
