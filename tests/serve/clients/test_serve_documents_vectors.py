"""A served index with vectors is searched by words and vectors, also by those that were made after the server began."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_encoder import save_encoder

from groundup.data.reading.source_files import Source
from groundup.device import Compute
from groundup.progress import Silent
from groundup.retrieve.index import Index
from groundup.retrieve.rankings import AUTO, ranking_of
from groundup.retrieve.search import find
from groundup.retrieve.update import update_index
from groundup.retrieve.vectors import embed_with, make_vectors, open_vectors

CPU = Compute(torch.device("cpu"))
TEXTS = ["The cat sat on the mat.", "To be or not to be.", "That is the question of the cat."]


def update(folder: Path) -> None:
    update_index(folder / "docs.index", [Source(str(folder / "docs"))], progress=Silent())
    make_vectors(
        folder / "docs.index",
        embed_with(str(folder / "encoder"), CPU, Silent()),
        str(folder / "encoder"),
        progress=Silent(),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for number, text in enumerate(TEXTS):
        (tmp_path / "docs" / f"{number}.txt").write_text(text)
    save_encoder(tmp_path / "encoder")
    update(tmp_path)
    return tmp_path


def ranked(folder: Path, query: str) -> list[str]:
    """The documents in the order that `groundup search` has them."""
    vectors = open_vectors(folder / "docs.index", CPU, Silent())
    with Index(folder / "docs.index") as index:
        return [each.document for each in find(index, query, 3, ranking_of(AUTO, vectors)).passages]


def test_the_order_is_that_of_search_before_and_after_an_update(
    folder: Path, serve: Callable[..., Any]
) -> None:
    server = serve("--index", str(folder / "docs.index"))

    def found(query: str) -> list[str]:
        results = server.post("/search", {"query": query, "max_results": 3}).json()["results"]
        return [each["title"] for each in results]

    assert found("sitting") == ranked(folder, "sitting") and len(found("sitting")) == 3, (
        "no word of it is there"
    )
    (folder / "docs" / "new.txt").write_text("A zebra sat on the question.")
    update(folder)
    assert found("zebra question") == ranked(folder, "zebra question")
    assert "new.txt" in found("zebra question")
    answer = server.post("/groundup/ask", {"question": "Where did the zebra sit?"})
    assert '"done":true' in answer.text


def test_vectors_that_are_made_later_or_anew_are_used(
    folder: Path, serve: Callable[..., Any]
) -> None:
    place = folder / "docs.index"
    shutil.rmtree(place / "vectors")
    server = serve("--index", str(place))

    def found(query: str) -> list[str]:
        return [
            each["title"] for each in server.post("/search", {"query": query}).json()["results"]
        ]

    assert found("lounging") == [], "no word of it is there"
    update(folder)
    assert found("lounging") == ranked(folder, "lounging") and len(found("lounging")) == 3
    shutil.rmtree(place)
    (folder / "docs" / "0.txt").write_text("Penguins freeze.")
    update(folder)
    assert found("mat") == ranked(folder, "mat") and len(found("mat")) == 3
