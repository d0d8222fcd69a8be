"""The page of `data windows`: four pictures from the plain values, foreign text never as markup; and the verb that writes it."""

import json
from pathlib import Path
from typing import Any

import pytest

from groundup.cli.main import run
from groundup.data.batches.shards import write_shards
from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import Source
from groundup.html_nodes import node, to_html
from groundup.progress import Silent
from groundup.report.pages.windows_page import (
    mask_drawing,
    render_windows_page,
    rows_drawing,
    stride_drawing,
)
from groundup.report.sections.pretrain import _packed
from groundup.tokenizer.fast import train_tokenizer

HOSTILE = "<script>alert(1)</script> \u202eRTL\u202c"


def piece(document: int, tokens: int, *, begins: bool = True, ends: bool = True) -> dict[str, Any]:
    return {"document": document, "tokens": tokens, "begins": begins, "ends": ends}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of shards with the tokenizer above them."""
    root = tmp_path_factory.mktemp("shards")
    (root / "texts").mkdir()
    for number in range(60):
        (root / "texts" / f"{number}.txt").write_text(
            f"Tale {number} {HOSTILE}: once more. " * (1 + number % 5)
        )
    prepare([Source(str(root / "texts"))], root / "data", progress=Silent())
    tokenizer = train_tokenizer([HOSTILE + " Tale once more."], 300)
    tokenizer.save(root)
    write_shards(root / "data", tokenizer, root / "shards", progress=Silent())
    return root


def test_the_verb_counts_and_writes_the_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    assert (
        run(["data", "windows", str(folder), "--context", "32", "--stride", "8", "--out", str(out)])
        == 0
    )
    shown = capsys.readouterr().out
    for part in (
        "rows an epoch",
        "documents that are cut",
        "padding",
        "windows an epoch with stride 8",
        "context 32",
    ):
        assert part in shown
    html = out.read_text()
    for part in (
        "A text becomes windows",
        "What the stride does",
        "What packing does",
        "Which token sees which",
    ):
        assert part in html
    assert "<script" not in html and 'style="' not in html
    assert run(["data", "windows", str(folder), "--context", "32", "--json"]) == 0
    view = json.loads(capsys.readouterr().out)
    assert view["packing"]["padding_share"] < 0.1 and view["stride"] == 32
    assert render_windows_page(view).count("<section") == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--context", "999999"], "are missing"),
        (["--split", "dev"], "have no split 'dev'"),
        (["--stride", "0"], "--stride"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["data", "windows", str(folder), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_shards_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "windows", str(tmp_path)]) == 2
    assert "has no token shards" in capsys.readouterr().err


def test_a_row_is_drawn_with_its_cuts_and_its_padding() -> None:
    html = drawn(
        rows_drawing([[piece(3, 50, begins=False), piece(5, 30)], [piece(6, 100)]], 100, "rows")
    )
    assert html.count("cut-edge") == 2 and html.count("padding: 20 places") == 2  # wide and narrow
    assert "piece-3 segment" in html and "document 5: 30 tokens, whole" in html


def test_a_stride_is_drawn_with_what_it_reads() -> None:
    assert "0×" in drawn(stride_drawing(10, 20)) and "2×" in drawn(stride_drawing(10, 5))
    assert drawn(stride_drawing(10, 10)).count("window at token") == 2 * 4


def test_the_mask_of_a_packed_row_has_a_triangle_for_each_document_and_nothing_between() -> None:
    row = [piece(0, 40), piece(1, 60)]
    packed, crossed = (
        drawn([mask_drawing(row, 100, crossing=crossing)]) for crossing in (False, True)
    )
    assert (
        packed.count("<polygon") == 2
        and "crossing" not in packed
        and "its own document only" in packed
    )
    assert crossed.count("<polygon") == 3 and "crossing" in crossed


def drawn(nodes: list[Any]) -> str:
    return to_html(node("div", nodes))


def test_the_report_of_a_packed_run_has_its_padding_and_another_has_none() -> None:
    ((share, label),) = _packed({"packing": {"rows": 1234, "padding_share": 0.0123}})
    assert share.startswith("1.2") and "1,234 rows of packed documents" in label
    assert _packed({"packing": "damaged"}) == _packed({}) == []
