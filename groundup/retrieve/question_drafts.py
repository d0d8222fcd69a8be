"""Drafts of questions: the sentences of a passage, each with the question of `question_kinds.py`
that it answers, and where the answer begins and ends.

The answer is cut out of the document: a sentence, with the code that it announces; a row of a
table; the paragraph below a heading that asks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from groundup.language.stop_words import UNKNOWN
from groundup.language.terms import ENGLISH
from groundup.retrieve.cite import Statement, statement_text, statements
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_kinds import DANGLING, KINDS, SentenceInPlace, asked_cell

MIN_QUESTION_WORDS, MAX_QUESTION_WORDS = 3, 22
MIN_ANSWER_WORDS, MAX_ANSWER_WORDS = 4, 70
PARAGRAPH_SENTENCES = 3
_NUMBERED = re.compile(r"^(?:\d+\.)+\d*\s+|^(?:Chapter|Section|Q|FAQ)\s*\d*[.:)]\s+", re.IGNORECASE)
_ITEM_MARK = re.compile(r"^(?:[-*•]|\d{1,3}[.)])\s+")
_EMPHASIS = re.compile(
    r"\*\*|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])|(?<!\w)__?(?=[^\W_])|(?<=[^\W_])__?(?!\w)"
)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")


@dataclass(frozen=True)
class QuestionDraft:
    """A question and the sentences of a passage that answer it."""

    question: str
    kind: str
    passage: Passage
    places: tuple[int, ...]
    """Of the answer among the passage's `statements`."""
    start: int
    """The answer's first character in the passage."""
    end: int
    value: str = ""
    """Of a row of a table the cell that is asked for."""

    @property
    def quoted(self) -> str:
        """The answer as it stands in the document."""
        return self.passage.text[self.start : self.end]

    @property
    def said(self) -> str:
        """The answer as `ask` shows it: a row of a table in words, a sentence in one line."""
        listed = [statements(self.passage)[place] for place in self.places]
        if any(each.is_code for each in listed):
            return self.quoted
        return " ".join(" ".join(statement_text(self.passage, each).split()) for each in listed)


def drafts(passage: Passage) -> Iterator[QuestionDraft]:
    """Yield the questions that the sentences of a passage answer, at most one a sentence."""
    listed = statements(passage)
    heading_before = None
    for place, said in enumerate(listed):
        sentence = _in_place(passage, said, heading_before)
        heading_before = sentence.heading
        if said.is_code:
            continue
        for name, kind in KINDS.items():
            if not kind.any_language and passage.language not in (ENGLISH, UNKNOWN):
                continue
            question = _tidy(kind.rule(sentence))
            if not _can_be_asked(question):
                continue
            find_end = _paragraph_of if kind.is_of_heading else _answer_of
            last, end = find_end(passage, listed, place)
            if _can_answer(passage.text[said.start : end], sentence):
                places = tuple(range(place, last + 1))
                yield QuestionDraft(
                    question, name, passage, places, said.start, end, asked_cell(sentence)[1]
                )
                break


def _in_place(passage: Passage, said: Statement, heading_before: str | None) -> SentenceInPlace:
    above, head = said.above, ""
    if said.head:
        head = passage.text[slice(*said.head)]
        above = above.removesuffix(head)
    lines = [line for line in above.strip().split("\n") if line.strip()] or [""]
    heading = _NUMBERED.sub("", _plain(lines[-1].rsplit(" > ", 1)[-1]).strip("#= "))
    is_row = said.text.startswith("|")
    is_first = heading != heading_before and not is_row
    text = said.text if is_row else _ITEM_MARK.sub("", _plain(said.text))
    return SentenceInPlace(text, heading, is_first, passage.text, head if is_row else "")


def _answer_of(passage: Passage, listed: list[Statement], place: int) -> tuple[int, int]:
    """Return the last sentence of the answer that begins at `place`, and where it ends: with the
    code that the sentence announces, and with the sentence behind a mere "Yes.".
    """
    said = listed[place]
    for last in range(place + 1, min(place + 2, len(listed))):
        following = listed[last]
        announces = following.is_code and following.head == (said.start, said.end)
        is_word = len(said.text.split()) < MIN_ANSWER_WORDS and said.text.endswith((".", "!"))
        if announces or (is_word and _is_next(passage, said, following)):
            return last, following.end
    return place, said.end


def _paragraph_of(passage: Passage, listed: list[Statement], place: int) -> tuple[int, int]:
    """Return the last sentence and the end of the paragraph that begins at `place`, as far as it
    has at most MAX_ANSWER_WORDS: what stands below a heading that asks.
    """
    last, end = _answer_of(passage, listed, place)
    for number in range(last + 1, len(listed)):
        count = len(passage.text[listed[place].start : listed[number].end].split())
        is_next = _is_next(passage, listed[number - 1], listed[number])
        if not is_next or count > MAX_ANSWER_WORDS or number - place >= PARAGRAPH_SENTENCES:
            break
        last, end = number, listed[number].end
    return last, end


def _is_next(passage: Passage, said: Statement, following: Statement) -> bool:
    """Whether a sentence goes on in the paragraph of the one before it."""
    between = passage.text[said.end : following.start]
    return not between.strip() and "\n" not in between.strip(" ") and not following.is_code


def _can_answer(answer: str, sentence: SentenceInPlace) -> bool:
    count = len(answer.split())
    if sentence.text.startswith("|"):
        return count <= MAX_ANSWER_WORDS
    if not MIN_ANSWER_WORDS <= count <= MAX_ANSWER_WORDS:
        return False
    if sentence.heading.endswith("?") and sentence.text.startswith(sentence.heading):
        return False
    is_whole = answer.rstrip()[-1:] in ".!?)`'\"”’;|" or "\n" in answer
    return is_whole and not answer.rstrip().endswith(":") and not sentence.text.endswith("?")


def _can_be_asked(question: str) -> bool:
    words = question.split()
    if not MIN_QUESTION_WORDS <= len(words) <= MAX_QUESTION_WORDS:
        return False
    if DANGLING.search(question) or "?" in question[:-1]:
        return False
    is_paired = all(question.count(a) == question.count(b) for a, b in ("()", "“”", "[]"))
    return is_paired and question.count('"') % 2 == 0 and question.count("`") % 2 == 0


def _tidy(question: str) -> str:
    """Return a question with a capital and a question mark."""
    text = " ".join(question.split()).rstrip(" .,;:?!")
    return f"{text[0].upper()}{text[1:]}?" if text else ""


def _plain(text: str) -> str:
    """Return a sentence in one line, without Markdown's emphasis and links."""
    return _EMPHASIS.sub("", _LINK.sub(r"\1", " ".join(text.split())))
