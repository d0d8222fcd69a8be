"""Indexes and their passages as clients see them: entries of an index, of an answer's sources, a
passage within its document, and questions to begin with.

No path of this machine goes to a client: a document is named by its place within its source.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.errors import FormatError
from groundup.files import read_json
from groundup.http.json_object import JsonObject
from groundup.retrieve.index import Index, IndexCounts
from groundup.retrieve.known_questions import contains
from groundup.retrieve.passages import Passage
from groundup.retrieve.requests_to_reader import Requests
from groundup.retrieve.search import Keep, every, is_current
from groundup.runs import read_stage_kinds
from groundup.serve.requests import RequestError

# Of a longer document, the part around a passage is sent.
EXCERPT_CHARACTERS = 200_000
# Of a build: how many questions are shown, and how long they may be.
MAX_QUESTIONS, MAX_CHARACTERS = 3, 90
# Passages whose headings are looked at for questions.
FIRST = 400
# The stage that asked them, and its answers without a model (recipes/stages/answers.py).
KIND, QUOTATIONS = "answers", "quotations"


def index_entry(name: str, held: IndexCounts, questions: Sequence[str]) -> JsonObject:
    """Return what an index holds; of files that could not be read, how many.

    `questions`: some to begin with.
    """
    return {
        "name": name,
        "passages": held.passages,
        "documents": held.documents,
        "files": held.files,
        "languages": held.languages,
        "unread": len(held.faults),
        "questions": list(questions),
    }


def passage_path(name: str, passage: Passage) -> str:
    return f"/groundup/passages/{name}/{passage.id}"


def source_entries(name: str, sources: Sequence[Passage], requests: Requests) -> list[JsonObject]:
    """Return the sources of an answer, numbered from 1, with what each asks of its reader."""
    return [
        {
            "number": number,
            **vars(passage_names(passage)),
            "url": passage_path(name, passage),
            "text": passage.text,
            "start": passage.start,
            "end": passage.end,
            "requests": [list(span) for span in spans],
        }
        for number, (passage, spans) in enumerate(zip(sources, requests, strict=True), start=1)
    ]


@dataclass(frozen=True)
class PassageNames:
    """How a client sees a passage named."""

    title: str
    """Its headings, else its document."""
    document: str
    address: str
    """The document's place within its source."""


def passage_names(passage: Passage) -> PassageNames:
    document = passage.document.rpartition("/")[2]
    return PassageNames(passage.title or document, document, passage.document)


def passage_page(name: str, index: Index, id: int, shown: Keep = every) -> JsonObject:
    """Return a passage within the text of its document.

    Raises RequestError (404) for one that is gone, with its file or from the index, or is not
    `shown`.
    """
    found = [each for each in index.passages([id]) if shown(each)]
    if not found or (os.path.isabs(found[0].file) and not os.path.exists(found[0].file)):
        raise RequestError(
            "this passage is gone: its document was changed or deleted", status=404, param="id"
        )
    passage = found[0]
    half = EXCERPT_CHARACTERS // 2
    offset, text = index.document_window(
        passage.document_id, max(0, passage.start - half), passage.end + half
    )
    previous, following = index.neighbours(passage)
    return {
        "index": name,
        "id": id,
        **vars(passage_names(passage)),
        "text": text,
        "offset": offset,
        "start": passage.start,
        "end": passage.end,
        "previous": previous,
        "next": following,
        "changed": not is_current(index, passage.file),
    }


def heading_questions(index: Index) -> list[str]:
    """Return a few headings of an index that are questions, from its first passages."""
    headings = (each.title.rpartition(" > ")[2] for each in index.all_passages(limit=FIRST))
    asked = (each for each in headings if each.endswith("?") and len(each) <= MAX_CHARACTERS)
    return list(dict.fromkeys(asked))[:MAX_QUESTIONS]


def example_questions(build: Path) -> list[str]:
    """Return a few short questions that the quotations of a build answered, for its page to open
    with; [] for anything but a build that asked its questions.

    A damaged file of the build is no reason not to serve it: then none.
    """
    try:
        found = [question for items in _answered_items(build) for question in _questions(items)]
    except (FormatError, OSError):  # OSError: a stage's name that can't be a folder's
        return []
    return found[:MAX_QUESTIONS]


def _answered_items(build: Path) -> Iterator[list[Any]]:
    for stage, kind in read_stage_kinds(build).items():
        file = build / stage / "results.json"
        if kind != KIND or not file.is_file():
            continue
        results = read_json(file)
        if isinstance(results, dict) and isinstance(results.get("items"), list):
            yield results["items"]


def _questions(items: list[Any]) -> Iterator[str]:
    for item in items:
        try:
            question, answer = item["question"], item["answer"]
            quoted = item["answers"][QUOTATIONS]["text"]
        except (KeyError, TypeError):
            continue
        texts = isinstance(question, str) and isinstance(answer, str) and isinstance(quoted, str)
        if texts and len(question) <= MAX_CHARACTERS and contains(quoted, answer):
            yield question
