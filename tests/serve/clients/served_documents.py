"""A folder of documents, its index, and a server that answers from it with a model that has learnt one answer."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from groundup.data.reading.source_files import Source
from groundup.progress import Silent
from groundup.retrieve.index import Index
from groundup.retrieve.search import search
from groundup.retrieve.update import update_index

sys.path.insert(0, str(Path(__file__).parents[1]))

from small_models import save_reader

QUESTION = "How long does the warranty last?"
ANSWER = 'The warranty lasts "24 months". It was signed by Grace Hopper.'
BOILER = """# Boiler PX-20

## Cleaning

Clean the filter every 6 months. Use warm water only.

## Warranty

The warranty lasts 24 months from the day of purchase. Dr. Ada Lovelace signed it on 3 May 2021.
"""
HOSTEL = "The hostel in Straßburg closes at 23:00.\n\nBreakfast costs 9 euros.\n"


class Documents:
    """A folder of documents, its index, and a server that answers from it with a model that has learnt one answer."""

    def __init__(self, folder: Path, serve: Callable[..., Any]) -> None:
        self.docs, self.index = folder / "docs", folder / "manuals.index"
        (self.docs / "boilers").mkdir(parents=True)
        (self.docs / "boilers" / "px20.md").write_text(BOILER)
        (self.docs / "hostel.txt").write_text(HOSTEL)
        self.update()
        (folder / "empty").mkdir()
        (folder / "empty" / "blank.txt").write_text("\n")
        update_index(folder / "empty.index", [Source(str(folder / "empty"))], progress=Silent())
        with Index(self.index) as opened:
            [passage] = search(opened, "warranty", 1)
        self.model = save_reader(folder / "reader", QUESTION, passage, ANSWER)
        indexes = ("--index", str(self.index), "--index", f"none={folder / 'empty.index'}")
        self.server = serve(str(self.model), *indexes, "--own-words")

    def update(self) -> None:
        update_index(self.index, [Source(str(self.docs))], progress=Silent())

    def ask(self, question: str = QUESTION, **fields: Any) -> list[dict[str, Any]]:
        answer = self.server.post(
            "/groundup/ask", {"index": "manuals", "question": question, **fields}
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.text.splitlines()]
