"""Questions that the documents of a build answer, for its page to open with: those of its pack
whose answer stands in what was quoted.

example_questions(build) -> ["When is the restaurant open on Sundays?", ...]
        [] for anything but a build that asked its questions
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groundup.errors import FormatError
from groundup.evaluate.answer_match import contains
from groundup.files import read_json
from groundup.runs import read_stage_kinds

QUESTIONS, MAX_CHARACTERS = 3, 90
# The stage that asked them, and its answers without a model (recipes/stages/answers.py).
KIND, QUOTATIONS = "answers", "quotations"


def example_questions(build: Path) -> list[str]:
    """Return a few short questions that quotations answered.

    A damaged file of the build is no reason not to serve it: then none.
    """
    try:
        found = [question for items in _answered_items(build) for question in _questions(items)]
    except (FormatError, OSError):  # OSError: a stage's name that can't be a folder's
        return []
    return found[:QUESTIONS]


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
