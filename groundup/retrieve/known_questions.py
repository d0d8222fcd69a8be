"""Questions with known answers, of customers or written by hand: what an index is calibrated and
evaluated on; and what came of the answer to one.

    {"question": "Until when can I call off?", "answers": ["noon", "12 pm"], "document": "terms.md"}

JSON lines. `answer` (a text) or `answers` (a list, of which each will do); null, or neither: no
document answers it. `document`: the one that does, or a list of them; `also`: further ones; `kind`:
a group to be counted by itself. Other fields are left alone. A pack's questions.jsonl is such a
file.

An answer is *right* where an accepted answer stands in its first sentence,
*partly* right where it stands in a further one, or the right document is cited, *wrong* otherwise;
to a question that no document answers, each answer is wrong. *Error* is what the promise counts:
the share of the answers shown that have no accepted answer in any sentence.

Exact match and F1 of words are SQuAD's (Rajpurkar et al. 2016, section 6.1: lower case, without
punctuation and the articles a, an, the).
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.errors import DataError, FormatError
from groundup.files import read_text

# In an index: those that it was calibrated on.
QUESTIONS_FILE = "calibration.jsonl"
MAX_BYTES = 64 * 2**20
# As of a question over HTTP.
MAX_QUESTION_CHARACTERS = 8000
RIGHT, PARTLY, WRONG, REFUSED = "right", "partly", "wrong", "refused"
OUTCOMES = (RIGHT, PARTLY, WRONG, REFUSED)
# The field of a line that `data make-questions` wrote.
MADE = "made"
FORM = '{"question": "...", "answers": ["..."], "document": "..."}'


@dataclass(frozen=True)
class KnownQuestion:
    """A question with its accepted answers."""

    question: str
    answers: tuple[str, ...] = ()
    """Any of them will do; (): no document answers it."""
    documents: tuple[str, ...] = ()
    """Those that answer it, as far as is known."""
    kind: str = ""
    line: str = ""
    """The line of the file, to be kept with an index."""


@dataclass(frozen=True)
class Outcome:
    """What came of the answer to a question."""

    name: str
    """One of OUTCOMES."""
    has_answer: bool = False
    """Whether an accepted answer stands in any sentence."""

    @property
    def is_error(self) -> bool:
        """Whether an answer is shown that has no accepted answer in it."""
        return self.name != REFUSED and not self.has_answer


def outcome_of(
    known: KnownQuestion, sentences: Sequence[str], documents: Sequence[str] = ()
) -> Outcome:
    """Return what came of an answer.

    `sentences`: as they are shown, the first one first; none: refused. `documents`: what is cited.

    >>> known = KnownQuestion("When?", ("4 pm",), ("hours.md",))
    >>> outcome_of(known, ["We shut at 4 p.m."]).name, outcome_of(known, []).name
    ('right', 'refused')
    """
    if not sentences:
        return Outcome(REFUSED)
    places = [
        place
        for place, sentence in enumerate(sentences)
        if any(contains(sentence, answer) for answer in known.answers)
    ]
    if places[:1] == [0]:
        return Outcome(RIGHT, True)
    if places or (known.answers and is_cited(known, documents)):
        return Outcome(PARTLY, bool(places))
    return Outcome(WRONG)


def is_cited(known: KnownQuestion, documents: Sequence[str]) -> bool:
    """Whether one of the documents that answer a question is among these."""
    return any(same_document(known, document) for document in documents)


def same_document(known: KnownQuestion, document: str) -> bool:
    """Whether a document is one that answers the question, by its name or the end of its path."""
    return any(document == each or document.endswith(f"/{each}") for each in known.documents)


def read_known_questions(file: Path, *, may_be_made: bool = False) -> list[KnownQuestion]:
    """Return the questions of a file, each once. Raises DataError for the first line that is none,
    and for a file that has none or can't be read; unless they `may_be_made`, also for one that was
    made from a document.
    """
    if file.is_dir():
        fix = f"Give a file of JSON lines: {FORM}"
        raise DataError(f"{file} is a folder, and a file of questions is expected.", fix=fix)
    try:
        text = read_text(file, max_bytes=MAX_BYTES)
    except FormatError as error:
        fix = f"Give JSON lines: {FORM}"
        raise DataError(f"{file} {error.reason}.", fix=fix) from error
    return questions_in(text, str(file), may_be_made=may_be_made)


def questions_in(text: str, file: str, *, may_be_made: bool = False) -> list[KnownQuestion]:
    """Return the questions of JSON lines. Raises DataError, as `read_known_questions`."""
    found: dict[str, KnownQuestion] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            known = _question_of(line, f"{file}:{number}", may_be_made)
            found.setdefault(known.question, known)
    if not found:
        raise DataError(f"{file} has no questions.", fix=f"Give JSON lines: {FORM}")
    if not any(each.answers for each in found.values()):
        raise DataError(f"{file}: no question has an answer.", fix=f"Give JSON lines: {FORM}")
    return list(found.values())


def _question_of(line: str, place: str, may_be_made: bool) -> KnownQuestion:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is no JSON: {error}.", fix=f"Give JSON lines: {FORM}") from error
    fault = _fault_of(value)
    if fault:
        raise DataError(f"{place} {fault}.", fix=f"Each line is {FORM}; null: not answered.")
    if value.get(MADE) and not may_be_made:
        fix = "Give questions in customers' words; these train the reader: index --tune-on FILE."
        what = "was made from a document (data make-questions), and asks in its words"
        raise DataError(f"{place} {what}: nothing is promised or measured on such.", fix=fix)
    answers = [each for name in ("answers", "answer") for each in _texts(value.get(name))]
    documents = [each for name in ("document", "also") for each in _texts(value.get(name))]
    question = value["question"].strip()
    return KnownQuestion(
        question, tuple(answers), tuple(documents), str(value.get("kind") or ""), line.strip()
    )


def _fault_of(value: Any) -> str:
    """Return what is wrong with a line; "" where nothing is."""
    if not isinstance(value, dict):
        return "is no object"
    has_answers = bool({"answer", "answers"} & value.keys())
    if "question" not in value or (not has_answers and value.get("document")):
        found = ", ".join(map(str, list(value)[:8])) or "none"
        return f"has no fields 'question' and 'answers' (or 'answer'; its fields: {found})"
    question = value["question"]
    if not isinstance(question, str) or not question.strip():
        return "has a question that is no text"
    if len(question) > MAX_QUESTION_CHARACTERS:
        longest = f"the longest is {MAX_QUESTION_CHARACTERS:,}"
        return f"has a question of {len(question):,} characters ({longest})"
    return _fault_of_texts(value)


def _fault_of_texts(value: Mapping[str, Any]) -> str:
    for name in ("answer", "answers", "document", "also"):
        texts = value.get(name)
        is_list = isinstance(texts, list) and all(isinstance(each, str) for each in texts)
        if texts is not None and not isinstance(texts, str) and not is_list:
            return f"has {name!r} that is neither text, list of texts nor null"
        if name.startswith("answer") and not all(map(answer_words, _texts(texts))):
            return f"has an empty text in {name!r}"
    return ""


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
# A point or comma within a number stays: 1.5 is not 15.
_PUNCTUATION = re.compile(r"(?<!\d)[^\w\s%£$€]|[^\w\s%£$€](?!\d)|_")
_SAYS = r"\b(?:says?|said|states?|mentions?|mentioned|know|find|found|information|answer|contain)\b"
_NOT = r"\b(?:(?:do|does|did|ca|could|is|are|was)n['’]t|cannot|not|no|nothing)\b"
_DECLINES = re.compile(
    rf"{_NOT}.{{0,40}}{_SAYS}|\b(?:says?|states?|find|found) nothing\b", re.IGNORECASE
)


def answer_words(text: str) -> list[str]:
    """Return the words of an answer in one form.

    >>> answer_words("The fee is £1,500.00, until 4 p.m.")
    ['fee', 'is', '£1500.00', 'until', '4', 'pm']
    """
    joined = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower().replace(".m.", "m"))
    return _ARTICLES.sub(" ", _PUNCTUATION.sub(" ", joined)).split()


def exact_match(answer: str, expected: str) -> bool:
    """Return whether an answer is the expected one.

    >>> exact_match("The 4 pm.", "4 pm")
    True
    """
    return answer_words(answer) == answer_words(expected)


def word_f1(answer: str, expected: str) -> float:
    """Return the harmonic mean of the precision and recall of an answer's words.

    >>> word_f1("until 4 pm", "4 pm")
    0.8
    """
    said, wanted = Counter(answer_words(answer)), Counter(answer_words(expected))
    total = said.total() + wanted.total()
    return 2 * (said & wanted).total() / max(1, total)


def contains(answer: str, expected: str) -> bool:
    """Return whether the expected span stands in an answer, as whole words.

    >>> contains("It closes at 4 pm on Saturday.", "4 pm"), contains("At 14 pm", "4 pm")
    (True, False)
    """
    return f" {' '.join(answer_words(expected))} " in f" {' '.join(answer_words(answer))} "


def declines(answer: str) -> bool:
    """Return whether an answer says that it has none: empty, or one of the usual sentences. A rule,
    so it misses unusual ones.

    >>> [declines(text) for text in ("I do not know.", "You cannot pay in cash.")]
    [True, False]
    """
    return not answer.strip() or bool(_DECLINES.search(answer))
