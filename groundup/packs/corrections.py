"""Corrections: what an operator answers to questions that readers asked in vain. Each becomes a
held-out question of the pack or a sentence of a document, never both.

    {"question": "...", "also": ["..."], "use": "question", "answer": "4 pm",
     "document": "repairs.md"}
    {"question": "...", "use": "question", "answer": null, "document": null}
    {"question": "...", "use": "document", "answer": "We deliver ...", "document": "hire.md",
     "heading": "Hire > Hotels", "title": ""}

A held-out question measures whether the assistant finds what a document already says ("4 pm", word
for word), or rightly refuses (null). A sentence is what no document says yet: it goes under a
heading, or into a new document with a title. A question whose answer was written because of it
would measure nothing, and one that measures must not teach: so improved.jsonl in the pack remembers
each with its use, and `pack check` holds instructions and messages against it for ever.

All corrections of a file are checked before the first is written.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundup.errors import ConfigError, DataError, in_command
from groundup.files import json_bytes, read_text, safe_name, write_text
from groundup.locks import only_one
from groundup.packs.action_check import actions_of, asked_texts
from groundup.packs.pack import DOCUMENTS, MAX_BYTES, PACKAGED, Pack, read_pack
from groundup.packs.repeats import Text, ask_the_same, nearly_repeats, normalise

IMPROVED_FILE = "improved.jsonl"
HELD_OUT, WRITTEN = "question", "document"
USES = (HELD_OUT, WRITTEN)
MAX_ANSWER_CHARACTERS = 2000
# A held-out answer is a span of a document, not a paragraph.
MAX_SPAN_CHARACTERS = 200
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$")


@dataclass(frozen=True)
class Correction:
    """What an operator answers to a group of questions."""

    question: str
    use: str
    answer: str | None
    document: str | None
    heading: str = ""
    """Of the section that a sentence goes into; "": the end of the document."""
    title: str = ""
    """Of a document that is to be written."""
    also: tuple[str, ...] = ()
    """Further questions that ask the same."""
    place: str = ""
    """FILE:LINE."""

    @property
    def questions(self) -> tuple[str, ...]:
        return (self.question, *self.also)


@dataclass(frozen=True)
class Remembered:
    """A line of improved.jsonl: what became of questions."""

    time: str
    use: str
    questions: tuple[str, ...]
    document: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Improvement:
    """What was written into a pack."""

    questions: tuple[str, ...] = ()
    """Held-out questions that were added."""
    documents: dict[str, int] = field(default_factory=dict)
    """Documents -> sentences that were added to each."""


def read_corrections(file: Path) -> list[Correction]:
    """Return the corrections of a JSONL file whose "use" is filled in.

    Raises DataError with the line that does not stand in its form.
    """
    found = []
    for number, line in enumerate(read_text(file, max_bytes=MAX_BYTES).split("\n"), start=1):
        if line.strip():
            correction = _correction(line, f"{file}:{number}")
            if correction.use:
                found.append(correction)
    if not found:
        fix = f'Fill in "use" ({" or ".join(USES)}) and "answer" of the lines that are to be used.'
        raise DataError(f"{file} has no correction to use.", fix=fix)
    return found


def _correction(line: str, place: str) -> Correction:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _fault(place, f"is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise _fault(place, "is no object")
    also, values = value.get("also", []), dict[str, Any]()
    for name in ("question", "use", "answer", "document", "heading", "title"):
        given = value.get(name, "")
        if not isinstance(given, str) and not (given is None and name in ("answer", "document")):
            raise _fault(place, f'"{name}" is no text')
        values[name] = given if given is None else " ".join(given.split())
    if not isinstance(also, list) or not all(isinstance(each, str) for each in also):
        raise _fault(place, '"also" is no list of texts')
    correction = Correction(**values, also=tuple(also), place=place)
    if not correction.question:
        raise _fault(place, 'has no "question"')
    if correction.use not in ("", *USES):
        raise _fault(place, f'"use" is {correction.use!r}, expected "question" or "document"')
    return correction


def _fault(
    place: str, reason: str, fix: str = "Correct that line; nothing was written."
) -> DataError:
    return DataError(f"{place}: {reason}.", fix=fix)


def read_improved(folder: Path) -> list[Remembered]:
    """Return what a pack remembers; [] for a pack that was never improved. Raises DataError."""
    file = folder / IMPROVED_FILE
    if not file.exists():
        return []
    found = []
    for number, line in enumerate(read_text(file, max_bytes=MAX_BYTES).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            questions = tuple(map(str, value["questions"]))
            found.append(
                Remembered(
                    str(value["time"]),
                    str(value["use"]),
                    questions,
                    value.get("document"),
                    value.get("answer"),
                )
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            fix = (
                f"Restore {IMPROVED_FILE}: it keeps questions that measure out of those that teach."
            )
            raise _fault(f"{file}:{number}", "can't be read", fix) from error
    return found


def _of_use(found: "Iterable[Remembered | Correction]", use: str) -> list[str]:
    return [question for each in found if each.use == use for question in each.questions]


def apply_corrections(folder: Path, corrections: Sequence[Correction]) -> Improvement:
    """Write corrections into a pack, all or none of them.

    Raises ConfigError for a packaged pack, DataError with the line of one that can't be used.
    """
    if folder.resolve().is_relative_to(PACKAGED):
        fix = f"Improve a copy of it: cp -r {folder} my-{folder.name}"
        raise ConfigError(f"'{folder.name}' comes with groundup and is not changed.", fix=fix)
    with only_one(folder):
        pack, issues = read_pack(folder)
        if issues:
            fix = f"See what else: groundup pack check {in_command(folder)}"
            raise DataError(f"{folder} can't be improved as it is: {issues[0]}.", fix=fix)
        remembered = read_improved(folder)
        _check(pack, remembered, corrections)
        return _write(pack, corrections)


def _check(pack: Pack, remembered: list[Remembered], corrections: Sequence[Correction]) -> None:
    """Raise DataError for the first correction that can't be used."""
    held_out = [str(row["question"]) for row in pack.parts["questions"]]
    uses = {HELD_OUT: [*held_out], WRITTEN: [each.text for each in _taught(pack)]}
    for use, questions in uses.items():
        questions += [*_of_use(remembered, use), *_of_use(corrections, use)]
    asked = set(map(normalise, held_out))
    for correction in corrections:
        if correction.use == HELD_OUT:
            _check_span(pack, remembered, correction)
            if normalise(correction.question) in asked:
                raise _fault(correction.place, "the question is held out already")
            asked.add(normalise(correction.question))
            why = "is taught or was written for, so that it would be no test"
            _keep_apart(pack, correction, uses[WRITTEN], why)
        else:
            _check_sentence(pack, correction)
            why = "is held out: what measures must not be written for"
            _keep_apart(pack, correction, uses[HELD_OUT], why)


def _keep_apart(pack: Pack, correction: Correction, others: list[str], why: str) -> None:
    """Raise DataError where a question asks what one of the others asks."""
    for question in correction.questions:
        for other in others:
            if nearly_repeats(question, other) or ask_the_same(
                question, other, pack.head.texts_language
            ):
                reason = f"{question[:80]!r} asks what {other[:80]!r} asks, which {why}"
                fix = "Use it the same way, or leave that line out; nothing was written."
                raise _fault(correction.place, reason, fix)


def _check_span(pack: Pack, remembered: list[Remembered], correction: Correction) -> None:
    """A held-out answer is a span of a document as it was before any sentence was written into it
    because of feedback; or there is none.
    """
    place, answer = correction.place, correction.answer
    if answer is None:
        return
    if not answer:
        raise _fault(place, 'has no "answer" (null: the question is rightly refused)')
    if len(answer) > MAX_SPAN_CHARACTERS:
        reason = f'"answer" has {len(answer)} characters, at most {MAX_SPAN_CHARACTERS} expected'
        raise _fault(place, f"{reason}: a short span of the document")
    text = pack.documents.get(correction.document or "")
    if text is None:
        raise _fault(place, f"there is no {DOCUMENTS}/{correction.document}")
    left = normalise(text)
    for each in remembered:
        if each.use == WRITTEN and each.document == correction.document and each.answer:
            left = left.replace(normalise(each.answer), "")
    if normalise(answer) in left:
        return
    reason = f"{correction.document} does not contain {answer[:80]!r}"
    if normalise(answer) in normalise(text):
        reason += " but in a sentence that was written because of feedback"
    fix = 'Copy the answer from the document word for word, or write it there: "use": "document".'
    raise _fault(place, reason, fix)


def _check_sentence(pack: Pack, correction: Correction) -> None:
    place, answer, document = correction.place, correction.answer, correction.document
    if not answer:
        raise _fault(place, 'has no "answer": the sentence that the document is to say')
    if len(answer) > MAX_ANSWER_CHARACTERS or answer.startswith("#"):
        raise _fault(
            place, f'"answer" is no paragraph of at most {MAX_ANSWER_CHARACTERS} characters'
        )
    if not document:
        raise _fault(place, 'has no "document": an existing one, or the name of a new one')
    if not document.endswith(".md") or Path(document).name != document or document[0] == ".":
        raise _fault(place, f"{document!r} is no name of a document, such as deliveries.md")
    safe_name(document)
    text = pack.documents.get(document)
    if text is None and not correction.title:
        raise _fault(place, f'{document} is a new document and has no "title"')
    if text is not None and correction.heading and _section_end(text, correction.heading) is None:
        raise _fault(place, f"{document} has no heading {correction.heading!r}")
    if text is not None and normalise(answer) in normalise(text):
        raise _fault(place, f"{document} says that already: use it as a held-out question")


def _section_end(text: str, heading: str) -> int | None:
    """Return the line before which a paragraph of a section ends; None: there is no such heading.

    >>> _section_end("# Hire\\n\\nA\\n\\n## Hotels\\n\\nB\\n\\n## Other", "Hire > Hotels")
    8
    """
    last, inside = heading.split(" > ")[-1].strip(), False
    lines = text.split("\n")
    for number, line in enumerate(lines):
        match = _HEADING.match(line)
        if match and inside:
            return number
        inside = inside or bool(match and match[2] == last)
    return len(lines) if inside else None


def with_sentence(text: str, correction: Correction) -> str:
    """Return a document with a correction's sentence as a paragraph of its own."""
    lines = text.rstrip("\n").split("\n")
    end = _section_end("\n".join(lines), correction.heading) if correction.heading else len(lines)
    assert end is not None and correction.answer  # checked
    before, after = "\n".join(lines[:end]).rstrip("\n"), "\n".join(lines[end:])
    paragraphs = [before, correction.answer, *filter(None, [after])]
    return "\n\n".join(paragraphs) + "\n"


def _write(pack: Pack, corrections: Sequence[Correction]) -> Improvement:
    """What is remembered is written first: a question that was interrupted here is kept apart."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = [
        Remembered(now, each.use, each.questions, each.document, each.answer)
        for each in corrections
    ]
    _add_lines(pack.folder / IMPROVED_FILE, map(vars, lines))
    asked = [each for each in corrections if each.use == HELD_OUT]
    if asked:
        _add_lines(pack.folder / "questions.jsonl", map(_question_row, asked))
    texts, counts = dict(pack.documents), dict[str, int]()
    for each in corrections:
        if each.use == WRITTEN:
            assert each.document  # checked
            text = texts.get(each.document, f"# {each.title}\n")
            texts[each.document] = with_sentence(text, each)
            counts[each.document] = counts.get(each.document, 0) + 1
    for name in counts:
        write_text(pack.folder / DOCUMENTS / name, texts[name])
    return Improvement(tuple(each.question for each in asked), counts)


def _question_row(correction: Correction) -> dict[str, str | None]:
    """Return the line of questions.jsonl; without an answer there is no document either."""
    document = correction.document if correction.answer is not None else None
    return {"question": correction.question, "answer": correction.answer, "document": document}


def _add_lines(file: Path, rows: Iterable[Any]) -> None:
    before = read_text(file, max_bytes=MAX_BYTES).rstrip("\n") if file.exists() else ""
    lines = [json_bytes(row).decode() for row in rows]
    write_text(file, "\n".join([*filter(None, [before]), *lines]) + "\n")


def _taught(pack: Pack) -> list[Text]:
    """Return what a pack's models and actions learn or are chosen by."""
    taught = [Text(row.place, str(row["instruction"])) for row in pack.parts["instructions"]]
    taught += [Text(row.place, str(row["text"])) for row in pack.parts["messages"]]
    return [*taught, *asked_texts(actions_of(pack))]


def taught_again(pack: Pack) -> Iterator[tuple[str, str]]:
    """Yield the place of each instruction, message and example of an action that asks what
    measures, by improved.jsonl, and that question. Raises DataError.
    """
    held_out = _of_use(read_improved(pack.folder), HELD_OUT)
    for place, text in _taught(pack):
        same = next((each for each in held_out if nearly_repeats(text, each)), None)
        if same is not None:
            yield place, same
