"""Search results: the order of several queries' results, and the times of files."""

import os
from pathlib import Path

from groundup.retrieve.passages import Passage
from groundup.serve.perplexity.routes import merge
from groundup.serve.perplexity.search_request import changed_at


def passage(id: int, document_id: int, file: str = "") -> Passage:
    return Passage(id, "text", "", "name", "address", file, "", 0, 4, "en", document_id)


def test_a_document_that_several_queries_find_has_its_best_place() -> None:
    first, second = (
        [passage(1, 1), passage(2, 2), passage(3, 3)],
        [passage(4, 4), passage(5, 2), passage(6, 1)],
    )
    assert [each.id for each in merge([first, second])] == [1, 4, 2, 3]
    assert merge([[], []]) == []


def test_a_file_whose_time_is_no_date_has_none(tmp_path: Path) -> None:
    file = tmp_path / "far.txt"
    file.touch()
    os.utime(file, (10**12, 10**12))  # a file system may hold a nearer time instead
    found = changed_at(passage(1, 1, str(file)))
    assert found is None or found.timestamp() == os.stat(file).st_mtime < 10**12
    assert changed_at(passage(1, 1, str(tmp_path / "gone.txt"))) is None
