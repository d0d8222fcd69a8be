"""Calibration: how much evidence an answer from an index needs, chosen on questions that its
documents answer, and kept with it.

    questions -> the evidence for the best passage of each -> the value that at most MAX_REFUSED of
        them are below -> FOLDER/evidence.json
    fewer than MIN_QUESTIONS                        -> OF_SMALL, what was chosen for packaged packs
            -> FOLDER/evidence.json

The usual values (`evidence.py`) are of questions in the words of their passage. Customers ask in
other words, and most of theirs have less.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.errors import FormatError
from groundup.files import read_json, write_json
from groundup.packs.pack import MIN_QUESTIONS
from groundup.progress import Progress
from groundup.retrieve.evidence import BOTH, WORDS, evidence
from groundup.retrieve.index import Index
from groundup.retrieve.index_manifest import begin_change, end_change
from groundup.retrieve.rankings import AUTO, ranking_of
from groundup.retrieve.search import find

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Vectors

EVIDENCE_FILE = "evidence.json"
# Of the questions that documents answer, as for the usual values.
MAX_REFUSED = 0.1
# Of an index with too few questions: what `groundup build bank` chose (docs/log.md, 2026-11-26).
OF_SMALL = {WORDS: 0.238, BOTH: 0.057}


def calibrate(
    index: Index,
    questions: Sequence[str],
    passages: int,
    vectors: "Vectors | None",
    *,
    progress: Progress,
) -> dict[str, float]:
    """Choose the least evidence by words, and with `vectors` by both, and keep it with the index;
    OF_SMALL for fewer than MIN_QUESTIONS questions.

    `passages`: how many are read for an answer. Raises FormatError, DiskError.
    """
    used: dict[str, Vectors | None] = {WORDS: None}
    if vectors:
        used[BOTH] = vectors
    is_chosen = len(questions) >= MIN_QUESTIONS
    least = {by: OF_SMALL[by] for by in used}
    if is_chosen:
        least = _choose(used, index, questions, passages, progress)
    begin_change(index.folder)
    kept = {"least": least, "questions": len(questions), "refused": MAX_REFUSED}
    write_json(index.folder / EVIDENCE_FILE, kept | {"chosen": is_chosen})
    end_change(index.folder)
    return least


def few_note(count: int) -> str:
    """Return a note on an index with `count` questions; "" where they are enough."""
    if count >= MIN_QUESTIONS:
        return ""
    values = f"{OF_SMALL[BOTH]} with vectors, {OF_SMALL[WORDS]} by words"
    return (
        f"Only {count} instructions are questions that a document answers, fewer than "
        f"{MIN_QUESTIONS}: the evidence that an answer needs is not chosen on them, but that of the "
        f"packaged packs ({values}), and may refuse too much or too little."
    )


def _choose(
    used: "Mapping[str, Vectors | None]",
    index: Index,
    questions: Sequence[str],
    passages: int,
    progress: Progress,
) -> dict[str, float]:
    """Return the least evidence of each name in `used`, which has the vectors for it."""
    found: dict[str, list[float]] = {by: [] for by in used}
    with progress.track("evidence", len(questions), "questions") as advance:
        for question in questions:
            for by, vectors in used.items():
                best = find(index, question, passages, ranking_of(AUTO, vectors)).passages
                found[by].append(evidence(index, best, question, vectors).best)
            advance()
    return {by: lowest(values) for by, values in found.items()}


def lowest(values: Sequence[float]) -> float:
    """Return the value that at most MAX_REFUSED of the values are below.

    >>> lowest([0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95])
    0.2
    """
    return sorted(values)[int(MAX_REFUSED * len(values))]


def least_evidence(folder: Path, by: str, usual: float) -> float:
    """Return the least evidence that was chosen for the index in `folder`; `usual` where none was.
    Raises FormatError.
    """
    file = folder / EVIDENCE_FILE
    if not file.is_file():
        return usual
    match read_json(file):
        case {"least": dict(least)} if (
            isinstance(least.get(by, usual), float) and 0 <= least.get(by, usual) <= 1
        ):
            return float(least.get(by, usual))
    raise FormatError(file, f"least.{by}", "is no number from 0 to 1", fix="Make the index again.")
