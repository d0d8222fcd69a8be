"""A folder of documents, and an index of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groundup.data.reading.source_files import Source
from groundup.progress import Silent
from groundup.retrieve.index import Index
from groundup.retrieve.update import UpdateReport, update_index

BOILER = """# Boiler PX-20

## Cleaning

Clean the filter every 6 months. Use warm water only.

## Warranty

The warranty lasts 24 months from the day of purchase. Dr. Ada Lovelace signed it on 3 May 2021.
"""
HOSTEL = "The hostel in Straßburg closes at 23:00. Flights to Oslo leave from gate 12.\n\nBreakfast costs 9 euros.\n"
Update = Callable[..., UpdateReport]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "boiler.md").write_text(BOILER)
    (folder / "hostel.txt").write_text(HOSTEL)
    return folder


@pytest.fixture
def update(tmp_path: Path, docs: Path) -> Update:
    """Bring the index of `docs` up to date."""
    return lambda *sources: update_index(
        tmp_path / "index", [Source(str(each)) for each in sources or (docs,)], progress=Silent()
    )


@pytest.fixture
def index(tmp_path: Path, update: Update) -> Iterator[Index]:
    update()
    with Index(tmp_path / "index") as opened:
        yield opened
