"""What an encoder is tuned on: pairs of texts, or questions made from documents without labels.

    pairs      a text and those that fit; texts that do not fit stand beside them
    documents  passages and their sentences; asked are the questions that rules have for a sentence
               (`retrieve/question_kinds.py`), headings, cells and rare words (`reader_tuning.py`)

A tenth of the questions validates, another tenth is held out and measured before and after; texts
that only held-out questions ask for are never read while training, but those of documents are.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from groundup.data.documents import TextPair
from groundup.errors import DataError
from groundup.files import sha256_text
from groundup.finetune.reader_tuning import questions_from
from groundup.retrieve.cite import headed_text, statements
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_drafts import drafts
from groundup.retrieve.vectors import text_of

MIN_QUESTIONS = 30
# Of documents: questions are drawn from those that can be made.
MAX_MADE = 6000
SHARE = 0.1
# Questions that are measured, and texts among which theirs is looked for.
MAX_VALIDATION, MAX_HELD_OUT, MAX_CANDIDATES = 300, 500, 2000
SIDES = ("train", "validation", "held_out")


@dataclass(frozen=True)
class TextKind:
    """Texts that are found."""

    texts: tuple[str, ...]
    beside: tuple[int, ...]
    """Of each the group that it stands in (`encoder_tuning.TextsOfKind`)."""


@dataclass(frozen=True)
class PairedQuestion:
    """A text that searches, and those that it is to find."""

    text: str
    answers: tuple[frozenset[int], ...]
    """Of each kind."""
    is_held_out: bool = False


@dataclass(frozen=True)
class EncoderExamples:
    """All questions, and the texts among which theirs are."""

    kinds: tuple[TextKind, ...]
    questions: tuple[PairedQuestion, ...]

    def sides(self, seed: int) -> Mapping[str, tuple[PairedQuestion, ...]]:
        """Return the questions by SIDES; marked ones are the held-out ones, else a tenth is drawn.

        Raises DataError for fewer than MIN_QUESTIONS, or where nothing is left to train on.
        """
        asked = list(self.questions)
        if len(asked) < MIN_QUESTIONS:
            raise DataError(
                f"{len(asked):,} distinct pairs are too few: {MIN_QUESTIONS} are needed, of which "
                "a fifth is held out to choose and to measure.",
                fix="Give more pairs, or documents.",
            )
        random.Random(seed).shuffle(asked)
        aside = [each for each in asked if each.is_held_out]
        others = [each for each in asked if not each.is_held_out]
        few = max(3, round(SHARE * len(asked)))
        if not aside:
            aside, others = others[:few], others[few:]
        validation, train = others[:few], others[few:]
        if len(train) < MIN_QUESTIONS // 2:
            raise DataError(
                f"{len(train):,} pairs are left to train on: {len(aside):,} are marked held_out.",
                fix="Mark fewer, or give more pairs.",
            )
        chosen = (train, validation[:MAX_VALIDATION], aside[:MAX_HELD_OUT])
        return {name: tuple(side) for name, side in zip(SIDES, chosen, strict=True)}

    @property
    def fingerprint(self) -> str:
        kinds = [(each.texts, each.beside) for each in self.kinds]
        asked = [(each.text, list(map(sorted, each.answers))) for each in self.questions]
        return sha256_text(f"{kinds} {asked}")


def examples_of_pairs(pairs: Sequence[TextPair]) -> EncoderExamples:
    """Each distinct first text with all texts that fit it; those that do not fit one are of its
    group, and so are tried first. Raises DataError where a text is said to fit and not to fit.
    """
    places: dict[str, int] = {}
    beside: list[int] = []
    answers: dict[str, set[int]] = {}
    wrong: dict[str, set[int]] = {}
    held_out = {pair.text for pair in pairs if pair.held_out}

    def place_of(text: str, group: int) -> int:
        if text not in places:
            places[text] = len(places)
            beside.append(group)
        return places[text]

    for group, pair in enumerate(pairs):
        answers.setdefault(pair.text, set()).update(
            place_of(text, group) for text in pair.positives
        )
    for pair in pairs:
        own = beside[places[pair.positives[0]]]
        found = {place_of(text, own) for text in pair.negatives}
        wrong.setdefault(pair.text, set()).update(found)
    for pair in pairs:
        if answers[pair.text] & wrong[pair.text]:
            raise DataError(
                f"{pair.id}: a text is given as one that fits {pair.text[:60]!r} and as one that "
                "does not.",
                fix="Remove one of them.",
            )
    questions = [
        PairedQuestion(text, (frozenset(found),), text in held_out)
        for text, found in answers.items()
    ]
    return EncoderExamples((TextKind(tuple(places), tuple(beside)),), tuple(questions))


def examples_of_passages(passages: Sequence[Passage], seed: int) -> EncoderExamples:
    """Questions that rules make of documents, at most MAX_MADE; found are the passage and the
    sentence that answer. Raises DataError where there is nothing to ask.
    """
    draw = random.Random(seed)
    places = [(p, s) for p, each in enumerate(passages) for s in range(len(statements(each)))]
    numbers = {place: number for number, place in enumerate(places)}
    sentences = tuple(headed_text(statements(passages[p])[s]) for p, s in places)
    made: dict[str, dict[int, set[int]]] = {}
    asked = [
        (each.question, {number: frozenset(each.places)})
        for number, passage in enumerate(passages)
        for each in drafts(passage)
    ]
    asked += [(each.question, each.answers) for each in questions_from(passages, draw)]
    for text, found in asked:
        for passage, answering in found.items():
            made.setdefault(text, {}).setdefault(passage, set()).update(answering)
    if not made:
        raise DataError(
            f"The documents have {len(passages):,} passages, and none has a heading, a table or a "
            "sentence to ask about.",
            fix="Give documents with whole sentences, or pairs.",
        )
    chosen = draw.sample(sorted(made), min(MAX_MADE, len(made)))
    questions = [
        PairedQuestion(
            text,
            (
                frozenset(made[text]),
                frozenset(numbers[p, s] for p, found in made[text].items() for s in found),
            ),
        )
        for text in chosen
    ]
    kinds = (
        TextKind(tuple(map(text_of, passages)), tuple(range(len(passages)))),
        TextKind(sentences, tuple(p for p, _ in places)),
    )
    return EncoderExamples(kinds, tuple(questions))
