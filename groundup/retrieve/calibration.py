"""Calibration: from how much evidence an index answers, chosen on its own questions and kept with
it.

    questions that documents answer  -> the evidence for the best passage of each -> the value that
        at most MAX_REFUSED of them are below: the default operating point
    fewer than MIN_QUESTIONS of them -> OF_SMALL, what was chosen for a packaged pack
    questions with known answers     -> asked as `ask` does, right or wrong -> `risk.py`: the
        promised operating point, with the promise that so many questions support
            -> FOLDER/evidence.json, the questions themselves in FOLDER/calibration.jsonl

The usual values (`evidence.py`) are of questions in the words of their passage. Customers ask in
other words, and most of theirs have less. Known answers are customers' or written by hand:
questions that were made from the documents are easier, so nothing is promised from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.files import read_text, write_json, write_text
from groundup.packs.pack import MIN_QUESTIONS
from groundup.progress import Progress
from groundup.retrieve.answer import Answer, AskConfig, read
from groundup.retrieve.answer_text import said_text
from groundup.retrieve.database import begin_change, end_change
from groundup.retrieve.evidence import BOTH, MIN_EVIDENCE, READER, WORDS, no_evidence
from groundup.retrieve.index import Index
from groundup.retrieve.known_questions import (
    MAX_BYTES,
    QUESTIONS_FILE,
    KnownQuestion,
    Outcome,
    outcome_of,
    questions_in,
)
from groundup.retrieve.notes import Note
from groundup.retrieve.operating_points import DEFAULT, EVIDENCE_FILE, MAX_REFUSED, chosen_by
from groundup.retrieve.rankings import AUTO, ranking_of
from groundup.retrieve.refusals import refusal_of
from groundup.risk import (
    CONFIDENCE,
    MAX_ERROR,
    Promise,
    control_risk,
    first_shown,
    least_questions,
    percent_above,
    upper_bound,
)

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Vectors

# Of an index with too few questions: what `groundup build bank` chose (docs/log.md, 2026-11-26).
OF_SMALL = {WORDS: 0.238, BOTH: 0.057, READER: MIN_EVIDENCE[READER]}


@dataclass(frozen=True)
class CalibrationQuestions:
    """What an index is calibrated on."""

    asked: tuple[str, ...] = ()
    """Questions that a document answers, besides those of `known`: for the default alone."""
    known: tuple[KnownQuestion, ...] = ()
    """Customers' or hand-written ones with known answers: for both."""

    @property
    def answerable(self) -> list[str]:
        """Those on which the default is chosen: of `known` only where there are no others, so that
        held-out questions of a pack choose nothing that is measured on them.
        """
        return list(self.asked or (each.question for each in self.known if each.answers))


@dataclass(frozen=True)
class Calibration:
    """The operating points that were chosen for an index."""

    least: Mapping[str, float]
    """By ranking the least evidence of the default."""
    questions: int
    """Those on which it was chosen."""
    promises: Mapping[str, Promise] = field(default_factory=dict)
    """By ranking, where questions with known answers support one."""
    known: int = 0
    """Questions with known answers."""
    chosen_by: Mapping[str, Any] = field(default_factory=dict)
    """By ranking the rule and the readers (`operating_points.py`)."""

    @property
    def is_chosen(self) -> bool:
        """Whether there were enough questions to choose the default."""
        return self.questions >= MIN_QUESTIONS

    def to_plain(self) -> dict[str, Any]:
        """Return the contents of evidence.json."""
        promises = {by: asdict(each) for by, each in self.promises.items()}
        return {
            "least": dict(self.least),
            "questions": self.questions,
            "refused": MAX_REFUSED,
            "chosen": self.is_chosen,
            "known_answers": self.known,
            "promise": promises,
            "chosen_by": dict(self.chosen_by),
        }


def calibrate(
    index: Index,
    questions: CalibrationQuestions,
    passages: int,
    vectors: "Vectors | None",
    *,
    progress: Progress,
) -> Calibration:
    """Choose the operating points by words, and with `vectors` by both or by their reader, and keep
    them with the index.

    `passages`: how many are read for an answer. Raises FormatError, DiskError.
    """
    used: dict[str, Vectors | None] = {WORDS: None}
    if vectors:
        used[BOTH if vectors.read is None else READER] = vectors
    found = _choose(used, index, questions, passages, progress)
    begin_change(index.folder)
    write_json(index.folder / EVIDENCE_FILE, found.to_plain())
    if questions.known:
        lines = "".join(f"{each.line}\n" for each in questions.known)
        write_text(index.folder / QUESTIONS_FILE, lines)
    end_change(index.folder)
    return found


def kept_questions(folder: Path) -> tuple[KnownQuestion, ...]:
    """Return the calibration questions of an index; () where it has none.

    Raises FormatError, DataError.
    """
    file = folder / QUESTIONS_FILE
    if not file.is_file():
        return ()
    return tuple(questions_in(read_text(file, max_bytes=MAX_BYTES), str(file)))


def _choose(
    used: "Mapping[str, Vectors | None]",
    index: Index,
    questions: CalibrationQuestions,
    passages: int,
    progress: Progress,
) -> Calibration:
    """Return the operating points of each name in `used`, which has the vectors for it."""
    answerable = questions.answerable
    is_chosen = len(answerable) >= MIN_QUESTIONS
    known = {each.question: each for each in questions.known}
    asked = list(dict.fromkeys([*known, *(answerable if is_chosen else ())]))
    least, promises = {by: OF_SMALL[by] for by in used}, {}
    with progress.track("calibration", len(asked) * len(used), "questions") as advance:
        for by, vectors in used.items():
            values: dict[str, float] = {}
            scored: list[tuple[float, bool]] = []
            for question in asked:
                answer = answer_at_any_evidence(index, question, passages, vectors)
                values[question] = answer.evidence
                if question in known:
                    outcome = outcome_of_answer(known[question], answer)
                    scored.append((answer.evidence, outcome.is_error or not answer.found))
                advance()
            if is_chosen:
                least[by] = lowest([values[question] for question in answerable])
            promise = control_risk(scored)
            if promise:
                promises[by] = promise
    way = {by: chosen_by(no_evidence(vectors)) for by, vectors in used.items()}
    return Calibration(least, len(answerable), promises, len(known), way)


def answer_at_any_evidence(
    index: Index, question: str, passages: int, vectors: "Vectors | None"
) -> Answer:
    """Return the answer that is shown if its evidence is enough; one without evidence for a
    question that is refused whatever the documents hold.
    """
    config, ranking = AskConfig(passages, min_evidence=0.0), ranking_of(AUTO, vectors)
    answer = read(index, question, config, rank_by=ranking, vectors=vectors).answer()
    if refusal_of(index, question):
        return replace(answer, found=False, evidence=0.0)
    return answer


def outcome_of_answer(known: KnownQuestion, answer: Answer) -> Outcome:
    """Return what came of an answer to a question."""
    return outcome_of(known, shown_sentences(answer), cited_documents(answer))


def shown_sentences(answer: Answer) -> list[str]:
    """Return the sentences of an answer as they are read, without the numbers of their sources."""
    if not answer.found:
        return []
    return [said_text(each) for each in answer.parts if not isinstance(each, Note)]


def cited_documents(answer: Answer) -> list[str]:
    """Return the document of each sentence of an answer."""
    if not answer.found:
        return []
    cited = [each for each in answer.parts if hasattr(each, "source")]
    return [answer.sources[each.source - 1].document for each in cited]


def lowest(values: Sequence[float]) -> float:
    """Return the value that at most MAX_REFUSED of the values are below.

    >>> lowest([place / 40 for place in range(40)])
    0.05
    """
    return sorted(values)[int(MAX_REFUSED * len(values))]


def calibration_lines(found: Calibration, by: str) -> list[str]:
    """Return both operating points of a ranking as sentences, and what to add."""
    least = f"Answers from evidence {found.least[by]:.3f} on"
    if found.is_chosen:
        reason = f"at most {percent_above(MAX_REFUSED)} of {found.questions:,} questions refused"
    else:
        reason = few_note(found.questions).rstrip(".")
    lines = [f"{least} ({DEFAULT}: {reason})."]
    promise = found.promises.get(by)
    if promise:
        lines.append(f"From {promise.least:.3f} on (promised): {promise.text}")
    if note := promise_note(found, by):
        lines.append(note)
    return lines


def promise_note(found: Calibration, by: str) -> str:
    """Return what a promise of MAX_ERROR wants; "" where it is made."""
    promise, confidence = found.promises.get(by), f"{100 * CONFIDENCE:.0f} % confidence"
    if promise and promise.error <= MAX_ERROR:
        return ""
    wanted = f"A promise of {percent_above(MAX_ERROR)} with {confidence}"
    few = least_questions()
    if found.known < few:
        best = percent_above(upper_bound(0, max(1, first_shown(found.known))))
        there = f"{found.known:,}, all right, support {best}"
        if not found.known:
            there = "there is none"
        elif promise is None:
            there = f"of the {found.known:,} there are, more than half may be answered wrong"
        more = f"add at least {few - found.known:,}, in customers' words, with their answers"
        return f"{wanted} wants at least {few} questions with known answers; {there}: {more}."
    return (
        f"{wanted} is not supported: too many of the answers are wrong. `groundup evaluate INDEX "
        "--questions FILE --out OUTCOMES` lists them; mend the documents, or add questions."
    )


def few_note(count: int) -> str:
    """Return a note on an index with `count` questions that documents answer; "" where they are
    enough.
    """
    if count >= MIN_QUESTIONS:
        return ""
    return (
        f"Only {count} questions are such that a document answers them, fewer than "
        f"{MIN_QUESTIONS}: the evidence that an answer needs is not chosen on them, "
        "but that of the "
        f"packaged packs ({OF_SMALL[READER]} with a reader, {OF_SMALL[BOTH]} with vectors, "
        f"{OF_SMALL[WORDS]} by words), and may refuse too much or too little."
    )
